"""Requests of the responses API, read as strictly as OpenAI does (https://platform.openai.com/docs/api-reference/responses/create)."""

from __future__ import annotations

from emulator.demo.face import Asked
from emulator.demo.openai_words import EFFORTS, TIERS, VERBOSITIES, WORDING, read_format
from emulator.demo.reading import Node, names, seed_of
from emulator.demo.responses.items import read_items
from emulator.demo.responses.tools import read_choice, read_tools
from emulator.demo.talk import Json, Prompt, Said, Tool, Turn

_FIELDS = names(
    """
    access_programs background background_options client_metadata context_management conversation image
    include input instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls
    previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning
    safety_identifier service_tier store stream stream_options temperature text tool_choice tools top_logprobs
    top_p truncation user
    """
)
_VENDORS = ("provider", "models", "session_id")  # OpenRouter's
_INCLUDE = (
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
)
_SMALLEST = 16  # max_output_tokens


def read(body: Json, asked: Asked) -> Prompt:
    """The prompt in a body. Raises `RefusedError`."""
    root = Node(body, WORDING).obj(*_FIELDS, *_VENDORS)
    model = root.need("model").text()
    _stateless(root)
    _small_print(root)
    told: list[Turn] = []
    if (instructions := root.get("instructions")) is not None:
        told.append(Turn("system", (Said(instructions.text()),)))
    found: list[Tool] = []
    given = root.need("input")
    if isinstance(given.value, str):
        told.append(Turn("user", (Said(given.value),)))
    else:
        told += read_items(given, found)
    tools = (*read_tools(root.get("tools")), *found)
    wants_json, schema = _text(root, told)
    return Prompt(
        seed=seed_of(body),
        model=model,
        turns=tuple(told),
        body=body,
        tools=tools,
        choice=read_choice(root.get("tool_choice"), tools),
        parallel=root.flag("parallel_tool_calls", True),
        max_tokens=_limit(root),
        thinks=_thinks(root),
        shows_thoughts=(body.get("reasoning") or {}).get("summary") not in (None, "none"),
        wants_json=wants_json,
        schema=schema,
        stream=_streams(root),
    )


def _streams(root: Node) -> bool:
    stream = root.flag("stream")
    if (options := root.get("stream_options")) is not None:
        if not stream:
            raise options.refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        options.obj("include_obfuscation")
    return stream


def _stateless(root: Node) -> None:
    if (previous := root.get("previous_response_id")) is not None:
        raise previous.refused(
            f"Previous response with id '{previous.value}' not found.", code="previous_response_not_found"
        )
    for name in ("conversation", "prompt"):
        if (node := root.get(name)) is not None:
            raise node.refused(f"The {name} that '{name}' names was not found.", status=404)
    if root.flag("background"):
        raise root.refused("Background mode is not supported with this model.", code="unsupported_parameter")


def _limit(root: Node) -> int | None:
    node = root.get("max_output_tokens")
    if node is None:
        return None
    if node.whole(0) < _SMALLEST:
        raise node.refused(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_SMALLEST}, but got {node.value} instead.",
            code="integer_below_min_value",
        )
    return node.whole(_SMALLEST)


def _small_print(root: Node) -> None:
    for name, high in (("temperature", 2), ("top_p", 1)):
        if (node := root.get(name)) is not None:
            node.number(0, high)
    if (top := root.get("top_logprobs")) is not None:
        top.whole(0, 20)
    if (include := root.get("include")) is not None:
        for entry in include.items():
            entry.among(*_INCLUDE)
    if (truncation := root.get("truncation")) is not None:
        truncation.among("auto", "disabled")
    if (tier := root.get("service_tier")) is not None:
        tier.among(*TIERS)
    if (metadata := root.get("metadata")) is not None:
        for name, value in metadata.raw().items():
            Node(value, WORDING, f"metadata.{name}").text()
    root.flag("store")


def _text(root: Node, told: list[Turn]) -> tuple[bool, Json | None]:
    node = root.get("text")
    if node is None:
        return False, None
    fields = node.obj("format", "verbosity")
    if (verbosity := fields.get("verbosity")) is not None:
        verbosity.among(*VERBOSITIES)
    form = fields.get("format")
    said = "\n".join(turn.text for turn in told)
    return (False, None) if form is None else read_format(form, said, nested=False)


def _thinks(root: Node) -> bool:
    node = root.get("reasoning")
    if node is None:
        return False
    fields = node.obj("effort", "summary", "generate_summary", "context", "mode")
    if (summary := fields.get("summary")) is not None:
        summary.among("auto", "concise", "detailed", "none")
    effort = fields.get("effort")
    return effort is None or effort.among(*EFFORTS) != "none"

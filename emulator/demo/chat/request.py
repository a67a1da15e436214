"""Requests of chat completions, read as strictly as OpenAI does (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from emulator.demo.chat.messages import read_messages
from emulator.demo.face import Asked
from emulator.demo.openai_words import (
    EFFORTS,
    TIERS,
    VERBOSITIES,
    WORDING,
    read_format,
    read_function,
    read_grammar,
    tool_name,
)
from emulator.demo.reading import Node, names, seed_of
from emulator.demo.talk import Choice, Json, Prompt, Tool

_FIELDS = names(
    """
    audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens max_tokens
    messages metadata modalities model moderation n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format
    safety_identifier seed service_tier stop store stream stream_options temperature tool_choice tools
    top_logprobs top_p user verbosity web_search_options
    """
)
# Fields of compatible servers: OpenRouter's routing and reasoning, Z.AI's and Google's switches for thinking.
_VENDORS = ("provider", "models", "reasoning", "usage", "session_id", "thinking", "extra_body", "google", "top_k")


def read(body: Json, asked: Asked) -> Prompt:
    """The prompt in a body. Raises `RefusedError`."""
    root = Node(body, WORDING).obj(*_FIELDS, *_VENDORS)
    model = root.need("model").text()
    turns = read_messages(root.need("messages"))
    tools = _tools(root)
    wants_json, schema = False, None
    if (form := root.get("response_format")) is not None:
        said = "\n".join(turn.text for turn in turns)
        wants_json, schema = read_format(form, said, nested=True)
    _sampling(root)
    _small_print(root)
    stream = root.flag("stream")
    if (options := root.get("stream_options")) is not None:
        if not stream:
            raise options.refused("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        options.obj("include_usage", "include_obfuscation").flag("include_usage")
    return Prompt(
        seed=seed_of(body),
        model=model,
        turns=turns,
        body=body,
        tools=tools,
        choice=_choice(root, tools),
        parallel=_parallel(root, tools),
        max_tokens=_limit(root),
        stop=_stop(root),
        thinks=_thinks(root),
        wants_json=wants_json,
        schema=schema,
        stream=stream,
    )


def _sampling(root: Node) -> None:
    ranges = {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "frequency_penalty": (-2, 2),
        "presence_penalty": (-2, 2),
    }
    for name, (low, high) in ranges.items():
        if (node := root.get(name)) is not None:
            node.number(low, high)
    if (seed := root.get("seed")) is not None:
        seed.whole(-(2**63), 2**63)
    if (n := root.get("n")) is not None:
        n.whole(1, 8)
    if (top := root.get("top_logprobs")) is not None:
        top.whole(0, 20)
        if not root.flag("logprobs"):
            raise top.refused("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.")
    if (bias := root.get("logit_bias")) is not None:
        bias.raw()


def _small_print(root: Node) -> None:
    if (tier := root.get("service_tier")) is not None:
        tier.among(*TIERS)
    if (verbosity := root.get("verbosity")) is not None:
        verbosity.among(*VERBOSITIES)
    if (modalities := root.get("modalities")) is not None and [m.text() for m in modalities.items()] != ["text"]:
        raise modalities.refused("This model only writes text: expected modalities ['text'].", code="unsupported_value")
    if (metadata := root.get("metadata")) is not None:
        for name, value in metadata.raw().items():
            Node(value, WORDING, f"metadata.{name}").text()


def _limit(root: Node) -> int | None:
    old, new = root.get("max_tokens"), root.get("max_completion_tokens")
    if old is not None and new is not None:
        raise old.refused("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    limit = new or old
    return None if limit is None else limit.whole(1)


def _stop(root: Node) -> tuple[str, ...]:
    stop = root.get("stop")
    if stop is None:
        return ()
    if isinstance(stop.value, str):
        return (stop.value,)
    words = tuple(word.text() for word in stop.items())
    if not 1 <= len(words) <= 4:
        raise stop.refused(f"Invalid 'stop': expected an array with 1 to 4 strings, but got {len(words)}.")
    return words


def _thinks(root: Node) -> bool:
    if (effort := root.get("reasoning_effort")) is not None:
        return effort.among(*EFFORTS) != "none"
    match root.value:
        case {"thinking": {"type": "enabled"}}:
            return True
        case {"reasoning": {"enabled": False} | {"effort": "none"}}:
            return False
        case {"reasoning": dict()}:
            return True
        case _:
            return False


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(root: Node) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    if root.get("web_search_options") is not None:
        tools.append(Tool("web_search", kind="hosted"))
    listed = root.get("tools")
    if listed is None:
        return tuple(tools)
    if not listed.items():
        raise listed.refused(
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
    for node in listed.items():
        match node.raw().get("type"):
            case "function":
                inner = node.obj("type", "function", "cache_control").need("function")
                name, schema = read_function(inner.obj("name", "description", "parameters", "strict"))
                tools.append(Tool(name, schema))
            case "custom":
                inner = node.obj("type", "custom").need("custom").obj("name", "description", "format")
                if (grammar := inner.get("format")) is not None:
                    read_grammar(grammar, nested=True)
                tools.append(Tool(tool_name(inner.need("name")), kind="custom"))
            case kind:
                raise node.refused(
                    f"Invalid value: '{kind}'. Supported values are: 'function' and 'custom'.", code="invalid_value"
                )
    return tuple(tools)


def _parallel(root: Node, tools: tuple[Tool, ...]) -> bool:
    node = root.get("parallel_tool_calls")
    if node is not None and not tools:
        raise node.refused(
            "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."
        )
    return node is None or node.truth()


def _choice(root: Node, tools: tuple[Tool, ...]) -> Choice:
    node = root.get("tool_choice")
    if node is None:
        return Choice()
    if not any(tool.kind != "hosted" for tool in tools):
        raise node.refused("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
    if isinstance(node.value, str):
        match node.among("none", "auto", "required"):
            case "auto" | "none" | "required" as mode:
                return Choice(mode)
    match node.raw().get("type"):
        case "function" | "custom" as kind:
            inner = node.obj("type", kind).need(kind).obj("name")
            return Choice("tool", (_known(inner.need("name"), tools),))
        case "allowed_tools":
            inner = node.obj("type", "allowed_tools").need("allowed_tools").obj("mode", "tools")
            mode = "required" if inner.need("mode").among("auto", "required") == "required" else "auto"
            names = [_known(_named(entry), tools) for entry in inner.need("tools").items()]
            return Choice("required" if mode == "required" else "auto", tuple(names))
        case kind:
            raise node.refused(
                f"Invalid value: '{kind}'. Supported values are: 'function', 'allowed_tools', and 'custom'.",
                code="invalid_value",
            )


def _named(entry: Node) -> Node:
    kind = entry.obj("type", "function", "custom").need("type").among("function", "custom")
    return entry.need(kind).obj("name").need("name")


def _known(name: Node, tools: tuple[Tool, ...]) -> str:
    if all(tool.name != name.text() for tool in tools):
        raise name.refused(f"Tool choice '{name.value}' not found in 'tools' parameter.")
    return name.text()

"""Messages of chat completions: who may say what, and that every call is answered at once."""

from __future__ import annotations

from emulator.demo.opaque import genuine
from emulator.demo.openai_words import tool_name
from emulator.demo.reading import Node
from emulator.demo.talk import Answered, Called, Media, Part, Said, Turn

# The second line is what vendors and SDKs add to assistant messages, and clients echo.
_ASSISTANT = (
    *("role", "content", "name", "refusal", "tool_calls", "function_call", "audio"),
    *("reasoning_content", "reasoning", "reasoning_details", "annotations", "extra_content", "parsed"),
)
_PARTS = {
    "text": ("type", "text", "cache_control", "prompt_cache_breakpoint"),
    "image_url": ("type", "image_url", "cache_control", "prompt_cache_breakpoint"),
    "input_audio": ("type", "input_audio", "prompt_cache_breakpoint"),
    "file": ("type", "file", "cache_control", "prompt_cache_breakpoint"),
    "refusal": ("type", "refusal"),
}
PLACEHOLDER = "skip_thought_signature_validator"


def read_messages(node: Node) -> tuple[Turn, ...]:
    """The conversation. Raises `RefusedError`."""
    messages = node.items()
    if not messages:
        raise node.refused(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
    turns: list[Turn] = []
    open_calls: list[str] = []  # made by the assistant message before, not yet answered
    answerable: set[str] = set()
    for message in messages:
        role = Node(message.raw(), message.wording, message.path).need("role")
        name = role.among("system", "developer", "user", "assistant", "tool", "function")
        if name == "tool":
            turns.append(Turn("user", (_result(message, answerable, open_calls),)))
            continue
        _all_answered(message, open_calls)
        if name == "assistant":
            turn = _assistant(message)
            open_calls = [part.id for part in turn.parts if isinstance(part, Called)]
            answerable = set(open_calls)
        else:
            answerable = set()
            turn = _told(message, name)
        turns.append(turn)
    _all_answered(node, open_calls)
    return tuple(turns)


def _all_answered(node: Node, open_calls: list[str]) -> None:
    if open_calls:
        raise node.refused(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
        )


def _result(message: Node, answerable: set[str], open_calls: list[str]) -> Answered:
    fields = message.obj("role", "content", "tool_call_id", "name")
    call = fields.need("tool_call_id").text()
    if call not in answerable:
        raise message.refused(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'. "
            f"No call has the id '{call}'."
        )
    if call not in open_calls:
        raise message.refused(f"Invalid parameter: the call '{call}' has been answered twice.")
    open_calls.remove(call)
    parts = _content(fields.need("content"), ("text",))
    return Answered(call, "\n".join(part.text for part in parts if isinstance(part, Said)))


def _told(message: Node, name: str) -> Turn:
    fields = message.obj("role", "content", "name")
    kinds = ("text", "image_url", "input_audio", "file") if name == "user" else ("text",)
    parts = _content(fields.need("content"), kinds)
    return Turn("user" if name in ("user", "function") else "system", tuple(parts))


def _assistant(message: Node) -> Turn:
    fields = message.obj(*_ASSISTANT)
    calls = fields.get("tool_calls")
    parts: list[Part] = []
    if (content := fields.get("content")) is not None:
        parts = _content(content, ("text", "refusal"))
    elif calls is None and all(fields.get(name) is None for name in ("function_call", "refusal", "audio")):
        raise message.refused(
            f"Invalid value for 'content': expected a string, got null. ({message.path}.content may be null only beside tool_calls)"
        )
    if calls is not None:
        if not calls.items():
            raise calls.refused(f"Invalid '{calls.path}': empty array. Expected an array with minimum length 1.")
        parts += [_call(call) for call in calls.items()]
        ids = [part.id for part in parts if isinstance(part, Called)]
        if len(set(ids)) != len(ids):
            raise calls.refused(f"Duplicate tool_call ids in '{calls.path}'.")
    return Turn("assistant", tuple(parts))


def _call(node: Node) -> Called:
    fields = node.obj("id", "type", "function", "custom", "index", "extra_content")
    ident = fields.need("id").text()
    match node.value:
        case {"extra_content": {"google": {"thought_signature": str(signature)}}}:
            if signature != PLACEHOLDER and not genuine("chat", signature):
                raise node.refused("Corrupted thought signature.")
    kind = fields.need("type").among("function", "custom")
    inner = fields.need(kind)
    if kind == "custom":
        inner = inner.obj("name", "input")
        return Called(ident, tool_name(inner.need("name")), inner.need("input").text())
    inner = inner.obj("name", "arguments", "parsed_arguments")
    return Called(ident, tool_name(inner.need("name")), inner.need("arguments").text())


def _content(node: Node, kinds: tuple[str, ...]) -> list[Part]:
    if isinstance(node.value, str):
        return [Said(node.value)] if node.value else []
    if not node.items():
        raise node.refused(f"Invalid '{node.path}': empty array. Expected an array with minimum length 1.")
    return [_part(part, kinds) for part in node.items()]


def _part(node: Node, kinds: tuple[str, ...]) -> Part:
    kind = node.raw().get("type")
    if kind not in kinds:
        listed = ", ".join(f"'{kind}'" for kind in kinds)
        raise node.refused(f"Invalid value: '{kind}'. Supported values are: {listed}.", code="invalid_value")
    fields = node.obj(*_PARTS[kind])
    match kind:
        case "image_url":
            image = fields.need("image_url").obj("url", "detail")
            image.need("url").data_url()
            if (detail := image.get("detail")) is not None:
                detail.among("auto", "low", "high", "original")
            return Media("image")
        case "input_audio":
            audio = fields.need("input_audio").obj("data", "format")
            audio.need("data").base64()
            audio.need("format").among("wav", "mp3")
            return Media("audio")
        case "file":
            file = fields.need("file").obj("filename", "file_data", "file_id")
            if file.get("file_id") is None:
                file.need("file_data").data_url()
                file.need("filename").text()
            return Media("document")
        case _:
            return Said(fields.need(kind).text())

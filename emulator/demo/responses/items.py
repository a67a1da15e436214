"""Input items of the responses API (https://platform.openai.com/docs/api-reference/responses/create#responses_create-input)."""

from __future__ import annotations

from dataclasses import replace

import orjson

from emulator.demo.opaque import genuine
from emulator.demo.openai_words import tool_name
from emulator.demo.reading import Node, RefusedError
from emulator.demo.responses.tools import read_tools
from emulator.demo.talk import Answered, Called, Media, Part, Said, Tool, Turn

_ITEMS = {
    "message": ("role", "content", "status", "phase"),
    "reasoning": ("summary", "content", "encrypted_content", "status"),
    "function_call": ("call_id", "name", "arguments", "namespace", "status", "caller", "async"),
    "function_call_output": ("call_id", "output", "status", "name", "namespace", "caller"),
    "custom_tool_call": ("call_id", "name", "input", "namespace", "status", "caller", "async"),
    "custom_tool_call_output": ("call_id", "output", "status", "name", "caller"),
    "tool_search_call": ("call_id", "arguments", "execution", "status"),
    "tool_search_output": ("call_id", "tools", "execution", "status"),
    "additional_tools": ("role", "tools"),
    "web_search_call": ("action", "status"),
    "item_reference": (),
}
_CODEX = "internal_chat_message_metadata_passthrough"  # in every item when Codex believes to talk to OpenAI itself
# What the model itself said: it stands in one turn with its neighbours.
_OWN = ("reasoning", "function_call", "custom_tool_call", "tool_search_call", "web_search_call")
_PARTS = {
    "input_text": ("type", "text", "prompt_cache_breakpoint"),
    "input_image": ("type", "image_url", "detail", "file_id", "prompt_cache_breakpoint"),
    "input_file": ("type", "filename", "file_data", "file_url", "file_id", "detail", "prompt_cache_breakpoint"),
    "input_audio": ("type", "input_audio"),
    "output_text": ("type", "text", "annotations", "logprobs"),
    "refusal": ("type", "refusal"),
}


def read_items(node: Node, found: list[Tool]) -> list[Turn]:
    """The turns; tools that stand among the items are added to `found`. Raises `RefusedError`."""
    turns: list[Turn] = []
    for item in node.items():
        turn = _item(item, found)
        if turn is None:
            continue
        if turns and turns[-1].role == turn.role == "assistant":
            turns[-1] = replace(turns[-1], parts=(*turns[-1].parts, *turn.parts))
        else:
            turns.append(turn)
    _check_calls(node, turns)
    return turns


def _check_calls(node: Node, turns: list[Turn]) -> None:
    calls: list[str] = []
    results: list[str] = []
    for turn in turns:
        for part in turn.parts:
            match part:
                case Called(id=ident):
                    calls.append(ident)
                case Answered(id=ident):
                    if ident not in calls:
                        raise node.refused(f"No tool call found for function call output with call_id {ident}.")
                    results.append(ident)
                case _:
                    pass
    if missing := [ident for ident in calls if ident not in results]:
        raise node.refused(f"No tool output found for function call {missing[0]}.")
    if len(set(calls)) != len(calls):
        raise node.refused("Duplicate call_id found in input. Each call needs an id of its own.")


def _item(item: Node, found: list[Tool]) -> Turn | None:
    value = item.raw()
    kind = value.get("type") or ("message" if "role" in value else None)
    if kind not in _ITEMS:
        listed = ", ".join(f"'{name}'" for name in _ITEMS)
        raise item.refused(f"Invalid value: '{kind}'. Supported values are: {listed}.", code="invalid_value")
    fields = item.obj("type", "id", _CODEX, *_ITEMS[kind])
    match kind:
        case "message":
            return _message(fields)
        case "reasoning":
            return _reasoning(fields)
        case "additional_tools":
            found += read_tools(fields.need("tools"))
            return None
        case "item_reference":
            raise _not_kept(fields, fields.need("id").text())
        case "tool_search_output":
            loaded = [replace(tool, loaded=True) for tool in read_tools(fields.need("tools"))]
            found += loaded
            names = ", ".join(tool.name for tool in loaded)
            return Turn("user", (Answered(_call_id(fields), f"found {names or 'no tools'}"),))
        case "function_call_output" | "custom_tool_call_output":
            return Turn("user", (_result(fields),))
        case "web_search_call":
            return Turn("assistant", ())
        case _:
            return Turn("assistant", (_call(fields, kind),))


def _not_kept(node: Node, ident: str) -> RefusedError:
    return node.refused(
        f"Item with id '{ident}' not found. Items are not persisted when `store` is set to false. "
        "Try again with `store` set to true, or remove this item from your input.",
        status=404,
    )


def _reasoning(fields: Node) -> Turn:
    for part in fields.need("summary").items():
        summary = part.obj("type", "text")
        summary.need("type").among("summary_text")
        summary.need("text").text()
    state = fields.get("encrypted_content")
    if state is None:
        ident = fields.get("id")
        raise _not_kept(fields, "" if ident is None else ident.text())
    if not genuine("responses", state.text()):
        ident = fields.get("id")
        raise state.refused(
            f"The encrypted content for item {ident.value if ident else 'rs'} could not be verified. "
            "Reason: Encrypted content could not be decrypted or parsed.",
            code="invalid_encrypted_content",
        )
    return Turn("assistant", ())


def _call_id(fields: Node) -> str:
    node = fields.get("call_id")
    return "tool_search" if node is None else node.text()


def _call(fields: Node, kind: str) -> Called:
    if kind == "tool_search_call":
        arguments = orjson.dumps(fields.need("arguments").raw()).decode()
        return Called(_call_id(fields), "tool_search", arguments)
    space = fields.get("namespace")
    return Called(
        fields.need("call_id").text(),
        tool_name(fields.need("name")),
        fields.need("input" if kind == "custom_tool_call" else "arguments").text(),
        space.text() if space else "",
    )


def _result(fields: Node) -> Answered:
    output = fields.need("output")
    ident = fields.need("call_id").text()
    if isinstance(output.value, str):
        return Answered(ident, output.value)
    parts = [_part(part, ("input_text", "input_image", "input_file")) for part in output.items()]
    text = "\n".join(part.text for part in parts if isinstance(part, Said))
    return Answered(ident, text, media=tuple(part for part in parts if isinstance(part, Media)))


def _message(fields: Node) -> Turn:
    role = fields.need("role").among("user", "assistant", "system", "developer")
    content = fields.need("content")
    if isinstance(content.value, str):
        parts: list[Part] = [Said(content.value)]
    elif role == "assistant":
        parts = [_part(part, ("output_text", "refusal")) for part in content.items()]
    else:
        parts = [_part(part, ("input_text", "input_image", "input_file", "input_audio")) for part in content.items()]
    return Turn("user" if role == "user" else "assistant" if role == "assistant" else "system", tuple(parts))


def _part(node: Node, kinds: tuple[str, ...]) -> Part:
    kind = node.raw().get("type")
    if kind not in kinds:
        listed = " and ".join(f"'{name}'" for name in kinds)
        raise node.refused(f"Invalid value: '{kind}'. Supported values are: {listed}.", code="invalid_value")
    fields = node.obj(*_PARTS[kind])
    match kind:
        case "input_image":
            if fields.get("file_id") is None:
                fields.need("image_url").data_url()
            if (detail := fields.get("detail")) is not None:
                detail.among("auto", "low", "high", "original")
            return Media("image")
        case "input_file":
            _file(fields)
            return Media("document")
        case "input_audio":
            fields.need("input_audio").obj("data", "format").need("data").base64()
            return Media("audio")
        case "refusal":
            return Said(fields.need("refusal").text())
        case _:
            return Said(fields.need("text").text())


def _file(fields: Node) -> None:
    if fields.get("file_id") is not None:
        return
    if (url := fields.get("file_url")) is not None:
        if not url.text().startswith(("http://", "https://")):
            raise url.refused(f"Invalid '{url.path}': expected an http(s) URL.")
        return
    fields.need("file_data").data_url()
    fields.need("filename").text()

"""Tool results as `functionResponse` parts: https://ai.google.dev/gemini-api/docs/function-calling#multimodal."""

from __future__ import annotations

import re
from collections.abc import Iterable

import orjson

from shared.canonical import Document, Image, Json, Target, Text, ToolCall, ToolReference, ToolResult
from shared.dialects.gemini.media import media_parts
from shared.errors import invalid

_UNSAFE = re.compile(r'"\$ref"|"error"|"output"|\d{16}')
"""What keeps an object from being sent as one: Google takes `$ref` for the name of an attached file
(https://github.com/vercel/ai/issues/14369), reads nothing but `output` and `error` where they are
(https://ai.google.dev/api/caching#FunctionResponse), and its numbers are doubles."""


def write_results(
    calls: Iterable[tuple[ToolCall, str]], results: dict[str, ToolResult], target: Target, dropped: dict[str, None]
) -> list[Json]:
    """One response for each call, in their order (else 400: https://github.com/google-gemini/gemini-cli/issues/16132), then the
    media that could not be put into one. `calls` come with their names on the wire."""
    responses: list[Json] = []
    aside: list[Json] = []
    for call, name in calls:
        result = results.pop(call.id, None)
        if result is None:
            raise invalid(
                f"messages: the tool call {call.id!r} ({call.name}) has no result in the turn after it.", "messages"
            )
        _name_dropped(result, dropped)
        media = _media(result, target, dropped)
        response: Json = {"id": call.id, "name": name, "response": _response(result, bool(media))}
        if media and target.flags.thinking == "level":
            response["parts"] = [part for part in media if "text" not in part]
        elif media:
            aside += [{"text": f"From the result of {name} (call {call.id}):"}, *media]
        responses.append({"functionResponse": response})
    if results:
        raise invalid(
            f"messages: the tool result for {next(iter(results))!r} answers no call in the turn before it.", "messages"
        )
    return responses + aside


def _media(result: ToolResult, target: Target, dropped: dict[str, None]) -> list[Json]:
    return [
        part
        for item in result.content
        if isinstance(item, Image) or (isinstance(item, Document) and not item.text)
        for part in media_parts(item, target, dropped)
    ]


def _response(result: ToolResult, has_media: bool) -> Json:
    texts: list[str] = []
    for item in result.content:
        match item:
            case Text(text=text):
                texts.append(text)
            case ToolReference(name=name):
                texts.append(f"Tool loaded: {name}")
            case Document(text=text) if text:
                texts += [part for part in (item.title or item.filename, item.context, text) if part]
            case Document():
                texts += [f"Attached: {item.title or item.filename}"] if item.title or item.filename else []
                texts += [item.context] if item.context else []
    texts += [f"Tool loaded: {tool.name}" for tool in result.tools]
    text = "\n".join(texts)
    if result.is_error:
        return {"error": text or "error"}
    if has_media and not text:
        return {"result": "The result is attached."}
    return _object(text) or {"result": text}


def _name_dropped(result: ToolResult, dropped: dict[str, None]) -> None:
    items = [item for item in result.content if not isinstance(item, ToolReference)]
    if result.cache or any(item.cache for item in items):
        dropped["cache"] = None
    if any(item.citations for item in items if not isinstance(item, Image)):
        dropped["citations"] = None


def _object(text: str) -> Json | None:
    """A JSON object as itself, where that changes nothing."""
    if text.lstrip()[:1] != "{" or _UNSAFE.search(text):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None

"""What of a request must be found in what is written for a provider, unless it is named as dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from shared.canonical import (
    Audio,
    Block,
    CustomTool,
    Document,
    FunctionTool,
    HostedCall,
    HostedTool,
    Image,
    Json,
    Request,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolReference,
    ToolResult,
)

_USUAL_TIERS = ("auto", "default", "standard", "standard_only")  # no wish at all
_BILLING = "x-anthropic-billing-header"


@dataclass(frozen=True)
class Trace:
    """A word or a number; it may be missing if one of `excuses` was dropped."""

    what: str
    needle: str | float
    excuses: frozenset[str] = frozenset()


def trace(what: str, needle: str | float | None, *excuses: str) -> Iterator[Trace]:
    if needle not in (None, "") and not (isinstance(needle, str) and not needle.strip()):
        yield Trace(what, needle, frozenset(excuses))


def traces(request: Request, target: Target) -> Iterator[Trace]:
    """All that a request says."""
    for text in request.system:
        if not text.text.startswith(_BILLING):
            yield from trace("system", text.text)
    for turn in request.turns:
        yield from trace("name", turn.name, "name")
        for block in turn.blocks:
            yield from _block(block, target, own=turn.role == "assistant")
    for tool in _shown(request):
        yield from _tool(tool)
    if request.tool_choice is not None and request.tools:
        for name in request.tool_choice.names:
            yield from trace("tool_choice", _kept(name), "tool_choice")
    numbers = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
    }
    for name, number in numbers.items():
        yield from trace(name, number, name)
    for word in request.stop:
        yield from trace("stop", word, "stop")
    words = {
        "user": request.user,
        "cache_key": request.cache_key,
        "verbosity": request.verbosity,
        "service_tier": "" if request.service_tier in _USUAL_TIERS else request.service_tier,
    }
    for name, text in words.items():
        yield from trace(name, text, name)
    for key, value in (request.metadata or {}).items():
        yield from trace("metadata", key, "metadata")
        yield from trace("metadata", value, "metadata")
    if request.format is not None and request.format.schema is not None:
        for text in _schema_words(request.format.schema):
            yield from trace("format", text, "format")


def _shown(request: Request) -> list[Tool]:
    """The tools that the model is to see: not the deferred ones that nothing has loaded, nor those that a choice leaves out."""
    loaded = {
        part.name
        for turn in request.turns
        for block in turn.blocks
        if isinstance(block, ToolResult)
        for part in block.content
        if isinstance(part, ToolReference)
    }
    chosen = request.tool_choice.names if request.tool_choice is not None else ()
    shown = []
    for tool in request.tools:
        if not isinstance(tool, HostedTool):
            if tool.deferred and tool.name not in loaded:
                continue
            if chosen and not {tool.name, f"{tool.namespace}.{tool.name}"} & set(chosen):
                continue
        shown.append(tool)
    return shown


def _block(block: Block, target: Target, *, own: bool) -> Iterator[Trace]:
    match block:
        case Text():
            yield from trace("text", block.text)
            for citation in block.citations if own else ():
                yield from trace("citation", citation.url, "citations")
        case Image():
            excuses = ("image", "assistant.image") if own else ()
            yield from trace("image", block.data or block.url or block.file_id, *excuses)
        case Document():
            yield from trace("document", block.data or block.url or block.file_id or block.text)
            yield from trace("document.title", block.title, "document.title")
            yield from trace("document.context", block.context, "document.context")
        case Audio():
            yield from trace("audio", block.data)
        case Thinking():
            yield from trace("thinking", block.text, "reasoning")
            if block.opaque is not None and block.opaque.maker == target.provider:
                for secret in _states(block.opaque.data):
                    yield from trace("state", secret, "reasoning")
        case ToolCall():
            yield from trace("call", _kept(block.name))
            for text in leaves(block.arguments if block.kind == "custom" else orjson.loads(block.arguments or "{}")):
                yield from trace("arguments", text)
        case ToolResult():
            for part in block.content:
                match part:
                    case ToolReference():
                        yield from trace("tool_reference", _kept(part.name))
                    case Text(text=text) if text.startswith("{"):  # Gemini takes an object as an object
                        for word in leaves(_parsed(text)):
                            yield from trace("result", word)
                    case _:
                        yield from _block(part, target, own=False)
            for tool in block.tools:
                yield from _tool(tool)
        case HostedCall():
            yield from trace("hosted call", next(iter(block.input.values()), ""), block.name, "hosted_call")


def _tool(tool: Tool) -> Iterator[Trace]:
    if isinstance(tool, HostedTool):
        yield from trace("hosted tool", "", "tools")
        return
    yield from trace("tool", _kept(tool.name))
    yield from trace("tool.description", tool.description)
    if isinstance(tool, FunctionTool):
        for text in _schema_words(tool.schema or {}):
            yield from trace("schema", text)
    elif isinstance(tool, CustomTool) and tool.format:
        yield from trace("grammar", tool.format.get("definition"), "tools.format")


def _kept(name: str) -> str:
    """The part of a tool's name that survives when it is made fit."""
    return re.split(r"\W", name)[0][:20]


def _schema_words(schema: Any) -> Iterator[str]:
    """Names of properties and descriptions, at any depth."""
    match schema:
        case dict():
            for name, below in schema.items():
                if name == "properties" and isinstance(below, dict):
                    yield from below
                    yield from _schema_words(list(below.values()))
                elif name == "description" and isinstance(below, str):
                    yield below
                else:
                    yield from _schema_words(below)
        case list():
            for below in schema:
                yield from _schema_words(below)


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def _states(data: str) -> list[str]:
    """The strings of a state that its maker would look for."""
    value = _parsed(data)
    if isinstance(value, str):
        return [data]
    return [text for text in leaves(value) if isinstance(text, str) and len(text) > 20]


def leaves(value: Any) -> Iterator[str | float]:
    """All strings and numbers inside a JSON value, and the keys of its objects."""
    match value:
        case dict():
            for key, below in value.items():
                yield key
                yield from leaves(below)
        case list():
            for below in value:
                yield from leaves(below)
        case bool() | None:
            return
        case _:
            yield value


def lost(request: Request, body: Json, dropped: tuple[str, ...], target: Target) -> list[Trace]:
    """What can't be found in a body and isn't named either."""
    found = list(leaves(body))
    for text in [text for text in found if isinstance(text, str) and text.startswith("{")]:
        try:
            found += leaves(orjson.loads(text))
        except ValueError:
            continue
    words = "\0".join(text for text in found if isinstance(text, str))
    numbers = {number for number in found if not isinstance(number, str)}
    if "cache_control" in found:
        dropped = (*dropped, "cache_key")  # the wish to cache is kept, in the way of the other API
    named = {name for entry in dropped for name in (entry, entry.partition(".")[0])}
    return [
        one
        for one in traces(request, target)
        if not (one.excuses & named)
        and not (one.needle in words if isinstance(one.needle, str) else one.needle in numbers)
    ]

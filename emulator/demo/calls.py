"""Which tools a prompt asks for, and with what arguments."""

from __future__ import annotations

import re
from typing import Any

import orjson

from emulator.demo.invention import instance
from emulator.demo.talk import Answered, Call, Called, Json, Piece, Prompt, Text, Tool

_VERBS = r"(?:use|call|run|invoke|using|calling|try)\s+(?:(?:the|a|my|your)\s+)?(?:(?:tool|function)\s+)?(?:named\s+)?"
_PATH = re.compile(r"(?<![\w.])((?:\.{0,2}/)?(?:[\w.-]+/)*[\w-]+\.\w+|/(?:[\w.-]+/)*[\w.-]+)")
_QUOTED = re.compile(r"```(?:\w*\n)?(.*?)```|`([^`]+)`|\"([^\"]*)\"", re.DOTALL)
_GENERIC = {"get", "set", "list", "fetch", "find", "read", "make", "create", "update", "current", "tool", "the", "a"}
_READERS = {"read", "read_file", "view_file", "cat", "open_file"}


def wanted_calls(prompt: Prompt, text: str) -> tuple[Piece, ...]:
    """The calls to make now: those that are forced, else those that the user names. After results: only what was just loaded."""
    choice = prompt.choice
    offered = [tool for tool in prompt.tools if tool.callable and _allowed(tool, choice.names)]
    if choice.mode == "none" or not prompt.tools:
        return ()
    if choice.mode in ("required", "tool") and offered:
        named = _named(offered, text) or offered[:1]
    elif _in_tool_loop(prompt):
        called = {part.name for turn in prompt.turns for part in turn.parts if isinstance(part, Called)}
        named = [tool for tool in _named(offered, text) if tool.loaded and tool.name not in called]
    else:
        named = _named(offered, text) or _search_for(prompt, offered, text)
    if not prompt.parallel or choice.mode == "tool":
        named = named[:1]
    calls = tuple(_call(tool, text) for tool in named)
    return (Text("Calling both."), *calls) if len(calls) == 2 else calls


def _allowed(tool: Tool, names: tuple[str, ...]) -> bool:
    return not names or tool.name in names or f"{tool.namespace}.{tool.name}" in names


def _in_tool_loop(prompt: Prompt) -> bool:
    for turn in reversed(prompt.turns):
        if turn.role == "assistant":
            return False
        if any(isinstance(part, Answered) for part in turn.parts):
            return True
    return False


# ── which ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _named(tools: list[Tool], text: str) -> list[Tool]:
    """The tools that the text names, in its order. A name that is also an ordinary word needs a verb or quotes."""
    places = [(place, tool) for tool in tools if (place := _place(tool, text, len(tools))) is not None]
    return [tool for _, tool in sorted(places, key=lambda found: found[0])]


def _place(tool: Tool, text: str, offered: int) -> int | None:
    name = f"(?:{re.escape(tool.name)}|{re.escape(tool.short)})"
    bounds = rf"(?<![\w-]){name}(?![\w-])"
    if re.search(r"[_\d-]|[a-z][A-Z]", tool.short):
        found = re.search(bounds, text)
    else:
        found = re.search(rf"(?i:{_VERBS})[`'\"]?{bounds}|[`'\"]{name}[`'\"]|(?:\band|,)\s+{bounds}\s+with\b", text)
    if found is None and tool.short.lower() in _READERS:
        found = re.search(r"(?i)\bread (?:the )?file\b", text)
    if found is None and offered <= 3:
        # With few tools a question about "the weather" is meant for get_weather.
        words = [word for word in re.findall(r"[a-z]+", tool.short.lower()) if word not in _GENERIC]
        if words and all(re.search(rf"(?i)\b{word}", text) for word in words) and "_" in tool.short:
            return len(text)
    return None if found is None else found.start()


def _search_for(prompt: Prompt, offered: list[Tool], text: str) -> list[Tool]:
    """The search tool, where the user names a tool that isn't loaded or isn't there."""
    hidden = [tool for tool in prompt.tools if tool.deferred and not tool.loaded]
    unknown = re.search(rf"(?i:{_VERBS})[`'\"]?\w+_\w+", text)
    if _named(hidden, text) or unknown:
        return [t for t in offered if t.kind == "search" or t.short in ("ToolSearch", "tool_search")][:1]
    return []


# ── with what ────────────────────────────────────────────────────────────────────────────────────────────────────


def _call(tool: Tool, text: str) -> Call:
    if tool.kind == "custom":
        return Call(tool.name, _free_text(tool, text), "custom", tool.namespace)
    place = text.find(tool.short)
    given = _object_in(text[place + len(tool.short) :] if place >= 0 else text)
    if given is not None and place < 0 and not given.keys() <= ((tool.schema or {}).get("properties") or {}).keys():
        given = None  # it was meant for another tool
    if given is None:
        given = {"input": _free_text(tool, text)} if tool.takes_text else _arguments(tool, text)
    return Call(tool.name, orjson.dumps(given).decode(), tool.kind, tool.namespace)


def _object_in(text: str) -> Json | None:
    """The JSON object that follows within the same sentence."""
    start = text.find("{")
    if start < 0 or re.search(r"(?i)\b(?:and|then) (?:use|call)\b", text[:start]):
        return None
    for end in (m.end() for m in re.finditer("}", text[start:])):
        try:
            value: Any = orjson.loads(text[start : start + end])
        except orjson.JSONDecodeError:
            continue
        return value if isinstance(value, dict) else None
    return None


def _arguments(tool: Tool, text: str) -> Json:
    made = instance(tool.schema)
    arguments: Json = made if isinstance(made, dict) else {}
    path = _PATH.search(text)
    for name, value in arguments.items():
        if value != "demo":
            continue
        if path and re.search(r"(?i)path|file", name):
            arguments[name] = path[1]
        elif name == "query":
            arguments[name] = " ".join(re.findall(r"\w+_\w+", text)) or text[:60] or "demo"
    return arguments


def _free_text(tool: Tool, text: str) -> str:
    quoted = next((a or b or c for a, b, c in _QUOTED.findall(text) if (a or b or c) != tool.short), "")
    if tool.short == "apply_patch":
        path = _PATH.search(text.replace("apply_patch", ""))
        lines = (quoted or "demo").strip("\n").split("\n")
        added = "\n".join("+" + line for line in lines)
        return f"*** Begin Patch\n*** Add File: {path[1] if path else 'demo.txt'}\n{added}\n*** End Patch\n"
    if tool.short == "exec":
        return quoted or 'text("demo");'
    return quoted or "demo"

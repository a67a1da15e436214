"""A client's tools and its choice among them (https://platform.openai.com/docs/api-reference/responses/create#tools)."""

from __future__ import annotations

from typing import Any

from shared.canonical import CustomTool, FunctionTool, HostedTool, Json, Tool, ToolChoice
from shared.dialects.openai_responses.fields import (
    boolean,
    items,
    json_text,
    obj,
    required_string,
    string,
    the_list,
    the_object,
    wrong,
)
from shared.dialects.openai_responses.hosted import API, HOSTED_TOOLS
from shared.errors import invalid, unsupported

_LOST = ("allowed_callers", "async", "output_schema")
"""Fields of a tool that have no place elsewhere."""


def read_tools(value: list[Any], where: str, dropped: list[str]) -> tuple[Tool, ...]:
    """All tools of a list; those of a namespace stand one by one, with its name."""
    json_text(value, where)  # what can't be written again is refused here, and not when it is sent
    tools: list[Tool] = []
    for n, entry in enumerate(value):
        place = f"{where}.{n}"
        tool = the_object(entry, place)
        if tool.get("type") == "namespace":
            name, text = required_string(tool, "name", place), string(tool, "description", place)
            for k, inner in enumerate(items(tool, "tools", place)):
                within = f"{place}.tools.{k}"
                member = the_object(inner, within)
                if member.get("type") not in ("function", "custom"):
                    raise invalid(f"{within}.type: expected 'function' or 'custom'.", f"{within}.type")
                tools.append(_read_tool(member, within, dropped, name, text))
        else:
            tools.append(_read_tool(tool, place, dropped))
    return tuple(tools)


def _read_tool(tool: Json, where: str, dropped: list[str], namespace: str = "", about: str = "") -> Tool:
    kind = required_string(tool, "type", where)
    dropped += [f"tools.{field}" for field in _LOST if tool.get(field)]
    if kind == "function":
        return FunctionTool(
            required_string(tool, "name", where),
            string(tool, "description", where),
            obj(tool, "parameters", where),
            boolean(tool, "strict", where),
            namespace,
            about,
            bool(boolean(tool, "defer_loading", where)),
        )
    if kind == "custom":
        return CustomTool(
            required_string(tool, "name", where),
            string(tool, "description", where),
            obj(tool, "format", where),
            namespace,
            about,
            bool(boolean(tool, "defer_loading", where)),
        )
    if kind == "tool_search" and tool.get("execution") == "client":
        about, schema = string(tool, "description", where), obj(tool, "parameters", where)
        return FunctionTool("tool_search", about, schema, kind="tool_search")
    name = HOSTED_TOOLS.get(kind, kind)
    return HostedTool(name, API, tool, _options(tool, where) if name == "web_search" else {})


def _options(tool: Json, where: str) -> Json:
    filters = obj(tool, "filters", where) or {}
    options: Json = {
        key: domains
        for key in ("allowed_domains", "blocked_domains")
        if (domains := items(filters, key, f"{where}.filters"))
    }
    location = obj(tool, "user_location", where)
    if location:
        options["user_location"] = location
    return options


def read_choice(value: Any) -> ToolChoice | None:
    """`tool_choice`."""
    match value:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case {"type": "allowed_tools"}:
            mode = value.get("mode")
            if mode not in ("auto", "required"):
                raise invalid("tool_choice.mode: expected 'auto' or 'required'.", "tool_choice.mode")
            listed = the_list(value.get("tools"), "tool_choice.tools")
            names = (_chosen(tool, f"tool_choice.tools.{n}") for n, tool in enumerate(listed))
            return ToolChoice(mode, tuple(names))
        case {"type": "mcp" | "programmatic_tool_calling"}:
            raise unsupported("tool_choice: this kind of choice can't be carried to another model.", "tool_choice")
        case dict():
            return ToolChoice("tool", (_chosen(value, "tool_choice"),))
        case str():
            raise invalid("tool_choice: expected 'none', 'auto' or 'required'.", "tool_choice")
        case _:
            raise wrong(value, "a string or an object", "tool_choice")


def _chosen(value: Any, where: str) -> str:
    tool = the_object(value, where)
    kind = required_string(tool, "type", where)
    if kind not in ("function", "custom"):
        return HOSTED_TOOLS.get(kind, kind)
    name, namespace = required_string(tool, "name", where), string(tool, "namespace", where)
    return f"{namespace}.{name}" if namespace else name

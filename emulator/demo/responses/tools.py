"""Tools of the responses API: functions, free text, namespaces, hosted ones, and the client's own search among them."""

from __future__ import annotations

from dataclasses import replace

from emulator.demo.openai_words import read_function, read_grammar, tool_name
from emulator.demo.reading import Node, names
from emulator.demo.talk import Choice, Tool

_FUNCTION = names("type name description parameters strict defer_loading output_schema allowed_callers async")
_CUSTOM = names("type name description format defer_loading allowed_callers async")
_WEB_SEARCH = (
    *("type", "external_web_access", "filters", "search_context_size", "user_location"),
    *("search_content_types", "return_token_budget"),
)
_HOSTED = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "computer",
    "computer_use_preview",
    "mcp",
    "code_interpreter",
    "image_generation",
    "local_shell",
    "shell",
    "apply_patch",
    "programmatic_tool_calling",
)


def read_tools(listed: Node | None) -> list[Tool]:
    """The tools of a list. Raises `RefusedError`."""
    return [tool for node in listed.items() for tool in _tool(node)] if listed is not None else []


def _tool(node: Node) -> list[Tool]:
    match node.raw().get("type"):
        case "function":
            fields = node.obj(*_FUNCTION)
            name, schema = read_function(fields)
            return [Tool(name, schema, deferred=fields.flag("defer_loading"))]
        case "custom":
            fields = node.obj(*_CUSTOM)
            if (grammar := fields.get("format")) is not None:
                read_grammar(grammar, nested=False)
            return [Tool(tool_name(fields.need("name")), kind="custom", deferred=fields.flag("defer_loading"))]
        case "namespace":
            fields = node.obj("type", "name", "description", "tools")
            space = tool_name(fields.need("name"))
            inside = fields.need("tools")
            for tool in inside.items():
                if tool.raw().get("type") not in ("function", "custom"):
                    raise tool.refused(
                        f"Invalid value for '{tool.path}.type': a namespace holds functions and custom tools."
                    )
            return [replace(tool, namespace=space) for tool in read_tools(inside)]
        case "tool_search":
            fields = node.obj("type", "description", "execution", "parameters")
            parameters = fields.get("parameters")
            return [Tool("tool_search", parameters.raw() if parameters else {"type": "object"}, kind="search")]
        case str() as kind if kind in _HOSTED:
            if kind.startswith("web_search"):
                node.obj(*_WEB_SEARCH)
                kind = "web_search"
            return [Tool(kind, kind="hosted")]
        case kind:
            listed = ", ".join(f"'{kind}'" for kind in ("function", "custom", "namespace", "tool_search", *_HOSTED))
            raise node.refused(f"Invalid value: '{kind}'. Supported values are: {listed}.", code="invalid_value")


def read_choice(node: Node | None, tools: tuple[Tool, ...]) -> Choice:
    """Which tools the model may call, or must."""
    if node is None:
        return Choice()
    if isinstance(node.value, str):
        match node.among("none", "auto", "required"):
            case "required" if not tools:
                raise node.refused("Tool choice 'required' must be specified with 'tools' parameter.")
            case "auto" | "none" | "required" as mode:
                return Choice(mode)
    match node.raw().get("type"):
        case "function" | "custom":
            return Choice("tool", (_known(node.obj("type", "name", "namespace"), tools),))
        case "allowed_tools":
            fields = node.obj("type", "mode", "tools")
            forced = fields.need("mode").among("auto", "required") == "required"
            names = tuple(_entry(entry, tools) for entry in fields.need("tools").items())
            return Choice("required" if forced else "auto", names)
        case str() as kind if kind in _HOSTED:
            return Choice("required", (_known_kind(node, kind, tools),))
        case kind:
            raise node.refused(f"Invalid value for '{node.path}.type': '{kind}'.", code="invalid_value")


def _entry(entry: Node, tools: tuple[Tool, ...]) -> str:
    kind = entry.raw().get("type")
    if kind in ("function", "custom"):
        return _known(entry.obj("type", "name", "namespace"), tools)
    if kind in _HOSTED or kind == "tool_search":
        return _known_kind(entry, str(kind), tools)
    raise entry.refused(f"Invalid value for '{entry.path}.type': '{kind}'.", code="invalid_value")


def _known(fields: Node, tools: tuple[Tool, ...]) -> str:
    name = fields.need("name")
    space = fields.get("namespace")
    for tool in tools:
        full = f"{tool.namespace}.{tool.name}"
        if name.text() in (tool.name, full) and (space is None or space.text() == tool.namespace):
            return full if tool.namespace else tool.name
    raise name.refused(f"Tool choice '{name.value}' not found in 'tools' parameter.")


def _known_kind(node: Node, kind: str, tools: tuple[Tool, ...]) -> str:
    name = "web_search" if kind.startswith("web_search") else kind
    if all(tool.name != name for tool in tools):
        raise node.refused(f"Tool choice '{kind}' not found in 'tools' parameter.")
    return name

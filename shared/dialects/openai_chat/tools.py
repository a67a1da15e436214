"""Tools and the choice among them, both ways (https://platform.openai.com/docs/guides/function-calling)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from shared.canonical import (
    CustomTool,
    FunctionTool,
    HostedTool,
    Json,
    Request,
    Target,
    Tool,
    ToolChoice,
    ToolReference,
    ToolResult,
)
from shared.dialects.openai_chat import checks, schemas
from shared.dialects.openai_chat.content import read_cache, write_cache
from shared.dialects.toolnames import WRAPPED_SCHEMA, ToolNames
from shared.errors import unsupported

API = "chat_completions"

# ── from a client ────────────────────────────────────────────────────────────────────────────────────────────────


def read_tools(body: Json) -> tuple[Tool, ...]:
    """`tools`, the old `functions`, and `web_search_options`, which is a hosted tool by another name."""
    tools = [_read_tool(tool, index) for index, tool in enumerate(checks.array(body.get("tools") or [], "tools"))]
    for index, function in enumerate(checks.array(body.get("functions") or [], "functions")):
        tools.append(_read_function(checks.obj(function, "functions", index), ("functions", index)))
    if (search := body.get("web_search_options")) is not None:
        search = checks.obj(search, "web_search_options")
        location = search.get("user_location")
        tools.append(HostedTool("web_search", API, search, {"user_location": location} if location else {}))
    return tuple(tools)


def _read_tool(tool: object, index: int) -> Tool:
    tool = checks.obj(tool, "tools", index)
    match tool.get("type"):
        case "function":
            place = ("tools", index, "function")
            return _read_function(checks.obj(tool.get("function"), *place), place, tool)
        case "custom":
            return _read_custom(checks.obj(tool.get("custom"), "tools", index, "custom"), ("tools", index, "custom"))
        case str(kind) if kind:
            return HostedTool(kind, API, tool)
        case other:
            raise checks.wrong("one of function and custom", other, "tools", index, "type")


def _read_function(function: Json, place: tuple[str | int, ...], tool: Json | None = None) -> FunctionTool:
    return FunctionTool(
        checks.name(function.get("name"), *place, "name"),
        checks.maybe_text(function.get("description"), *place, "description"),
        checks.maybe_obj(function.get("parameters"), *place, "parameters"),
        checks.maybe_bool(function.get("strict"), *place, "strict"),
        cache=read_cache(tool or function, place),
    )


def _read_custom(custom: Json, place: tuple[str | int, ...]) -> CustomTool:
    form = checks.maybe_obj(custom.get("format"), *place, "format")
    if form and form.get("type") == "grammar":
        form = {"type": "grammar", **checks.obj(form.get("grammar"), *place, "format", "grammar")}
    return CustomTool(
        checks.name(custom.get("name"), *place, "name"),
        checks.maybe_text(custom.get("description"), *place, "description"),
        form,
    )


def read_choice(body: Json) -> ToolChoice | None:
    """`tool_choice`, or the old `function_call`."""
    if (choice := body.get("tool_choice")) is not None:
        return _read_choice(choice)
    match body.get("function_call"):
        case None:
            return None
        case "auto" | "none" as mode:
            return ToolChoice(mode)
        case dict(function):
            return ToolChoice("tool", (checks.name(function.get("name"), "function_call", "name"),))
        case other:
            raise checks.wrong("one of auto, none and an object", other, "function_call")


def _read_choice(choice: object) -> ToolChoice:
    match choice:
        case "auto" | "none" | "required":
            return ToolChoice(choice)
        case {"type": "function" | "custom"}:
            return ToolChoice("tool", (_chosen(checks.obj(choice, "tool_choice"), "tool_choice"),))
        case {"type": "allowed_tools", "allowed_tools": dict(allowed)}:
            tools = checks.array(allowed.get("tools"), "tool_choice", "allowed_tools", "tools")
            place = ("tool_choice", "allowed_tools", "tools")
            names = tuple(_chosen(checks.obj(tool, *place, at), *place, at) for at, tool in enumerate(tools))
            return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
        case dict():
            raise checks.wrong("one of function, custom and allowed_tools", choice.get("type"), "tool_choice", "type")
        case _:
            raise checks.wrong("one of auto, none, required and an object", choice, "tool_choice")


def _chosen(entry: Json, *place: str | int) -> str:
    kind = "custom" if entry.get("type") == "custom" else "function"
    return checks.name(checks.obj(entry.get(kind), *place, kind).get("name"), *place, kind, "name")


# ── to a provider ────────────────────────────────────────────────────────────────────────────────────────────────


def visible_tools(request: Request) -> tuple[Tool, ...]:
    """The tools that the model may see: all but the deferred ones that nothing in the history has loaded."""
    loaded: set[str] = set()
    found: list[Tool] = []
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                found += block.tools
                loaded.update(part.name for part in block.content if isinstance(part, ToolReference))
    if not found and not any(getattr(tool, "deferred", False) for tool in request.tools):
        return request.tools
    here: dict[tuple[str, str], Tool] = {}
    for tool in found:
        here.setdefault((getattr(tool, "namespace", ""), tool.name), tool)
    for tool in request.tools:
        key = (getattr(tool, "namespace", ""), tool.name)
        if key not in here and (not getattr(tool, "deferred", False) or _names(tool) & loaded):
            here[key] = tool
    order = {id(tool): index for index, tool in enumerate(request.tools)}
    return tuple(sorted(here.values(), key=lambda tool: order.get(id(tool), len(order))))


def _names(tool: Tool) -> set[str]:
    namespace = getattr(tool, "namespace", "")
    return {tool.name, f"{namespace}.{tool.name}"} if namespace else {tool.name}


def write_tools(request: Request, tools: tuple[Tool, ...], names: ToolNames, target: Target, dropped: set[str]) -> Json:
    """The fields of a request that have to do with tools."""
    fields: Json = {}
    introduced: set[str] = set()
    written: list[Json] = []
    for tool in tools:
        match tool:
            case HostedTool(name="web_search", dialect="chat_completions") if "type" not in tool.raw:
                fields["web_search_options"] = tool.raw
            case HostedTool():
                dropped.add(f"tools.{tool.name}")
            case _:
                written.append(_write_tool(tool, names, target, dropped, introduced))
    if not written:
        if request.tool_choice and request.tool_choice.mode in ("required", "tool"):
            dropped.add("tool_choice")
        return fields
    if not target.flags.tools:
        raise unsupported(f"{target.model} can't call tools: choose a model that does.", "tools")
    fields["tools"] = written
    if request.tool_choice:
        _write_choice(request.tool_choice, tools, names, target, dropped, fields)
    if request.parallel_tools is not None and target.flags.parallel_tools:
        if "no_parallel_flag" not in target.quirks:
            fields["parallel_tool_calls"] = request.parallel_tools
        elif not request.parallel_tools:
            dropped.add("parallel_tools")
    return fields


def _write_tool(
    tool: FunctionTool | CustomTool, names: ToolNames, target: Target, dropped: set[str], introduced: set[str]
) -> Json:
    description = tool.description
    if tool.namespace_description and tool.namespace not in introduced:
        description = f"{tool.namespace_description}\n\n{description}".rstrip()
    introduced.add(tool.namespace)
    function: Json = {"name": names.wire(tool.name, tool.namespace)}
    if isinstance(tool, CustomTool):
        return _write_custom(tool, function, description, target, dropped)
    if description:
        function["description"] = description
    schema = tool.schema
    if "schema_required_list" in target.quirks:
        schema = schemas.complete(schema or {"type": "object"})
    if schema is not None:
        function["parameters"] = schema
    if tool.strict is not None:
        if "no_strict" not in target.quirks:
            function["strict"] = tool.strict
        elif tool.strict:
            dropped.add("tools.strict")
    return {
        "type": "function",
        "function": function,
        **(write_cache(tool.cache, target, dropped) if tool.cache else {}),
    }


def _write_custom(tool: CustomTool, custom: Json, description: str, target: Target, dropped: set[str]) -> Json:
    form = tool.format or {}
    grammar = {key: form[key] for key in ("syntax", "definition") if key in form}
    if "custom_tools" in target.quirks:
        if description:
            custom["description"] = description
        if tool.format:
            custom["format"] = {"type": "grammar", "grammar": grammar} if form.get("type") == "grammar" else form
        return {"type": "custom", "custom": custom}
    if form.get("type") == "grammar":
        # The grammar isn't enforced here, but the model can read it.
        description += f"\n\nThe input must match this {form.get('syntax', '')} grammar:\n{form.get('definition', '')}"
        dropped.add("tools.format")
    custom |= {"description": description.strip()} if description else {}
    return {"type": "function", "function": {**custom, "parameters": WRAPPED_SCHEMA}}


def _write_choice(
    choice: ToolChoice, tools: tuple[Tool, ...], names: ToolNames, target: Target, dropped: set[str], fields: Json
) -> None:
    mode: Any = choice.mode
    if mode in ("required", "tool") and not target.flags.forced_tool_choice:
        dropped.add("tool_choice")
        mode = "auto"
    chosen = list(_entries(choice.names, tools, names, target)) if choice.names else []
    if mode == "tool":
        if chosen:
            fields["tool_choice"] = chosen[0]
        else:
            dropped.add("tool_choice")
        return
    if choice.names and choice.mode != "tool":
        if not chosen:
            dropped.add("tool_choice")
        elif "custom_tools" in target.quirks:  # `allowed_tools` and custom tools came together, and only to OpenAI
            fields["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": chosen}}
            return
        else:
            kept = [_entry_name(entry) for entry in chosen]
            fields["tools"] = [tool for tool in fields["tools"] if _entry_name(tool) in kept]
    fields["tool_choice"] = mode


def _entries(chosen: Iterable[str], tools: Iterable[Tool], names: ToolNames, target: Target) -> Iterator[Json]:
    callable_tools = [tool for tool in tools if not isinstance(tool, HostedTool)]
    for name in chosen:
        for tool in callable_tools:
            if name in _names(tool):
                native = isinstance(tool, CustomTool) and "custom_tools" in target.quirks
                kind = "custom" if native else "function"
                yield {"type": kind, kind: {"name": names.wire(tool.name, tool.namespace)}}
                break


def _entry_name(entry: Json) -> Any:
    return entry[entry["type"]]["name"]

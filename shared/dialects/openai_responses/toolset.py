"""Tools as a provider of this API gets them, with the names that lead back
(https://platform.openai.com/docs/api-reference/responses/create#tools)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
    ToolKind,
    ToolReference,
    ToolResult,
)
from shared.dialects.openai_responses.hosted import API
from shared.dialects.toolnames import WRAPPED_SCHEMA, ToolNames, ToolRef, wire_name
from shared.errors import invalid, unsupported

_HOSTED = frozenset({"web_search", "code_execution", "tool_search"})
"""Neutral names of tools that this API has too, whoever's they were."""

EMPTY_SCHEMA: Json = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Shapes:
    """Which of this API's own kinds of tools the provider knows; the others travel as plain functions."""

    custom: bool
    namespaces: bool
    search: bool
    hosted: bool  # tools that the provider runs itself
    required_list: (
        bool  # an object schema without a list `required` is refused (https://docs.x.ai/docs/guides/function-calling)
    )

    @classmethod
    def of(cls, target: Target) -> Shapes:
        quirks = target.quirks
        return cls(
            "no_custom_tools" not in quirks,
            "no_namespace_tools" not in quirks,
            "no_tool_search" not in quirks,
            "no_hosted_tools" not in quirks,
            "schema_required_list" in quirks,
        )


def offered(request: Request, shapes: Shapes, dropped: list[str]) -> tuple[Tool, ...]:
    """The tools that the model is shown. Hosted ones are dropped where the provider runs none. Deferred ones are listed where the provider searches or lets the client search;
    elsewhere those alone that a search or a reference in the history has loaded."""
    searchable = shapes.search and can_search(request.tools)
    referenced: set[str] = set()
    found: list[Tool] = []
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                referenced.update(part.name for part in block.content if isinstance(part, ToolReference))
                if not (shapes.search and block.kind == "tool_search"):
                    found += block.tools
    listed = [tool for tool in request.tools if searchable or not _deferred(tool) or tool.name in referenced]
    unique: dict[tuple[str, str, str], Tool] = {}
    for tool in (*listed, *found):
        if isinstance(tool, HostedTool) and not _runs(tool, shapes):
            dropped.append(f"tools.{tool.name}")
            continue
        kind = "hosted" if isinstance(tool, HostedTool) else "own"
        unique.setdefault((kind, getattr(tool, "namespace", ""), tool.name), tool)
    return tuple(unique.values())


def _runs(tool: HostedTool, shapes: Shapes) -> bool:
    """Whether the provider has such a tool of its own."""
    return shapes.hosted and (tool.dialect == API or tool.name in _HOSTED)


def can_search(tools: Iterable[Tool]) -> bool:
    """True if one of the tools loads deferred ones, be it the provider's or the client's."""
    return any(
        tool.name == "tool_search" and (isinstance(tool, HostedTool) or getattr(tool, "kind", "") == "tool_search")
        for tool in tools
    )


def _deferred(tool: Tool) -> bool:
    return not isinstance(tool, HostedTool) and tool.deferred


def names_of(request: Request, tools: Iterable[Tool], shapes: Shapes) -> ToolNames:
    """Names both ways. With native namespaces a name is shortened at most; without, it is flattened too."""
    known = (*tools, *(tool for turn in request.turns for block in turn.blocks for tool in getattr(block, "tools", ())))
    if not shapes.namespaces:
        return ToolNames.of(known)
    plain = ToolNames.of(tool for tool in known if not getattr(tool, "namespace", ""))
    by_wire, by_ref = dict(plain.by_wire), dict(plain.by_ref)
    for tool in known:
        if not isinstance(tool, HostedTool) and tool.namespace:
            wire = wire_name(tool.name)
            by_ref[tool.namespace, tool.name] = wire
            kind: ToolKind = "custom" if isinstance(tool, CustomTool) else tool.kind
            by_wire.setdefault(wire, ToolRef(tool.name, tool.namespace, kind))
    return ToolNames(by_wire, by_ref)


def write_tools(
    tools: Iterable[Tool], shapes: Shapes, names: ToolNames, dropped: list[str], *, defer: bool = True
) -> list[Json]:
    """`tools`; members of a namespace are gathered where its first one stands. `defer`: there is a search that loads the
    deferred ones."""
    written: list[Json] = []
    spaces: dict[str, Json] = {}
    for tool in tools:
        if isinstance(tool, HostedTool):
            written.append(_write_hosted(tool, shapes, dropped))
            continue
        entry = _write_own(tool, shapes, names, dropped)
        if tool.deferred and defer and shapes.search:
            entry["defer_loading"] = True
        if not tool.namespace or not shapes.namespaces:
            written.append(entry)
            continue
        space = spaces.get(tool.namespace)
        if space is None:
            about = tool.namespace_description
            space = {"type": "namespace", "name": tool.namespace, "description": about, "tools": []}
            spaces[tool.namespace] = space
            written.append(space)
        space["tools"].append(entry)
    return written


def _write_own(tool: FunctionTool | CustomTool, shapes: Shapes, names: ToolNames, dropped: list[str]) -> Json:
    if isinstance(tool, FunctionTool):
        if tool.cache:
            dropped.append("cache")
        schema = _schema(tool.schema, shapes)
        if tool.kind == "tool_search" and shapes.search:
            about = {"description": tool.description} if tool.description else {}
            return {"type": "tool_search", "execution": "client", **about, "parameters": schema}
    entry: Json = {"type": "function", "name": names.wire(tool.name, tool.namespace)}
    description = tool.description
    if isinstance(tool, FunctionTool):
        entry["parameters"] = schema
        # The service takes an absent `strict` for true: https://platform.openai.com/docs/guides/function-calling#strict-mode
        entry["strict"] = bool(tool.strict)
    elif shapes.custom:
        entry["type"] = "custom"
        if tool.format:
            entry["format"] = tool.format
    else:
        description = wrapped_description(tool, dropped)
        entry["parameters"] = WRAPPED_SCHEMA
        entry["strict"] = False
    if description:
        entry["description"] = description
    return entry


def wrapped_description(tool: CustomTool, dropped: list[str]) -> str:
    """What a model must know of a free-text tool that it sees as a function: the grammar that nobody enforces any more."""
    if not tool.format or not isinstance(tool.format.get("definition"), str):
        return tool.description
    dropped.append("tools.format")
    grammar = f"The input must follow this {tool.format.get('syntax', '')} grammar:\n{tool.format['definition']}"
    return f"{tool.description}\n\n{grammar}" if tool.description else grammar


def _schema(schema: Json | None, shapes: Shapes) -> Json:
    if schema is None:
        return {**EMPTY_SCHEMA, "required": []} if shapes.required_list else EMPTY_SCHEMA
    if schema.get("type") != "object" and not schema.keys() & {"anyOf", "oneOf", "allOf", "$ref"}:
        schema = {"type": "object", **schema}
    if schema.get("type") == "object" and "properties" not in schema:
        schema = {**schema, "properties": {}}
    return with_required(schema) if shapes.required_list else schema


_DEEPEST = 64
_VALUES = frozenset(("const", "default", "enum", "examples"))
"""Keywords of a schema whose values are no schemas."""


def with_required(schema: Any, depth: int = 0) -> Any:
    """The schema with a list `required` in each object of it; the very same object where nothing had to change."""
    if depth > _DEEPEST:
        return schema
    if isinstance(schema, list):
        mended = [with_required(entry, depth + 1) for entry in schema]
        return mended if any(new is not old for new, old in zip(mended, schema, strict=True)) else schema
    if not isinstance(schema, dict):
        return schema
    changed = {
        key: new
        for key, value in schema.items()
        if key not in _VALUES and (new := with_required(value, depth + 1)) is not value
    }
    if schema.get("type") == "object" and not isinstance(schema.get("required"), list):
        changed["required"] = []
    return {**schema, **changed} if changed else schema


def _write_hosted(tool: HostedTool, shapes: Shapes, dropped: list[str]) -> Json:
    if tool.name == "tool_search" and not shapes.search:
        raise unsupported("This provider has no tool search: send the tools without `defer_loading`.", "tools")
    if tool.dialect == API:
        return tool.raw
    if tool.name == "tool_search":
        return {"type": "tool_search"}
    if tool.name == "code_execution":
        return {"type": "code_interpreter", "container": {"type": "auto"}}
    search: Json = {"type": "web_search"}
    for option, value in tool.options.items():
        if option == "allowed_domains":
            search["filters"] = {"allowed_domains": list(value)}
        elif option == "user_location":
            search["user_location"] = value
        else:
            dropped.append(f"tools.{option}")
    return search


def write_choice(
    request: Request, tools: tuple[Tool, ...], names: ToolNames, target: Target, dropped: list[str]
) -> Any:
    """`tool_choice`; None where nothing is to be sent."""
    choice = request.tool_choice
    if choice is None or (not tools and choice.mode in ("auto", "none")):
        return None
    if choice.mode in ("required", "tool") and not target.flags.forced_tool_choice:
        dropped.append("tool_choice")
        choice = ToolChoice("auto", () if choice.mode == "tool" else choice.names)
    mode, wanted = choice.mode, choice.names
    shapes = Shapes.of(target)
    chosen = [entry for name in wanted for entry in _find(name, tools, names, shapes)]
    if mode == "tool":
        if not chosen:
            raise invalid(
                f"tool_choice: there is no tool named '{wanted[0][:64]}'." if wanted else "tool_choice: no name."
            )
        # A tool that the provider runs can be chosen only among allowed ones; alone, it is what "required" means.
        if chosen[0]["type"] in ("function", "custom"):
            return chosen[0]
        return "required" if len(tools) == 1 else {"type": "allowed_tools", "mode": "required", "tools": chosen[:1]}
    if chosen:
        return {"type": "allowed_tools", "mode": mode, "tools": chosen}
    return mode


def _find(name: str, tools: tuple[Tool, ...], names: ToolNames, shapes: Shapes) -> Iterator[Json]:
    for tool in tools:
        if isinstance(tool, HostedTool):
            if tool.name == name:
                yield {"type": tool.raw["type"] if tool.dialect == API else tool.name}
                return
        elif name in (tool.name, f"{tool.namespace}.{tool.name}"):
            if isinstance(tool, FunctionTool) and tool.kind == "tool_search" and shapes.search:
                yield {"type": "tool_search"}
                return
            kind = "custom" if isinstance(tool, CustomTool) and shapes.custom else "function"
            entry = {"type": kind, "name": names.wire(tool.name, tool.namespace)}
            yield {**entry, "namespace": tool.namespace} if tool.namespace and shapes.namespaces else entry
            return

"""Tools and the choice among them, both ways.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview
https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from shared.canonical import (
    CustomTool,
    FunctionTool,
    HostedTool,
    Json,
    Request,
    Target,
    Tool,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
)
from shared.dialects.anthropic import fields
from shared.dialects.anthropic.schemas import closed
from shared.dialects.toolnames import WRAPPED_SCHEMA, ToolNames
from shared.errors import Code, GatewayError, unsupported

_VERSION = re.compile(r"_?\d{8}$")
_HOSTED = {
    "text_editor": "text_editor",
    "tool_search_tool_bm25": "tool_search",
    "tool_search_tool_regex": "tool_search",
}
_OPTIONS = ("allowed_domains", "blocked_domains", "max_uses", "user_location")
_NOT_ELSEWHERE = ("allowed_callers", "input_examples", "eager_input_streaming", "output_schema")
_EMPTY: Json = {"type": "object", "properties": {}}


# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_tools(value: Any, dropped: list[str]) -> tuple[Tool, ...]:
    """`tools`: the client's own and those that the provider runs."""
    if value is None:
        return ()
    return tuple(read_tool(tool, f"tools.{i}", dropped) for i, tool in enumerate(fields.items(value, "tools")))


def read_tool(value: Any, path: str, dropped: list[str]) -> Tool:
    """One entry of `tools`, or the definition in a `tool_addition`."""
    tool = fields.mapping(value, path)
    kind = fields.maybe_string(tool.get("type"), f"{path}.type")
    if kind not in ("", "custom"):
        plain = _VERSION.sub("", kind)
        options = {key: tool[key] for key in _OPTIONS if tool.get(key) is not None}
        return HostedTool(_HOSTED.get(plain, plain), "messages", tool, options)
    schema = tool.get("input_schema")
    dropped += [f"tools.{key}" for key in _NOT_ELSEWHERE if tool.get(key) not in (None, ["direct"])]
    return FunctionTool(
        name=fields.string(tool.get("name"), f"{path}.name"),
        description=fields.maybe_string(tool.get("description"), f"{path}.description"),
        schema=None if schema is None else fields.mapping(schema, f"{path}.input_schema"),
        strict=fields.maybe_bool(tool.get("strict"), f"{path}.strict"),
        deferred=fields.maybe_bool(tool.get("defer_loading"), f"{path}.defer_loading") or False,
        cache=fields.cache_mark(tool, path),
    )


def read_choice(value: Any) -> tuple[ToolChoice | None, bool | None]:
    """`tool_choice`, and whether several calls at once are allowed."""
    if value is None:
        return None, None
    choice = fields.mapping(value, "tool_choice")
    alone = fields.maybe_bool(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    parallel = None if alone is None else not alone
    match choice.get("type"):
        case "auto":
            return ToolChoice("auto"), parallel
        case "any":
            return ToolChoice("required"), parallel
        case "none":
            return ToolChoice("none"), parallel
        case "tool":
            return ToolChoice("tool", (fields.string(choice.get("name"), "tool_choice.name"),)), parallel
        case _:
            raise fields.wrong("tool_choice.type", "'auto', 'any', 'tool' or 'none'")


# ── write ────────────────────────────────────────────────────────────────────────────────────────────────────────


def offered(request: Request) -> tuple[Tool, ...]:
    """The request's tools and those that its searches have found."""
    blocks = [block for turn in request.turns for block in turn.blocks if isinstance(block, ToolResult | ToolCall)]
    found = [tool for block in blocks if isinstance(block, ToolResult) for tool in block.tools]
    tools = list(request.tools)
    known = {(tool.namespace, tool.name) for tool in tools if not isinstance(tool, HostedTool)}
    for tool in found:
        if not isinstance(tool, HostedTool) and (tool.namespace, tool.name) not in known:
            known.add((tool.namespace, tool.name))
            tools.append(replace(tool, deferred=True))
    if not tools:  # a history with calls is refused where no tool is declared
        calls = {(block.namespace, block.name): block for block in blocks if isinstance(block, ToolCall)}
        tools += [FunctionTool(name, "Was used earlier in this conversation.", namespace=ns) for ns, name in calls]
    return tuple(tools)


def write_tools(
    request: Request, tools: Iterable[Tool], names: ToolNames, target: Target, dropped: list[str]
) -> list[Json]:
    """`tools` for the target. Deferred ones go as such, or, where the provider doesn't know that, once they were loaded."""
    tools = _allowed(request.tool_choice, tuple(tools))
    if tools and not target.flags.tools:
        raise unsupported(f"{target.model} takes no tools: leave `tools` out or choose another model.", "tools")
    native = "no_deferred_tools" not in target.quirks
    loaded = frozenset() if native else _loaded(request)
    spaces: set[str] = set()
    written: list[Json] = []
    for tool in tools:
        if isinstance(tool, HostedTool):
            written += _write_hosted(tool, target, dropped)
            continue
        if tool.deferred and not native and tool.name not in loaded:
            dropped.append("tools.deferred")
            continue
        body = _write_own(tool, names, spaces, target, dropped)
        if tool.deferred and native:
            body["defer_loading"] = True
        written.append(body)
    if all("defer_loading" in body for body in written):  # one tool at least has to be there from the start
        for body in written:
            del body["defer_loading"]
    return written


def _write_own(
    tool: FunctionTool | CustomTool, names: ToolNames, spaces: set[str], target: Target, dropped: list[str]
) -> Json:
    about = tool.description
    if tool.namespace_description and tool.namespace not in spaces:
        spaces.add(tool.namespace)
        about = f"{tool.namespace_description.strip()}\n\n{about}".rstrip()
    body: Json = {"name": names.wire(tool.name, tool.namespace)}
    if isinstance(tool, CustomTool):
        rule = _grammar(tool, dropped)
        about = f"{about}\n\n{rule}".strip() if rule else about
        schema: Json = WRAPPED_SCHEMA
    else:
        schema = tool.schema or _EMPTY
        if schema.get("type") != "object":
            schema = {**schema, "type": "object"}
        if tool.strict and target.flags.json_schema:
            schema, strict = _strict(schema, dropped)
            if strict:
                body["strict"] = True
        elif tool.strict:
            dropped.append("tools.strict")
        if tool.cache:
            body["cache_control"] = fields.write_mark(tool.cache)
    if about:
        body["description"] = about
    body["input_schema"] = schema
    return body


def _strict(schema: Json, dropped: list[str]) -> tuple[Json, bool]:
    try:
        return closed(schema, "tools"), True
    except GatewayError as error:
        if error.code is not Code.UNSUPPORTED_BY_MODEL:
            raise
        dropped.append("tools.strict")
        return schema, False


def _grammar(tool: CustomTool, dropped: list[str]) -> str:
    """The grammar in words: nothing enforces it here, but the model knows it."""
    wanted = tool.format or {}
    inner = wanted.get("grammar")
    rule = inner if isinstance(inner, dict) else wanted
    if wanted.get("type") != "grammar" or not isinstance(rule.get("definition"), str):
        return ""
    dropped.append("tools.format")
    kind = f"{rule['syntax']} grammar" if rule.get("syntax") else "grammar"
    return f"The input has to match this {kind}:\n{rule['definition']}"


def _write_hosted(tool: HostedTool, target: Target, dropped: list[str]) -> list[Json]:
    if "no_hosted_tools" not in target.quirks:
        if tool.dialect == "messages":
            return [dict(tool.raw)]
        # a client that forbids live access must not get it: https://developers.openai.com/api/docs/guides/tools-web-search
        if tool.name == "web_search" and tool.raw.get("external_web_access") is not False:
            options = {key: tool.options[key] for key in _OPTIONS if tool.options.get(key) is not None}
            return [{"type": "web_search_20250305", "name": "web_search", **options}]
    dropped.append(f"tools.{tool.name}")
    return []


def _loaded(request: Request) -> frozenset[str]:
    results = [block for turn in request.turns for block in turn.blocks if isinstance(block, ToolResult)]
    referred = [part.name for result in results for part in result.content if isinstance(part, ToolReference)]
    return frozenset(
        referred + [tool.name for result in results for tool in result.tools if not isinstance(tool, HostedTool)]
    )


def _allowed(choice: ToolChoice | None, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Where the client allows a subset, the others aren't shown: this API has no such choice."""
    if choice is None or not choice.names or choice.mode not in ("auto", "required"):
        return tools
    names = frozenset(choice.names)
    return tuple(tool for tool in tools if names & {tool.name, f"{getattr(tool, 'namespace', '')}.{tool.name}"})


def write_choice(
    request: Request, names: ToolNames, written: list[Json], target: Target, dropped: list[str]
) -> Json | None:
    """`tool_choice`; None where there is nothing to choose from or the default will do."""
    choice = request.tool_choice
    if not written:
        if choice is not None and choice.mode in ("required", "tool"):
            dropped.append("tool_choice")
        return None
    body: Json | None = None
    if choice is not None:
        body = _write_mode(choice, names, written)
        if body["type"] in ("any", "tool") and not target.flags.forced_tool_choice:
            dropped.append("tool_choice")
            body = {"type": "auto"}
    elif not request.tools:
        body = {"type": "none"}
    if request.parallel_tools is False and (body is None or body["type"] != "none"):
        body = {**(body or {"type": "auto"}), "disable_parallel_tool_use": True}
    return body


def _write_mode(choice: ToolChoice, names: ToolNames, written: list[Json]) -> Json:
    if choice.mode == "none":
        return {"type": "none"}
    if choice.mode == "auto":
        return {"type": "auto"}
    if choice.mode == "required":
        return {"type": "any"}
    asked = choice.names[0] if choice.names else ""
    meant = [wire for (space, name), wire in names.by_ref.items() if asked in (name, f"{space}.{name}")]
    listed = [tool.get("name") for tool in written]
    for wire in (names.by_ref.get(("", asked)), *meant, asked):
        if wire in listed:
            return {"type": "tool", "name": wire}
    raise unsupported(f"tool_choice: the tool '{asked}' is not among the tools that this model gets.", "tool_choice")

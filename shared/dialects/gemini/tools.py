"""Tools, their names and the choice among them: https://ai.google.dev/gemini-api/docs/function-calling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
)
from shared.canonical import ToolResult as Result
from shared.dialects.gemini.schema import fit_parameters
from shared.dialects.toolnames import WRAPPED_SCHEMA, ToolNames, ToolRef, wire_name
from shared.errors import invalid, unsupported

_HOSTED: dict[str, str] = {"web_search": "googleSearch", "web_fetch": "urlContext", "code_execution": "codeExecution"}
_LONGEST = 64


def gemini_names(tools: Iterable[Tool]) -> ToolNames:
    """Names as `ToolNames` makes them; here they may not begin with a digit or a dash."""
    names = ToolNames.of(tools)
    if all(_starts_well(wire) for wire in names.by_wire):
        return names
    by_ref: dict[tuple[str, str], str] = {}
    by_wire: dict[str, ToolRef] = {}
    for ref, wire in names.by_ref.items():
        fit = _started(wire)
        while fit in by_wire or (fit != wire and fit in names.by_wire):
            fit = f"_{fit}"[:_LONGEST]
        by_ref[ref] = fit
        by_wire[fit] = names.by_wire[wire]
    return ToolNames(by_wire, by_ref)


def call_name(names: ToolNames, name: str, namespace: str) -> str:
    """The name of a call in the history, whose tool may no longer be listed."""
    return names.by_ref.get((namespace, name)) or _started(wire_name(name, namespace))


def _starts_well(wire: str) -> bool:
    return wire[:1].isalpha() or wire.startswith("_")


def _started(wire: str) -> str:
    return wire if _starts_well(wire) else f"_{wire}"[:_LONGEST]


def shown_tools(request: Request) -> tuple[Tool, ...]:
    """The tools that the model sees: deferred ones once something in the history has loaded them.

    Where the search among them was to be run by another provider, nothing could ever load them: all are shown.
    """
    loaded: set[str] = set()
    found: list[Tool] = []
    for result in _results(request):
        loaded.update(item.name for item in result.content if isinstance(item, ToolReference))
        found += result.tools
    loaded.update(tool.name for tool in found)
    show_all = any(isinstance(tool, HostedTool) and tool.name.startswith("tool_search") for tool in request.tools)
    shown: dict[tuple[str, ...], Tool] = {}
    for tool in (*request.tools, *found):
        hidden = not isinstance(tool, HostedTool) and tool.deferred and tool.name not in loaded and not show_all
        if not hidden:
            shown.setdefault((tool.name,) if isinstance(tool, HostedTool) else (tool.namespace, tool.name), tool)
    return tuple(shown.values())


def _results(request: Request) -> Iterator[Result]:
    for turn in request.turns:
        for block in turn.blocks:
            if isinstance(block, Result):
                yield block


def write_tools(
    tools: tuple[Tool, ...], choice: ToolChoice | None, names: ToolNames, target: Target, dropped: dict[str, None]
) -> Json:
    """`tools` and `toolConfig`; empty where there are none."""
    functions = [tool for tool in tools if not isinstance(tool, HostedTool)]
    if functions and not target.flags.tools:
        raise unsupported(f"{target.model} does not take tools.", "tools")
    introduced: set[str] = set()
    declared = [_declaration(tool, names, introduced, dropped) for tool in functions]
    forbidden = choice is not None and choice.mode == "none"  # no mode of Google's keeps its own tools back
    hosted = [] if forbidden else _hosted(tools, bool(functions), target, dropped)
    listed: list[Json] = [{"functionDeclarations": declared}] if declared else []
    listed += hosted
    if not listed:
        return {}
    strict = any(isinstance(tool, FunctionTool) and tool.strict for tool in functions)
    config: Json = {}
    if calling := _calling(choice, names, tools, target, dropped, validated=strict or bool(declared and hosted)):
        config["functionCallingConfig"] = calling
    if declared and hosted:  # https://ai.google.dev/gemini-api/docs/tool-combination
        config["includeServerSideToolInvocations"] = True
    return {"tools": listed, "toolConfig": config} if config else {"tools": listed}


def _declaration(
    tool: FunctionTool | CustomTool, names: ToolNames, introduced: set[str], dropped: dict[str, None]
) -> Json:
    texts = [tool.description]
    if tool.namespace_description and tool.namespace not in introduced:
        introduced.add(tool.namespace)
        texts.insert(0, tool.namespace_description)
    schema: Json | None
    if isinstance(tool, CustomTool):
        schema = WRAPPED_SCHEMA
        if tool.format and (definition := tool.format.get("definition")):
            dropped["tools.format"] = None  # shown to the model, but not enforced
            syntax = tool.format.get("syntax") or "given"
            texts.append(f"`input` must follow this {syntax} grammar:\n{definition}")
    else:
        schema = fit_parameters(tool.schema, tool.name)
        if tool.cache:
            dropped["cache"] = None
    declaration: Json = {"name": names.by_ref[tool.namespace, tool.name]}
    if text := "\n\n".join(filter(None, texts)):
        declaration["description"] = text
    if schema is not None:
        declaration["parametersJsonSchema"] = schema
    return declaration


def _hosted(tools: tuple[Tool, ...], beside_functions: bool, target: Target, dropped: dict[str, None]) -> list[Json]:
    """Google's own tools. Models before Gemini 3 refuse them beside functions ("Tool use with function calling is unsupported")."""
    listed: list[Json] = []
    for tool in tools:
        if not isinstance(tool, HostedTool):
            continue
        ours = _HOSTED.get(tool.name)
        if ours is None or (beside_functions and target.flags.thinking != "level"):
            dropped[f"tools.{tool.name}"] = None
            continue
        dropped.update((f"tools.{option}", None) for option, value in tool.options.items() if value)
        listed.append({ours: {}})
    return listed


def _calling(
    choice: ToolChoice | None,
    names: ToolNames,
    tools: tuple[Tool, ...],
    target: Target,
    dropped: dict[str, None],
    *,
    validated: bool,
) -> Json:
    """`functionCallingConfig`. VALIDATED is AUTO with calls that keep to their schemas, and beside Google's own tools AUTO is
    refused; ANY and VALIDATED alone take a list of names (https://ai.google.dev/api/caching#FunctionCallingConfig)."""
    free: Json = {"mode": "VALIDATED"} if validated and names.by_wire else {}
    if choice is None or not names.by_wire:
        if choice is not None and choice.mode in ("required", "tool"):
            dropped["tool_choice"] = None
        return free
    if choice.mode == "none":
        return {"mode": "NONE"}
    wanted = [_chosen(name, names, tools) for name in choice.names]
    allowed = [name for name in wanted if name]
    if choice.mode == "auto":
        return {"mode": "VALIDATED", "allowedFunctionNames": allowed} if allowed else free
    if not target.flags.forced_tool_choice or (wanted and not allowed):
        dropped["tool_choice"] = None
        return free
    return {"mode": "ANY", "allowedFunctionNames": allowed} if allowed else {"mode": "ANY"}


def _chosen(name: str, names: ToolNames, tools: tuple[Tool, ...]) -> str:
    """The wire name of a chosen tool; empty for a hosted one, which can't be forced."""
    if wire := names.by_ref.get(("", name)):
        return wire
    if full := [wire for (space, short), wire in names.by_ref.items() if name == f"{space}.{short}"]:
        return full[0]
    if any(isinstance(tool, HostedTool) and name in (tool.name, tool.raw.get("name")) for tool in tools):
        return ""
    if unique := [wire for (_, short), wire in names.by_ref.items() if short == name]:
        return unique[0]
    raise invalid(f"tool_choice: there is no tool named {name!r} among the tools.", "tool_choice")

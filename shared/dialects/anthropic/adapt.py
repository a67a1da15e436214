"""Makes a client's Messages body fit for a provider that speaks the same API. What needs no change stays as it is.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from typing import Any

from shared.canonical import EFFORTS, Json, Target
from shared.dialects import Repair
from shared.dialects.anthropic.adapt_messages import GONE, fit_messages
from shared.dialects.anthropic.reasoning import nearest, read_reasoning, write_reasoning
from shared.dialects.anthropic.request import DEFAULT_MAX_TOKENS

_COUNTED = (
    *("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"),
    *("mcp_servers", "context_management", "cache_control"),
)


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The body for this provider and the names of what was dropped; the very same object where nothing had to change."""
    changed: Json = {}
    dropped: list[str] = []
    if body.get("model") != target.model:
        changed["model"] = target.model
    messages = body.get("messages")
    if isinstance(messages, list):
        fit = fit_messages(messages, target, dropped)
        if fit is not messages:
            changed["messages"] = fit
    _fit_tools(body, target, changed, dropped)
    _fit_thinking(body, target, changed, dropped)
    _fit_sampling(body, target, changed, dropped)
    if not changed:
        return body, ()
    merged = {**body, **changed}
    return {key: value for key, value in merged.items() if value is not GONE}, tuple(dict.fromkeys(dropped))


def repair(body: Json, target: Target) -> Repair | None:
    """No provider of this API is known to need mending."""
    return None


def write_count_request(body: Json, target: Target) -> Json:
    """The body for `POST /v1/messages/count_tokens`, which takes only what the prompt is made of."""
    fit, _ = adapt(body, target)
    return {key: fit[key] for key in _COUNTED if fit.get(key) is not None}


# ── tools ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fit_tools(body: Json, target: Target, changed: Json, dropped: list[str]) -> None:
    """Leaves out what this provider has not: deferred tools that nothing has loaded yet, tools that the provider would run."""
    tools = body.get("tools")
    lacks = target.quirks & {"no_deferred_tools", "no_hosted_tools"}
    if not lacks or not isinstance(tools, list):
        return
    loaded = _loaded(body.get("messages")) if "no_deferred_tools" in lacks else frozenset()
    fit: list[Any] = []
    for tool in tools:
        match tool:
            case {"type": str(kind)} if kind not in ("custom", "function") and "no_hosted_tools" in lacks:
                dropped.append(f"tools.{tool.get('name', kind)}")
            case {"defer_loading": True, "name": str(name)} if "no_deferred_tools" in lacks:
                if name in loaded:
                    fit.append({key: value for key, value in tool.items() if key != "defer_loading"})
                else:
                    dropped.append("tools.deferred")
            case _:
                fit.append(tool)
    if fit != tools:
        changed["tools"] = fit or GONE
    match body.get("tool_choice"):
        case {"type": "tool", "name": name} if name not in [tool.get("name") for tool in fit if isinstance(tool, dict)]:
            changed["tool_choice"] = {"type": "auto"} if fit else GONE
            dropped.append("tool_choice")


def _loaded(messages: Any) -> frozenset[str]:
    """The names in all `tool_reference` blocks."""
    names: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            match block:
                case {"type": "tool_result", "content": [*parts]}:
                    found = (part.get("tool_name") for part in parts if isinstance(part, dict))
                    names += [name for name in found if isinstance(name, str)]
    return frozenset(names)


# ── parameters ───────────────────────────────────────────────────────────────────────────────────────────────────


def _fit_thinking(body: Json, target: Target, changed: Json, dropped: list[str]) -> None:
    """Asks for reasoning in the way that this model knows; Claude Code takes a name that it doesn't know for the newest Claude."""
    config, wants = body.get("output_config"), body.get("thinking")
    config = config if isinstance(config, dict) else {}
    fit = dict(config)
    if isinstance(wants, dict) and _misfits(wants, target):
        limit = body.get("max_tokens")
        room = limit if isinstance(limit, int) and limit > 0 else target.limits.output or DEFAULT_MAX_TOKENS
        wish = write_reasoning(read_reasoning(body), target, room)
        if wish.lost:
            dropped.append("reasoning")
        changed["thinking"] = wish.thinking or GONE
        if wish.max_tokens != room:
            changed["max_tokens"] = wish.max_tokens
        fit["effort"] = wish.effort
    elif (effort := fit.get("effort")) in EFFORTS and effort not in target.flags.effort and target.flags.effort:
        fit["effort"] = nearest(effort, target.flags.effort)
    if fit.get("effort") is not None and ("no_effort" in target.quirks or not target.flags.effort):
        dropped.append("reasoning.effort")
        fit["effort"] = None
    if fit.get("format") is not None and "no_output_format" in target.quirks:
        dropped.append("format")
        fit["format"] = None
    fit = {key: value for key, value in fit.items() if value is not None or config.get(key, "") is None}
    if fit != config:
        changed["output_config"] = fit or GONE


def _misfits(wants: Json, target: Target) -> bool:
    flags = target.flags
    match wants.get("type"):
        case "adaptive":
            return flags.thinking != "adaptive" and not (flags.effort and flags.thinking != "budget")
        case "enabled":
            return flags.thinking in ("adaptive", "none")
        case "disabled":
            return flags.thinking_off in ("between_tools", "never")
        case "between_tools":
            return flags.thinking_off != "between_tools"
    return False


def _fit_sampling(body: Json, target: Target, changed: Json, dropped: list[str]) -> None:
    """Newer models refuse what older ones took: https://platform.claude.com/docs/en/about-claude/models/migration-guide"""
    flags = target.flags
    if not flags.sampling_params:
        for key in ("temperature", "top_p", "top_k"):
            if body.get(key) is not None:
                changed[key] = GONE
                dropped.append(key)
    match body.get("tool_choice"):
        case {"type": "any" | "tool", **rest} if not flags.forced_tool_choice:
            alone = {key: value for key, value in rest.items() if key == "disable_parallel_tool_use"}
            changed["tool_choice"] = {"type": "auto", **alone}
            dropped.append("tool_choice")
    limit, most = body.get("max_tokens"), target.limits.output
    if most and isinstance(limit, int) and limit > most and "max_tokens" not in changed:
        changed["max_tokens"] = most

"""Makes a client's Messages body fit for a provider that speaks the same API. What needs no change stays as it is.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from typing import Any

from shared.canonical import EFFORTS, Json, Target
from shared.dialects.anthropic.history import as_user
from shared.dialects.anthropic.reasoning import REDACTED, SIGNATURE, nearest, read_reasoning, write_reasoning
from shared.dialects.anthropic.request import DEFAULT_MAX_TOKENS
from shared.dialects.anthropic.sources import is_foreign
from shared.dialects.seal import PREFIX, unseal

_COUNTED = (
    *("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config"),
    *("mcp_servers", "context_management", "cache_control"),
)
_GONE: Any = object()


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The body for this provider and the names of what was dropped; the very same object where nothing had to change."""
    changed: Json = {}
    dropped: list[str] = []
    if body.get("model") != target.model:
        changed["model"] = target.model
    messages = body.get("messages")
    if isinstance(messages, list):
        fit = _fit_messages(messages, target, dropped)
        if fit is not messages:
            changed["messages"] = fit
    _fit_thinking(body, target, changed, dropped)
    _fit_sampling(body, target, changed, dropped)
    if not changed:
        return body, ()
    merged = {**body, **changed}
    return {key: value for key, value in merged.items() if value is not _GONE}, tuple(dict.fromkeys(dropped))


def write_count_request(body: Json, target: Target) -> Json:
    """The body for `POST /v1/messages/count_tokens`, which takes only what the prompt is made of."""
    fit, _ = adapt(body, target)
    return {key: fit[key] for key in _COUNTED if fit.get(key) is not None}


# ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────


def _fit_messages(messages: list[Any], target: Target, dropped: list[str]) -> list[Any]:
    fit: list[Any] | None = None
    for i, message in enumerate(messages):
        new = message
        match message:
            case {"role": "assistant", "content": list(content)}:
                kept = _fit_content(content, target, dropped)
                if kept is not content:
                    new = {**message, "content": kept} if kept else _GONE
            case {"role": "system"} if not target.flags.mid_system:
                new = {"role": "user", "content": as_user(_texts(message.get("content")))}
        if new is not message and fit is None:
            fit = messages[:i]
        if fit is not None and new is not _GONE:
            fit.append(new)
    if fit is None:
        return messages
    return _results_first(fit) if not target.flags.mid_system else fit


def _texts(content: Any) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return (
        [block for block in content if isinstance(block, dict) and "text" in block] if isinstance(content, list) else []
    )


def _results_first(messages: list[Any]) -> list[Any]:
    """Moves system words that now stand between a call and its result behind the result."""
    ordered: list[Any] = []
    for message in messages:
        if _has_result(message) and ordered and _is_words(ordered[-1]) and len(ordered) > 1 and _calls(ordered[-2]):
            ordered.insert(len(ordered) - 1, message)
        else:
            ordered.append(message)
    return ordered


def _has_result(message: Any) -> bool:
    match message:
        case {"role": "user", "content": [{"type": "tool_result"}, *_]}:
            return True
    return False


def _is_words(message: Any) -> bool:
    match message:
        case {"role": "user", "content": [{"type": "text"}, *_]}:
            return True
    return False


def _calls(message: Any) -> bool:
    match message:
        case {"role": "assistant", "content": [*_, {"type": "tool_use"}]}:
            return True
    return False


def _fit_content(content: list[Any], target: Target, dropped: list[str]) -> list[Any]:
    """Sealed state goes back to its maker as it was; what another made is left out, and so are thoughts that nobody signed."""
    kept: list[Any] | None = None
    for i, block in enumerate(content):
        new = _fit_block(block, target)
        if new is not block and kept is None:
            kept = content[:i]
        if new is _GONE:
            dropped.append("reasoning" if block.get("type") in ("thinking", REDACTED) else "hosted_call")
        elif kept is not None:
            kept.append(new)
            if new is not block and block.get("type") == "text":
                dropped.append("citations")
    return content if kept is None else kept


def _fit_block(block: Any, target: Target) -> Any:
    match block:
        case {"type": "thinking"}:
            signature = block.get("signature")
            if not signature:
                return block if "unsigned_thinking" in target.quirks else _GONE
            data = _opened(signature, SIGNATURE, target)
            return block if data is signature else _GONE if data is None else {**block, "signature": data}
        case {"type": "redacted_thinking", "data": sealed}:
            data = _opened(sealed, REDACTED, target)
            return block if data is sealed else _GONE if data is None else {**block, "data": data}
        case {"type": "text", "citations": [*cited]}:
            own = [source for source in cited if not (isinstance(source, dict) and is_foreign(source))]
            if len(own) < len(cited):
                bare = {key: value for key, value in block.items() if key != "citations"}
                return {**bare, "citations": own} if own else bare
        case {"type": "server_tool_use" | "web_search_tool_result"} if is_foreign(block):
            return _GONE
    return block


def _opened(value: Any, kind: str, target: Target) -> Any:
    """The maker's own string; the very same one where it isn't sealed, None where it belongs to somebody else."""
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    opaque = unseal(value)
    return opaque.data if opaque and opaque.maker == target.provider and opaque.kind == kind else None


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
        changed["thinking"] = wish.thinking or _GONE
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
        changed["output_config"] = fit or _GONE


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
                changed[key] = _GONE
                dropped.append(key)
    match body.get("tool_choice"):
        case {"type": "any" | "tool", **rest} if not flags.forced_tool_choice:
            alone = {key: value for key, value in rest.items() if key == "disable_parallel_tool_use"}
            changed["tool_choice"] = {"type": "auto", **alone}
            dropped.append("tool_choice")
    limit, most = body.get("max_tokens"), target.limits.output
    if most and isinstance(limit, int) and limit > most and "max_tokens" not in changed:
        changed["max_tokens"] = most

"""Makes a client's `messages` fit for a provider that speaks the same API: sealed state, sources and ids of other makers.

https://platform.claude.com/docs/en/api/messages/create#body-messages
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Target
from shared.dialects.anthropic.history import LOADED, ODD_ID, as_user
from shared.dialects.anthropic.reasoning import REDACTED, SIGNATURE
from shared.dialects.anthropic.sources import is_foreign
from shared.dialects.seal import PREFIX, unseal

GONE: Any = object()
"""Stands for what is left out."""


def fit_messages(messages: list[Any], target: Target, dropped: list[str]) -> list[Any]:
    """The messages for this provider; the very same list where nothing had to change."""
    fit: list[Any] | None = None
    for i, message in enumerate(messages):
        new = message
        match message:
            case {"role": "assistant" | "user", "content": list(content)}:
                kept = _fit_content(content, target, dropped)
                if kept is not content:
                    new = {**message, "content": kept} if kept else GONE
            case {"role": "system"} if not target.flags.mid_system:
                words = as_user(_texts(message.get("content"), dropped))
                new = {"role": "user", "content": words} if words else GONE
        if new is not message and fit is None:
            fit = messages[:i]
        if fit is not None and new is not GONE:
            fit.append(new)
    if fit is None:
        return messages
    return _results_first(fit) if not target.flags.mid_system else fit


def _texts(content: Any, dropped: list[str]) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        return []
    blocks = [block for block in content if isinstance(block, dict)]
    dropped += [str(block["type"]) for block in blocks if block.get("type", "text") != "text"]
    return [block for block in blocks if block.get("type", "text") == "text" and "text" in block]


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
        if new is GONE:
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
                return block if "unsigned_thinking" in target.quirks else GONE
            data = _opened(signature, SIGNATURE, target)
            return block if data is signature else GONE if data is None else {**block, "signature": data}
        case {"type": "redacted_thinking", "data": sealed}:
            data = _opened(sealed, REDACTED, target)
            return block if data is sealed else GONE if data is None else {**block, "data": data}
        case {"type": "text", "citations": [*cited]}:
            own = [source for source in cited if not (isinstance(source, dict) and is_foreign(source))]
            if len(own) < len(cited):
                bare = {key: value for key, value in block.items() if key != "citations"}
                return {**bare, "citations": own} if own else bare
        case {"type": "server_tool_use" | "web_search_tool_result"} if is_foreign(block):
            return GONE
        case {"type": "tool_use", "id": str(call_id)} if ODD_ID.search(call_id):
            return {**block, "id": ODD_ID.sub("_", call_id)}
        case {"type": "tool_result", "tool_use_id": str(call_id)} if ODD_ID.search(call_id):
            return _without_references({**block, "tool_use_id": ODD_ID.sub("_", call_id)}, target)
        case {"type": "tool_result", "content": [{"type": "tool_reference"}, *_]}:
            return _without_references(block, target)
    return block


def _without_references(block: Json, target: Target) -> Json:
    """The result for a provider that defers no tools: it says in words what was loaded."""
    content = block.get("content")
    if "no_deferred_tools" not in target.quirks or not isinstance(content, list):
        return block
    return {**block, "content": [_in_words(part) for part in content]}


def _in_words(part: Any) -> Any:
    match part:
        case {"type": "tool_reference", "tool_name": str(name)}:
            return {"type": "text", "text": LOADED.format(name)}
    return part


def _opened(value: Any, kind: str, target: Target) -> Any:
    """The maker's own string; the very same one where it isn't sealed, None where it belongs to somebody else."""
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    opaque = unseal(value)
    return opaque.data if opaque and opaque.maker == target.provider and opaque.kind == kind else None

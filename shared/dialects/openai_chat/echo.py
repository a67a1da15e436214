"""What a client sends back of earlier replies, made fit for the provider that is asked now.

State that travelled sealed is opened for its maker and left out for others; see `reasoning` for the forms it has.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Opaque, Target
from shared.dialects.openai_chat.reasoning import (
    DETAILS,
    PLACEHOLDER,
    SIGNATURE,
    details_of,
    restore_details,
    signature_of,
)
from shared.dialects.seal import PREFIX, unseal


def mend_message(message: Json, target: Target, named: dict[str, None]) -> Json:
    """One message for this provider; the very same one where nothing had to change. `named` collects what was dropped."""
    quirks = target.quirks
    changes: Json = {}
    gone: list[str] = []
    role = message.get("role")
    if role == "developer" and "no_developer_role" in quirks:
        changes["role"] = "system"
    if "name" in message and role != "function" and "no_message_name" in quirks:
        gone.append("name")
        named["name"] = None
    if role == "assistant":
        _words(message, target, changes, gone, named)
        _state(message, target, changes, gone, named)
        if "no_null_fields" in quirks:
            gone += [key for key, value in message.items() if value is None]
    if not changes and not gone:
        return message
    return {key: value for key, value in (message | changes).items() if key not in gone}


def _words(message: Json, target: Target, changes: Json, gone: list[str], named: dict[str, None]) -> None:
    """Visible thoughts, which clients hold in `reasoning_content` or `reasoning`; strict servers refuse unknown fields."""
    quirks = target.quirks
    present = [field for field in ("reasoning_content", "reasoning") if message.get(field) is not None]
    required = "reasoning_content_required" in quirks and message.get("tool_calls")
    if not present and not required:
        return
    foreign = any(one.maker != target.provider for one in map(_opened, details_of(message)) if one)
    texts = (message[field] for field in present if isinstance(message[field], str) and message[field])
    text = "" if foreign else next(texts, "")
    wanted = ""
    if required or (text and "reasoning_content_required" in quirks):
        wanted = "reasoning_content"
    elif text and "reasoning_field" in quirks:
        wanted = "reasoning"
    if wanted and message.get(wanted) != text:
        changes[wanted] = text
    if (not text and any(message[field] for field in present)) or (text and not wanted):
        named["reasoning"] = None
    gone += [field for field in present if field != wanted]


def _opened(detail: Json) -> Opaque | None:
    data = detail.get("data")
    return unseal(data) if isinstance(data, str) and data.startswith(PREFIX) else None


def _state(message: Json, target: Target, changes: Json, gone: list[str], named: dict[str, None]) -> None:
    entries: list[Any] = []
    details = details_of(message)
    for detail in details:
        opaque = _opened(detail)
        if opaque is None:
            entries.append(detail)
        elif opaque.maker == target.provider and opaque.kind == DETAILS:
            entries += restore_details(opaque)
        elif opaque.maker == target.provider and opaque.kind == SIGNATURE:
            changes["extra_content"] = {"google": {"thought_signature": opaque.data}}
        else:
            named["reasoning"] = None
    _open_signature(message, target, changes, gone, entries, named)
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        mended = [_call(call, index, target, entries, named) for index, call in enumerate(calls)]
        if any(new is not old for new, old in zip(mended, calls, strict=True)):
            changes["tool_calls"] = mended
    if entries != details:
        changes["reasoning_details"] = entries
        if not entries:
            gone.append("reasoning_details")


def _call(call: Any, index: int, target: Target, entries: list[Any], named: dict[str, None]) -> Any:
    if not isinstance(call, dict):
        return call
    changes: Json = {}
    gone: list[str] = []
    _open_signature(call, target, changes, gone, entries, named)
    signed = "extra_content" in changes or (bool(signature_of(call)) and not gone)
    if index == 0 and not signed and "thought_signature_extra_content" in target.quirks:
        changes["extra_content"] = {"google": {"thought_signature": PLACEHOLDER}}
        gone.clear()
    if not changes and not gone:
        return call
    return {key: value for key, value in (call | changes).items() if key not in gone}


def _open_signature(
    holder: Json, target: Target, changes: Json, gone: list[str], entries: list[Any], named: dict[str, None]
) -> None:
    """`extra_content` of a message or a call: opened for its maker, left out for others."""
    signature = signature_of(holder)
    if not signature.startswith(PREFIX):
        return
    opaque = unseal(signature)
    if opaque and opaque.maker == target.provider and opaque.kind == SIGNATURE:
        changes["extra_content"] = {"google": {"thought_signature": opaque.data}}
        return
    gone.append("extra_content")
    if opaque and opaque.maker == target.provider and opaque.kind == DETAILS:
        entries += restore_details(opaque)
    else:
        named["reasoning"] = None

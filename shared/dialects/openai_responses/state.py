"""Opaque state in reasoning items: what a provider minted, and what rides through a client in `encrypted_content`.

A Responses client carries state in one place only, the reasoning item
(https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items). State that belongs to a tool call or to a text
(Gemini signs both) travels in a reasoning item of its own, marked with what it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from shared.canonical import Json, Opaque
from shared.dialects.seal import PREFIX, seal, unseal

KIND = "responses.reasoning"
"""Kind of the state that this dialect mints: `data` is JSON with all that a reasoning item holds besides its texts."""

Owner = Literal["thinking", "redacted", "call", "text"]
_OWNERS: dict[str, Owner] = {"of.redacted": "redacted", "of.call": "call", "of.text": "text"}


@dataclass(frozen=True, slots=True)
class Carried:
    """State that a client gave back, and whose it is. `call_id` is set for a call's."""

    opaque: Opaque
    owner: Owner = "thinking"
    call_id: str = ""


def sealed(opaque: Opaque, owner: Owner = "thinking", call_id: str = "") -> str:
    """`encrypted_content` for the client."""
    if owner == "thinking":
        return seal(opaque)
    packed = orjson.dumps([call_id, opaque.kind, opaque.data]).decode()
    return seal(Opaque(opaque.maker, f"of.{owner}", packed))


def opened(text: str) -> Carried:
    """What `sealed` made. A bare string is the state of a provider that the client spoke to by itself: it has no maker here."""
    opaque = _unsealed(text)
    if opaque is None:
        return Carried(Opaque("", KIND, text))
    owner = _OWNERS.get(opaque.kind)
    if owner is None:
        return Carried(opaque)
    match _parsed(opaque.data):
        case [str(call_id), str(kind), str(data)]:
            return Carried(Opaque(opaque.maker, kind, data), owner, call_id)
        case _:
            return Carried(Opaque("", KIND, text))


def minted(item: Json, maker: str) -> Opaque | None:
    """The state of a provider's reasoning item; None where it gives nothing that it would take back."""
    encrypted = item.get("encrypted_content")
    content = texts(item.get("content"))
    if not (isinstance(encrypted, str) and encrypted) and not content:
        return None
    summary = texts(item.get("summary"))
    state = {
        "id": item.get("id"),
        "encrypted_content": encrypted,
        "summary": [len(text) for text in summary],
        "content": [len(text) for text in content],
    }
    return Opaque(maker, KIND, orjson.dumps(state).decode())


def restored(text: str, opaque: Opaque) -> Json | None:
    """The reasoning item as its maker wrote it; None if the state is not of this dialect's making."""
    match _parsed(opaque.data) if opaque.kind == KIND else None:
        case {"summary": list(summary), "content": list(content), **state}:
            pass
        case _:
            return None
    item: Json = {"type": "reasoning"}
    if isinstance(state.get("id"), str):
        item["id"] = state["id"]
    item["summary"] = [{"type": "summary_text", "text": part} for part in _cut(text, summary)] if summary else []
    if content and not summary:
        item["content"] = [{"type": "reasoning_text", "text": part} for part in _cut(text, content)]
    if isinstance(state.get("encrypted_content"), str):
        item["encrypted_content"] = state["encrypted_content"]
    return item


def texts(parts: Any) -> list[str]:
    """The texts of a summary or of reasoning content, without empty ones."""
    if not isinstance(parts, list):
        return []
    found = (part.get("text") for part in parts if isinstance(part, dict))
    return [text for text in found if isinstance(text, str) and text]


def visible(item: Json) -> str:
    """What can be read of a reasoning item: its summary, else the reasoning itself; parts are joined by a blank line."""
    return "\n\n".join(texts(item.get("summary")) or texts(item.get("content")))


def is_sealed(text: Any) -> bool:
    return isinstance(text, str) and text.startswith(PREFIX)


def _cut(text: str, lengths: list[Any]) -> list[str]:
    sizes = [size for size in lengths if isinstance(size, int) and size > 0]
    if len(sizes) != len(lengths) or sum(sizes) + 2 * (len(sizes) - 1) != len(text):
        return [text] if text else []
    parts: list[str] = []
    at = 0
    for size in sizes:
        parts.append(text[at : at + size])
        at += size + 2
    return parts


def _unsealed(text: str) -> Opaque | None:
    try:
        return unseal(text)
    except TypeError:  # a seal that somebody forged around JSON of another shape
        return None


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return None

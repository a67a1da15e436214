"""Effort, thoughts and the state that must come back, in the forms that chat completions and its dialects have for them.

Effort: https://platform.openai.com/docs/guides/reasoning. Thought signatures of Gemini's OpenAI layer:
https://ai.google.dev/gemini-api/docs/thought-signatures. `reasoning_details`:
https://openrouter.ai/docs/use-cases/reasoning-tokens. `reasoning_content`: https://api-docs.deepseek.com/guides/thinking_mode
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from shared.canonical import EFFORTS, Effort, Json, Opaque, Reasoning, Target, Thinking
from shared.dialects.seal import PREFIX, seal, unseal

SIGNATURE = "thought_signature"
"""Kind of the state that stands in `extra_content.google.thought_signature`."""
DETAILS = "reasoning_details"
"""Kind of the state that is a `reasoning_details` array, as JSON."""
PLACEHOLDER = "skip_thought_signature_validator"
"""What Gemini takes in place of a signature that was lost."""

_JOINED = ("text", "summary", "data")
_COMMON: tuple[Effort, ...] = ("low", "medium", "high")  # what everybody who takes an effort understands
_BUDGETS: tuple[tuple[int, Effort], ...] = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))


def wanted(reasoning: Reasoning) -> Effort | None:
    """The level that the client asked for, in whatever words; None: it didn't say."""
    if reasoning.mode == "disabled":
        return "none"
    if reasoning.effort:
        return reasoning.effort
    if reasoning.budget is None:
        return "medium" if reasoning.mode else None  # some models don't think unless a level is named
    return next((level for most, level in _BUDGETS if reasoning.budget <= most), "xhigh")


def nearest(level: Effort, levels: tuple[Effort, ...]) -> Effort:
    """The lowest of the model's levels at or above the wanted one, else its highest."""
    ranked = sorted(levels, key=EFFORTS.index)
    return next((one for one in ranked if EFFORTS.index(one) >= EFFORTS.index(level)), ranked[-1])


def write_effort(level: Effort | None, target: Target) -> tuple[Json, bool]:
    """The fields for a level, and whether the wish was kept. Nothing is sent where nothing was asked."""
    flags = target.flags
    if level is None:
        return {}, True
    if not flags.effort and flags.thinking == "none":
        return {}, level == "none"
    switch = "reasoning_content_required" in target.quirks  # https://docs.z.ai/guides/capabilities/thinking-mode
    if level == "none":
        if switch and flags.thinking_off == "disabled":
            return {"thinking": {"type": "disabled"}}, True
        if "none" in flags.effort or flags.thinking_off in ("none", "disabled", "between_tools"):
            return {"reasoning_effort": "none"}, True
    fields: Json = {"thinking": {"type": "enabled"}} if switch else {}
    if flags.effort:
        sent = nearest(level, tuple(one for one in flags.effort if one != "none") or flags.effort)
        # `max` is refused by OpenAI's chat completions on every model; GLM has no `xhigh`, and takes it.
        fields["reasoning_effort"] = "xhigh" if sent == "max" and "xhigh" in flags.effort else sent
    elif not switch:
        fields["reasoning_effort"] = nearest(level, _COMMON)
    return fields, level != "none"


# ── state on its way from a provider ─────────────────────────────────────────────────────────────────────────────


def signature_of(holder: Json) -> str:
    """`extra_content.google.thought_signature` of a message, a delta or a tool call; empty where there is none."""
    match holder.get("extra_content"):
        case {"google": {"thought_signature": str(signature)}}:
            return signature
    return ""


def details_of(holder: Json) -> list[Json]:
    """The objects of `reasoning_details`."""
    details = holder.get("reasoning_details")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def thoughts_of(holder: Json) -> str:
    """The visible thoughts of a message or a delta, wherever its maker puts them."""
    if (thoughts := holder.get("reasoning_content") or holder.get("reasoning")) and isinstance(thoughts, str):
        return thoughts
    if "reasoning_details" not in holder:
        return ""
    parts: list[Any] = [one.get(field) for one in details_of(holder) for field in ("text", "summary")]
    return "".join(part for part in parts if isinstance(part, str))


def join_details(pieces: Iterable[Json]) -> list[Json]:
    """The whole entries that streamed pieces of `reasoning_details` amount to: texts of one index and type are joined."""
    whole: list[tuple[Json, dict[str, list[str]]]] = []
    for piece in pieces:
        last = whole[-1][0] if whole else {}
        if not whole or "index" not in piece or any(last.get(key) != piece.get(key) for key in ("index", "type")):
            whole.append(({}, {}))
        entry, texts = whole[-1]
        for key, value in piece.items():
            if key in _JOINED and isinstance(value, str):
                texts.setdefault(key, []).append(value)
            elif value is not None or key not in entry:
                entry[key] = value
    return [entry | {key: "".join(parts) for key, parts in texts.items()} for entry, texts in whole]


def details_state(details: Iterable[Json], maker: str) -> Opaque:
    """`reasoning_details` as state of their maker."""
    return Opaque(maker, DETAILS, orjson.dumps(join_details(details)).decode())


def restore_details(opaque: Opaque) -> list[Any]:
    """The entries that `details_state` kept; none if a client has forged them."""
    try:
        kept = orjson.loads(opaque.data)
    except ValueError:
        return []
    return kept if isinstance(kept, list) else []


# ── state on its way through a client ────────────────────────────────────────────────────────────────────────────


def sealed_detail(opaque: Opaque, index: int, length: int, after: int, redacted: bool) -> Json:
    """A thought's state as an entry of `reasoning_details`. `length` is its share of the characters of `reasoning_content`,
    so that several thoughts can be told apart when they come back, `after` how much of `content` was said before it; `index` is what
    SDKs put streamed entries together by."""
    entry: Json = {"type": "reasoning.encrypted", "data": seal(opaque), "index": index, "length": length}
    if after:
        entry["after"] = after
    return {**entry, "redacted": True} if redacted else entry


def sealed_signature(opaque: Opaque) -> Json:
    """State of a tool call or a text, where Gemini's OpenAI layer has it and clients of it echo it."""
    return {"google": {"thought_signature": seal(opaque)}}


def read_thoughts(message: Json) -> tuple[list[tuple[Thinking, int]], bool]:
    """The thoughts that a client sends back in an assistant message, each with the length of what was said before it, and whether
    all of them have a place here.

    State that isn't sealed belongs to the client's own provider, and means nothing elsewhere.
    """
    thoughts = thoughts_of(message)
    kept: list[tuple[Opaque, int, int, bool]] = []
    details = details_of(message)
    for one in details:
        data = one.get("data")
        if isinstance(data, str) and data.startswith(PREFIX) and (opaque := unseal(data)):
            kept.append((opaque, _count(one.get("length")), _count(one.get("after")), one.get("redacted") is True))
    whole = len(kept) == len(details)
    if not kept:
        return [(Thinking(thoughts), 0)] if thoughts else [], whole
    if sum(length for _, length, _, _ in kept) != len(thoughts):
        kept = [(one, 0 if index else len(thoughts), 0, redacted) for index, (one, _, _, redacted) in enumerate(kept)]
    blocks: list[tuple[Thinking, int]] = []
    at = 0
    for opaque, length, after, redacted in kept:
        blocks.append((Thinking(thoughts[at : at + length], opaque, redacted), after))
        at += length
    return blocks, whole


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def read_signature(holder: Json) -> tuple[Opaque | None, bool]:
    """The state that a client sends back in `extra_content`, and whether it has a place here."""
    signature = signature_of(holder)
    opaque = unseal(signature) if signature.startswith(PREFIX) else None
    return opaque, not signature or opaque is not None

"""How much to think, and the state of it that must come back.

https://platform.claude.com/docs/en/build-with-claude/extended-thinking
https://platform.claude.com/docs/en/build-with-claude/effort
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.canonical import EFFORTS, Effort, Flags, Json, Opaque, Reasoning, Target, Thinking
from shared.dialects.anthropic import fields
from shared.dialects.seal import seal, unseal

SIGNATURE = "signature"
REDACTED = "redacted_thinking"
NEXT = "next:"
PREVIOUS = "previous:"
"""Kinds of state that belongs to a text or a call: this API has no field for it there, so a thinking block of its own carries
it, right before or after its owner."""

_BUDGETS: dict[Effort, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
_LEVELS: tuple[tuple[int, Effort], ...] = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))
_LEAST = 1024


# ── the state ────────────────────────────────────────────────────────────────────────────────────────────────────


def read_thinking(block: Json, path: str) -> Thinking:
    """A `thinking` or `redacted_thinking` block of a client. A bare signature is that of an unknown maker."""
    if block["type"] == REDACTED:
        data = fields.string(block.get("data"), f"{path}.data")
        return Thinking(opaque=unseal(data) or Opaque("", REDACTED, data), redacted=True)
    text = fields.maybe_string(block.get("thinking"), f"{path}.thinking")
    signature = fields.maybe_string(block.get("signature"), f"{path}.signature")
    return Thinking(text, (unseal(signature) or Opaque("", SIGNATURE, signature)) if signature else None)


def write_thinking(block: Thinking, target: Target) -> Json | None:
    """The block for its maker; None for anybody else."""
    opaque = block.opaque
    if opaque is None or opaque.maker != target.provider:
        return None
    if opaque.kind == REDACTED:
        return {"type": REDACTED, "data": opaque.data}
    if opaque.kind == SIGNATURE:
        return {"type": "thinking", "thinking": block.text, "signature": opaque.data}
    return None


def carrier(opaque: Opaque, place: str) -> Json:
    """The block that carries the state of its neighbour through a client."""
    sealed = seal(Opaque(opaque.maker, place + opaque.kind, opaque.data))
    return {"type": "thinking", "thinking": "", "signature": sealed}


# ── the wish ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_reasoning(body: Json) -> Reasoning:
    """`thinking` and `output_config.effort`."""
    wish = fields.maybe_mapping(body.get("thinking"), "thinking")
    effort = _read_effort(fields.maybe_mapping(body.get("output_config"), "output_config").get("effort"))
    if not wish:
        return Reasoning(effort=effort)
    display = fields.maybe_string(wish.get("display"), "thinking.display")
    visible = display == "summarized" if display else None
    match wish.get("type"):
        case "enabled":
            budget = fields.maybe_int(wish.get("budget_tokens"), "thinking.budget_tokens")
            if budget is None and effort is None:
                raise fields.missing("thinking.budget_tokens")
            return Reasoning(effort, "enabled", budget, visible)
        case "adaptive":
            return Reasoning(effort, "adaptive", None, visible)
        case "disabled" | "between_tools":
            return Reasoning(effort, "disabled", None, visible)
        case _:
            raise fields.wrong("thinking.type", "'enabled', 'adaptive', 'between_tools' or 'disabled'")


def _read_effort(value: Any) -> Effort | None:
    if value is None:
        return None
    for effort in EFFORTS:
        if effort == value:
            return effort
    raise fields.wrong("output_config.effort", "'low', 'medium', 'high', 'xhigh' or 'max'")


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields that ask for reasoning: `thinking` and the effort (each None: not sent), and the output limit that they need.
    `lost` is True where the client's wish could not be kept."""

    thinking: Json | None = None
    effort: str | None = None
    max_tokens: int = 0
    lost: bool = False

    @property
    def on(self) -> bool:
        """True where the model will think."""
        return self.thinking is not None and self.thinking["type"] in ("enabled", "adaptive")

    @property
    def by_budget(self) -> bool:
        """True where the thinking has a budget, as the models before adaptive thinking want it."""
        return self.thinking is not None and self.thinking["type"] == "enabled"


def write_reasoning(asked: Reasoning, target: Target, max_tokens: int) -> Wish:
    """What the target can do of what was asked for."""
    flags, takes_effort = target.flags, bool(target.flags.effort) and "no_effort" not in target.quirks
    if asked.mode is None and asked.effort is None and asked.budget is None:
        shown: Json | None = {"type": "adaptive", "display": "summarized"}
        return Wish(shown if asked.visible and flags.thinking == "adaptive" else None, None, max_tokens)
    if asked.mode == "disabled" or asked.effort == "none" or asked.budget == 0:
        return _write_off(asked, flags, takes_effort, max_tokens)
    if flags.thinking == "none":
        return Wish(None, None, max_tokens, lost=True)
    level = asked.effort or (_level(asked.budget) if asked.budget is not None else None)
    effort = nearest(level, flags.effort) if level and takes_effort else None
    if flags.thinking == "budget" or (flags.thinking != "adaptive" and not takes_effort):
        budget = asked.budget if asked.budget is not None else _BUDGETS.get(level or "high", _LEAST)
        return _write_budget(budget, effort, target, max_tokens)
    thinking: Json = {"type": "adaptive"}
    if asked.visible is not None:
        thinking["display"] = "summarized" if asked.visible else "omitted"
    return Wish(thinking, effort, max_tokens, lost=level is not None and effort is None)


def _write_off(asked: Reasoning, flags: Flags, takes_effort: bool, max_tokens: int) -> Wish:
    effort: Effort | None = asked.effort if asked.effort != "none" else None
    if flags.thinking_off == "never":
        return Wish(None, nearest("none", flags.effort) if takes_effort else None, max_tokens, lost=True)
    cap = flags.effort_without_thinking
    if effort and cap and EFFORTS.index(effort) > EFFORTS.index(cap):
        effort = cap
    kept = nearest(effort, flags.effort) if effort and takes_effort else None
    if flags.thinking_off is None:
        return Wish(None, kept, max_tokens)
    kind = "between_tools" if flags.thinking_off == "between_tools" else "disabled"
    return Wish({"type": kind}, kept, max_tokens)


def _write_budget(budget: int, effort: str | None, target: Target, max_tokens: int) -> Wish:
    """1024 <= budget < max_tokens: room is made above it, else the budget is lowered, else there is no thinking."""
    budget, limit = max(budget, _LEAST), target.limits.output
    if budget >= max_tokens:
        raised = budget + max_tokens
        room = raised if limit is None else min(raised, max(limit, max_tokens))
        budget = min(budget, room - max_tokens) if room > max_tokens else max_tokens // 2
        if budget < _LEAST:
            return Wish(None, effort, max_tokens, lost=True)
        max_tokens = room
    return Wish({"type": "enabled", "budget_tokens": budget}, effort, max_tokens)


def nearest(level: Effort, known: tuple[Effort, ...]) -> Effort:
    """The lowest known level at or above the one asked for, else the highest."""
    ranked = sorted(known, key=EFFORTS.index)
    return next((effort for effort in ranked if EFFORTS.index(effort) >= EFFORTS.index(level)), ranked[-1])


def _level(budget: int) -> Effort:
    return next((level for most, level in _LEVELS if budget <= most), "xhigh")

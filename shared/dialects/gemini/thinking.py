"""How much Gemini thinks: https://ai.google.dev/gemini-api/docs/thinking."""

from __future__ import annotations

from shared.canonical import EFFORTS, Effort, Flags, Json, Reasoning

LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh")
_USUAL_LEVELS: tuple[Effort, ...] = ("low", "high")  # what every model with levels has
_BUDGETS: dict[Effort, int] = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_STEPS: tuple[tuple[int, Effort], ...] = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))
_LOWEST, _HIGHEST = 512, 24576  # the range of budgets that all models with budgets share
_CANNOT_STOP = 128  # the least that 2.5 Pro thinks
_DYNAMIC = -1


def thinking_config(reasoning: Reasoning, flags: Flags) -> tuple[Json | None, bool]:
    """`thinkingConfig` (None: nothing to say), and whether the wish could not be met."""
    off = reasoning.mode == "disabled" or (reasoning.effort is None and reasoning.budget == 0)
    effort = "none" if off else reasoning.effort
    asked = effort is not None or reasoning.budget is not None or reasoning.mode is not None
    missed = False
    config: Json = {}
    match flags.thinking:
        case "level" if effort or reasoning.budget:
            level = nearest(effort or _effort_of(reasoning.budget or 0), flags.effort)
            missed = effort == "none"
            config["thinkingLevel"] = level.upper()
        case "budget" if effort == "none":
            missed = flags.thinking_off == "never"
            config["thinkingBudget"] = _CANNOT_STOP if missed else 0
        case "budget" if reasoning.budget is not None:
            config["thinkingBudget"] = min(max(reasoning.budget, _LOWEST), _HIGHEST)
        case "budget" if effort:
            config["thinkingBudget"] = _BUDGETS[effort]
        case "budget" if reasoning.mode:
            config["thinkingBudget"] = _DYNAMIC
        case "level" | "budget":
            pass
        case _:
            return None, asked and effort != "none"
    if _visible(reasoning) and effort != "none":
        config["includeThoughts"] = True
    return config or None, missed


def nearest(effort: Effort, known: tuple[Effort, ...]) -> Effort:
    """The lowest known level at or above `effort`, else the highest."""
    levels = [level for level in LEVELS if level in known] or list(_USUAL_LEVELS)
    wanted = EFFORTS.index(effort)
    return next((level for level in levels if EFFORTS.index(level) >= wanted), levels[-1])


def _effort_of(budget: int) -> Effort:
    return next((effort for limit, effort in _STEPS if budget <= limit), "xhigh")


def _visible(reasoning: Reasoning) -> bool:
    if reasoning.visible is not None:
        return reasoning.visible
    return bool(reasoning.summary) or reasoning.mode == "enabled"

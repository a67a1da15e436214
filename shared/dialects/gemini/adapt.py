"""No client speaks Gemini, so that nothing of it passes through: nothing to adapt, nothing to mend."""

from __future__ import annotations

from shared.canonical import Json, Target
from shared.dialects import Repair


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The same body."""
    return body, ()


def repair(body: Json, target: Target) -> Repair | None:
    """Nothing."""
    return None

"""What providers say they billed, held against our own figure: a difference is logged once for each offer."""

from __future__ import annotations

import logging

from shared.metering import exact_dollars

log = logging.getLogger("ekai.billed")

_TOLERATED = 0.01
_MOST = 10_000


class Billed:
    """Remembers which offers differed (in this process, bounded)."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def compare(self, provider: str, model: str, ours: int | None, theirs: int | None) -> None:
        """Nano-dollars. Logs a difference of more than 1 %, and a bill where we know no price, the first time."""
        if not theirs or (provider, model) in self._told or len(self._told) >= _MOST:
            return
        if ours is not None and abs(ours - theirs) <= _TOLERATED * theirs:
            return
        self._told.add((provider, model))
        shown = "no price" if ours is None else f"${exact_dollars(ours)}"
        log.warning("%s billed $%s for %s where we count %s", provider, exact_dollars(theirs), model, shown)

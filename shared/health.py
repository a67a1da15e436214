"""Which (key, provider) pairs have failed lately: they are tried last until a probe succeeds. Local to the process, bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

MOST = 10_000
TOLERATED = 2
"""Failures in a row before a pair is left out (a refused key and a `retry-after` need only one)."""
LONGEST = 3_600.0
"""Seconds for which a provider is left alone at most, however long it asks for."""


@dataclass(slots=True)
class _State:
    failures: int = 0
    out_until: float = 0.0


class Health:
    """A circuit for each pair: closed, open until a time, then half open (one success closes it, one failure opens it again)."""

    def __init__(self, cooldown: float) -> None:
        self._cooldown = cooldown
        self._states: OrderedDict[Hashable, _State] = OrderedDict()

    def out(self, pair: Hashable, now: float) -> bool:
        """Whether the pair is to be tried last."""
        state = self._states.get(pair)
        return state is not None and now < state.out_until

    def succeeded(self, pair: Hashable) -> None:
        """Closes the circuit."""
        self._states.pop(pair, None)

    def failed(self, pair: Hashable, now: float, *, at_once: bool = False, wait: float | None = None) -> None:
        """Counts a failure. `at_once` opens the circuit with the first; `wait` is how long the provider asked for (seconds)."""
        if self._cooldown == 0:
            return
        state = self._states.pop(pair, None) or _State()
        state.failures += 1
        if at_once or wait is not None or state.failures > TOLERATED:
            state.out_until = now + (self._cooldown if wait is None else min(max(wait, 0.0), LONGEST))
        self._states[pair] = state
        while len(self._states) > MOST:
            self._states.popitem(last=False)

"""How often somebody may try something in a minute: counted in one process, bounded in size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from shared.errors import Code, GatewayError

_MINUTE = 60.0
_MOST = 10_000


class Pace:
    """At most `limit` tries a minute for each `who` (0: no limit), as a bucket that fills evenly."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # what is left, and when that was so

    def take(self, who: Hashable, now: float) -> None:
        """Counts a try. Raises RATE_LIMIT_EXCEEDED with the seconds to wait."""
        if self._limit == 0:
            return
        left, then = self._buckets.pop(who, (float(self._limit), now))
        left = min(left + max(now - then, 0.0) * self._limit / _MINUTE, float(self._limit))
        self._buckets[who] = (max(left - 1.0, 0.0) if left >= 1.0 else left, now)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        if left < 1.0:
            wait = max(round((1.0 - left) * _MINUTE / self._limit), 1)
            headers = {"retry-after": str(wait)}
            raise GatewayError(
                Code.RATE_LIMIT_EXCEEDED, f"Too many tries; wait {wait} seconds before the next.", headers=headers
            )

"""Caps: the gateway's monthly budget, owners' grants, rate limits. Held before a call, settled with its row, exact across processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.canonical import Json
from shared.errors import Code, GatewayError, invalid
from shared.grants import read_dollars, spender_of, windows_at
from shared.metering import dollars, exact_dollars, period_of
from shared.store import GLOBAL, Budget, CapReachedError, Grant, Hold, Settlement, Store

_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Held:
    """What was set aside for a request, and what is then left of each cap."""

    holds: tuple[Hold, ...] = ()
    left: tuple[int, ...] = ()
    nothing: bool = False  # there was no cap; else something may be held even if nobody heard of it, when a client hung up meanwhile

    def settlement(self, at_ms: int, tokens: int) -> Settlement:
        """What the request used up, once its row is known: its cost from every purse, one request, so many tokens."""
        purses = [(GLOBAL, period_of(at_ms))]
        purses += [
            (hold.spender, hold.period) for hold in self.holds if hold.unit == "money" and hold.spender != GLOBAL
        ]
        took = {"requests": 1, "tokens": tokens}
        counted = [(hold.spender, hold.period, took[hold.unit]) for hold in self.holds if hold.unit != "money"]
        return Settlement(tuple(purses), tuple(counted), held=not self.nothing)

    def headers(self, now: float) -> dict[str, str]:
        """The usual headers of the rate limits that hold here; of several the one with the least left."""
        headers: dict[str, str] = {}
        for unit in ("requests", "tokens"):
            limits = [(left, hold.cap) for hold, left in zip(self.holds, self.left, strict=True) if hold.unit == unit]
            if limits:
                left, cap = min(limits)
                headers |= {
                    f"x-ratelimit-limit-{unit}": str(cap),
                    f"x-ratelimit-remaining-{unit}": str(left),
                    f"x-ratelimit-reset-{unit}": f"{_MINUTE - int(now) % _MINUTE}s",
                }
        return headers


@dataclass(frozen=True, slots=True)
class Budgets:
    """What may still be used: the gateway's money, each grant's, and everybody's pace."""

    store: Store
    clock: Callable[[], float]
    longest: float  # seconds that a request may take: a hold of a process that died ends after them
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    async def hold(
        self,
        request_id: str,
        at_ms: int,
        estimate: int | None,
        caller: str = "",
        grants: Sequence[Grant] = (),
        tokens: int = 0,
        budget: Budget | None = None,
    ) -> Held:
        """Sets aside what a request may take (nano-dollars, tokens). Raises BUDGET_EXCEEDED and RATE_LIMIT_EXCEEDED."""
        money, moment = max(estimate or 0, 1), datetime.fromtimestamp(at_ms / 1000, UTC)
        holds = [*self._pace(caller, grants, tokens, moment), *_purses(grants, money, moment)]
        if budget is None:
            budget = await self.store.budget()
        if budget.amount is not None and not budget.alert_only:
            holds.append(Hold(GLOBAL, period_of(at_ms), money, budget.amount))
        if not holds:
            return Held(nothing=True)
        now = int(self.clock())
        try:
            left = await self.store.hold(request_id, holds, now + int(self.longest) + 1, now)
        except CapReachedError as reached:
            raise _refused(reached, moment) from None
        return Held(tuple(holds), tuple(left))

    def _pace(self, caller: str, grants: Sequence[Grant], tokens: int, moment: datetime) -> Iterator[Hold]:
        if self.requests_per_minute is None and self.tokens_per_minute is None and not grants:
            return
        minute = moment.strftime("%Y-%m-%dT%H:%M")
        if self.requests_per_minute is not None:
            yield Hold(f"requests:{caller}", minute, 1, self.requests_per_minute, "requests")
        if self.tokens_per_minute is not None:
            yield Hold(f"tokens:{caller}", minute, tokens, self.tokens_per_minute, "tokens")
        for grant in grants:
            if grant.requests_per_minute is not None:
                yield Hold(f"requests:{spender_of(grant)}", minute, 1, grant.requests_per_minute, "requests")


def _purses(grants: Sequence[Grant], money: int, moment: datetime) -> Iterator[Hold]:
    for grant in grants:
        for field, window in windows_at(moment).items():
            cap: int | None = getattr(grant, field)
            if cap is not None:
                yield Hold(spender_of(grant), window.name, money, cap)


def _refused(reached: CapReachedError, moment: datetime) -> GatewayError:
    hold = reached.hold
    if hold.unit != "money":
        wait = _MINUTE - int(moment.timestamp()) % _MINUTE
        return GatewayError(
            Code.RATE_LIMIT_EXCEEDED,
            f"At most {hold.cap} {hold.unit} a minute are allowed here; try again in {wait} seconds.",
            headers={"retry-after": str(wait), f"x-ratelimit-limit-{hold.unit}": str(hold.cap),
                     f"x-ratelimit-remaining-{hold.unit}": str(max(reached.left, 0))},
        )  # fmt: skip
    whose = "The gateway's budget" if hold.spender == GLOBAL else "The owner's grant"
    ends = next((window.ends for window in windows_at(moment).values() if window.name == hold.period), moment)
    return GatewayError(
        Code.BUDGET_EXCEEDED,
        f"{whose} of ${exact_dollars(hold.cap)} for {hold.period} is used up: ${exact_dollars(max(reached.left, 0))} are left, "
        f"this request may cost ${exact_dollars(hold.amount)}. It starts anew at {ends.strftime('%Y-%m-%dT%H:%M:%SZ')}.",
    )


def read_budget(body: Mapping[str, object]) -> Budget:
    """`{amountUsd: number or null, alertOnly?: boolean}`. Raises VALIDATION_ERROR."""
    amount, alert_only = body.get("amountUsd"), body.get("alertOnly", False)
    if not isinstance(alert_only, bool):
        raise invalid("`alertOnly` must be true or false.", "alertOnly")
    if "amountUsd" not in body:
        raise invalid("`amountUsd` is missing: dollars a month, or null for no budget.", "amountUsd")
    if amount is None:
        return Budget(None, alert_only)
    return Budget(read_dollars(amount, "amountUsd"), alert_only)


async def shown_budget(store: Store, now: float) -> Json:
    """The contract's form: dollars, null where there is no budget."""
    budget, spent = await store.budget(), await store.spent(GLOBAL, period_of(int(now * 1000)))
    remaining = None if budget.amount is None else dollars(max(budget.amount - spent, 0))
    return {
        "amountUsd": dollars(budget.amount),
        "alertOnly": budget.alert_only,
        "window": "monthly",
        "spentMonthToDate": dollars(spent),
        "remaining": remaining,
    }

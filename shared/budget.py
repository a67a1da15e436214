"""The gateway's monthly budget: held before a call, settled with its row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from shared.canonical import Json
from shared.errors import Code, GatewayError, invalid
from shared.ledger import period_of
from shared.metering import dollars, exact_dollars
from shared.store import GLOBAL, Budget, CapReachedError, Hold, Store

MOST_DOLLARS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Budgets:
    """What may still be spent."""

    store: Store
    clock: Callable[[], float]
    longest: float  # seconds that a request may take: a hold of a process that died ends after them

    async def hold(self, request_id: str, at_ms: int, estimate: int | None) -> None:
        """Sets a request's estimated cost (nano-dollars) aside. Raises BUDGET_EXCEEDED."""
        budget = await self.store.budget()
        if budget.amount is None or budget.alert_only:
            return
        now = int(self.clock())
        hold = Hold(GLOBAL, period_of(at_ms), max(estimate or 0, 1), budget.amount)
        try:
            await self.store.hold(request_id, [hold], now + int(self.longest) + 1, now)
        except CapReachedError as reached:
            left = exact_dollars(max(reached.left, 0))
            raise GatewayError(
                Code.BUDGET_EXCEEDED,
                f"The gateway's budget of ${exact_dollars(budget.amount)} for {hold.period} is used up: ${left} are left, "
                f"this request may cost ${exact_dollars(hold.amount)}. It starts anew on the first of next month (UTC).",
            ) from None


def read_budget(body: Mapping[str, object]) -> Budget:
    """`{amountUsd: number or null, alertOnly?: boolean}`. Raises VALIDATION_ERROR."""
    amount, alert_only = body.get("amountUsd"), body.get("alertOnly", False)
    if not isinstance(alert_only, bool):
        raise invalid("`alertOnly` must be true or false.", "alertOnly")
    if "amountUsd" not in body:
        raise invalid("`amountUsd` is missing: dollars a month, or null for no budget.", "amountUsd")
    if amount is None:
        return Budget(None, alert_only)
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise invalid("`amountUsd` must be a number of dollars, or null.", "amountUsd")
    try:
        nano = Decimal(str(amount)) * 1_000_000_000
    except ArithmeticError:  # no number, or one beyond any decimal
        raise invalid("`amountUsd` must be a number of dollars, or null.", "amountUsd") from None
    if not nano.is_finite() or not 0 <= nano <= MOST_DOLLARS * 1_000_000_000:
        raise invalid(f"`amountUsd` must be between 0 and {MOST_DOLLARS}.", "amountUsd")
    return Budget(int(nano), alert_only)


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

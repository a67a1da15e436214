"""What a request leaves behind: exactly one row, whatever became of it."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.billed import Billed
from shared.budget import Held
from shared.callers import Caller
from shared.canonical import Usage
from shared.errors import GatewayError
from shared.metering import cost_of, estimated_tokens, tokens_of
from shared.plan import Plan
from shared.receipts import hash_of, receipt_of
from shared.store import Cost, Outcome, Store, UsageRow

access = logging.getLogger("ekai.access")
log = logging.getLogger("ekai.ledger")


_noise: deque[str] = deque()
os.register_at_fork(after_in_child=_noise.clear)


def request_id(now_ms: int) -> str:
    """32 hex digits that sort by time: 48 bits of milliseconds, 80 random ones (fetched from the system many at a time: a call for
    each costs more than all that a short request needs of the store)."""
    try:
        return f"{now_ms:012x}{_noise.pop()}"
    except IndexError:
        fresh = os.urandom(2560).hex()
        _noise.extend(fresh[start : start + 20] for start in range(0, len(fresh), 20))
        return request_id(now_ms)


@dataclass(slots=True)
class Ledger:
    """Gathers what is known of one request, and writes it down once."""

    store: Store
    id: str
    at: int
    api: str
    receipts: bool = False  # the chain is told of it
    begun: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    model_requested: str = ""
    model: str = ""
    stream: bool = False
    plan: Plan | None = None
    attempts: int = 0
    answered: bool = False  # a provider began to answer: tokens were used
    first_byte_ms: int | None = None
    request_chars: int = 0
    output_chars: int = 0
    usage: Usage | None = None
    row: UsageRow | None = None
    billed: Billed | None = None
    held: Held = field(default_factory=Held)
    _billed: tuple[Usage, Cost | None] | None = None  # what was counted last, and what it costs

    def first_byte(self) -> None:
        """The first byte of the reply is about to go out."""
        if self.first_byte_ms is None:
            self.first_byte_ms = self._elapsed()

    def _elapsed(self) -> int:
        return round((time.perf_counter() - self.begun) * 1000)

    @property
    def request_hash(self) -> str:
        """The receipt's hash (0x and 64 hex digits); empty where there will be none: receipts are off, or nobody answered."""
        if not (self.receipts and self.answered and self.caller and self.plan):
            return ""
        caller, provider = self.caller, self.plan.route.provider.id
        return "0x" + hash_of(self.id, caller.owner, caller.address, provider, self.model, self.at).hex()

    def cost(self) -> Cost | None:
        """What it cost so far; None where the offer has no price."""
        usage = self._usage()
        if usage is None or self.plan is None:
            return Cost()
        if self._billed is None or self._billed[0] is not usage:
            route, at = self.plan.route, datetime.fromtimestamp(self.at / 1000, UTC)
            price = route.offer.price(at)
            cost = None if price is None else cost_of(usage, price, at, route.provider.surcharge_ppm)
            self._billed = (usage, cost)
        return self._billed[1]

    def _usage(self) -> Usage | None:
        if self.usage is not None:
            return self.usage
        if not self.answered:
            return None
        return Usage(
            input=estimated_tokens(self.request_chars), output=estimated_tokens(self.output_chars), reported=False
        )

    async def close(self, outcome: Outcome, status: int, error: GatewayError | None = None) -> None:
        """Writes the row. The first call counts; a store that fails is logged with the row, and the reply goes on."""
        if self.row is not None:
            return
        usage = self._usage()
        provider_cost = usage.provider_cost if usage is not None else None
        self.row = UsageRow(
            id=self.id,
            at=self.at,
            api=self.api,
            outcome=outcome,
            status=status,
            caller=self.caller.address if self.caller else "",
            owner=self.caller.owner if self.caller else "",
            provider=self.plan.route.provider.id if self.plan else "",
            model=self.model,
            model_requested=self.model_requested,
            stream=self.stream,
            tokens=tokens_of(usage or Usage()),
            cost=self.cost(),
            provider_cost=provider_cost,
            estimated=usage is not None and not usage.reported,
            duration_ms=self._elapsed(),
            first_byte_ms=self.first_byte_ms,
            attempts=self.attempts,
            error=error.code.value if error else "",
            request_hash=self.request_hash,
        )
        await self._write(self.row)

    async def _write(self, row: UsageRow) -> None:
        settlement = self.held.settlement(row.at, row.tokens.total)
        if self.billed is not None:
            self.billed.compare(row.provider, row.model, row.cost.total if row.cost else None, row.provider_cost)
        receipt = receipt_of(row) if row.request_hash else None
        try:
            await self.store.record(row, settlement, receipt)
        except Exception as error:  # whatever the store is, the reply must not be lost with it
            log.error("a usage row could not be written (%s): %s", type(error).__name__, row)
        if access.isEnabledFor(logging.INFO):
            told = {name: getattr(row, name) for name in _TOLD}
            access.info("%s %s %s", row.api, row.status, row.outcome, extra={"request_id": row.id, **told})


_TOLD = ("provider", "model", "duration_ms", "first_byte_ms", "error")

"""The store in one DynamoDB table: for many machines at once, serverless or behind a load balancer.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-general-nosql-design.html. One round trip tells a request who is
calling and what binds the call, one more takes its holds if there is a cap, and one writes it down.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from shared.errors import GatewayError
from shared.store import Budget, Grant, Hold, Preferences, Session, Settlement, Totals, UsageQuery, UsageRow
from shared.store import dynamo_caps as caps
from shared.store import dynamo_grants as binding
from shared.store import dynamo_outbox as outbox
from shared.store import dynamo_totals as sums
from shared.store import dynamo_usage as rows
from shared.store.dynamo_client import ConditionFailedError, Table
from shared.store.dynamo_items import (
    COPIES,
    DAYS,
    END,
    Item,
    budget_key,
    day_of,
    preferences_key,
    read_preferences,
    token_key,
    write_item,
)
from shared.store.outbox import Entry, Receipt, ReceiptState

_RECENT_RECEIPTS = 1_000
_KEPT = 10_000
_SKEW = 10
"""Seconds by which clocks may differ."""


class DynamoStore:
    """See `shared.store.Store`. Every process of every machine may share the table; clocks that differ by seconds do no harm."""

    def __init__(self, table: str, client: Any = None) -> None:
        self._table = Table(table, client)
        self._capped_since: int | None = None  # seconds; None: no budget was read yet
        self._holding: dict[str, caps.Holding] = {}  # what this process holds, by request
        self._recent: OrderedDict[str, None] = OrderedDict()  # receipts that this process has put
        self._unwritten: list[tuple[UsageRow, Settlement, Receipt | None]] = []
        self._days: set[str] = set()
        self._expired_until = 0

    # ── callers

    async def session(self, token_hash: bytes, now: int, hint: str = "") -> Session | None:
        """One round trip. Two for a token that doesn't name its address, or where copies of the owner's grants are missing."""
        token, budget = token_key(token_hash), budget_key(_any_copy())
        found = await self._table.get_all([token, budget, *(binding.keys_of(hint) if hint else ())])
        if not _living(found.get(token), max(now, self._expired_until)):
            return None
        address: str = found[token]["address"]
        if address != hint:
            found |= await self._table.get_all(binding.keys_of(address))
        grants = binding.grants_in(found, address)
        if grants is None:
            grants = await binding.grants_between(self._table, binding.owner_in(found, address), address)
        preferences = read_preferences(address, found.get(preferences_key(address)))
        return Session(address, found[token]["expires_at"], preferences, grants, self._budget(found.get(budget)))

    async def add_token(self, token_hash: bytes, address: str, expires_at: int) -> None:
        pk, sk = token_key(token_hash)
        await self._table.put({"pk": pk, "sk": sk, "address": address, "expires_at": expires_at, "ttl": expires_at})

    async def end_token(self, token_hash: bytes) -> None:
        await self._table.delete(*token_key(token_hash))

    async def use_signature(self, digest: bytes, expires_at: int) -> bool:
        item = {"pk": f"SIG#{digest.hex()}", "sk": "SIG", "ttl": expires_at}
        try:
            await self._table.put(item, "attribute_not_exists(pk)")
        except ConditionFailedError:
            return False
        return True

    async def preferences(self, address: str) -> Preferences:
        return read_preferences(address, await self._table.get(*preferences_key(address)))

    async def put_preferences(self, preferences: Preferences) -> None:
        await binding.put_preferences(self._table, preferences)

    async def expire(self, now: int) -> None:
        """DynamoDB deletes what has expired; here only what it hasn't got to yet is kept from coming back."""
        self._expired_until = max(self._expired_until, now)
        dead = [
            request_id
            for request_id, holding in self._holding.items()
            if all(held.expires_at <= now for held in holding.values())
        ]
        for request_id in dead:
            del self._holding[request_id]

    # ── usage

    async def record(self, row: UsageRow, settlement: Settlement, receipt: Receipt | None = None) -> None:
        """As the Protocol says; what can't be written is kept in memory for the next time that something can."""
        try:
            await self._write(row, settlement, receipt)
        except GatewayError:
            if len(self._unwritten) < _KEPT:
                self._unwritten.append((row, settlement, receipt))
            raise
        await self._catch_up()

    async def _catch_up(self) -> None:
        while self._unwritten:
            late = self._unwritten.pop()
            try:
                await self._write(*late)
            except GatewayError:
                self._unwritten.append(late)
                return

    async def _write(self, row: UsageRow, settlement: Settlement, receipt: Receipt | None) -> None:
        await self._name_day(day_of(row.at))
        holding = self._holding.get(row.id, {}) if settlement.spenders else {}
        await rows.record(self._table, row, settlement, holding, receipt)
        if settlement.spenders:
            self._holding.pop(row.id, None)

    async def _name_day(self, day: str) -> None:
        """Once a day and process: the day is listed before it has rows."""
        if day not in self._days:
            await self._table.put({"pk": DAYS, "sk": day})
            self._days.add(day)

    async def usage(self, query: UsageQuery) -> tuple[Totals, Sequence[UsageRow]]:
        """Sums and rows are read side by side: a request that ends meanwhile may be in one of them alone."""
        return await asyncio.gather(sums.totals(self._table, query), rows.rows(self._table, query))

    async def prune(self, before: int) -> int:
        return await rows.prune(self._table, before)

    # ── money

    async def budget(self) -> Budget:
        return self._budget(await self._table.get(*budget_key(_any_copy())))

    async def put_budget(self, budget: Budget) -> None:
        copies = (dict(zip(("pk", "sk"), budget_key(copy), strict=True)) for copy in range(COPIES))
        cap = {"amount": budget.amount, "alert_only": budget.alert_only, "since": int(time.time())}
        await self._table.transact([{"Put": {"Item": write_item({**copy, **cap})}} for copy in copies])

    def _budget(self, item: Item | None) -> Budget:
        self._capped_since = max(self._capped_since or 0, item.get("since", 0) if item else 0)
        return Budget(item.get("amount"), item["alert_only"]) if item else Budget()

    async def spent(self, spender: str, period: str) -> int:
        return await caps.spent(self._table, spender, period)

    async def hold(self, request_id: str, holds: Sequence[Hold], expires_at: int, now: int) -> Sequence[int]:
        unheld = None if self._capped_since is None else self._capped_since + expires_at - now + _SKEW
        left, holding = await caps.hold(self._table, holds, expires_at, max(now, self._expired_until), unheld)
        self._holding[request_id] = {**self._holding.get(request_id, {}), **holding}
        return left

    async def grants(self, owner: str) -> Sequence[Grant]:
        return await binding.grants(self._table, owner)

    async def put_grants(
        self, owner: str, grants: Mapping[str, Grant | None], since: Mapping[str, tuple[str, int]]
    ) -> None:
        async def count(delegate: str, begun: int) -> int:
            def theirs(caller: str, payer: str) -> bool:
                return payer == owner and delegate in (binding.EVERYBODY, caller)

            found = await sums.groups(self._table, sums.Span(begun, END, theirs))
            return sum(cost for _, _, cost in found.values())

        for delegate, grant in grants.items():
            if grant is not None:
                await caps.begin(self._table, grant, since, count)
            await binding.put_grant(self._table, owner, delegate, grant)

    # ── receipts

    async def lease(self, name: str, holder: str, now: int, until: int) -> bool:
        return await outbox.lease(self._table, name, holder, now, until)

    async def release(self, name: str, holder: str) -> None:
        await outbox.release(self._table, name, holder)

    async def open_receipts(self, now: int, limit: int) -> Sequence[Entry]:
        return await outbox.due(self._table, now, limit, self._recent)

    async def put_receipts(self, entries: Sequence[Entry], lease: str, holder: str) -> bool:
        done = await outbox.put(self._table, entries, lease, holder)
        for entry in entries:
            self._recent[entry.receipt.request_id] = None
            if entry.state in ("logged", "dead"):
                del self._recent[entry.receipt.request_id]
        while len(self._recent) > _RECENT_RECEIPTS:
            self._recent.popitem(last=False)
        return done

    async def requeue_dead(self, request_ids: Sequence[str] | None = None) -> int:
        return await outbox.requeue(self._table, request_ids)

    async def receipt_counts(self) -> Mapping[ReceiptState, int]:
        return await outbox.counts(self._table)

    # ── health

    async def ready(self) -> None:
        await self._table.delete("READY", "READY")  # a write that changes nothing

    async def close(self) -> None:
        await self._catch_up()
        await asyncio.to_thread(self._table.close)
        if self._unwritten:
            raise OSError(f"{len(self._unwritten)} records could not be written to the table")


def _any_copy() -> int:
    return random.randrange(COPIES)  # noqa: S311 (no secret)


def _living(token: Item | None, now: int) -> bool:
    """TTL removes items late (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html): the time is checked here."""
    return token is not None and token["expires_at"] > now

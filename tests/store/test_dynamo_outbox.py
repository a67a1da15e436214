"""An index that lags: what it says of a receipt is never believed, and what was just put is seen all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.store import Settlement, UsageRow
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_table import OUTBOX
from shared.store.outbox import Entry, Receipt
from tests.store import dynamo_tables
from tests.store.faulty import Faulty, First, canceled

NAME = "receipts"


def receipt(number: int) -> Receipt:
    return Receipt(f"{number:032x}", number.to_bytes(32), "0xa1", "0xb2", b"p" * 32, b"m" * 32, number, 7)


class Frozen:
    """The index of receipts as it was at first."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}

    def __call__(self, operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation != "query" or request.get("IndexName") != OUTBOX:
            return real()
        partition = request["ExpressionAttributeValues"][":p"]["S"]
        return self.answers.setdefault(partition, real())


def test_an_index_that_lags_leads_to_nothing_being_sent_twice() -> None:
    client, name = Faulty(dynamo_tables.client()), dynamo_tables.new_table()

    async def work() -> None:
        store = DynamoStore(name, client)
        for number in range(1, 6):
            row = UsageRow(f"{number:032x}", 1000, "messages", "complete", 200, "0xb2", "0xa1", request_hash="0x01")
            await store.record(row, Settlement(), receipt(number))
        assert await store.lease(NAME, "me", 0, 10_000)
        client.fault = Frozen()
        entries = await store.open_receipts(0, 10)
        assert entries == [Entry(receipt(number)) for number in range(1, 6)]
        sent = [replace(one, state="sent", sent_at=1, since=4) for one in entries[:3]]
        assert await store.put_receipts(sent, NAME, "me")
        assert await store.open_receipts(0, 10) == [*sent, *entries[3:]]
        assert await store.put_receipts([replace(sent[0], state="logged")], NAME, "me")
        assert await store.open_receipts(0, 10) == [*sent[1:], *entries[3:]]
        successor = DynamoStore(name, client)  # it only has the index, but what that says is checked
        assert await successor.open_receipts(0, 10) == entries[3:]
        client.fault = None
        assert await successor.open_receipts(0, 10) == [*sent[1:], *entries[3:]]
        for one in (store, successor):
            await one.close()

    asyncio.run(work())


def test_conflicts_while_receipts_are_put() -> None:
    client, name = Faulty(dynamo_tables.client()), dynamo_tables.new_table()

    async def work() -> None:
        store = DynamoStore(name, client)
        for number in range(1, 4):
            await store.record(
                UsageRow(f"{number:032x}", 1000, "m", "complete", 200, "0xb2"), Settlement(), receipt(number)
            )
        assert await store.lease(NAME, "me", 0, 10_000)
        entries = await store.open_receipts(0, 10)
        client.fault = First("transact_write_items", 4, canceled("None", "TransactionConflict", "None", "None"))
        assert await store.put_receipts([replace(one, state="dead") for one in entries], NAME, "me")
        assert (await store.receipt_counts())["dead"] == 3
        await store.close()

    asyncio.run(work())


def test_more_receipts_than_a_transaction_takes() -> None:
    client, name = Faulty(dynamo_tables.client()), dynamo_tables.new_table()

    async def work() -> None:
        store = DynamoStore(name, client)
        rows = (UsageRow(f"{number:032x}", 1000, "m", "complete", 200, "0xb2") for number in range(120))
        await asyncio.gather(*(store.record(row, Settlement(), receipt(int(row.id, 16))) for row in rows))
        assert await store.lease(NAME, "me", 0, 10_000)
        entries = await store.open_receipts(0, 200)
        assert len(entries) == 120
        assert await store.put_receipts([replace(one, state="logged") for one in entries], NAME, "me")
        assert await store.open_receipts(0, 200) == []
        await store.close()

    asyncio.run(work())

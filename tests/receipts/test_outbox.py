"""The outbox in SQLite: one transaction with the row, one deliverer at a time, nothing moved that stands on chain."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shared.store import Settlement, Totals, UsageQuery, UsageRow
from shared.store.outbox import Delivery, Entry, Receipt
from shared.store.sqlite import SqliteStore

NAME = "receipts"


def receipt(number: int) -> Receipt:
    hashed = number.to_bytes(32)
    return Receipt(f"{number:032x}", hashed, "0x" + "a1" * 20, "0x" + "b2" * 20, b"p" * 32, b"m" * 32, number, 7)


def usage_row(number: int, at: int = 1000) -> UsageRow:
    return UsageRow(f"{number:032x}", at, "messages", "complete", 200, "0xb2", "0xa1", request_hash="0x01")


def run(folder: Path, work: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def inner() -> None:
        store = SqliteStore(str(folder / "gateway.db"))
        try:
            await work(store)
        finally:
            await store.close()

    asyncio.run(inner())


async def _filled(store: SqliteStore, count: int) -> None:
    for number in range(1, count + 1):
        await store.record(usage_row(number), Settlement(), receipt(number))
    assert await store.lease(NAME, "me", 0, 10_000)


def test_a_row_and_its_receipt_come_together_and_once(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 3)
        await store.record(usage_row(2), Settlement(), receipt(2))
        await store.record(usage_row(4), Settlement())
        found = await store.open_receipts(0, 10)
        assert found == [Entry(receipt(number)) for number in (1, 2, 3)]
        assert await store.receipt_counts() == {"pending": 3, "sent": 0, "logged": 0, "dead": 0}
        _, rows = await store.usage(UsageQuery(0, 2000))
        assert [one.receipt for one in rows] == [None, *[Delivery("pending")] * 3]

    run(tmp_path, work)


def test_neither_without_the_other(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        broken = replace(receipt(1), owner=None)  # type: ignore[arg-type]  # what the database refuses
        with pytest.raises(sqlite3.IntegrityError):
            await store.record(usage_row(1), Settlement(), broken)
        assert await store.usage(UsageQuery(0, 2000)) == (Totals(), [])
        assert await store.open_receipts(0, 10) == []

    run(tmp_path, work)


def test_the_sent_ones_first_then_the_oldest_that_are_due(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 6)
        entries = {entry.receipt.prompt_tokens: entry for entry in await store.open_receipts(0, 10)}
        changed = [
            replace(entries[5], state="sent", since=9, sent_at=3, nonce=2, tx_hash="0xabc", error="slow"),
            replace(entries[2], due=500, attempts=1),
            replace(entries[3], state="dead", error="no"),
            replace(entries[4], state="logged", tx_hash="0xdef"),
        ]
        assert await store.put_receipts(changed, NAME, "me")
        order = [entry.receipt.prompt_tokens for entry in await store.open_receipts(499, 10)]
        assert order == [5, 1, 6]
        again = await store.open_receipts(500, 10)
        assert [entry.receipt.prompt_tokens for entry in again] == [5, 1, 2, 6]
        assert again[0] == changed[0]
        assert [entry.receipt.prompt_tokens for entry in await store.open_receipts(500, 2)] == [5, 1]
        assert await store.receipt_counts() == {"pending": 3, "sent": 1, "logged": 1, "dead": 1}
        _, rows = await store.usage(UsageQuery(0, 2000))
        shown = {int(one.id, 16): one.receipt for one in rows}
        assert shown[5] == Delivery("sent", "0xabc", "slow")
        assert shown[4] == Delivery("logged", "0xdef")
        assert shown[3] == Delivery("dead", "", "no")

    run(tmp_path, work)


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        assert await store.lease(NAME, "one", 0, 100)
        assert not await store.lease(NAME, "two", 99, 200)
        assert await store.lease(NAME, "one", 99, 300)
        assert not await store.lease(NAME, "two", 299, 400)
        assert await store.lease("other", "two", 0, 400)
        assert await store.lease(NAME, "two", 300, 400)
        assert not await store.lease(NAME, "one", 301, 400)
        await store.release(NAME, "one")
        assert not await store.lease(NAME, "one", 301, 400)
        await store.release(NAME, "two")
        assert await store.lease(NAME, "one", 301, 400)

    run(tmp_path, work)


def test_many_race_for_the_lease_and_one_gets_it(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        others = [SqliteStore(str(tmp_path / "gateway.db")) for _ in range(4)]
        got = await asyncio.gather(*(one.lease(NAME, f"{place}", 0, 100) for place, one in enumerate(others * 8)))
        assert sum(got) == 1
        for one in others:
            await one.close()

    run(tmp_path, work)


def test_who_lost_the_lease_writes_nothing(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 2)
        entries = await store.open_receipts(0, 10)
        assert await store.lease(NAME, "you", 10_000, 20_000)
        assert not await store.put_receipts([replace(one, state="sent") for one in entries], NAME, "me")
        assert await store.open_receipts(0, 10) == entries

    run(tmp_path, work)


def test_what_stands_on_chain_stays(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 1)
        [entry] = await store.open_receipts(0, 10)
        assert await store.put_receipts([replace(entry, state="logged")], NAME, "me")
        assert await store.put_receipts([replace(entry, state="dead")], NAME, "me")
        assert (await store.receipt_counts())["logged"] == 1
        assert await store.requeue_dead() == 0

    run(tmp_path, work)


def test_dead_ones_get_another_chance(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 3)
        entries = await store.open_receipts(0, 10)
        dead = [replace(one, state="dead", attempts=8, due=99, since=5, nonce=3, error="no") for one in entries]
        assert await store.put_receipts(dead, NAME, "me")
        assert await store.requeue_dead([entries[1].receipt.request_id, "unknown"]) == 1
        [back] = await store.open_receipts(0, 10)
        assert back == replace(dead[1], state="pending", attempts=0, due=0, nonce=None)
        assert back.since == 5  # it is looked for before it is sent
        assert await store.requeue_dead() == 2

    run(tmp_path, work)


def test_pruning_takes_no_receipt_that_is_under_way(tmp_path: Path) -> None:
    async def work(store: SqliteStore) -> None:
        await _filled(store, 3)
        entries = await store.open_receipts(0, 10)
        assert await store.put_receipts([replace(entries[0], state="logged")], NAME, "me")
        assert await store.prune(5000) == 3
        assert await store.open_receipts(0, 10) == entries[1:]
        assert (await store.receipt_counts())["logged"] == 0

    run(tmp_path, work)


def test_a_database_of_before_gets_its_outbox(tmp_path: Path) -> None:
    run(tmp_path, lambda store: store.record(usage_row(1), Settlement()))
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        connection.executescript("DROP TABLE outbox; DROP TABLE leases;")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name LIKE 'm002%'")
        connection.commit()

    async def work(store: SqliteStore) -> None:
        await _filled(store, 2)
        _, rows = await store.usage(UsageQuery(0, 2000))
        assert [one.receipt for one in rows] == [Delivery("pending"), None]

    run(tmp_path, work)

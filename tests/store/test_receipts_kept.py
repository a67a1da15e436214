"""The outbox as every store keeps it: one transaction with the row, one deliverer at a time, nothing moved that stands on chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from shared.store import Settlement, Store, UsageQuery, UsageRow
from shared.store.outbox import Delivery, Entry, Receipt

NAME = "receipts"


def receipt(number: int) -> Receipt:
    hashed = number.to_bytes(32)
    return Receipt(f"{number:032x}", hashed, "0x" + "a1" * 20, "0x" + "b2" * 20, b"p" * 32, b"m" * 32, number, 7)


def usage_row(number: int, at: int = 1000) -> UsageRow:
    return UsageRow(f"{number:032x}", at, "messages", "complete", 200, "0xb2", "0xa1", request_hash="0x01")


def filled(bench: Any, count: int) -> Store:
    store: Store = bench.open()
    for number in range(1, count + 1):
        bench.run(store.record(usage_row(number), Settlement(), receipt(number)))
    assert bench.run(store.lease(NAME, "me", 0, 10_000))
    return store


def test_a_row_and_its_receipt_come_together_and_once(bench: Any) -> None:
    store = filled(bench, 3)
    bench.run(store.record(usage_row(2), Settlement(), receipt(2)))
    bench.run(store.record(usage_row(4), Settlement()))
    assert bench.run(store.open_receipts(0, 10)) == [Entry(receipt(number)) for number in (1, 2, 3)]
    assert bench.run(store.receipt_counts()) == {"pending": 3, "sent": 0, "logged": 0, "dead": 0}
    _, rows = bench.run(store.usage(UsageQuery(0, 2000)))
    assert [one.receipt for one in rows] == [None, *[Delivery("pending")] * 3]


def test_the_sent_ones_first_then_the_oldest_that_are_due(bench: Any) -> None:
    store, other = filled(bench, 6), bench.open()
    entries = {entry.receipt.prompt_tokens: entry for entry in bench.run(store.open_receipts(0, 10))}
    changed = [
        replace(entries[5], state="sent", since=9, sent_at=3, nonce=2, tx_hash="0xabc", error="slow"),
        replace(entries[2], due=500, attempts=1),
        replace(entries[3], state="dead", error="no"),
        replace(entries[4], state="logged", tx_hash="0xdef"),
    ]
    assert bench.run(store.put_receipts(changed, NAME, "me"))
    for one in (store, other):
        assert [entry.receipt.prompt_tokens for entry in bench.run(one.open_receipts(499, 10))] == [5, 1, 6]
        again = bench.run(one.open_receipts(500, 10))
        assert [entry.receipt.prompt_tokens for entry in again] == [5, 1, 2, 6]
        assert again[0] == changed[0]
        assert [entry.receipt.prompt_tokens for entry in bench.run(one.open_receipts(500, 2))] == [5, 1]
    assert bench.run(store.receipt_counts()) == {"pending": 3, "sent": 1, "logged": 1, "dead": 1}
    _, rows = bench.run(store.usage(UsageQuery(0, 2000)))
    shown = {int(one.id, 16): one.receipt for one in rows}
    assert shown[5] == Delivery("sent", "0xabc", "slow")
    assert shown[4] == Delivery("logged", "0xdef")
    assert shown[3] == Delivery("dead", "", "no")


def test_many_that_are_put_off_hide_nothing_behind_them(bench: Any) -> None:
    store = filled(bench, 30)
    first = bench.run(store.open_receipts(0, 25))
    assert bench.run(store.put_receipts([replace(one, due=9_000) for one in first], NAME, "me"))
    assert [one.receipt.prompt_tokens for one in bench.run(store.open_receipts(8_999, 3))] == [26, 27, 28]


def test_one_holder_at_a_time(bench: Any) -> None:
    store: Store = bench.open()
    steps = [
        ("one", 0, 100, True), ("two", 99, 200, False), ("one", 99, 300, True), ("two", 299, 400, False),
        ("two", 300, 400, True), ("one", 301, 400, False),
    ]  # fmt: skip
    for holder, now, until, expected in steps:
        assert bench.run(store.lease(NAME, holder, now, until)) is expected
    assert bench.run(store.lease("other", "one", 0, 400))
    bench.run(store.release(NAME, "one"))
    assert not bench.run(store.lease(NAME, "one", 301, 400))
    bench.run(store.release(NAME, "two"))
    assert bench.run(store.lease(NAME, "one", 301, 400))


def test_many_race_for_the_lease_and_one_gets_it(bench: Any) -> None:
    stores = [bench.open() for _ in range(4)]
    assert sum(bench.together(*(one.lease(NAME, f"{place}", 0, 100) for place, one in enumerate(stores * 8)))) == 1


def test_who_lost_the_lease_writes_nothing(bench: Any) -> None:
    store = filled(bench, 2)
    entries = bench.run(store.open_receipts(0, 10))
    assert bench.run(store.lease(NAME, "you", 10_000, 20_000))
    assert not bench.run(store.put_receipts([replace(one, state="sent") for one in entries], NAME, "me"))
    assert not bench.run(store.put_receipts([], NAME, "me"))
    assert bench.run(store.open_receipts(0, 10)) == entries


def test_what_stands_on_chain_stays(bench: Any) -> None:
    store = filled(bench, 2)
    entry, other = bench.run(store.open_receipts(0, 10))
    assert bench.run(store.put_receipts([replace(entry, state="logged")], NAME, "me"))
    unknown = replace(other, receipt=receipt(99))
    assert bench.run(store.put_receipts([replace(entry, state="dead"), replace(other, due=5), unknown], NAME, "me"))
    assert bench.run(store.receipt_counts()) == {"pending": 1, "sent": 0, "logged": 1, "dead": 0}
    assert bench.run(store.open_receipts(9, 10)) == [replace(other, due=5)]
    assert bench.run(store.requeue_dead()) == 0


def test_dead_ones_get_another_chance(bench: Any) -> None:
    store = filled(bench, 3)
    entries = bench.run(store.open_receipts(0, 10))
    dead = [replace(one, state="dead", attempts=8, due=99, since=5, nonce=3, error="no") for one in entries]
    assert bench.run(store.put_receipts(dead, NAME, "me"))
    assert bench.run(store.requeue_dead([entries[1].receipt.request_id, "unknown"])) == 1
    [back] = bench.run(store.open_receipts(0, 10))
    assert back == replace(dead[1], state="pending", attempts=0, due=0, nonce=None)
    assert back.since == 5  # it is looked for before it is sent
    assert bench.run(store.requeue_dead()) == 2


def test_pruning_takes_no_receipt_that_is_under_way(bench: Any) -> None:
    store = filled(bench, 3)
    entries = bench.run(store.open_receipts(0, 10))
    assert bench.run(store.put_receipts([replace(entries[0], state="logged")], NAME, "me"))
    assert bench.run(store.prune(5000)) == 3
    assert bench.run(store.open_receipts(0, 10)) == entries[1:]
    assert bench.run(store.receipt_counts())["logged"] == 0


def test_four_workers_take_sixty_once_each(bench: Any) -> None:
    filled(bench, 60)
    logged: list[str] = []
    done = asyncio.Event()

    async def worker(store: Store, name: str, now: int) -> None:
        """Clocks are seconds apart, and who has the lease now and then loses it between two steps."""
        while not done.is_set():
            now += 500
            if not await store.lease(NAME, name, now, now + 2_000):
                await asyncio.sleep(0.05)
                continue
            entries = await store.open_receipts(now, 8)
            if not entries:
                done.set()
            sent = [replace(one, state="sent", sent_at=now) for one in entries]
            if await store.put_receipts(sent, NAME, name):
                await asyncio.sleep(0.02)
                if await store.put_receipts([replace(one, state="logged") for one in sent], NAME, name):
                    logged.extend(one.receipt.request_id for one in sent)

    clocks = {"a": 20_000, "b": 23_000, "c": 17_000, "d": 21_000}
    assert bench.together(*(worker(bench.open(), name, now) for name, now in clocks.items())) == [None] * 4
    assert sorted(logged) == [f"{number:032x}" for number in range(1, 61)]

"""A store moved into another one and back: everything arrives, an interruption costs nothing, a difference is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner

from cli.main import app
from shared.store import (
    GLOBAL,
    Budget,
    Cost,
    Grant,
    Hold,
    Preferences,
    Settlement,
    Store,
    Tokens,
    Totals,
    UsageQuery,
    UsageRow,
)
from shared.store.copying import CopyError, Page, copy
from shared.store.copying_dynamo import DynamoSide
from shared.store.copying_sqlite import SqliteSide
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_client import Table
from shared.store.outbox import Receipt
from shared.store.sqlite import SqliteStore
from tests.store import dynamo_tables
from tests.store.faulty import Faulty

T = TypeVar("T")

ALICE, BOB = ("0x" + letter * 40 for letter in "ab")
NOON = 1_795_521_600_000  # 2026-11-24T12:00:00Z
NOW = NOON // 1000
DAY = 86_400_000
MONTH = "2026-11"
ALL = UsageQuery(0, 2 * NOON, limit=10_000, with_strangers=True)


async def fill(store: Store) -> None:
    """Something of everything, a part of it expired or pruned."""
    dice = random.Random(5)
    for number in range(40):
        await store.add_token(bytes([number]) * 32, dice.choice((ALICE, BOB)), NOW + number - 10)
        await store.use_signature(bytes([number]) * 32, NOW + number - 20)
    await store.put_preferences(Preferences(ALICE, BOB, ("gpt", "ünï/çode"), 7))
    await store.put_preferences(Preferences(BOB, None, None, 8))
    await store.put_budget(Budget(5 * 10**9, True))
    await store.put_grants(
        BOB, {"*": Grant(BOB, "*", daily=5), ALICE: Grant(BOB, ALICE, models=("gpt",), expires_at=9)}, {}
    )
    for number in range(60):
        at = NOON - number % 5 * DAY + number
        row = UsageRow(
            f"{at:012x}{number:020x}", at, "messages", "complete", 200, (ALICE, BOB, "")[number % 3], (BOB, "")[number % 3 == 2],
            "openai", f"model#{number % 2}", "asked", bool(number % 2), Tokens(*range(number, number + 6)),
            (Cost(number, 1, 2, 3, 4), None)[number % 7 == 0], (None, number)[number % 2], bool(number % 3), 5,
            (None, 3)[number % 2], 1, "", "0x01" if number % 4 == 0 else "",
        )  # fmt: skip
        receipt = Receipt(row.id, bytes([number]) * 32, BOB, ALICE, b"p" * 32, b"m" * 32, number, 7)
        await store.record(
            row, Settlement(((GLOBAL, MONTH), (f"{BOB}:*", "2026-W48"))), receipt if row.request_hash else None
        )
    await store.lease("receipts", "me", 0, 10)
    entries = await store.open_receipts(0, 5)
    moved = [
        replace(entries[0], state="sent", nonce=3, since=2, tx_hash="0xab"),
        replace(entries[1], state="dead", error="no"),
    ]
    await store.put_receipts([*moved, replace(entries[2], state="logged")], "receipts", "me")
    await store.prune(NOON - 3 * DAY)
    await store.hold(
        "unfinished", [Hold(GLOBAL, MONTH, 5, 10**12), Hold("requests:x", "2026-11-24T12:00", 1, 5)], NOW + 9, NOW
    )


async def seen(store: Store) -> list[Any]:
    """All that can be asked of a store."""
    told: list[Any] = [await store.session(bytes([number]) * 32, NOW) for number in range(40)]
    told += [await store.preferences(address) for address in (ALICE, BOB)]
    told += [
        await store.budget(),
        await store.grants(BOB),
        await store.spent(GLOBAL, MONTH),
        await store.spent(f"{BOB}:*", "2026-W48"),
    ]
    told += [
        await store.receipt_counts(),
        sorted(await store.open_receipts(NOON, 100), key=lambda one: one.receipt.request_id),
    ]
    for who in (None, ALICE, BOB):
        totals, rows = await store.usage(replace(ALL, who=who, with_strangers=who is None))
        told += [replace(totals, by_time={}), list(rows)]
    days = [
        await store.usage(replace(ALL, start=NOON - DAY // 2 - n * DAY, end=NOON + DAY // 2 - n * DAY))
        for n in range(6)
    ]
    told += [(totals.requests, totals.tokens, totals.cost) for totals, _ in days]
    told.append([await store.use_signature(bytes([number]) * 32, NOW + 100) for number in range(21, 40)])
    return told


class Places:
    def __init__(self, folder: Path) -> None:
        self.file, self.back = str(folder / "from.db"), str(folder / "back.db")
        self.table = dynamo_tables.new_table()

    def dynamo(self) -> DynamoSide:
        return DynamoSide(Table(self.table, dynamo_tables.client()), NOW)

    def ask(self, open_store: Callable[[], Store], work: Callable[[Store], Awaitable[T]]) -> T:
        async def asked() -> T:
            store = open_store()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(asked())


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def move(source: Any, target: Any) -> Any:
    async def moved() -> Any:
        try:
            return await copy(source, target, lambda done, total: None)
        finally:
            await source.close()
            await target.close()

    return asyncio.run(moved())


def test_there_and_back_nothing_is_lost(places: Places) -> None:
    places.ask(lambda: SqliteStore(places.file), fill)
    sums = move(SqliteSide(places.file, NOW, new=False), places.dynamo())
    assert sums["usage"][0] == 48
    assert sums["pruned"][0] > 0
    assert sums["tokens"][0] == 29
    assert move(places.dynamo(), SqliteSide(places.back, NOW, new=True)) == sums
    before = places.ask(lambda: SqliteStore(places.file), seen)
    assert places.ask(lambda: DynamoStore(places.table, dynamo_tables.client()), seen) == before
    assert places.ask(lambda: SqliteStore(places.back), seen) == before


def test_what_binds_a_caller_is_told_at_once_after_a_copy(places: Places) -> None:
    places.ask(lambda: SqliteStore(places.file), fill)
    move(SqliteSide(places.file, NOW, new=False), places.dynamo())
    client = Faulty(dynamo_tables.client())

    async def look(store: Store) -> list[str]:
        looked = [await store.session(bytes([number]) * 32, NOW, ALICE) for number in range(40)]
        return [
            grant.delegate for session in looked if session and session.address == ALICE for grant in session.grants
        ]

    bound = places.ask(lambda: DynamoStore(places.table, client), look)
    assert len(bound) > 10
    assert set(bound) == {"*", ALICE}
    others = sum(session == BOB for session in places.ask(lambda: SqliteStore(places.file), whose))
    assert client.asked == {"batch_get_item": 40 + others}  # a token of Bob's doesn't name Alice


async def whose(store: Store) -> list[str]:
    looked = [await store.session(bytes([number]) * 32, NOW) for number in range(40)]
    return [session.address for session in looked if session]


def test_a_dynamodb_store_of_its_own_moves_to_a_file(places: Places) -> None:
    places.ask(lambda: DynamoStore(places.table, dynamo_tables.client()), fill)
    move(places.dynamo(), SqliteSide(places.back, NOW, new=True))
    before = places.ask(lambda: DynamoStore(places.table, dynamo_tables.client()), seen)
    assert places.ask(lambda: SqliteStore(places.back), seen) == before


@pytest.mark.parametrize("into", ["dynamo", "sqlite"])
def test_an_interrupted_copy_goes_on_where_it_was(places: Places, into: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.store.copying_sqlite._PAGE", 7)
    places.ask(lambda: SqliteStore(places.file), fill)
    target = places.dynamo if into == "dynamo" else lambda: SqliteSide(places.back, NOW, new=True)
    written: list[int] = []
    for _ in range(40):
        source = _Torn(SqliteSide(places.file, NOW, new=False), after=3, written=written)
        try:
            sums = move(source, target())
            break
        except ConnectionError:
            continue
    with pytest.raises(CopyError, match="isn't empty"):
        move(SqliteSide(places.file, NOW, new=False), target())
    assert sum(written) < 1.5 * sum(counts[0] for counts in sums.values())
    before = places.ask(lambda: SqliteStore(places.file), seen)
    store = (
        (lambda: DynamoStore(places.table, dynamo_tables.client()))
        if into == "dynamo"
        else lambda: SqliteStore(places.back)
    )
    assert places.ask(store, seen) == before


class _Torn:
    """A source that breaks off after some pages; the last of them was written, but not marked."""

    def __init__(self, side: Any, after: int, written: list[int]) -> None:
        self.side, self.name, self.after, self.written = side, side.name, after, written
        self.sums, self.close = side.sums, side.close

    async def pages(self, after: str) -> AsyncIterator[Page]:
        count = 0
        async for page in self.side.pages(after):
            if count == self.after:
                raise ConnectionError
            count += 1
            self.written.append(sum(map(len, page.rows.values())))
            yield page


def test_what_is_written_meanwhile_is_told(places: Places) -> None:
    places.ask(lambda: SqliteStore(places.file), fill)
    late = UsageRow("f" * 32, NOON, "messages", "complete", 200)
    side = SqliteSide(places.file, NOW, new=False)

    async def moved() -> None:
        target, store = places.dynamo(), DynamoStore(places.table, dynamo_tables.client())
        told = False

        def tell(done: int, total: int) -> None:
            nonlocal told
            told = True

        pages = target.write

        async def write(rows: Any) -> None:
            if "outbox" in rows:
                await store.record(late, Settlement())
            await pages(rows)

        target.write = write  # type: ignore[method-assign]
        with pytest.raises(CopyError, match=r"usage: .* became .*gateway still run"):
            await copy(side, target, tell)
        assert told
        for one in (side, target, store):
            await one.close()

    asyncio.run(moved())


def test_the_command(places: Places, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in dynamo_tables.variables().items():
        monkeypatch.setenv(name, value)
    run = CliRunner().invoke
    places.ask(lambda: SqliteStore(places.file), fill)
    assert run(app, ["store", "create", "dynamodb:made-here"]).exit_code == 0
    assert run(app, ["store", "create", "dynamodb:made-here"]).exit_code == 0
    done = run(app, ["store", "copy", "--from", f"sqlite:{places.file}", "--to", "dynamodb:made-here"])
    assert done.exit_code == 0, done.output
    assert "Both are the same." in done.output
    back = run(app, ["store", "copy", "--from", "dynamodb:made-here", "--to", f"sqlite:{places.back}"])
    assert back.exit_code == 0, back.output
    assert places.ask(lambda: SqliteStore(places.back), seen_totals) == places.ask(
        lambda: SqliteStore(places.file), seen_totals
    )
    for source, target, told in [
        ("sqlite:" + places.file, "dynamodb:made-here", "isn't empty"),
        (f"sqlite:{tmp_path}/none.db", "dynamodb:made-here", "no file"),
        ("dynamodb:nowhere-at-all", f"sqlite:{tmp_path}/x.db", "no DynamoDB table"),
        ("postgres:x", "dynamodb:made-here", "is no store"),
        ("sqlite:a", "sqlite:a", "the same"),
    ]:
        failed = run(app, ["store", "copy", "--from", source, "--to", target])
        assert failed.exit_code == 1
        assert told in str(failed.exception)


async def seen_totals(store: Store) -> Totals:
    return (await store.usage(ALL))[0]

"""`ekai receipts queue` and `requeue`: an operator looks into the gateway's outbox, and gives dead receipts another chance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from shared.settings import Settings
from shared.store import Cost, Settlement, Store, Tokens, UsageRow
from shared.store.opening import open_store
from shared.store.outbox import Receipt
from tests.cli.test_receipts import _compare, _record
from tests.cli.world import World

NOON = 1_795_521_600_000
OWNER = "0x" + "ab" * 20
DEAD, SENT, PENDING = [2, 3, 4], [1], [0, 5]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["receipts", *arguments])


def id_of(number: int) -> str:
    return f"{NOON:012x}{number:020x}"


async def fill(store: Store) -> None:
    """Six receipts: two that wait, one that was sent, three dead."""
    for number in range(6):
        row = UsageRow(
            id_of(number), NOON, "messages", "complete", 200, OWNER, OWNER, "openai", "m", "m", False, Tokens(1, 0, 0, 0, 1, 0),
            Cost(1, 1, 0, 0, 0), None, False, 5, None, 1, "", "0x01",
        )  # fmt: skip
        await store.record(
            row, Settlement(()), Receipt(row.id, bytes([number]) * 32, OWNER, OWNER, b"p" * 32, b"m" * 32, 1, 1)
        )
    assert await store.lease("receipts", "me", 0, 10)
    entries = {entry.receipt.request_id: entry for entry in await store.open_receipts(NOON, 10)}
    dead = [replace(entries[id_of(number)], state="dead", error="NotAuthorized") for number in DEAD]
    sent = [replace(entries[id_of(number)], state="sent", since=1, nonce=1, tx_hash="0xab") for number in SENT]
    assert await store.put_receipts([*dead, *sent], "receipts", "me")
    await store.close()


@pytest.fixture(params=["sqlite", "dynamodb"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """The store that the environment names, with receipts in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORE", request.param)
    if request.param == "dynamodb":
        from tests.store import dynamo_tables

        for name, value in dynamo_tables.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DYNAMODB_TABLE", dynamo_tables.new_table())
    asyncio.run(fill(open_store(Settings())))
    return lambda: open_store(Settings())


def states(outbox: Callable[[], Store]) -> dict[str, int]:
    async def look() -> dict[str, int]:
        store = outbox()
        counts = {str(state): number for state, number in (await store.receipt_counts()).items() if number}
        await store.close()
        return counts

    return asyncio.run(look())


def test_the_queue_is_counted_and_left_as_it_is(outbox: Callable[[], Store]) -> None:
    told = run("queue", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.output) == {"pending": 2, "sent": 1, "logged": 0, "dead": 3}
    assert "2 pending, 1 sent, 0 logged, 3 dead" in run("queue").output
    assert states(outbox) == {"pending": 2, "sent": 1, "dead": 3}


def test_all_dead_ones_get_another_chance(outbox: Callable[[], Store]) -> None:
    done = run("requeue")
    assert done.exit_code == 0, done.output
    assert "3 back in the queue. Now 5 pending, 1 sent, 0 logged, 0 dead." in done.output
    assert states(outbox) == {"pending": 5, "sent": 1}
    again = run("requeue", "--json")
    assert again.exit_code == 0
    assert json.loads(again.output) == {"requeued": 0, "pending": 5, "sent": 1, "logged": 0, "dead": 0}


def test_only_those_that_are_named(outbox: Callable[[], Store]) -> None:
    done = run("requeue", id_of(3), id_of(3))
    assert done.exit_code == 0, done.output
    assert states(outbox) == {"pending": 3, "sent": 1, "dead": 2}


def test_what_is_not_dead_stays_where_it_is(outbox: Callable[[], Store]) -> None:
    done = run("requeue", id_of(4), id_of(1), id_of(0), "unknown")
    assert done.exit_code == 1
    assert "3 of 4 are not dead, or unknown" in done.output
    assert states(outbox) == {"pending": 3, "sent": 1, "dead": 2}


def test_no_store_is_made_where_none_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed = run("requeue")
    assert failed.exit_code == 1
    assert "There is no database at data/gateway.db (DATABASE_PATH)." in str(failed.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.store import dynamo_tables

    monkeypatch.chdir(tmp_path)
    for name, value in {**dynamo_tables.variables(), "STORE": "dynamodb", "DYNAMODB_TABLE": "no-such-table"}.items():
        monkeypatch.setenv(name, value)
    failed = run("queue")
    assert failed.exit_code == 1
    assert "no-such-table" in str(failed.exception)


def test_a_caller_is_told_who_can_help(world: World) -> None:
    dead = [_record(world, number, receipt="dead", receipt_error="NotAuthorized") for number in range(2)]
    exit_code, compared = _compare(world, *dead, _record(world, 2, receipt="pending"))
    assert exit_code == 1
    assert compared["missing"] == 2
    told = world.run("receipts", who=None)
    assert (
        "2 of the missing were given up; the gateway's operator sends them again: `ekai receipts requeue`."
        in told.output
    )

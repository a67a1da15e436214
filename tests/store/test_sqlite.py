"""What can happen to a SQLite file: other processes, locks, a full disk, a crash, an older shape."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from shared.store import GLOBAL, Budget, CapReachedError, Cost, Hold, Settlement, UsageQuery, UsageRow
from shared.store import sqlite_writer as writer_module
from shared.store.sqlite import SqliteStore
from shared.store.sqlite_file import VERSION, connect, prepare

NOON = 1_795_521_600_000
SETTLEMENT = Settlement(((GLOBAL, "2026-11"),))
EVERYTHING = UsageQuery(0, 2 * NOON, limit=100_000, with_strangers=True)


def row(name: str) -> UsageRow:
    return UsageRow(name, NOON, "messages", "complete", 200)


def count(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT count(*) FROM usage").fetchone()[0])


def test_the_file_is_its_owners_alone_and_in_wal_mode(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "x.db"
    store = SqliteStore(str(file))
    asyncio.run(store.put_budget(Budget(5)))
    assert file.stat().st_mode & 0o077 == 0
    for beside in file.parent.iterdir():
        assert beside.stat().st_mode & 0o077 == 0, beside
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    asyncio.run(store.close())


def test_many_processes_may_begin_at_once(tmp_path: Path) -> None:
    file = str(tmp_path / "x.db")
    errors: list[BaseException] = []

    def begin() -> None:
        try:
            prepare(file)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    prepare(file)  # again: nothing to do


_WORK = """
import asyncio, sys
from shared.store import GLOBAL, Settlement, UsageRow
from shared.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(sys.argv[1])
    settlement = Settlement(((GLOBAL, "2026-11"),))
    for number in range(20):
        await asyncio.gather(*[
            store.record(UsageRow(f"{sys.argv[2]}-{number}-{n}", 1795521600000, "messages", "complete", 200), settlement)
            for n in range(20)
        ])
        assert await store.session(b"x" * 32, 0) is None
    await store.close()

asyncio.run(main())
"""


def test_processes_share_one_file(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", _WORK, str(file), str(number)], stderr=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    store = SqliteStore(str(file))
    for process in processes:
        _, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
    assert asyncio.run(store.usage(EVERYTHING))[0].requests == 800
    asyncio.run(store.close())


def test_records_that_meet_a_lock_are_kept_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer_module, "BUSY_MS", 50)
    store = SqliteStore(str(tmp_path / "x.db"))

    async def run() -> None:
        with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            for name in "abc":
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    await store.record(row(name), SETTLEMENT)
            with pytest.raises(sqlite3.OperationalError):
                await store.put_budget(Budget(5))
            with pytest.raises(sqlite3.OperationalError):
                await store.ready()
            assert (await store.usage(EVERYTHING))[0].requests == 0  # reading goes on
            assert await store.session(b"x" * 32, 0) is None
            other.execute("ROLLBACK")
        await store.ready()
        assert {found.id for found in (await store.usage(EVERYTHING))[1]} == {"a", "b", "c"}
        assert await store.budget() == Budget()  # what its caller was told of is not done behind its back
        await store.record(row("a"), SETTLEMENT)
        assert (await store.usage(EVERYTHING))[0].requests == 3

    asyncio.run(run())
    asyncio.run(store.close())
    assert "can't be written" in caplog.text


def test_what_was_kept_is_written_when_the_store_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BUSY_MS", 50)
    store = SqliteStore(str(tmp_path / "x.db"))
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            asyncio.run(store.record(row("a"), SETTLEMENT))
    asyncio.run(store.close())
    assert count(tmp_path / "x.db") == 1


def test_what_can_not_be_written_at_all_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "BUSY_MS", 50)
    store = SqliteStore(str(tmp_path / "x.db"))
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError):
            asyncio.run(store.record(row("a"), SETTLEMENT))
        with pytest.raises(OSError, match="1 records could not be written"):
            asyncio.run(store.close())


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "x.db"))
    connection = store._writer._connection  # the disk's size, as SQLite lets a connection limit it

    async def run() -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        refused = 0
        for number in range(200):
            try:
                await store.record(row(f"{number:03d}" + "x" * 500), SETTLEMENT)
            except sqlite3.OperationalError as error:
                assert "full" in str(error)  # noqa: PT017  (some fit, how many is SQLite's affair)
                refused += 1
        assert refused > 100
        with pytest.raises(sqlite3.OperationalError):
            await store.record(row("last" + "x" * 5_000), SETTLEMENT)
        connection.execute("PRAGMA max_page_count = 100000")
        await store.ready()
        assert (await store.usage(EVERYTHING))[0].requests == 201

    asyncio.run(run())
    asyncio.run(store.close())
    with closing(sqlite3.connect(tmp_path / "x.db")) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_waits_is_committed_together(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "x.db"))
    commits = []
    store._writer._connection.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )

    async def run() -> None:
        await asyncio.gather(*[store.record(row(str(number)), SETTLEMENT) for number in range(200)])

    asyncio.run(run())
    assert count(tmp_path / "x.db") == 200
    assert len(commits) < 50
    asyncio.run(store.close())


def test_one_bad_work_does_not_take_its_neighbours_along(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "x.db"))

    async def run() -> list[object]:
        bad = UsageRow("bad", 2**70, "messages", "complete", 200)  # no integer of SQLite's
        works = [store.record(row(str(number)), SETTLEMENT) for number in range(10)]
        return list(await asyncio.gather(*works[:5], store.record(bad, SETTLEMENT), *works[5:], return_exceptions=True))

    answers = asyncio.run(run())
    assert [type(answer) for answer in answers if answer is not None] == [OverflowError]
    assert count(tmp_path / "x.db") == 10
    asyncio.run(store.close())


def test_a_bad_row_and_a_refused_hold_take_nobody_along(tmp_path: Path) -> None:
    """All of them wait at once, so they are done together first, and then each for itself."""
    store, period = SqliteStore(str(tmp_path / "x.db")), "2026-11"
    bad = replace(row("b"), api=None)  # type: ignore[arg-type]  # what the table refuses
    rows = [row("a"), bad, *(replace(row(name), cost=Cost(output=10)) for name in "cde")]

    async def work() -> list[object]:
        holds = [[Hold("o:d", period, 30, 100)], [Hold("o:d", period, 80, 100), Hold("o:*", period, 1, 9)]]
        records = [store.record(one, SETTLEMENT) for one in rows]
        held = [store.hold(f"h{number % 2}{number}", holds[number % 2], 2_000, 1_000) for number in range(8)]
        works = [store.put_budget(Budget(7)), *records, *held]
        return list(await asyncio.gather(*works, return_exceptions=True))

    budget, *answers = asyncio.run(work())
    records, held = answers[: len(rows)], answers[len(rows) :]
    assert budget is None
    assert [type(answer) for answer in records] == [type(None), sqlite3.IntegrityError, *[type(None)] * 3]
    # 30, 60 and 90 of 100 are taken by the small ones; a large one never fits, and takes nothing of the other cap either
    refused = [answer for answer in held if isinstance(answer, CapReachedError)]
    assert [answer for answer in held if answer not in refused] == [[70], [40], [10]]
    assert [error.left for error in refused] == [70, 40, 10, 10, 10]
    assert count(tmp_path / "x.db") == 4
    assert asyncio.run(store.spent(GLOBAL, period)) == 30
    assert asyncio.run(store.hold("last", [Hold("o:*", period, 9, 9)], 2_000, 1_000)) == [0]
    asyncio.run(store.close())


def test_totals_and_rows_are_of_one_moment(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "x.db"))
    over = threading.Event()

    async def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            await store.record(row(str(number)), SETTLEMENT)

    writing = threading.Thread(target=lambda: asyncio.run(write()))
    writing.start()
    try:
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            totals, rows = asyncio.run(store.usage(EVERYTHING))
            assert totals.requests == len(rows)
    finally:
        over.set()
        writing.join()
    asyncio.run(store.close())


def test_a_broken_file_is_an_error_and_not_a_new_file(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"this is no database, whatever it was" * 200)
    with pytest.raises(sqlite3.DatabaseError):
        SqliteStore(str(file))
    assert file.read_bytes().startswith(b"this is no database")


def test_a_file_that_has_seen_all_migrations_is_opened_without_them(tmp_path: Path) -> None:
    prepare(str(tmp_path / "x.db"))
    with closing(connect(str(tmp_path / "x.db"), 100)) as connection:
        assert connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone() == (VERSION,)

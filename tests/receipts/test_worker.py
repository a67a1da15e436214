"""Who delivers when there are several, what a stop leaves behind, and how long the pauses are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from shared.receipts.sender import DeliveryError, Patience, Save, logged, pause, refused
from shared.receipts.worker import LEASE, Worker, worker_for
from shared.settings import Settings
from shared.store import Settlement
from shared.store.outbox import Entry
from shared.store.sqlite import SqliteStore
from tests.receipts.test_outbox import receipt, usage_row
from tests.receipts.world import FAST, until


class Sends:
    """Logs a receipt at a time, after `seconds`; fails as often as it is told."""

    room = 10

    def __init__(self, seconds: float = 0.0, failures: int = 0, error: type[Exception] = DeliveryError) -> None:
        self.done: list[int] = []
        self.tried: list[float] = []
        self.closed = False
        self._seconds = seconds
        self._failures = failures
        self._error = error

    async def deliver(self, entries: Sequence[Entry], save: Save) -> bool:
        self.tried.append(time.monotonic())
        if self._failures:
            self._failures -= 1
            raise self._error("no chain today")
        sent = replace(entries[0], state="sent", since=1)
        await save([sent])
        await asyncio.sleep(self._seconds)
        await save([logged(sent, "0xabc")])
        self.done.append(sent.receipt.prompt_tokens)
        return True

    async def close(self) -> None:
        self.closed = True


async def _filled(store: SqliteStore, count: int) -> None:
    for number in range(1, count + 1):
        await store.record(usage_row(number), Settlement(), receipt(number))


def _store(folder: Path) -> SqliteStore:
    return SqliteStore(str(folder / "gateway.db"))


def test_one_delivers_and_another_takes_over_when_it_dies(tmp_path: Path) -> None:
    async def run() -> None:
        first, second = Sends(0.02), Sends(0.02)
        stores = [_store(tmp_path), _store(tmp_path)]
        workers = [Worker(store, sends, pace=FAST) for store, sends in zip(stores, (first, second), strict=True)]
        await _filled(stores[0], 30)
        workers[0].start()
        await until(lambda: _reached(first, 2))
        workers[1].start()
        await until(lambda: _reached(first, 6))
        assert second.done == []
        for task in workers[0]._tasks:  # it dies: nothing is given back
            task.cancel()
        before = time.monotonic()
        await until(lambda: _reached(second, 1))
        assert time.monotonic() - before < FAST.lease * 2
        await until(lambda: _counted(stores[1], 30))
        done = first.done + second.done
        assert sorted(set(done)) == list(range(1, 31))
        assert len(done) == 30
        for worker, store in zip(workers, stores, strict=True):
            await worker.stop(0)
            await store.close()

    asyncio.run(run())


async def _reached(sends: Sends, count: int) -> bool:
    return len(sends.done) >= count


async def _counted(store: SqliteStore, count: int) -> bool:
    return (await store.receipt_counts())["logged"] == count


def test_who_slept_too_long_writes_nothing_more(tmp_path: Path) -> None:
    async def run() -> None:
        store, sends = _store(tmp_path), Sends(0.2)
        await _filled(store, 1)
        worker = Worker(store, sends, pace=replace(FAST, lease=30))
        worker.start()
        await until(lambda: _sent(store))
        assert await store.lease(LEASE, "another", 2**50, 2**51)
        await asyncio.sleep(0.4)
        assert (await store.receipt_counts())["sent"] == 1
        assert sends.done == []
        await worker.stop(0)
        assert not await store.lease(LEASE, "third", 2**50, 2**51)
        await store.close()

    asyncio.run(run())


async def _sent(store: SqliteStore) -> bool:
    return (await store.receipt_counts())["sent"] == 1


@pytest.mark.parametrize(("grace", "left"), [(5.0, 0), (0.25, None)])
def test_a_stop_delivers_what_it_can_and_hands_over(tmp_path: Path, grace: float, left: int | None) -> None:
    async def run() -> None:
        store, sends = _store(tmp_path), Sends(0.05)
        await _filled(store, 20)
        worker = Worker(store, sends, pace=replace(FAST, lease=30))
        worker.start()
        await until(lambda: _reached(sends, 1))
        before = time.monotonic()
        await worker.stop(grace)
        assert time.monotonic() - before < grace + 0.3
        assert sends.closed
        counts = await store.receipt_counts()
        open_ones = counts["pending"] + counts["sent"]
        assert open_ones == left if left is not None else open_ones > 0
        assert await store.lease(LEASE, "next", 0, 1)
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("held_by_another", [False, True])
def test_a_process_that_does_not_last(tmp_path: Path, held_by_another: bool) -> None:
    async def run() -> None:
        store, sends = _store(tmp_path), Sends(0.01)
        await _filled(store, 12)
        if held_by_another:
            assert await store.lease(LEASE, "another", 0, 2**60)
        await Worker(store, sends, pace=FAST).drain(5)
        assert sends.done == ([] if held_by_another else list(range(1, 13)))
        assert sends.closed
        assert await store.lease(LEASE, "next", 0, 1) != held_by_another
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("held_by_another", [False, True])
def test_a_stop_does_not_wait_for_a_chain_that_is_down_or_for_others(tmp_path: Path, held_by_another: bool) -> None:
    async def run() -> None:
        store, sends = _store(tmp_path), Sends(failures=10**6)
        await _filled(store, 5)
        if held_by_another:
            assert await store.lease(LEASE, "another", 0, 2**60)
        worker = Worker(store, sends, pace=FAST)
        worker.start()
        await asyncio.sleep(0.2)
        assert (sends.tried == []) == held_by_another
        before = time.monotonic()
        await worker.stop(10)
        assert time.monotonic() - before < 0.5
        await store.close()

    asyncio.run(run())


@pytest.mark.parametrize("error", [DeliveryError, KeyError, OSError])
def test_nothing_ends_the_worker(tmp_path: Path, error: type[Exception], caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        store, sends = _store(tmp_path), Sends(failures=6, error=error)
        await _filled(store, 3)
        worker = Worker(store, sends, pace=FAST)
        worker.start()
        await until(lambda: _counted(store, 3))
        assert sends.done == [1, 2, 3]
        waits = [later - earlier for earlier, later in zip(sends.tried[:6], sends.tried[1:7], strict=True)]
        assert waits[0] < waits[4] or waits[1] < waits[5]
        assert all(wait < 0.5 for wait in waits)
        await worker.stop(0)
        await store.close()

    asyncio.run(run())
    assert "receipts wait" in caplog.text


def test_pauses_grow_and_stay_bounded() -> None:
    for times in (0, 1, 5, 10, 1000):
        full = min(2.0 * 2**times, 60.0)
        drawn = {pause(times, 2.0, 60.0) for _ in range(200)}
        assert all(full / 2 <= one <= full for one in drawn)
        assert len(drawn) > 100


def test_refusals_lead_to_later_tries_and_then_to_death() -> None:
    patience = Patience(attempts=4, first_wait=5.0, longest_wait=15.0)
    entry = replace(Entry(receipt(1)), state="sent", since=7, nonce=3)
    dues = []
    for attempt in range(1, 5):
        entry = refused(entry, "NotAuthorized", 1_000_000, patience)
        assert (entry.attempts, entry.nonce, entry.since, entry.error) == (attempt, None, 7, "NotAuthorized")
        dues.append(entry.due)
    assert entry.state == "dead"
    assert 2_500 <= dues[0] - 1_000_000 <= 5_000
    assert 7_500 <= dues[2] - 1_000_000 <= 15_000
    assert refused(Entry(receipt(1)), "DelegateNeverPermitted", 0, patience).state == "dead"


def test_which_worker_the_settings_ask_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("KEYS", "RECEIPTS", "PRIVATE_KEY", "EKAI_CONTROL_PLANE_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    socket = tmp_path / "appd.sock"

    async def kind(**given: str) -> str:
        settings = Settings(rofl_socket_path=str(socket), **given)  # type: ignore[arg-type]  # pydantic reads them
        worker = worker_for(settings, store)
        if worker is None:
            return "none"
        await worker.stop(0)
        return type(worker._sender).__name__

    async def run() -> None:
        assert await kind() == "none"
        assert await kind(private_key="ab" * 32) == "none"
        assert "receipts" not in caplog.text
        with caplog.at_level(logging.WARNING):
            assert await kind(keys="chain") == "none"
        assert "PRIVATE_KEY" in caplog.text
        assert await kind(keys="chain", private_key="ab" * 32) == "SignerSender"
        assert await kind(receipts="on", private_key="ab" * 32) == "SignerSender"
        with pytest.raises(ValueError, match="private_key"):
            await kind(keys="chain", private_key="abc")
        socket.touch()
        assert await kind() == "RoflSender"
        assert await kind(private_key="ab" * 32) == "RoflSender"
        assert await kind(receipts="off", private_key="ab" * 32) == "none"

    store = _store(tmp_path)
    asyncio.run(run())
    asyncio.run(store.close())

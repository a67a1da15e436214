"""Hours without a chain, in a moment: time is a number here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from shared.keys.rpc import Ask, RpcError
from shared.receipts.signer import SignerSender
from shared.receipts.worker import Pace, Worker
from shared.store.sqlite import SqliteStore
from tests.receipts.world import Running, World, sends, until

HOUR = 3600.0


class Clock:
    """Runs ten thousand times as fast as it should."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self) -> float:
        return 1_795_000_000 + (time.monotonic() - self._begun) * 10_000


def test_six_hours_without_a_chain_then_everything_in_order(world: World, tmp_path: Path) -> None:
    """Some had been sent when it went away, and the node never said what became of them; others came while it was gone."""
    world.careless()
    node = world.node()
    asked = 0
    gone = False

    def before(calls: Sequence[Ask]) -> None:
        nonlocal asked
        if gone:
            asked += 1
            raise RpcError("the node can't be reached (ConnectTimeout)")

    def after(calls: Sequence[Ask]) -> None:
        nonlocal gone
        if sends(calls):
            gone = True
            raise RpcError("the node didn't answer within 15 s")

    node.before, node.after = before, after
    clock = Clock()
    pace = Pace(idle=0.001, flying=0.001, lease=30, first_wait=0.001, longest_wait=0.006)  # in the test's own seconds

    async def run() -> None:
        nonlocal gone
        store = SqliteStore(str(tmp_path / "gateway.db"))
        sender: SignerSender = world.signer(node, silence=20, clock=clock)
        worker = Worker(store, sender, pace=pace, clock=clock)
        running = Running(store, worker)
        hashes = await world.enqueue(store, 4)
        worker.start()

        async def cut_off() -> bool:
            return gone

        await until(cut_off)
        begun = clock()
        for _ in range(10):
            hashes += await world.enqueue(store, 2)
            await asyncio.sleep(0.01)
        await asyncio.sleep((6 * HOUR - (clock() - begun)) / 10_000)
        counts = await store.receipt_counts()
        assert counts["dead"] == counts["logged"] == 0
        assert sum(counts.values()) == 24
        assert asked < 2 * 6 * HOUR / (60 / 2)  # at most two questions in every shortest pause
        node.after = lambda calls: None
        gone = False
        await running.states(logged=24)
        assert world.logged() == hashes
        await worker.stop(0)
        await store.close()

    asyncio.run(run())

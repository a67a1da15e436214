"""`kill -9` at random moments, over and over. The contract takes doubles, so only the worker can prevent them.

RECEIPT_KILLS=1000 makes it a long afternoon for the worker; it is a few seconds by default.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from emulator.devchain import PY_EVM, DevChain
from shared.receipts.worker import Worker
from shared.store.sqlite import SqliteStore
from tests.receipts import victim
from tests.receipts.victim import Place
from tests.receipts.world import Running, World

KILLS = int(os.environ.get("RECEIPT_KILLS", "25"))
SEED = int(os.environ.get("RECEIPT_SEED", "4"))


@pytest.fixture
def chain() -> Iterator[DevChain]:
    """A fresh one for each way: py-evm's block gas limit shrinks a little with every small block, and there may be thousands."""
    with DevChain(engine=PY_EVM, block_time=0.1 if KILLS <= 100 else 0) as running:
        yield running


@pytest.mark.timeout(60 + 2 * KILLS)
@pytest.mark.parametrize("way", ["signer", "rofl"])
def test_killed_at_random_moments(world: World, tmp_path: Path, way: str) -> None:
    world.careless()
    socket = str(tmp_path / "appd.sock") if way == "rofl" else ""
    place = Place(
        str(tmp_path / "gateway.db"), world.chain.url, world.contract, world.chain.chain_id, socket, world.gateway.private_key
    )  # fmt: skip
    hashes, on_their_way = asyncio.run(_run(world, place, tmp_path))
    print(f"{way}: {KILLS} kills, {on_their_way} of them with receipts on their way; {len(hashes)} receipts")
    assert Counter(world.logged()) == Counter(hashes)
    assert on_their_way > 0


async def _run(world: World, place: Place, folder: Path) -> tuple[list[str], int]:
    dice = random.Random(SEED)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.receipts.victim"])
    store = SqliteStore(place.database)
    hashes: list[str] = []
    on_their_way = 0
    async with AsyncExitStack() as stack:
        if place.socket:
            await stack.enter_async_context(world.appd(folder, block_seconds=0.05))
        for _ in range(KILLS):
            hashes += await world.enqueue(store, dice.randrange(4))
            begun, says = context.Pipe(duplex=False)
            process = context.Process(target=victim.run, args=(place, says), daemon=True)
            await asyncio.to_thread(process.start)
            says.close()
            assert await asyncio.to_thread(begun.recv_bytes) == b"!"
            begun.close()
            await asyncio.sleep(dice.uniform(0.0, 0.4))
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.join)
            on_their_way += (await store.receipt_counts())["sent"] > 0
        worker = Worker(store, place.sender(), pace=victim.PACE)
        worker.start()
        await Running(store, worker).states(pending=0, sent=0, dead=0)
        await worker.stop(0)
        await asyncio.sleep(0.5)  # what a dead one has set going would be there now
    await store.close()
    return hashes, on_their_way

"""The deliverer dies before and after every step that leaves the process, and again while it recovers: nothing is lost or doubled.

The contract takes doubles here, so only the deliverer can be the one who prevents them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from emulator.appd import Call, on_chain
from shared.keys.appd import Executed, SubmitResult
from shared.keys.rpc import Ask
from shared.receipts.sender import Sender
from shared.store.outbox import Entry
from shared.store.sqlite import SqliteStore
from tests.receipts.world import World

NAME = "receipts"
Way = Literal["signer", "rofl"]


class CrashError(BaseException):
    """The process is gone."""


class Fuse:
    """Burns down by one at each step; the last one kills."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def burn(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CrashError


class DyingAppd:
    """appd that does what it is told at once; before and after that the gateway may die."""

    def __init__(self, world: World, fuse: Fuse) -> None:
        self._fuse = fuse
        self._execute = on_chain(world.chain.url, world.instance.address)

    async def sign_submit(self, to: str, data: bytes, gas_limit: int, value: str = "0") -> SubmitResult:
        self._fuse.burn()
        await self._execute(Call(bytes.fromhex(to[2:]), data, gas_limit, 0))
        self._fuse.burn()
        return Executed(b"")

    async def close(self) -> None:
        return None


class Life:
    """One process: its own sender, the store that outlives it."""

    def __init__(self, world: World, way: Way, store: SqliteStore, steps: int) -> None:
        self.fuse = Fuse(steps)
        self._store = store
        node = world.node()
        node.before = node.after = self._burn
        now = [0.0]

        def clock() -> float:
            now[0] += 1000.0  # whatever is waited for is over
            return now[0]

        self._sender: Sender
        if way == "signer":
            self._sender = world.signer(node, clock=clock)
        else:
            appd = DyingAppd(world, self.fuse)
            self._sender = world.rofl(appd, node, clock=clock)  # type: ignore[arg-type]  # it is no Appd, but does as one

    def _burn(self, calls: Sequence[Ask]) -> None:
        self.fuse.burn()

    async def _save(self, entries: Sequence[Entry]) -> None:
        if entries:
            self.fuse.burn()
            assert await self._store.put_receipts(entries, NAME, "one")
            self.fuse.burn()

    async def live(self) -> bool:
        """Whether it got through to the end."""
        try:
            while entries := await self._store.open_receipts(2**62, self._sender.room):
                await self._sender.deliver(entries, self._save)
            return True
        except CrashError:
            return False
        finally:
            await self._sender.close()


@pytest.mark.parametrize("way", ["signer", "rofl"])
@pytest.mark.parametrize("count", [1, 3])
def test_death_at_every_step(world: World, tmp_path: Path, way: Way, count: int) -> None:
    world.careless()

    async def run() -> int:
        store = SqliteStore(str(tmp_path / "gateway.db"))
        assert await store.lease(NAME, "one", 0, 1)
        expected: list[str] = []
        deaths = 0
        for first in range(200):
            expected += await world.enqueue(store, count)
            whole = await Life(world, way, store, first).live()
            if not whole:
                deaths += 1
                second = Life(world, way, store, (7 * first) % 13)
                deaths += not await second.live()
                assert await Life(world, way, store, 10**6).live()
            assert world.logged() == expected, f"after {first} steps"
            if whole:
                break
        await store.close()
        return deaths

    assert asyncio.run(run()) > 15

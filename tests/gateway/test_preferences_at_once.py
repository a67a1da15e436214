"""Two clients of one caller change the preferences at once: neither change is lost, on either store, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from catalog.load import load
from shared.callers import Caller
from shared.context import Gateway
from shared.errors import Code, GatewayError
from shared.preferring import change
from shared.store import Preferences, Store
from shared.store.sqlite import SqliteStore
from tests.store import dynamo_tables

CATALOG = load()
ME, OWNER = "0x" + "ab" * 20, "0x" + "cd" * 20
MODELS = list(CATALOG.models)[:3]
Open = Callable[[], Store]


@pytest.fixture(params=["sqlite", "dynamodb"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "sqlite":
        return lambda: SqliteStore(str(tmp_path / "store.db"))
    return dynamo_tables.opener()


class Keys:
    """Keys whose check takes until `checks` callers have come to it: so all have read before the first one writes."""

    def __init__(self, checks: int) -> None:
        self._missing = checks
        self._all_here = asyncio.Event()

    async def admit(self, owner: str, caller: str) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._all_here.set()
        await self._all_here.wait()

    async def open(self, *_: object) -> None:
        """Every model may be used."""


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def gateway(store: Store, keys: Any, clock: Clock) -> Gateway:
    return cast(Gateway, SimpleNamespace(store=store, keys=keys, clock=clock, catalog=CATALOG))


def test_neither_of_two_is_lost(open_store: Open) -> None:
    async def race() -> Preferences:
        here, there = open_store(), open_store()
        keys, clock = Keys(2), Clock()
        caller = Caller(ME, await here.preferences(ME))
        told = await asyncio.gather(
            change(gateway(here, keys, clock), caller, {"api_address": OWNER}),
            change(gateway(there, keys, clock), caller, {"model_preferences": MODELS[:2]}),
        )
        kept = await here.preferences(ME)
        assert kept in told, "what the second one was told is what is kept"
        await here.close()
        await there.close()
        return kept

    kept = asyncio.run(race())
    assert (kept.api_address, kept.models) == (OWNER, tuple(MODELS[:2]))


def test_of_many_each_is_kept_or_told(open_store: Open) -> None:
    """Five times anew is a lot for people; whoever has no luck learns it, and nothing is written half."""

    async def race() -> tuple[list[Any], Preferences]:
        stores = [open_store() for _ in range(2)]
        keys, clock = Keys(6), Clock()
        caller = Caller(ME, await stores[0].preferences(ME))
        told = await asyncio.gather(
            *(
                change(gateway(stores[n % 2], keys, clock), caller, {"model_preferences": [MODELS[n % 3]]})
                for n in range(6)
            ),
            return_exceptions=True,
        )
        kept = await stores[0].preferences(ME)
        for store in stores:
            await store.close()
        return told, kept

    told, kept = asyncio.run(race())
    assert kept in told
    for one in told:
        assert isinstance(one, Preferences) or (isinstance(one, GatewayError) and one.code is Code.OVERLOADED)
    assert sum(isinstance(one, Preferences) for one in told) >= 5


def test_a_lease_whose_holder_died_runs_out(open_store: Open) -> None:
    async def go() -> tuple[Preferences, float]:
        store, clock = open_store(), Clock()
        begun = clock.now
        assert await store.lease(f"preferences:{ME}", "dead", int(begun * 1000), int(begun * 1000) + 5_000)

        def leap() -> float:
            clock.now += 0.5
            return clock.now

        done = await change(
            gateway(store, Keys(0), cast(Clock, leap)), Caller(ME, Preferences(ME)), {"model_preferences": MODELS[:1]}
        )
        await store.close()
        return done, clock.now - begun

    done, waited = asyncio.run(go())
    assert done.models == (MODELS[0],)
    assert 5 <= waited < 10


def test_a_lease_that_is_kept_is_an_error(open_store: Open) -> None:
    async def go() -> None:
        store, clock = open_store(), Clock()
        assert await store.lease(f"preferences:{ME}", "other", 0, int(clock.now * 1000) + 600_000)

        def leap() -> float:
            clock.now += 1
            return clock.now

        try:
            with pytest.raises(GatewayError) as refused:
                await change(
                    gateway(store, Keys(0), cast(Clock, leap)), Caller(ME, Preferences(ME)), {"model_preferences": None}
                )
            assert refused.value.code is Code.OVERLOADED
            assert await store.preferences(ME) == Preferences(ME)
        finally:
            await store.close()

    asyncio.run(go())


def test_a_change_that_is_refused_leaves_no_lease(open_store: Open) -> None:
    async def go() -> None:
        store, clock = open_store(), Clock()
        try:
            with pytest.raises(GatewayError):
                await change(
                    gateway(store, Keys(0), clock), Caller(ME, Preferences(ME)), {"model_preferences": ["none"]}
                )
            assert await store.lease(f"preferences:{ME}", "me", int(clock.now * 1000), int(clock.now * 1000) + 1)
        finally:
            await store.close()

    asyncio.run(go())

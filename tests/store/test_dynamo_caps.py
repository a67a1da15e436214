"""Caps in DynamoDB: one update where the counter tells enough, and exact whoever dies, is late, or was never counted."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.store import GLOBAL, Budget, CapReachedError, Cost, Grant, Hold, Settlement, UsageRow
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_caps import LOOK_AGAIN
from shared.store.dynamo_items import read_item
from tests.store.dynamo_world import World
from tests.store.faulty import Fault, refusal

ALICE, BOB = ("0x" + letter * 40 for letter in "ab")
HASH = bytes(range(32))
NOW = 1_795_521_600  # 2026-11-24T12:00:00Z
LIFE = 300
MONTH, MINUTE = "2026-11", "2026-11-24T12:00"
PURSE = f"{BOB}:*"


def row(number: int, cost: int, owner: str = BOB) -> UsageRow:
    at = NOW * 1000 + number
    return UsageRow(
        f"{at:012x}{number:020x}", at, "messages", "complete", 200, ALICE, owner, "openai", "gpt", cost=Cost(cost)
    )


async def hold(
    store: DynamoStore, amount: int, now: int = NOW, *, cap: int = 1_000, spender: str = PURSE, request: str = "x"
) -> int:
    [left] = await store.hold(request, [Hold(spender, MONTH, amount, cap)], now + LIFE, now)
    return left


async def refused(store: DynamoStore, amount: int, now: int = NOW, **more: Any) -> int:
    with pytest.raises(CapReachedError) as caught:
        await hold(store, amount, now, **more)
    return caught.value.left


def settled(spender: str = PURSE) -> Settlement:
    return Settlement(((spender, MONTH),))


# ── how often the table is asked ─────────────────────────────────────────────────────────────────────────────────


def test_a_counter_that_was_looked_at_needs_one_update_of_any_process(world: World) -> None:
    async def work() -> None:
        store, client = world.open()
        assert await hold(store, 100) == 900
        assert client.asked == {"update_item": 2, "get_item": 1, "query": 1}
        for number in range(3):
            store, client = world.open()
            assert await hold(store, 100, request=row(number, 0).id) == 800 - 60 * number
            assert client.asked == {"update_item": 1}
            client.asked.clear()
            await store.record(row(number, 60), settled())
            assert client.asked == {"put_item": 1, "transact_write_items": 1, "update_item": 1}

    world.run(work)


def test_all_caps_of_a_request_are_taken_side_by_side(world: World) -> None:
    async def work() -> None:
        store, client = world.open()
        minutes = [Hold(f"{kind}:{ALICE}", MINUTE, 1, 60, "requests") for kind in ("requests", "tokens")]
        assert await store.hold("a", minutes, NOW + LIFE, NOW) == [59, 59]
        assert client.asked == {"update_item": 2}  # a minute that nobody has taken of
        caps = [*minutes, *(Hold(PURSE, period, 5, 100) for period in ("2026-11-24", "2026-W48", MONTH))]
        await store.hold("b", caps, NOW + LIFE, NOW)
        fresh, client = world.open()
        assert await fresh.hold("c", caps, NOW + LIFE, NOW) == [57, 57, 90, 90, 90]
        assert client.asked == {"update_item": 5}
        item = await fresh._table.get(f"BUD#requests:{ALICE}", MINUTE)
        assert item is not None
        assert item["ttl"] > NOW

    world.run(work)


def test_a_counter_is_tidied_after_a_call_and_not_before(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        await hold(store, 1, NOW)  # of one who dies
        looks = 0
        for second in range(1, 60):
            client.asked.clear()
            await hold(store, 10, NOW + second * 8, request=row(second, 5).id)
            looks += client.asked["query"]
            assert client.asked["update_item"] == 1 + client.asked["query"]
            await store.record(row(second, 5), settled())
        assert looks == 1  # after the dead one's hold was struck out
        counter = await world.counter(PURSE)
        assert sum(name[0] == "h" for name in counter) < 30
        assert f"h{NOW + LIFE}" not in counter
        assert (counter["used"], counter["paid"]) == (295, 295)

    world.run(work)


def test_the_gateways_cap_needs_one_update_once_it_is_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        store, _ = world.open()
        await store.add_token(HASH, ALICE, 2 * NOW)
        monkeypatch.setattr("time.time", lambda: NOW)
        await store.put_budget(Budget(1_000))
        for seconds, asked in ((0, 1), (LIFE, 1), (LIFE + 11, 2), (LIFE + 12, 0), (LIFE + 12 + LOOK_AGAIN, 2)):
            fresh, client = world.open()
            assert await fresh.session(HASH, NOW, ALICE) is not None
            await hold(fresh, 10, NOW + seconds, spender=GLOBAL)
            assert client.asked["batch_get_item"] == 1
            assert client.asked["update_item"] == max(asked, 1)
            assert client.asked["query"] == (9 if asked else 0)

    world.run(work)


# ── what the slots alone know ────────────────────────────────────────────────────────────────────────────────────


def test_what_ends_without_a_hold_after_the_cap_was_set_counts_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, _), (there, _) = world.open(), world.open()
    monkeypatch.setattr("time.time", lambda: NOW)

    async def work() -> None:
        await here.put_budget(Budget(1_000))
        assert await there.budget() == Budget(1_000)
        assert await hold(there, 100, NOW + 1, spender=GLOBAL) == 900
        await here.record(row(1, 300), settled(GLOBAL))  # it began before there was a cap
        assert await hold(there, 100, NOW + 2, spender=GLOBAL) == 500
        await here.record(row(2, 300), settled(GLOBAL))
        assert await refused(there, 201, NOW + LIFE - 1, spender=GLOBAL) == 200
        late = NOW + 2 * LIFE + 20
        assert await hold(there, 400, late, spender=GLOBAL) == 0  # the two holds are over
        assert await refused(there, 1, late, spender=GLOBAL) == 0
        assert (await world.counter())["paid"] == 600

    world.run(work)


@pytest.mark.parametrize("told", [False, True])
def test_a_row_whose_process_died_counts_when_its_hold_is_over(world: World, told: bool) -> None:
    (dying, client), (other, _) = world.open(), world.open()

    def die(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation == "update_item":
            raise refusal("ProcessKilled", operation)
        answer = real()
        if operation == "transact_write_items" and not told:
            raise refusal("ProcessKilled", operation)
        return answer

    async def work() -> None:
        await hold(other, 1)
        await hold(dying, 600, NOW, request=row(1, 600).id)
        client.fault = die
        with pytest.raises(ClientError):
            await dying.record(row(1, 600), settled())
        client.fault = None
        assert await refused(other, 400) == 399 - 600  # who looks at the slots counts the row and its hold
        assert await hold(other, 399) == 0
        late = NOW + LIFE + 1
        assert await refused(other, 401, late) == 400
        assert await hold(other, 300, late) == 100
        assert await hold(other, 100, late) == 0
        assert await refused(other, 1, late) == 0

    world.run(work)


def test_a_request_that_outlives_its_hold_counts_all_the_same(world: World) -> None:
    (slow, _), (other, client) = world.open(), world.open()

    async def work() -> None:
        await hold(slow, 500, request=row(1, 400).id)
        late = NOW + LIFE + 1
        assert await hold(other, 900, late) == 100  # takes the first one off
        client.asked.clear()
        assert await hold(other, 10, late) == 90
        assert client.asked == {"update_item": 1}
        await slow.record(row(1, 400), settled())
        assert await refused(other, 1, late) == -310

    world.run(work)


def test_what_a_counter_lacks_for_ever_is_found_in_time(world: World) -> None:
    (here, _), (other, client) = world.open(), world.open()

    async def work() -> None:
        await hold(here, 100)
        await DynamoStore(world.name, client).record(row(1, 700), settled())  # of a process that knows of no hold
        assert await hold(other, 100, NOW + 1) == 800
        assert await hold(other, 50, NOW + LOOK_AGAIN + 1) == 250  # the two holds are over
        assert await refused(other, 251, NOW + LOOK_AGAIN + 1) == 250

    world.run(work)


def test_a_grant_set_anew_is_counted_anew_by_every_process(world: World) -> None:
    (here, _), (there, _) = world.open(), world.open()
    windows = {"monthly": (MONTH, (NOW - 86_400) * 1000)}

    async def work() -> None:
        await here.put_grants(BOB, {"*": Grant(BOB, "*", monthly=1_000)}, windows)
        assert await hold(there, 100) == 900
        assert await hold(there, 100) == 800
        await here.put_grants(BOB, {"*": None}, windows)
        await here.record(row(1, 700), Settlement())  # while there was no cap
        await here.put_grants(BOB, {"*": Grant(BOB, "*", monthly=1_000)}, windows)
        assert await refused(there, 101) == 100
        assert await hold(there, 100) == 0

    world.run(work)


def test_two_that_look_at_once_do_not_add_the_same_twice(world: World) -> None:
    stores = [world.open()[0] for _ in range(4)]

    async def work() -> None:
        await stores[0].record(row(1, 500), settled())  # before there was a counter
        got = await asyncio.gather(*(hold(stores[number % 4], 10, request=f"{number}") for number in range(40)))
        assert sorted(got) == list(range(100, 500, 10))
        counter = await world.counter(PURSE)
        assert (counter["paid"], counter["used"]) == (500, 900)
        assert await refused(stores[1], 101) == 100

    world.run(work)


def just_before_update(which: int, interruption: Callable[[], Coroutine[Any, Any, Any]]) -> Fault:
    """Lets somebody else do something before the first (second …) update goes out."""
    updates = 0

    def interrupt(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        nonlocal updates
        updates += operation == "update_item"
        if operation == "update_item" and updates == which:
            asyncio.run(interruption())
        return real()

    return interrupt


def test_one_who_looked_before_another_did_takes_no_more_than_there_is(world: World) -> None:
    (slow, client), (other, _) = world.open(), world.open()
    later, latest = NOW + LOOK_AGAIN + 1, NOW + 2 * LOOK_AGAIN + 2

    async def work() -> None:
        await hold(other, 1, cap=2_000)
        await slow.hold(row(1, 600).id, [Hold(PURSE, MONTH, 600, 2_000)], 2 * NOW, NOW)
        client.fault = just_before_update(1, lambda: hold(other, 1, later, cap=2_000))
        await slow.record(row(1, 600), settled())
        assert (await world.counter(PURSE))["paid"] == 1_200  # it was paid twice: by him who looked, and by itself
        # the first asks the counter alone, the second has looked at the slots
        client.fault = just_before_update(2, lambda: hold(other, 700, latest, cap=2_000))
        assert await refused(slow, 1_000, latest, cap=2_000) == 2_000 - 600 - 700
        assert await hold(slow, 700, latest, cap=2_000) == 0

    world.run(work)


# ── everything at once ───────────────────────────────────────────────────────────────────────────────────────────


class Witness:
    """Looks at the counter and its slots after every single write; some processes die."""

    def __init__(self, world: World, cap: int, deadly: float) -> None:
        self._world, self._cap, self._deadly = world, cap, deadly
        self._lock, self._dice = threading.Lock(), random.Random(3)
        self.writes = 0

    def __call__(self, operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation not in ("update_item", "transact_write_items"):
            return real()
        with self._lock:
            dies = self._dice.random() < self._deadly
            if dies and self._dice.random() < 0.5:
                raise refusal("ProcessKilled", operation)
            try:
                return real()
            finally:
                self.look()
                if dies:
                    raise refusal("ProcessKilled", operation)

    def look(self) -> None:
        client = self._world.stores[0]._table.client.client
        items = [read_item(item) for item in client.scan(TableName=self._world.name)["Items"]]
        mine = [item for item in items if item["pk"] == f"BUD#{PURSE}"]
        spent = sum(item["spent"] for item in mine if "spent" in item)
        for counter in (item for item in mine if item["sk"] == MONTH):
            held = sum(amount for name, amount in counter.items() if name[0] == "h")
            assert counter["used"] == counter.get("paid", 0) + held <= self._cap
            assert spent <= counter["used"]  # a row that is not paid yet is still held, at no less than it cost
            self.writes += 1


@pytest.mark.parametrize("deadly", [0.0, 0.1])
def test_a_cap_holds_at_every_moment_and_to_the_last_of_it(world: World, deadly: float) -> None:
    cap = 1_300
    witness, stores = Witness(world, cap, deadly), []
    for _ in range(4):
        store, client = world.open()
        client.fault = witness
        stores.append(store)
    dice = random.Random(9)
    granted = 0

    async def one(number: int) -> None:
        nonlocal granted
        store, cost = stores[number % 4], dice.randrange(0, 50)
        try:
            await hold(store, 50, cap=cap, request=row(number, cost).id)
            granted += 1
            await store.record(row(number, cost), settled())
        except (CapReachedError, ClientError):
            stores[number % 4]._unwritten.clear()

    async def work() -> None:
        await stores[0].record(row(999, 300), settled())
        for first in range(0, 72, 24):
            await asyncio.gather(*map(one, range(first, first + 24)))
        assert witness.writes > 60
        assert granted > 20
        fresh, _ = world.open()
        late = NOW + LIFE + 1
        left = cap - await fresh.spent(PURSE, MONTH)
        assert left >= 0
        assert await refused(fresh, left + 1, late, cap=cap) == left
        assert left == 0 or await hold(fresh, left, late, cap=cap) == 0

    world.run(work)

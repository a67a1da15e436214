"""One round trip tells who calls and what binds the call, in a process that has never seen the caller; and it is the truth."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shared.errors import Code, GatewayError
from shared.store import Budget, Grant, Preferences, Session
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_grants import _copy, grants_between
from shared.store.dynamo_items import caller_key, read_item, write_preferences
from tests.store.dynamo_world import World
from tests.store.faulty import First, canceled, refusal

ALICE, BOB, CAROL = ("0x" + letter * 40 for letter in "abc")
HASH = bytes(range(32))
ONE = {"batch_get_item": 1}
TWO = {"batch_get_item": 2}

TO_ALL = Grant(BOB, "*", daily=9, models=("gpt", "ünï"), providers=())
TO_ALICE = Grant(BOB, ALICE, monthly=10**18, requests_per_minute=0, expires_at=7)
OWN = Grant(ALICE, "*", weekly=3)
SELF = Grant(ALICE, ALICE, models=())

Story = Callable[[DynamoStore], Awaitable[None]]


def told(*steps: Callable[[DynamoStore], Awaitable[None]]) -> Story:
    async def story(store: DynamoStore) -> None:
        for step in steps:
            await step(store)

    return story


def uses(owner: str | None, caller: str = ALICE, *models: str) -> Story:
    return lambda store: store.put_preferences(Preferences(caller, owner, models or None, 1))


def gives(grant: Grant) -> Story:
    return lambda store: store.put_grants(grant.owner, {grant.delegate: grant}, {})


def takes(owner: str, delegate: str) -> Story:
    return lambda store: store.put_grants(owner, {delegate: None}, {})


STORIES: dict[str, tuple[Story, str | None, tuple[Grant, ...]]] = {
    "new": (told(), None, ()),
    "own keys": (told(uses(None)), None, ()),
    "own keys, named": (told(uses(ALICE), gives(OWN)), ALICE, (OWN,)),
    "own grants without preferences": (told(gives(OWN), gives(SELF)), None, (OWN, SELF)),
    "own grants": (told(uses(None), gives(OWN), gives(SELF)), None, (OWN, SELF)),
    "a delegate": (told(uses(BOB)), BOB, ()),
    "another one's grants": (told(uses(BOB), gives(OWN), gives(Grant(CAROL, ALICE)), gives(Grant(BOB, CAROL))), BOB, ()),
    "granted before": (told(gives(TO_ALL), gives(TO_ALICE), uses(BOB)), BOB, (TO_ALL, TO_ALICE)),
    "granted after": (told(uses(BOB), gives(TO_ALL), gives(TO_ALICE)), BOB, (TO_ALL, TO_ALICE)),
    "granted to her": (told(uses(BOB), gives(TO_ALICE)), BOB, (TO_ALICE,)),
    "granted without limits": (told(uses(BOB), gives(Grant(BOB, "*"))), BOB, (Grant(BOB, "*"),)),
    "other models since": (told(uses(BOB), gives(TO_ALL), uses(BOB, ALICE, "gpt")), BOB, (TO_ALL,)),
    "grants changed": (
        told(gives(Grant(BOB, "*")), uses(BOB), gives(Grant(BOB, ALICE)), gives(TO_ALL), gives(TO_ALICE)),
        BOB, (TO_ALL, TO_ALICE),
    ),
    "grants taken away": (
        told(gives(TO_ALL), uses(BOB), gives(TO_ALICE), takes(BOB, "*"), takes(BOB, ALICE)), BOB, ()
    ),
    "owner changed": (told(gives(TO_ALL), uses(CAROL), gives(TO_ALICE), uses(BOB)), BOB, (TO_ALL, TO_ALICE)),
    "owner changed and back": (
        told(uses(BOB), gives(TO_ALL), uses(CAROL), gives(Grant(BOB, "*", daily=1)), uses(BOB)),
        BOB, (Grant(BOB, "*", daily=1),),
    ),
    "back to own keys": (told(gives(TO_ALL), uses(BOB), gives(OWN), uses(None)), None, (OWN,)),
    "granted by one who was left": (told(uses(BOB), uses(CAROL), gives(TO_ALL), gives(TO_ALICE)), CAROL, ()),
}  # fmt: skip


async def first_look(world: World, asked: dict[str, int] = ONE, hint: str = ALICE) -> Session:
    """What a process sees that has never seen anything."""
    store, client = world.open()
    session = await store.session(HASH, 1, hint)
    assert session is not None
    assert client.asked == asked
    return session


@pytest.mark.parametrize("name", STORIES)
def test_one_round_trip_tells_a_fresh_process_all(world: World, name: str) -> None:
    story, owner, grants = STORIES[name]

    async def work() -> None:
        store, _ = world.open()
        await store.put_budget(Budget(10**12, True))
        await store.add_token(HASH, ALICE, 100)
        await story(store)
        session = await first_look(world)
        assert (session.address, session.expires_at, session.budget) == (ALICE, 100, Budget(10**12, True))
        assert session.preferences == await store.preferences(ALICE)
        assert session.preferences.api_address == owner
        assert session.grants == grants == await grants_between(store._table, owner or ALICE, ALICE)
        assert all(type(one.models) is not list for one in session.grants)

    world.run(work)


def test_it_reads_five_items(world: World) -> None:
    store, client = world.open()
    keys: list[Any] = []

    def note(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        keys.extend(request["RequestItems"][world.name]["Keys"])
        assert request["RequestItems"][world.name]["ConsistentRead"]
        return real()

    async def work() -> None:
        await store.add_token(HASH, ALICE, 100)
        client.fault = note
        assert await store.session(HASH, 1, ALICE) is not None
        assert len(keys) == 5

    world.run(work)


@pytest.mark.parametrize("hint", ["", BOB, CAROL, "0x" + "17" * 20])
def test_what_a_token_names_is_not_believed(world: World, hint: str) -> None:
    async def work() -> None:
        store, _ = world.open()
        await store.add_token(HASH, ALICE, 100)
        await told(uses(BOB), gives(TO_ALL), uses(None, CAROL, "other"), gives(Grant(CAROL, "*", daily=1)))(store)
        session = await first_look(world, TWO, hint)
        assert (session.address, session.preferences.api_address, session.grants) == (ALICE, BOB, (TO_ALL,))
        other, client = world.open()
        assert await other.session(bytes(32), 1, ALICE) is None
        assert await other.session(HASH, 100, ALICE) is None
        assert client.asked == TWO

    world.run(work)


def test_preferences_without_copies_lead_to_the_grants_themselves(world: World) -> None:
    store, _ = world.open()

    async def work() -> None:
        await store.add_token(HASH, ALICE, 100)
        await store._table.put(write_preferences(Preferences(ALICE, BOB, ("gpt",), 1)))  # as they were written once
        await told(gives(TO_ALL))(store)
        assert (await first_look(world, TWO)).grants == (TO_ALL,)
        await told(gives(TO_ALICE))(store)
        assert (await first_look(world, TWO)).grants == (TO_ALL, TO_ALICE)
        await told(uses(BOB))(store)
        assert (await first_look(world)).grants == (TO_ALL, TO_ALICE)

    world.run(work)


def test_the_list_of_an_owners_callers(world: World) -> None:
    store, _ = world.open()

    async def listed(owner: str) -> list[str]:
        return [item["sk"] for item in await store._table.items(caller_key(owner, "")[0]) if item["sk"] != "*"]

    async def work() -> None:
        await told(uses(BOB), uses(BOB, CAROL), uses(BOB))(store)
        assert await listed(BOB) == [ALICE, CAROL]
        await told(uses(CAROL))(store)
        assert (await listed(BOB), await listed(CAROL)) == ([CAROL], [ALICE])
        await told(uses(None), uses(None, CAROL))(store)
        assert (await listed(BOB), await listed(CAROL)) == ([], [])

    world.run(work)


# ── a grant to everybody ─────────────────────────────────────────────────────────────────────────────────────────


def caller(number: int) -> str:
    return f"0x{number:040x}"


async def crowd(store: DynamoStore, count: int) -> None:
    await asyncio.gather(*(store.add_token(bytes([number]) * 32, caller(number), 100) for number in range(count)))
    for number in range(count):
        await store.put_preferences(Preferences(caller(number), BOB, None, 1))


async def sessions(world: World, count: int) -> tuple[list[tuple[Grant, ...]], int]:
    """What binds each of them, and how many round trips that took."""
    store, client = world.open()
    found = [await store.session(bytes([number]) * 32, 1, caller(number)) for number in range(count)]
    return [session.grants for session in found if session is not None], client.asked["batch_get_item"]


def test_a_grant_to_everybody_reaches_all(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        await crowd(store, 60)
        client.asked.clear()
        await store.put_grants(BOB, {"*": TO_ALL}, {})
        assert client.asked["transact_write_items"] == 4  # the grant, and three times up to 25 copies
        assert await sessions(world, 60) == ([(TO_ALL,)] * 60, 60)
        await store.put_grants(BOB, {"*": None}, {})
        assert await sessions(world, 60) == ([()] * 60, 60)

    world.run(work)


@pytest.mark.parametrize("step", range(1, 9))
def test_an_owner_whose_process_dies_leaves_every_caller_bound(world: World, step: int) -> None:
    (dying, client), (other, _) = world.open(), world.open()
    before, after = Grant(BOB, "*", daily=100), Grant(BOB, "*", daily=1)
    calls = 0

    def die(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += operation in ("update_item", "transact_write_items")
        if calls >= step:
            raise refusal("ProcessKilled", operation)
        return real()

    async def work() -> None:
        await crowd(other, 4)
        await other.put_grants(BOB, {"*": before}, {})
        client.fault = die
        with pytest.raises(ClientError) if step < 7 else _nothing():
            await dying.put_grants(BOB, {"*": after}, {})
        truth = await grants_between(other._table, BOB, caller(0))
        assert truth in ((before,), (after,))
        assert (await sessions(world, 4))[0] == [truth] * 4
        await other.put_grants(BOB, {"*": after}, {})
        assert await sessions(world, 4) == ([(after,)] * 4, 4)

    world.run(work)


class _nothing:  # noqa: N801 (stands where pytest.raises stands)
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_one_who_leaves_or_comes_while_the_grant_changes(world: World) -> None:
    (owner, client), (other, _) = world.open(), world.open()
    steps = 0

    def meanwhile(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        nonlocal steps
        if operation == "transact_write_items":
            steps += 1
            moves = {1: uses(BOB, caller(7)), 3: told(uses(CAROL, caller(0)), uses(BOB, caller(8)))}
            if steps in moves:
                asyncio.run(_run(moves[steps], other))
        return real()

    async def work() -> None:
        await crowd(other, 3)
        for number in (7, 8):
            await other.add_token(bytes([number]) * 32, caller(number), 100)
        client.fault = meanwhile
        await owner.put_grants(BOB, {"*": TO_ALL}, {})
        assert steps == 4  # one more, because somebody came; one more, because somebody left
        store, asked = world.open()
        for number, expected in ((0, ()), (1, (TO_ALL,)), (2, (TO_ALL,)), (7, (TO_ALL,)), (8, (TO_ALL,))):
            session = await store.session(bytes([number]) * 32, 1, caller(number))
            assert session is not None
            assert session.grants == expected
        assert asked.asked == {"batch_get_item": 5}

    world.run(work)


async def _run(story: Story, store: DynamoStore) -> None:
    await story(store)


def just_before_the_transaction(world: World, interruption: Story) -> tuple[DynamoStore, Callable[[], int]]:
    """A process whose first transaction finds that somebody was faster, and how many it has tried."""
    (store, client), (other, _) = world.open(), world.open()
    steps = 0

    def interrupt(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        nonlocal steps
        if operation == "transact_write_items":
            steps += 1
            if steps == 1:
                asyncio.run(_run(interruption, other))
        return real()

    client.fault = interrupt
    return store, lambda: steps


@pytest.mark.parametrize("grant", [TO_ALL, TO_ALICE])
@pytest.mark.parametrize("faster", ["owner", "caller"])
def test_an_owner_is_chosen_while_his_grant_changes(world: World, grant: Grant, faster: str) -> None:
    before = Grant(BOB, grant.delegate, daily=100)
    interruption, slow = (gives(grant), uses(BOB)) if faster == "owner" else (uses(BOB), gives(grant))
    store, steps = just_before_the_transaction(world, interruption)

    async def work() -> None:
        await world.stores[1].add_token(HASH, ALICE, 100)
        await told(gives(before), uses(CAROL))(world.stores[1])
        await slow(store)
        assert steps() == (3 if faster == "caller" and grant is TO_ALL else 2)
        assert (await first_look(world)).grants == (grant,)

    world.run(work)


def test_copies_that_are_still_on_their_way_do_not_outlive_their_grant(world: World) -> None:
    store, steps = just_before_the_transaction(world, lambda late: _copy(late._table, BOB, TO_ALL, [ALICE]))

    async def work() -> None:
        await told(uses(BOB), gives(TO_ALL))(world.stores[1])
        await gives(Grant(BOB, "*", daily=1))(store)
        assert steps() == 3  # not while there was a copy; the grant; its copy

    world.run(work)


# ── everything at once ───────────────────────────────────────────────────────────────────────────────────────────


class Witness:
    """Looks at the whole table after every single write."""

    def __init__(self, world: World, deadly: float) -> None:
        self._world, self._dice, self._deadly = world, random.Random(11), deadly
        self._lock = threading.Lock()
        self.writes = self.copies = 0

    def __call__(self, operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation not in ("put_item", "update_item", "delete_item", "transact_write_items"):
            return real()
        with self._lock:
            dies = self._dice.random() < self._deadly
            if dies and self._dice.random() < 0.5:
                raise refusal("ProcessKilled", operation)
            try:
                return real()
            finally:
                self.writes += 1
                self.look()
                if dies:
                    raise refusal("ProcessKilled", operation)

    def look(self) -> None:
        client = self._world.stores[0]._table.client.client
        items = [read_item(item) for item in client.scan(TableName=self._world.name)["Items"]]
        table = {(item["pk"], item["sk"]): item for item in items}
        for (pk, _), item in table.items():
            if not pk.startswith("PREF#") or not item.get("api_address"):
                continue
            address, owner = pk.removeprefix("PREF#"), item["api_address"]
            if owner == address:
                assert not item.keys() & {"grant_to_all", "grant_to_me"}
                continue
            assert (f"CALLERS#{owner}", address) in table
            for name, delegate in (("grant_to_all", "*"), ("grant_to_me", address)):
                truth = table.get((f"GRANT#{owner}", delegate))
                if name in item:
                    self.copies += 1
                    assert (item[name] == "null") == (truth is None)
                    if truth is not None:
                        assert item[name] == f'{{"daily":{truth["daily"]}}}', (item[name], truth)


@pytest.mark.parametrize("deadly", [0.0, 0.15])
def test_no_copy_is_ever_another_than_its_grant(world: World, deadly: float) -> None:
    witness = Witness(world, deadly)
    stores = []
    for _ in range(4):
        store, client = world.open()
        client.fault = witness
        stores.append(store)
    dice = random.Random(5)
    people = [caller(number) for number in range(4)]

    async def one(store: DynamoStore) -> None:
        for _ in range(12):
            owner, who = dice.choice(people[:2]), dice.choice(people)
            grant = dice.choice((None, Grant(owner, "", daily=dice.randrange(1_000))))
            try:
                match dice.randrange(4):
                    case 0:
                        to_all = grant and Grant(owner, "*", daily=grant.daily)
                        await store.put_grants(owner, {"*": to_all}, {})
                    case 1:
                        await store.put_grants(owner, {who: grant and Grant(owner, who, daily=grant.daily)}, {})
                    case _:
                        await store.put_preferences(Preferences(who, dice.choice((owner, owner, None)), None, 1))
            except ClientError:
                continue  # the process is dead, and the next one begins

    async def work() -> None:
        for number, who in enumerate(people):
            await stores[0]._table.put(
                {"pk": f"TOK#{bytes([number]).hex() * 32}", "sk": "TOK", "address": who, "expires_at": 9}
            )
        await asyncio.gather(*map(one, stores))
        assert witness.writes > 60
        assert witness.copies > 60
        witness._deadly = 0.0
        for owner in people[:2]:  # who was cut off asks again
            await stores[0].put_grants(owner, {"*": Grant(owner, "*", daily=1)}, {})
        fresh, client = world.open()
        for number, who in enumerate(people):
            session = await fresh.session(bytes([number]) * 32, 1, who)
            assert session is not None
            payer = session.preferences.api_address or who
            assert session.grants == await grants_between(stores[0]._table, payer, who)
        assert client.asked == {"batch_get_item": 4}

    world.run(work)


def test_what_can_not_be_agreed_on_is_told_and_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.store.dynamo_grants.pause", lambda attempt: 0)
    store, client = world.open()

    async def work() -> None:
        await told(gives(TO_ALICE), uses(None))(store)
        client.fault = First("transact_write_items", 1_000, canceled("TransactionConflict"))
        for change in (uses(BOB), gives(Grant(BOB, "*")), takes(BOB, ALICE)):
            with pytest.raises(GatewayError) as caught:
                await change(store)
            assert (caught.value.code, caught.value.status) == (Code.OVERLOADED, 503)
        client.fault = None
        assert (await store.preferences(ALICE)).api_address is None
        assert await store.grants(BOB) == (TO_ALICE,)

    world.run(work)

"""What can happen to a DynamoDB table: conflicts, throttling, lost replies, dead processes, other replicas, late indexes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shared.errors import Code, GatewayError
from shared.store import (
    GLOBAL,
    Budget,
    CapReachedError,
    Cost,
    Grant,
    Hold,
    Preferences,
    Settlement,
    Tokens,
    UsageQuery,
    UsageRow,
)
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_items import STRANGER, row_key
from tests.store import dynamo_tables
from tests.store.dynamo_world import World
from tests.store.faulty import First, canceled, refusal

ALICE, BOB = ("0x" + letter * 40 for letter in "ab")
NOON = 1_795_521_600_000  # 2026-11-24T12:00:00Z
MONTH = "2026-11"
HASH = bytes(range(32))
EVERYTHING = UsageQuery(0, 2 * NOON, limit=10_000, with_strangers=True)


def row(number: int, at: int = NOON, **more: Any) -> UsageRow:
    given = {
        "caller": ALICE,
        "owner": ALICE,
        "provider": "openai",
        "model": "gpt",
        "tokens": Tokens(10),
        "cost": Cost(175),
    }
    return UsageRow(f"{at + number:012x}{number:020x}", at + number, "messages", "complete", 200, **{**given, **more})


def settlement(*more: tuple[str, str]) -> Settlement:
    return Settlement(((GLOBAL, MONTH), *more))


# ── callers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_budget_that_a_session_brought_serves_its_own_request_alone(world: World) -> None:
    (here, _), (there, _) = world.open(), world.open()

    async def work() -> None:
        await here.put_budget(Budget(5))
        await here.add_token(HASH, ALICE, 100)

        async def request() -> Budget:
            assert await here.session(HASH, 1) is not None
            return await here.budget()

        assert await asyncio.create_task(request()) == Budget(5)
        await there.put_budget(Budget(6))
        assert await here.budget() == Budget(6)
        assert await asyncio.create_task(request()) == Budget(6)

    world.run(work)


def test_a_token_that_ttl_has_not_removed_yet_is_dead(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        await store.add_token(HASH, ALICE, 100)
        assert await store.session(HASH, 99) is not None
        assert await store.session(HASH, 100) is None
        assert await store.session(HASH, 100) is None  # now that the process knows it
        item = client.client.get_item(TableName=world.name, Key={"pk": {"S": f"TOK#{HASH.hex()}"}, "sk": {"S": "TOK"}})[
            "Item"
        ]
        assert item["ttl"] == {"N": "100"}
        assert HASH not in [bytes(str(value), "ascii") for value in item.values()]

    world.run(work)


# ── conflicts, throttling, lost replies ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reason", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_conflict_is_tried_again_and_counts_once(world: World, reason: str) -> None:
    store, client = world.open()

    async def work() -> None:
        client.fault = First("transact_write_items", 3, canceled("None", reason, "None"))
        await store.record(row(1), settlement())
        client.fault = None
        totals, rows = await store.usage(EVERYTHING)
        assert (totals.requests, totals.cost, len(rows)) == (1, 175, 1)
        assert await store.spent(GLOBAL, MONTH) == 175

    world.run(work)


def test_conflicts_that_do_not_end_are_an_error_and_leave_nothing(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        client.fault = First("transact_write_items", 1_000, canceled("TransactionConflict", "None", "None"))
        with pytest.raises(GatewayError) as caught:
            await store.record(row(1), settlement())
        assert caught.value.code is Code.OVERLOADED
        client.fault = None
        assert (await store.usage(EVERYTHING))[0].requests == 0

    world.run(work)


@pytest.mark.parametrize("error", [canceled("TransactionConflict"), ReadTimeoutError(endpoint_url="x")])
def test_a_reply_that_is_lost_does_not_count_twice(world: World, error: Exception) -> None:
    store, client = world.open()
    made = row(1)

    async def work() -> None:
        await store.hold(made.id, [Hold(GLOBAL, MONTH, 500, 1_000)], 100, 0)
        client.fault = First("transact_write_items", 1, error, after=True)
        try:
            await store.record(made, settlement())
        except GatewayError:
            await store.record(made, settlement())
        client.fault = None
        assert (await store.usage(EVERYTHING))[0].cost == 175
        assert await store.spent(GLOBAL, MONTH) == 175
        assert await store.hold("next", [Hold(GLOBAL, MONTH, 825, 1_000)], 100, 0) == [0]

    world.run(work)


def test_moments_of_conflict_all_over_leave_exact_sums(world: World) -> None:
    (here, client), (there, _) = world.open(), world.open()
    dice = random.Random(7)

    def storm(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation == "transact_write_items" and dice.random() < 0.3:
            raise canceled(*["TransactionConflict"] * len(request["TransactItems"]))
        if operation == "update_item" and dice.random() < 0.3:
            raise refusal("TransactionConflictException", "UpdateItem")
        return real()

    async def one(number: int) -> None:
        store, made = (here, there)[number % 2], row(number)
        await store.hold(made.id, [Hold(GLOBAL, MONTH, 300, 10**6), Hold(ALICE, MONTH, 300, 10**6)], 100, 0)
        await store.record(made, settlement((ALICE, MONTH)))

    async def work() -> None:
        client.fault = storm
        await asyncio.gather(*map(one, range(60)))
        client.fault = None
        assert (await here.usage(EVERYTHING))[0].cost == 60 * 175
        for spender in (GLOBAL, ALICE):
            assert await here.spent(spender, MONTH) == 60 * 175
            counter = await world.counter(spender)
            assert (
                counter["used"] == counter["paid"] >= 60 * 175
            )  # a row that was seen in the slots first is there twice
            rest = 10**6 - 60 * 175  # but never counts twice
            with pytest.raises(CapReachedError):
                await there.hold("more", [Hold(spender, MONTH, rest + 1, 10**6)], 100, 0)
            assert await here.hold("rest", [Hold(spender, MONTH, rest, 10**6)], 100, 0) == [0]

    world.run(work)


def test_throttling_is_told_as_overload(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        for code in ("ProvisionedThroughputExceededException", "ThrottlingException", "InternalServerError"):
            client.fault = First("batch_get_item", 1, refusal(code, "BatchGetItem"))
            with pytest.raises(GatewayError) as caught:
                await store.session(HASH, 1)
            assert (caught.value.code, caught.value.status) == (Code.OVERLOADED, 503)
        assert await store.session(HASH, 1) is None

    world.run(work)


def test_keys_that_were_left_unread_are_read_again(world: World) -> None:
    store, client = world.open()
    asked = []

    def half(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation != "batch_get_item":
            return real()
        keys = request["RequestItems"][world.name]["Keys"]
        asked.append(len(keys))
        answer = client.client.batch_get_item(
            RequestItems={world.name: {"Keys": keys[: -(-len(keys) // 2)], "ConsistentRead": True}}
        )
        if len(keys) > 1:
            answer["UnprocessedKeys"] = {world.name: {"Keys": keys[-(-len(keys) // 2) :], "ConsistentRead": True}}
        return answer

    async def work() -> None:
        await store.add_token(HASH, ALICE, 100)
        await store.put_preferences(Preferences(ALICE, BOB, ("gpt",), 1))
        client.fault = half
        session = await store.session(HASH, 1)
        assert session is not None
        assert session.preferences.models == ("gpt",)
        assert len(asked) > 2

    world.run(work)


def test_more_than_the_store_keeps_in_one_piece_is_refused(world: World) -> None:
    store, _ = world.open()

    async def work() -> None:
        await store.put_preferences(Preferences(ALICE, None, ("gpt",), 1))
        huge = Preferences(ALICE, None, tuple(f"{number:0100d}" for number in range(4_200)), 2)
        with pytest.raises(GatewayError) as caught:
            await store.put_preferences(huge)
        assert (caught.value.code, caught.value.status) == (Code.REQUEST_TOO_LARGE, 413)
        assert (await store.preferences(ALICE)).models == ("gpt",)

    world.run(work)


def test_a_table_that_is_not_there_is_named(world: World) -> None:
    client = dynamo_tables.client()
    store = DynamoStore("nowhere", client)

    async def work() -> None:
        with pytest.raises(LookupError, match="ekai store create dynamodb:nowhere"):
            await store.ready()
        await store.close()

    world.run(work)


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_hundred_race_for_a_hundred(world: World) -> None:
    stores = [world.open()[0] for _ in range(4)]

    async def work() -> None:
        wanted = (stores[number % 4].hold(f"{number}", [Hold(GLOBAL, MONTH, 1, 100)], 100, 0) for number in range(200))
        answers = await asyncio.gather(*wanted, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, CapReachedError)]
        granted = [answer for answer in answers if isinstance(answer, list)]
        assert len(refused) == len(granted) == 100
        assert sorted(left for [left] in granted) == list(range(100))
        assert {answer.left for answer in refused} == {0}

    world.run(work)


def test_what_is_settled_between_looking_and_taking_is_not_missed(world: World) -> None:
    (slow, client), (other, _) = world.open(), world.open()
    made = row(1)

    def meanwhile(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation == "update_item" and client.fault is not None:
            client.fault = None
            asyncio.run(other.record(made, settlement()))
        return real()

    async def work() -> None:
        await other.hold(made.id, [Hold(GLOBAL, MONTH, 175, 200)], 100, 0)
        client.fault = meanwhile
        with pytest.raises(CapReachedError) as caught:
            await slow.hold("x", [Hold(GLOBAL, MONTH, 100, 200)], 100, 0)
        assert caught.value.left == 25
        assert await slow.hold("y", [Hold(GLOBAL, MONTH, 25, 200)], 100, 0) == [0]

    world.run(work)


def test_what_a_dead_process_held_runs_out(world: World) -> None:
    (dying, _), (other, _) = world.open(), world.open()

    async def work() -> None:
        await dying.hold("a", [Hold(GLOBAL, MONTH, 60, 100)], 100, 0)
        await dying.hold("b", [Hold(GLOBAL, MONTH, 40, 100)], 200, 0)
        with pytest.raises(CapReachedError):
            await other.hold("c", [Hold(GLOBAL, MONTH, 1, 100)], 300, 99)
        assert await other.hold("c", [Hold(GLOBAL, MONTH, 50, 100)], 300, 100) == [10]
        counter = await world.counter()
        assert (counter["used"], "h100" in counter, counter["h200"]) == (90, False, 40)

    world.run(work)


def test_a_request_that_outlives_its_hold_is_counted_all_the_same(world: World) -> None:
    (slow, _), (other, _) = world.open(), world.open()
    made = row(1)

    async def work() -> None:
        await slow.hold(made.id, [Hold(GLOBAL, MONTH, 600, 1_000)], 100, 0)
        await other.hold("x", [Hold(GLOBAL, MONTH, 900, 1_000)], 300, 100)  # takes the first one off
        await slow.record(made, settlement())
        counter = await world.counter()
        assert (counter["used"], counter["paid"]) == (1_075, 175)
        assert await other.spent(GLOBAL, MONTH) == 175
        with pytest.raises(CapReachedError) as caught:
            await other.hold("y", [Hold(GLOBAL, MONTH, 1, 1_000)], 300, 100)
        assert caught.value.left == -75

    world.run(work)


def test_two_replicas_that_finish_one_request(world: World) -> None:
    (here, _), (there, _) = world.open(), world.open()
    made = row(1)

    async def work() -> None:
        for store in (here, there):
            await store.hold(made.id, [Hold(GLOBAL, MONTH, 300, 1_000)], 100, 0)
        await asyncio.gather(here.record(made, settlement()), there.record(made, settlement()))
        totals, rows = await here.usage(EVERYTHING)
        assert (totals.requests, totals.cost, len(rows)) == (1, 175, 1)
        counter = await world.counter()
        assert counter["used"] == counter["paid"]
        assert counter["h100"] == 0
        assert await here.spent(GLOBAL, MONTH) == 175

    world.run(work)


def test_spending_before_there_was_a_cap_counts_once_there_is_one(world: World) -> None:
    (here, _), (there, _) = world.open(), world.open()

    async def work() -> None:
        for number in range(4):
            await here.record(row(number), settlement())  # 700, without a hold
        assert await there.hold("a", [Hold(GLOBAL, MONTH, 200, 1_000)], 100, 0) == [100]
        await here.record(row(9), settlement())  # one that began before
        with pytest.raises(CapReachedError) as caught:
            await there.hold("b", [Hold(GLOBAL, MONTH, 100, 1_000)], 100, 0)
        assert caught.value.left == -75

    world.run(work)


def test_a_counter_lists_no_more_seconds_than_it_must(world: World) -> None:
    store, _ = world.open()

    async def work() -> None:
        for number in range(60):
            made = row(number)
            await store.hold(made.id, [Hold(GLOBAL, MONTH, 10, 10**9)], 1_000 + number, 0)
            await store.record(made, settlement())
        counter = await world.counter()
        assert sum(name[0] == "h" for name in counter) < 30
        assert counter["used"] == counter["paid"] == 60 * 175

    world.run(work)


def test_a_grant_begins_with_what_was_spent_before(world: World) -> None:
    (here, _), (there, _) = world.open(), world.open()
    midnight = NOON - 12 * 3_600_000
    windows = {"daily": ("2026-11-24", midnight)}

    async def work() -> None:
        await here.record(row(0, midnight - 1), settlement())  # the day before
        for number in range(20):
            await here.record(row(number, caller=BOB), settlement())
        theirs = (f"{ALICE}:{BOB}", "2026-11-24")
        later = [here.record(row(number, caller=BOB), settlement(theirs)) for number in range(20, 30)]
        grant = Grant(ALICE, BOB, daily=10**6)
        await asyncio.gather(there.put_grants(ALICE, {BOB: grant, "*": Grant(ALICE, "*", daily=5)}, windows), *later)
        assert await there.spent(f"{ALICE}:*", "2026-11-24") in range(20 * 175, 31 * 175)
        await there.put_grants(ALICE, {BOB: grant}, windows)
        assert await there.spent(*theirs) == 30 * 175

    world.run(work)


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_of_many_are_read_without_reading_all(world: World) -> None:
    store, client = world.open()
    read: list[int] = []

    def count(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        answer = real()
        if operation == "query" and request["ExpressionAttributeValues"][":p"]["S"].startswith("USE#"):
            read.append(answer["Count"])
        return answer

    async def work() -> None:
        await asyncio.gather(*(store.record(row(number), Settlement()) for number in range(150)))
        await asyncio.gather(*(store.record(row(number, NOON - 86_400_000), Settlement()) for number in range(50)))
        await asyncio.gather(
            *(store.record(row(300 + number, caller="", owner=""), Settlement()) for number in range(50))
        )
        client.fault = count
        _, rows = await store.usage(UsageQuery(0, 2 * NOON, limit=40))
        assert [found.at - NOON for found in rows] == list(range(149, 109, -1))
        assert sum(read) <= 150  # nothing of the day before, nothing of strangers
        for who in (None, ALICE):
            totals, rows = await store.usage(UsageQuery(0, 2 * NOON, who, limit=170))
            assert len(rows) == 170
            assert [found.at for found in rows] == sorted((found.at for found in rows), reverse=True)
            assert totals.requests == 200

    world.run(work)


def test_totals_hold_to_the_millisecond_in_any_span(world: World) -> None:
    store, _ = world.open()
    dice = random.Random(3)
    times = sorted(dice.randrange(NOON - 3 * 3_600_000, NOON + 20 * 3_600_000) for _ in range(120))
    made = [row(number, at - number, owner=dice.choice((ALICE, BOB))) for number, at in enumerate(times)]

    async def work() -> None:
        await asyncio.gather(*(store.record(one, Settlement()) for one in made))
        for _ in range(8):
            start, end = sorted(dice.choice(times) + dice.randrange(-2, 3) for _ in range(2))
            who = dice.choice((None, BOB))
            meant = [one for one in made if start <= one.at < end and (who is None or one.owner == who)]
            totals, rows = await store.usage(UsageQuery(start, end, who, limit=1_000))
            assert {one.id for one in rows} == {one.id for one in meant}
            assert (totals.requests, totals.cost) == (len(meant), 175 * len(meant))
            assert sum(totals.by_time.values()) == totals.cost

    world.run(work)


def test_strangers_have_partitions_of_their_own() -> None:
    known, stranger = row_key(row(1))[0], row_key(row(1, caller=""))[0]
    assert STRANGER not in known
    assert stranger == known.replace("24#", f"24#{STRANGER}")


def test_rows_of_an_outage_are_written_when_it_is_over(world: World) -> None:
    store, client = world.open()

    async def work() -> None:
        await store.hold(row(1).id, [Hold(GLOBAL, MONTH, 500, 1_000)], 100, 0)
        client.fault = First("transact_write_items", 3, refusal("ThrottlingException"))
        for number in range(3):
            with pytest.raises(GatewayError):
                await store.record(row(number), settlement())
        await store.record(row(3), settlement())
        assert {found.id for found in (await store.usage(EVERYTHING))[1]} == {row(number).id for number in range(4)}
        assert await store.hold("next", [Hold(GLOBAL, MONTH, 300, 1_000)], 100, 0) == [0]
        client.fault = First("transact_write_items", 1, refusal("ThrottlingException"))
        with pytest.raises(GatewayError):
            await store.record(row(4), settlement())

    world.run(work)
    asyncio.run(world.stores[0].close())
    other, _ = world.open()
    world.stores.remove(store)
    assert asyncio.run(other.usage(EVERYTHING))[0].requests == 5


def test_rows_that_can_not_be_written_at_all_are_told_at_the_end(world: World) -> None:
    store, client = world.open()
    world.stores.clear()
    client.fault = First("transact_write_items", 9, refusal("ThrottlingException"))
    with pytest.raises(GatewayError):
        asyncio.run(store.record(row(1), settlement()))
    with pytest.raises(OSError, match="1 records could not be written"):
        asyncio.run(store.close())


@pytest.mark.parametrize("step", range(1, 15))
def test_a_process_that_dies_at_any_step_leaves_books_that_balance(world: World, step: int) -> None:
    (dying, client), (other, _) = world.open(), world.open()
    made = row(1)
    calls = 0

    def die(operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        nonlocal calls
        if operation in ("put_item", "update_item", "transact_write_items"):
            calls += 1
        if calls >= (step + 1) // 2:
            if step % 2 and calls == (step + 1) // 2:  # on odd steps the call gets through, its answer doesn't
                real()
            raise refusal("ProcessKilled", operation)
        return real()

    async def life() -> None:
        await dying.hold(made.id, [Hold(GLOBAL, MONTH, 300, 1_000), Hold(ALICE, MONTH, 300, 1_000)], 100, 0)
        await dying.record(made, settlement((ALICE, MONTH)))

    async def work() -> None:
        client.fault = die
        try:
            await life()
        except ClientError:
            dying._unwritten.clear()  # memory is gone
        totals, rows = await other.usage(EVERYTHING)
        assert (totals.requests, totals.cost) == (len(rows), 175 * len(rows))
        for spender in (GLOBAL, ALICE):
            assert await other.spent(spender, MONTH) == totals.cost
            with pytest.raises(
                CapReachedError
            ):  # before its hold has ended nothing is let through that might be too much
                await other.hold("early", [Hold(spender, MONTH, 1_001 - totals.cost, 1_000)], 100, 50)
            whole = 1_000 - totals.cost
            assert await other.hold("late", [Hold(spender, MONTH, whole, 1_000)], 300, 100) == [0]

    world.run(work)

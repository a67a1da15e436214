"""What every store promises (`shared.store.Store`), line by line."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from shared.store import (
    GLOBAL,
    Budget,
    CapReachedError,
    Cost,
    Hold,
    Outcome,
    Preferences,
    Settlement,
    Store,
    Tokens,
    Totals,
    UsageQuery,
    UsageRow,
)

HASH, OTHER = bytes(range(32)), bytes(32)
ALICE, BOB, CAROL = ("0x" + letter * 40 for letter in "abc")
DAY = 86_400_000
NOON = 1_795_521_600_000  # 2026-11-24T12:00:00Z
MONTH = "2026-11"


def row(number: int, at: int = NOON, **more: Any) -> UsageRow:
    given = {
        "caller": ALICE, "owner": ALICE, "provider": "openai", "model": "gpt", "model_requested": "gpt-x", "tokens": Tokens(10, 1, 2, 3, 4, 2),
        "cost": Cost(100, 10, 20, 40, 5),
    }  # fmt: skip
    return UsageRow(f"{at + number:012x}{number:020x}", at + number, "messages", "complete", 200, **{**given, **more})


def settlement(period: str = MONTH, spender: str = GLOBAL) -> Settlement:
    return Settlement(((spender, period),))


def everything(**more: Any) -> UsageQuery:
    return UsageQuery(0, 2 * NOON, **{"with_strangers": True, "limit": 10_000, **more})


# ── tokens, signatures, preferences ──────────────────────────────────────────────────────────────────────────────


def test_a_token_lives_until_its_time(bench: Any) -> None:
    store: Store = bench.open()
    assert bench.run(store.session(HASH, 0)) is None
    bench.run(store.add_token(HASH, ALICE, 100))
    session = bench.run(store.session(HASH, 99))
    assert (session.address, session.expires_at, session.preferences) == (ALICE, 100, Preferences(ALICE))
    assert bench.run(store.session(HASH, 100)) is None
    assert bench.run(store.session(OTHER, 99)) is None


def test_a_token_ends_at_once_and_everywhere(bench: Any) -> None:
    here: Store = bench.open()
    there: Store = bench.open()
    bench.run(here.add_token(HASH, ALICE, 100))
    bench.run(here.add_token(OTHER, ALICE, 100))
    assert bench.run(there.session(HASH, 1)) is not None
    bench.run(there.end_token(HASH))
    assert bench.run(here.session(HASH, 1)) is None
    assert bench.run(here.session(OTHER, 1)) is not None
    bench.run(here.end_token(HASH))  # again: nothing to do


def test_a_session_brings_the_preferences_along(bench: Any) -> None:
    store: Store = bench.open()
    wanted = Preferences(ALICE, BOB, ("gpt-4o", "ünï/çode", "a,b"), 7)
    bench.run(store.add_token(HASH, ALICE, 100))
    bench.run(store.put_preferences(wanted))
    bench.run(store.put_preferences(Preferences(BOB, None, ("other",), 8)))
    assert bench.run(store.session(HASH, 1)).preferences == wanted
    assert bench.run(store.preferences(ALICE)) == wanted


def test_preferences_are_replaced_whole(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    assert bench.run(here.preferences(ALICE)) == Preferences(ALICE)
    bench.run(here.put_preferences(Preferences(ALICE, BOB, ("a", "b"), 7)))
    assert bench.run(there.preferences(ALICE)).models == ("a", "b")
    bench.run(there.put_preferences(Preferences(ALICE, None, None, 8)))
    assert bench.run(here.preferences(ALICE)) == Preferences(ALICE, None, None, 8)
    bench.run(here.put_preferences(Preferences(ALICE, None, (), 9)))
    assert bench.run(here.preferences(ALICE)).models == ()


def test_a_signature_serves_one_of_many(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    answers = bench.together(*[store.use_signature(HASH, 100) for store in (here, there) * 20])
    assert sorted(answers) == [False] * 39 + [True]
    assert bench.run(here.use_signature(OTHER, 100)) is True
    assert bench.run(there.use_signature(OTHER, 5_000)) is False


def test_what_has_expired_is_forgotten_and_nothing_else(bench: Any) -> None:
    store: Store = bench.open()
    bench.run(store.add_token(HASH, ALICE, 100))
    bench.run(store.add_token(OTHER, ALICE, 101))
    assert bench.run(store.use_signature(HASH, 100))
    assert bench.run(store.use_signature(OTHER, 101))
    bench.run(store.hold("a", [Hold(GLOBAL, MONTH, 60, 100)], 100, 0))
    bench.run(store.expire(100))
    assert bench.run(store.session(HASH, 0)) is None
    assert bench.run(store.session(OTHER, 0)) is not None
    assert bench.run(store.use_signature(OTHER, 101)) is False
    bench.run(store.hold("b", [Hold(GLOBAL, MONTH, 100, 100)], 200, 0))


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "made",
    [
        row(1),
        row(2, cost=None, provider_cost=None),
        row(3, cost=Cost(), tokens=Tokens(), provider_cost=0),
        row(4, caller="", owner="", provider="", model="", model_requested="", cost=Cost(), error="AUTHENTICATION_ERROR"),
        row(5, stream=True, estimated=True, first_byte_ms=12, duration_ms=345, attempts=3, request_hash="0x" + "ab" * 32),
        row(6, model_requested="weird '\"; DROP TABLE usage; -- ü\n\t🙂", provider_cost=2**60),
        row(7, tokens=Tokens(10**9, 10**9, 10**9, 10**9, 10**9, 10**9), cost=Cost(10**17, 0, 0, 0, 10**17)),
    ],
    ids=lambda made: made.id[-1],
)  # fmt: skip
@pytest.mark.parametrize("outcome", ["complete", "broken", "client_gone", "refused"])
def test_a_row_comes_back_as_it_went_in(bench: Any, made: UsageRow, outcome: Outcome) -> None:
    store: Store = bench.open()
    made = replace(made, outcome=outcome)
    bench.run(store.record(made, Settlement()))
    totals, [got] = bench.run(store.usage(everything()))
    for field in fields(UsageRow):
        assert getattr(got, field.name) == getattr(made, field.name), field.name
        assert type(getattr(got, field.name)) is type(getattr(made, field.name))
    assert totals.requests == 1
    assert totals.cost == (made.cost.total if made.cost else 0)
    assert totals.tokens == made.tokens.total


def test_a_row_counts_once(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    bench.run(here.hold("x", [Hold(GLOBAL, MONTH, 500, 1_000)], 10**10, 0))
    again = [store.record(row(1), settlement()) for store in (here, there) * 10]
    assert bench.together(*again) == [None] * 20
    bench.run(there.record(replace(row(1), cost=Cost(9_999), outcome="broken"), settlement()))
    totals, rows = bench.run(here.usage(everything()))
    assert (totals.requests, totals.cost, len(rows), rows[0].outcome) == (1, 175, 1, "complete")
    assert bench.run(there.spent(GLOBAL, MONTH)) == 175


def test_two_hundred_at_once_are_all_there(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    answers = bench.together(*[(here, there)[number % 2].record(row(number), settlement()) for number in range(200)])
    assert answers == [None] * 200
    totals, rows = bench.run(here.usage(everything()))
    assert totals.requests == len(rows) == len({found.id for found in rows}) == 200
    assert bench.run(here.spent(GLOBAL, MONTH)) == totals.cost == 200 * 175


def test_the_newest_come_first_and_the_limit_cuts_the_rows_alone(bench: Any) -> None:
    store: Store = bench.open()
    for number in (3, 1, 2, 5, 4):
        bench.run(store.record(row(number), Settlement()))
    totals, rows = bench.run(store.usage(everything(limit=3)))
    assert [found.at - NOON for found in rows] == [5, 4, 3]
    assert totals.requests == 5


def test_a_query_includes_its_start_and_not_its_end(bench: Any) -> None:
    store: Store = bench.open()
    for number in range(5):
        bench.run(store.record(row(number), Settlement()))
    totals, rows = bench.run(store.usage(UsageQuery(NOON + 1, NOON + 4)))
    assert [found.at - NOON for found in rows] == [3, 2, 1]
    assert totals.requests == 3
    assert bench.run(store.usage(UsageQuery(NOON + 5, NOON + 50)))[0] == Totals()


def test_who_sees_what(bench: Any) -> None:
    store: Store = bench.open()
    bench.run(store.record(row(1, caller=ALICE, owner=ALICE), Settlement()))
    bench.run(store.record(row(2, caller=ALICE, owner=BOB), Settlement()))
    bench.run(store.record(row(3, caller=CAROL, owner=BOB), Settlement()))
    bench.run(store.record(row(4, caller=CAROL, owner=CAROL), Settlement()))
    bench.run(store.record(row(5, caller="", owner="", provider="", model="", cost=Cost()), Settlement()))

    def numbers(**query: Any) -> list[int]:
        totals, rows = bench.run(store.usage(UsageQuery(0, 2 * NOON, **query)))
        assert totals.requests == len(rows)
        return sorted(found.at - NOON for found in rows)

    assert numbers(who=ALICE) == [1, 2]
    assert numbers(who=BOB) == [2, 3]
    assert numbers(who=CAROL) == [3, 4]
    assert numbers(who="0x" + "d" * 40) == []
    assert numbers() == [1, 2, 3, 4]
    assert numbers(with_strangers=True) == [1, 2, 3, 4, 5]
    assert numbers(who=ALICE, with_strangers=True) == [1, 2]


def test_sums_by_provider_and_model(bench: Any) -> None:
    store: Store = bench.open()
    made = [("openai", "gpt", Cost(7)), ("openrouter", "gpt", Cost(5)), ("openai", "o", Cost(1)), ("openai", "o", None)]
    for number, (provider, model, cost) in enumerate(made):
        bench.run(store.record(row(number, provider=provider, model=model, cost=cost), Settlement()))
    totals, _ = bench.run(store.usage(everything()))
    assert (totals.requests, totals.tokens, totals.cost) == (4, 80, 13)
    assert (totals.by_provider, totals.by_model) == ({"openai": 8, "openrouter": 5}, {"gpt": 12, "o": 1})
    assert sum(totals.by_time.values()) == sum(totals.by_caller.values()) == 13


def by_day(totals: Totals) -> Totals:
    """What is left of the times once rows have become daily totals."""
    days: dict[int, int] = {}
    for time, cost in totals.by_time.items():
        days[time // DAY] = days.get(time // DAY, 0) + cost
    return replace(totals, by_time=days)


# ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("who", [None, ALICE, BOB])
def test_totals_stay_when_rows_go(bench: Any, who: str | None) -> None:
    store: Store = bench.open()
    for number in range(12):
        owner = BOB if number % 3 else ALICE
        at = NOON - (number % 4) * DAY
        bench.run(store.record(row(number, at, owner=owner, provider=("openai", "xai")[number % 2]), settlement()))
    before, rows = bench.run(store.usage(everything(who=who)))
    old = sum(found.at < NOON - DAY for found in bench.run(store.usage(everything()))[1])
    assert bench.run(store.prune(NOON - DAY)) == old == 6
    after, left = bench.run(store.usage(everything(who=who)))
    assert by_day(after) == by_day(before)
    assert {found.id for found in left} == {found.id for found in rows if found.at >= NOON - DAY}
    assert bench.run(store.prune(NOON - DAY)) == 0
    assert bench.run(store.prune(NOON - DAY // 2)) == 3  # a second time, into days that have totals already
    assert by_day(bench.run(store.usage(everything(who=who)))[0]) == by_day(before)
    assert bench.run(store.spent(GLOBAL, MONTH)) == 12 * 175


def test_totals_of_pruned_days_belong_to_their_days(bench: Any) -> None:
    store: Store = bench.open()
    for number in range(4):
        bench.run(store.record(row(number, NOON - number * DAY), Settlement()))
    bench.run(store.prune(NOON - DAY // 2))
    midnight = NOON - DAY // 2
    for day, expected in ((0, 1), (1, 1), (2, 1), (3, 1), (4, 0)):
        totals, _ = bench.run(store.usage(UsageQuery(midnight - day * DAY, midnight - (day - 1) * DAY)))
        assert totals.requests == expected, day


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_budget(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    assert bench.run(here.budget()) == Budget()
    for budget in (Budget(10**18), Budget(0, True), Budget(5), Budget(None, True), Budget()):
        bench.run(here.put_budget(budget))
        assert bench.run(there.budget()) == budget


def test_spending_counts_by_spender_and_period(bench: Any) -> None:
    store: Store = bench.open()
    assert bench.run(store.spent(GLOBAL, MONTH)) == 0
    both = Settlement(((GLOBAL, MONTH), (ALICE, "2026-W48")))
    bench.run(store.record(row(1), both))
    bench.run(store.record(row(2, cost=None), both))
    bench.run(store.record(row(3, cost=Cost()), both))
    bench.run(store.record(row(4), settlement("2026-12")))
    assert bench.run(store.spent(GLOBAL, MONTH)) == 175
    assert bench.run(store.spent(ALICE, "2026-W48")) == 175
    assert bench.run(store.spent(GLOBAL, "2026-12")) == 175
    assert bench.run(store.spent(ALICE, MONTH)) == 0


def test_a_hold_fits_or_it_does_not(bench: Any) -> None:
    store: Store = bench.open()
    bench.run(store.hold("a", [Hold(GLOBAL, MONTH, 60, 100)], 100, 0))
    with pytest.raises(CapReachedError) as caught:
        bench.run(store.hold("b", [Hold(GLOBAL, MONTH, 41, 100)], 100, 0))
    assert caught.value.left == 40
    bench.run(store.hold("b", [Hold(GLOBAL, MONTH, 40, 100)], 100, 0))
    bench.run(store.hold("c", [Hold(GLOBAL, "2026-12", 100, 100)], 100, 0))
    bench.run(store.hold("c", [Hold(ALICE, MONTH, 100, 100)], 100, 0))
    bench.run(store.hold("d", [Hold(GLOBAL, MONTH, 40, 140)], 100, 0))  # the cap was raised
    with pytest.raises(CapReachedError):
        bench.run(store.hold("e", [Hold(GLOBAL, MONTH, 1, 140)], 100, 99))
    bench.run(store.hold("e", [Hold(GLOBAL, MONTH, 140, 140)], 200, 100))  # the others' time is over


def test_holds_are_all_or_nothing(bench: Any) -> None:
    store: Store = bench.open()
    bench.run(store.hold("a", [Hold(BOB, MONTH, 90, 100)], 100, 0))
    with pytest.raises(CapReachedError) as caught:
        bench.run(store.hold("b", [Hold(ALICE, MONTH, 50, 100), Hold(BOB, MONTH, 20, 100)], 100, 0))
    assert (caught.value.hold.spender, caught.value.left) == (BOB, 10)
    bench.run(store.hold("c", [Hold(ALICE, MONTH, 100, 100)], 100, 0))


def test_a_row_releases_its_own_hold_alone(bench: Any) -> None:
    store: Store = bench.open()
    mine, other = row(1), row(2)
    for one in (mine, other):
        bench.run(store.hold(one.id, [Hold(GLOBAL, MONTH, 500, 1_000)], 100, 0))
    bench.run(store.record(mine, settlement()))  # 500 were held, 175 were spent
    with pytest.raises(CapReachedError) as caught:
        bench.run(store.hold("x", [Hold(GLOBAL, MONTH, 326, 1_000)], 100, 0))
    assert caught.value.left == 325
    bench.run(store.hold("x", [Hold(GLOBAL, MONTH, 325, 1_000)], 100, 0))


def test_a_hundred_at_once_never_pass_the_cap(bench: Any) -> None:
    here, there = bench.open(), bench.open()
    answers = bench.together(
        *[(here, there)[number % 2].hold(str(number), [Hold(GLOBAL, MONTH, 7, 100)], 100, 0) for number in range(100)]
    )
    refused = [answer for answer in answers if isinstance(answer, CapReachedError)]
    assert len(refused) == 100 - 14
    assert {answer.left for answer in refused} == {2}


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_ready_and_closes_with_everything_written(bench: Any) -> None:
    store: Store = bench.open()
    bench.run(store.ready())
    works = [store.record(row(number), Settlement()) for number in range(50)]
    bench.together(*works)
    other: Store = bench.open()
    assert bench.run(other.usage(everything()))[0].requests == 50

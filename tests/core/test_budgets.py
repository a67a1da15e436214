"""The monthly budget: read, shown, held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budget import Budgets, read_budget, shown_budget
from shared.errors import Code, GatewayError
from shared.ledger import Ledger, request_id
from shared.metering import period_of
from shared.store import GLOBAL, Budget, Cost, Settlement, UsageRow
from shared.store.sqlite import SqliteStore

USD = 1_000_000_000
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("amount", "nano"),
    [
        (5, 5 * USD),
        (0, 0),
        (0.1, 100_000_000),
        (0.000000001, 1),
        ("12.345678901", 12_345_678_901),
        (1e-7, 100),
        (1_000_000_000, 10**18),
        (19.99, 19_990_000_000),
        (None, None),
        ("0.0000000009", 0),
    ],
)
def test_amounts(amount: Any, nano: int | None) -> None:
    assert read_budget({"amountUsd": amount}) == Budget(nano, False)
    assert read_budget({"amountUsd": amount, "alertOnly": True}) == Budget(nano, True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"alertOnly": True},
        {"amountUsd": -1},
        {"amountUsd": -1e-12},
        {"amountUsd": True},
        {"amountUsd": "lots"},
        {"amountUsd": "NaN"},
        {"amountUsd": "sNaN"},
        {"amountUsd": "Infinity"},
        {"amountUsd": "1e999999"},
        {"amountUsd": 1_000_000_001},
        {"amountUsd": []},
        {"amountUsd": {"usd": 5}},
        {"amountUsd": 5, "alertOnly": "yes"},
        {"amountUsd": 5, "alertOnly": None},
        {"amountUsd": 5, "alertOnly": 1},
    ],
    ids=str,
)
def test_what_is_no_budget(body: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        read_budget(body)
    assert (caught.value.code, caught.value.param) == (
        Code.VALIDATION_ERROR,
        "alertOnly" if len(body) == 2 else "amountUsd",
    )


@given(st.decimals(0, 10**9, places=9))
def test_decimals_are_exact(amount: Decimal) -> None:
    assert read_budget({"amountUsd": str(amount)}).amount == amount * USD


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    with suppress(GatewayError):
        amount = read_budget({"amountUsd": text}).amount
        assert amount is not None
        assert 0 <= amount <= 10**18


# ── over a store ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(str(tmp_path / "x.db"))
    yield made
    asyncio.run(made.close())


def _budgets(store: SqliteStore, now: float = NOW) -> Budgets:
    return Budgets(store, lambda: now, 60)


async def _spend(store: SqliteStore, name: str, nano: int, at: float = NOW) -> None:
    row = UsageRow(name, int(at * 1000), "messages", "complete", 200, cost=Cost(input=nano))
    await store.record(row, Settlement(((GLOBAL, period_of(row.at)),)))


def test_without_a_budget_nothing_is_held_or_shown(store: SqliteStore) -> None:
    async def run() -> None:
        await _budgets(store).hold("a", int(NOW * 1000), 10**15)
        assert await shown_budget(store, NOW) == {
            "amountUsd": None, "alertOnly": False, "window": "monthly", "spentMonthToDate": 0.0, "remaining": None,
        }  # fmt: skip

    asyncio.run(run())


def test_what_is_held_is_not_left_and_what_was_spent_counts_exactly(store: SqliteStore) -> None:
    async def run() -> None:
        budgets = _budgets(store)
        await store.put_budget(Budget(100))
        await budgets.hold("a", int(NOW * 1000), 60)
        with pytest.raises(GatewayError) as caught:
            await budgets.hold("b", int(NOW * 1000), 41)
        assert (caught.value.code, caught.value.status) == (Code.BUDGET_EXCEEDED, 402)
        assert "$0.00000004 are left" in caught.value.message
        await budgets.hold("c", int(NOW * 1000), 40)
        await _spend(store, "a", 7)
        await budgets.hold("d", int(NOW * 1000), 53)
        assert await shown_budget(store, NOW) == {
            "amountUsd": 1e-7, "alertOnly": False, "window": "monthly", "spentMonthToDate": 7e-9, "remaining": 9.3e-8,
        }  # fmt: skip
        await _spend(store, "c", 1_000)
        assert (await shown_budget(store, NOW))["remaining"] == 0.0

    asyncio.run(run())


def test_alerts_refuse_nobody(store: SqliteStore) -> None:
    async def run() -> None:
        await store.put_budget(Budget(0, alert_only=True))
        await _budgets(store).hold("a", int(NOW * 1000), 60)
        await _spend(store, "a", 60)
        shown = await shown_budget(store, NOW)
        assert (shown["alertOnly"], shown["spentMonthToDate"], shown["remaining"]) == (True, 6e-8, 0.0)

    asyncio.run(run())


def test_a_budget_of_nothing_serves_nobody_not_even_for_free(store: SqliteStore) -> None:
    async def run() -> None:
        await store.put_budget(Budget(0))
        for estimate in (None, 0, 5):
            with pytest.raises(GatewayError):
                await _budgets(store).hold("a", int(NOW * 1000), estimate)

    asyncio.run(run())


def test_months_end_in_utc(store: SqliteStore) -> None:
    async def run() -> None:
        await store.put_budget(Budget(100))
        last = datetime(2026, 11, 30, 23, 59, 59, 999_000, tzinfo=UTC).timestamp()
        await _spend(store, "a", 100, last)
        with pytest.raises(GatewayError):
            await _budgets(store, last).hold("b", int(last * 1000), 1)
        await _budgets(store, last + 0.001).hold("c", int(last * 1000) + 1, 100)
        assert (await shown_budget(store, last + 1))["spentMonthToDate"] == 0.0

    asyncio.run(run())


def test_a_hold_of_a_process_that_died_ends(store: SqliteStore) -> None:
    async def run() -> None:
        await store.put_budget(Budget(100))
        await _budgets(store).hold("a", int(NOW * 1000), 100)
        with pytest.raises(GatewayError):
            await _budgets(store, NOW + 60).hold("b", int(NOW * 1000), 1)
        await _budgets(store, NOW + 62).hold("b", int(NOW * 1000), 100)

    asyncio.run(run())


def test_fifty_at_once_never_hold_more_than_the_cap(store: SqliteStore) -> None:
    async def one(number: int) -> int:
        try:
            await _budgets(store).hold(f"r{number}", int(NOW * 1000), 30)
        except GatewayError:
            return 0
        await asyncio.sleep(0)
        await _spend(store, f"r{number}", 30)
        return 30

    async def run() -> None:
        await store.put_budget(Budget(1_000))
        spent = sum(await asyncio.gather(*[one(number) for number in range(50)]))
        assert spent == await store.spent(GLOBAL, "2026-11") == 990

    asyncio.run(run())


def test_a_hold_that_nobody_waited_for_ends_with_its_row(store: SqliteStore) -> None:
    """The client hung up while the hold was being taken: the request knows of none, but there may be one."""

    async def run() -> None:
        await store.put_budget(Budget(100))
        at = int(NOW * 1000)
        ledger = Ledger(store, request_id(at), at, "messages")
        asking = asyncio.create_task(_budgets(store).hold(ledger.id, at, 100))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            ledger.held = await asking
        with pytest.raises(GatewayError):
            await _budgets(store).hold("next", at, 100)
        await ledger.close("client_gone", 499)
        await _budgets(store).hold("next", at, 100)

    asyncio.run(run())


def test_a_hold_and_the_row_that_ends_it_may_wait_together(store: SqliteStore) -> None:
    async def run() -> None:
        await store.put_budget(Budget(100))
        at = int(NOW * 1000)
        ledger = Ledger(store, request_id(at), at, "messages")
        asking = asyncio.create_task(_budgets(store).hold(ledger.id, at, 100))
        await asyncio.sleep(0)
        asking.cancel()
        await ledger.close("client_gone", 499)
        await _budgets(store).hold("next", at, 100)

    asyncio.run(run())


def test_who_has_no_cap_holds_nothing(store: SqliteStore) -> None:
    held = asyncio.run(_budgets(store).hold("a", int(NOW * 1000), 100))
    assert not held.settlement(int(NOW * 1000), 5).held

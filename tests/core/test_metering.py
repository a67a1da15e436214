"""Tokens to money: golden cases by hand, and what holds for any usage and any price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.types import FREE, Offer, Price, Rates, Tier, Window
from shared.canonical import Usage
from shared.metering import cost_of, dollars, estimated_tokens, exact_dollars, rates_at, tokens_of
from shared.store import Cost, Tokens

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
USD = 1_000_000_000
SONNET = Rates(
    3 * USD, 15 * USD, cache_read=3 * USD // 10, cache_write_5m=375 * USD // 100, cache_write_1h=6 * USD, web_search=USD // 100
)  # fmt: skip
GPT = Rates(25 * USD // 10, 10 * USD, cache_read=125 * USD // 100)


def priced(rates: Rates, **more: object) -> Price:
    return replace(Price(date(2026, 1, 1), rates), **more)  # type: ignore[arg-type]  # names and values of the fields


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_plain() -> None:
    assert cost_of(Usage(input=1000, output=500), priced(GPT), NOON) == Cost(input=2_500_000, output=5_000_000)


def test_cached_tokens_are_never_paid_twice() -> None:
    usage = Usage(input=100_000, cache_read=70_000, cache_write_5m=20_000, cache_write_1h=5_000, output=1_000)
    assert cost_of(usage, priced(SONNET), NOON) == Cost(
        input=5_000 * 3_000, cache_read=70_000 * 300, cache_write=20_000 * 3_750 + 5_000 * 6_000, output=1_000 * 15_000
    )
    assert tokens_of(usage) == Tokens(5_000, 70_000, 20_000, 5_000, 1_000)
    assert tokens_of(usage).total == 101_000


def test_reasoning_is_part_of_the_output() -> None:
    with_thinking = cost_of(Usage(input=10, output=100, reasoning=90), priced(GPT), NOON)
    assert with_thinking == cost_of(Usage(input=10, output=100), priced(GPT), NOON)
    assert tokens_of(Usage(output=100, reasoning=90)).total == 100


def test_classes_without_a_rate_of_their_own_cost_what_the_wider_one_costs() -> None:
    bare = priced(Rates(2 * USD, 8 * USD))
    usage = Usage(
        input=40, cache_read=10, cache_write_5m=10, cache_write_1h=10, output=10, audio_input=5, audio_output=5
    )
    assert cost_of(usage, bare, NOON) == Cost(20_000, 20_000, 40_000, 80_000)
    only_5m = priced(Rates(2 * USD, 8 * USD, cache_write_5m=3 * USD))
    assert cost_of(Usage(input=10, cache_write_1h=10), only_5m, NOON) == Cost(cache_write=30_000)
    nothing = priced(Rates(2 * USD, 8 * USD, cache_read=0))
    assert cost_of(Usage(input=10, cache_read=10), nothing, NOON) == Cost()


def test_audio() -> None:
    rates = priced(Rates(2 * USD, 8 * USD, audio_input=40 * USD, audio_output=80 * USD))
    assert cost_of(Usage(input=100, audio_input=30, output=50, audio_output=20), rates, NOON) == Cost(
        input=70 * 2_000 + 30 * 40_000, output=30 * 8_000 + 20 * 80_000
    )
    assert cost_of(Usage(input=10, audio_input=99, output=10, audio_output=99), rates, NOON) == Cost(
        400_000, 0, 0, 800_000
    )


def test_searches_are_fees() -> None:
    assert cost_of(Usage(web_searches=3), priced(SONNET), NOON) == Cost(fees=30_000_000)
    assert cost_of(Usage(web_searches=3), priced(GPT), NOON) == Cost()


@pytest.mark.parametrize(("tokens", "nano"), [(1, 0), (4, 0), (5, 1), (14, 1), (15, 2), (10_000_000, 1_000_000)])
def test_halves_are_rounded_up(tokens: int, nano: int) -> None:
    assert cost_of(Usage(input=tokens), priced(Rates(100_000, 0)), NOON).input == nano


def test_each_class_is_rounded_by_itself() -> None:
    assert cost_of(Usage(input=10, cache_read=5, output=5), priced(Rates(100_000, 100_000)), NOON) == Cost(1, 1, 0, 1)


def test_a_surcharge() -> None:
    assert cost_of(Usage(input=1_000_000), priced(GPT), NOON, 55_000).input == 2_637_500_000
    assert cost_of(Usage(web_searches=2), priced(SONNET), NOON, 500_000).fees == 30_000_000


def test_tiers_go_by_the_whole_input_and_hold_for_all_of_it() -> None:
    higher, highest = Rates(4 * USD, 20 * USD), Rates(8 * USD, 40 * USD)
    price = priced(GPT, tiers=(Tier(200_000, higher), Tier(500_000, highest)))
    assert rates_at(price, Usage(input=200_000), NOON) == GPT
    assert rates_at(price, Usage(input=200_001, cache_read=200_001), NOON) == higher
    assert rates_at(price, Usage(input=500_001), NOON) == highest
    assert cost_of(Usage(input=300_000, output=10), price, NOON) == Cost(input=1_200_000_000, output=200_000)


@pytest.mark.parametrize("tier", ["", "auto", "default", "standard", "standard_only", "on_demand", "unheard-of"])
def test_service_tiers_that_cost_the_usual(tier: str) -> None:
    price = priced(GPT, service_tiers={"priority": SONNET, "default": SONNET, "auto": SONNET})
    assert rates_at(price, Usage(input=1, service_tier=tier), NOON) == GPT


def test_a_service_tier_comes_before_everything_else() -> None:
    other, third = Rates(1, 1), Rates(2, 2)
    price = priced(
        GPT, service_tiers={"priority": SONNET}, windows=(Window(0, 1440, other),), tiers=(Tier(10, third, {"priority": other}),)
    )  # fmt: skip
    assert rates_at(price, Usage(input=10, service_tier="priority"), NOON) == SONNET
    assert rates_at(price, Usage(input=11, service_tier="priority"), NOON) == other
    assert rates_at(price, Usage(input=11, service_tier="flex"), NOON) == third


@pytest.mark.parametrize(
    ("clock", "cheap"),
    [("16:29", False), ("16:30", True), ("23:59", True), ("00:00", True), ("00:29", True), ("00:30", False), ("12:00", False)],
)  # fmt: skip
def test_windows_may_span_midnight(clock: str, cheap: bool) -> None:
    hour, minute = map(int, clock.split(":"))
    price = priced(GPT, windows=(Window(16 * 60 + 30, 30, FREE.rates),))
    at = datetime(2026, 11, 24, hour, minute, 59, tzinfo=UTC)
    assert (rates_at(price, Usage(), at) == FREE.rates) is cheap


def test_a_price_holds_from_its_day() -> None:
    old, new = Price(date(2026, 1, 1), SONNET), Price(date(2026, 11, 24), GPT)
    offer = Offer("openai", "x", ("messages",), (old, new))
    assert offer.price(datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)) == old
    assert offer.price(datetime(2026, 11, 24, tzinfo=UTC)) == new
    assert offer.price(datetime(2025, 1, 1, tzinfo=UTC)) == old
    assert Offer("openai", "x", ("messages",)).price(NOON) is None


# ── whatever comes ───────────────────────────────────────────────────────────────────────────────────────────────

counts = st.integers(-(10**3), 10**7)
usages = st.builds(
    Usage, counts, counts, counts, counts, counts, counts, counts, counts, st.integers(-5, 50), st.sampled_from(["", "flex"])
)  # fmt: skip
rates = st.integers(0, 10**12)
maybe = st.none() | rates
all_rates = st.builds(Rates, rates, rates, maybe, maybe, maybe, maybe, maybe, maybe)
prices = st.builds(
    lambda base, over, higher, special: priced(base, tiers=(Tier(over, higher, {"flex": special}),), service_tiers={"flex": special}),
    all_rates, st.integers(0, 10**6), all_rates, all_rates,
)  # fmt: skip


@given(usages)
def test_classes_are_disjoint_and_never_negative(usage: Usage) -> None:
    tokens = tokens_of(usage)
    classes = (tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h, tokens.output)
    assert all(count >= 0 for count in (*classes, tokens.reasoning))
    assert sum(classes) == tokens.total
    assert tokens.reasoning <= tokens.output
    cached = usage.cache_read + usage.cache_write
    if min(usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output) >= 0 and cached <= usage.input:
        assert tokens.total == usage.input + usage.output


@given(usages, prices, st.integers(0, 10**6))
def test_costs_are_never_negative_and_sum_to_the_total(usage: Usage, price: Price, surcharge: int) -> None:
    cost = cost_of(usage, price, NOON, surcharge)
    classes = (cost.input, cost.cache_read, cost.cache_write, cost.output, cost.fees)
    assert all(isinstance(part, int) and part >= 0 for part in classes)
    assert sum(classes) == cost.total


@given(st.integers(0, 10**7), rates, st.integers(0, 10**6))
def test_the_rounding_is_the_decimals(count: int, rate: int, surcharge: int) -> None:
    exact = Decimal(count) * rate * (1_000_000 + surcharge) / 1_000_000_000_000
    got = cost_of(Usage(output=count), priced(Rates(0, rate)), NOON, surcharge).output
    assert got == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@given(usages, prices)
def test_more_of_anything_never_costs_less(usage: Usage, price: Price) -> None:
    flat = replace(price, tiers=(), service_tiers={})
    for more in (replace(usage, output=usage.output + 1000), replace(usage, web_searches=usage.web_searches + 1)):
        assert cost_of(more, flat, NOON).total >= cost_of(usage, flat, NOON).total


@given(st.integers(-(10**18), 10**18))
def test_exact_dollars(nano: int) -> None:
    assert Decimal(exact_dollars(nano)) == Decimal(nano) / USD
    assert "e" not in exact_dollars(nano).lower()


def test_dollars() -> None:
    assert [exact_dollars(nano) for nano in (0, 1, -1, 10**9, 1_500_000_000)] == [
        "0.0", "0.000000001", "-0.000000001", "1.0", "1.5",
    ]  # fmt: skip
    assert (dollars(None), dollars(12_345)) == (None, 0.000012345)


@pytest.mark.parametrize(("chars", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4_000, 1_000)])
def test_an_estimate_rounds_up(chars: int, tokens: int) -> None:
    assert estimated_tokens(chars) == tokens


def test_a_count_that_no_model_can_reach_still_fits_a_row() -> None:
    absurd = Usage(2**64 - 1, 2**63, 2**63, 2**63, 2**64 - 1, 2**64 - 1, web_searches=2**63)
    rich = priced(Rates(10**12, 10**12, web_search=USD))
    assert tokens_of(absurd).total < 2**40
    assert cost_of(absurd, rich, NOON, 10**6).total < 2**62

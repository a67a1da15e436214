"""Prices: one for every offer, plausible, and the right ones."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from catalog.load import HERE, load
from catalog.types import FREE, Catalog, Offer, Rates, Window

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(check=True)


def offer(catalog: Catalog, name: str, provider: str) -> Offer:
    match = catalog.find(name)
    assert match is not None, name
    return next(found for found in match.model.offers if found.provider == provider)


def rates(catalog: Catalog, name: str, provider: str) -> Rates:
    price = offer(catalog, name, provider).price(NOW)
    assert price is not None
    return price.rates


def test_every_offer_has_a_price_with_source_and_day(catalog: Catalog) -> None:
    for model in catalog.models.values():
        for found in model.offers:
            where = f"{model.id} at {found.provider}"
            assert found.prices, where
            assert [price.since for price in found.prices] == sorted({price.since for price in found.prices}), where
            for price in found.prices:
                assert price.source, where
                assert price is FREE or price.since.year >= 2024, where
                assert [tier.over for tier in price.tiers] == sorted({tier.over for tier in price.tiers}), where
            if catalog.providers[found.provider].free:
                assert found.prices == (FREE,), where


def test_rates_are_plausible(catalog: Catalog) -> None:
    """A slip of a factor of a thousand, a cached token dearer than a fresh one, a write cheaper than a read: all are mistakes."""
    for model in catalog.models.values():
        for found in model.offers:
            price = found.price(NOW)
            assert price is not None
            for known in (price.rates, *(tier.rates for tier in price.tiers)):
                where = f"{model.id} at {found.provider}: {known}"
                assert 0 <= known.input <= 300_000_000_000, where
                assert known.input == 0 or known.input >= 1_000_000, where
                assert known.output >= known.input or model.vendor in {"ai21", "morph", "moonshotai"}, where
                assert known.cache_read is None or known.cache_read <= known.input, where
                if known.cache_write_5m is not None and known.cache_write_1h is not None:
                    assert known.cache_write_5m < known.cache_write_1h, where


def test_tiers_cost_more_and_know_the_same_service_tiers(catalog: Catalog) -> None:
    for model in catalog.models.values():
        for found in model.offers:
            for price in found.prices:
                for tier in price.tiers:
                    assert tier.rates.input >= price.rates.input, model.id
                    assert tier.service_tiers.keys() == price.service_tiers.keys(), model.id
                    for name, part in tier.service_tiers.items():
                        assert part.input >= price.service_tiers[name].input, (model.id, name)


@pytest.mark.parametrize(
    ("name", "provider", "dollars"),
    [  # input, output, cache read, cache write 5 min, cache write 1 h; dollars per million tokens
        ("gpt-4o", "openai", ("2.5", "10", "1.25", None, None)),
        ("gpt-4o-mini", "openai", ("0.15", "0.6", "0.075", None, None)),
        ("gpt-4o-mini", "openrouter", ("0.15", "0.6", "0.075", None, None)),
        ("gpt-6.1-sol", "openai", ("2", "10", "0.1", "2.5", "5")),
        ("gpt-5.6-luna", "openai", ("0.2", "1.2", "0.02", "0.25", "0.5")),
        ("claude-haiku-4-5", "anthropic", ("1", "5", "0.1", "1.25", "2")),
        ("claude-sonnet-4-20250514", "anthropic", ("3", "15", "0.3", "3.75", "6")),
        ("claude-sonnet-5-5", "anthropic", ("2", "10", "0.1", "2.5", "4")),
        ("claude-sonnet-5-5", "openrouter", ("2", "10", "0.1", "2.5", "4")),
        ("claude-opus-5-5", "openrouter", ("4", "20", "0.2", "5", "8")),
        ("gemini-2.5-pro", "google", ("1.25", "10", "0.125", None, None)),
        ("gemini-3.8-flash", "google", ("0.75", "3.75", "0.075", None, None)),
        ("grok-4.7", "xai", ("2", "6", "0.5", None, None)),
        ("grok-4", "xai", ("1.25", "2.5", "0.2", None, None)),
        ("gpt-oss-120b", "groq", ("0.15", "0.6", "0.075", None, None)),
        ("glm-5.3", "zai", ("1.4", "4.4", "0.26", None, None)),
        ("glm-4.5-flash", "zai", ("0", "0", None, None, None)),
    ],
)
def test_golden_prices(catalog: Catalog, name: str, provider: str, dollars: tuple[str | None, ...]) -> None:
    known = rates(catalog, name, provider)
    found = (known.input, known.output, known.cache_read, known.cache_write_5m, known.cache_write_1h)
    assert found[:3] == tuple(None if text is None else int(Decimal(text) * 10**9) for text in dollars[:3])
    if "cache" in name or dollars[3] is not None:
        assert found[3:] == tuple(None if text is None else int(Decimal(text) * 10**9) for text in dollars[3:])


def test_long_prompts_and_service_tiers(catalog: Catalog) -> None:
    price = offer(catalog, "gpt-6.1-sol", "openai").price(NOW)
    assert price is not None
    (tier,) = price.tiers
    assert (tier.over, tier.rates.input, tier.rates.output) == (272_000, 4_000_000_000, 15_000_000_000)
    assert price.service_tiers["flex"].input == 1_000_000_000
    assert price.service_tiers["priority"].output == 20_000_000_000
    assert price.service_tiers["fast"] == price.service_tiers["priority"]
    assert tier.service_tiers["priority"].output == 30_000_000_000
    assert tier.service_tiers["flex"].cache_read == 100_000_000
    flat = offer(catalog, "gpt-5.4", "openai").price(NOW)
    assert flat is not None
    assert flat.tiers[0].service_tiers["priority"].input == 5_000_000_000  # published without a long-prompt rate
    haiku = offer(catalog, "claude-haiku-5-5", "openrouter").price(NOW)
    assert haiku is not None
    assert [(part.over, part.rates.cache_write_1h) for part in haiku.tiers] == [(100_000, 1_000_000_000)]
    grok = offer(catalog, "grok-4.7", "xai").price(NOW)
    assert grok is not None
    assert grok.tiers[0].over == 199_999  # "200k and above"
    assert rates(catalog, "claude-sonnet-5-5", "anthropic").web_search == 10_000_000  # $10 per thousand


def test_announced_prices_wait_for_their_day(catalog: Catalog) -> None:
    argon = offer(catalog, "gemini-4-argon", "google")
    assert [price.rates.input for price in argon.prices] == [2_000_000_000, 4_000_000_000]

    def at(*day: int) -> int:
        price = argon.price(datetime(*day, tzinfo=UTC))  # type: ignore[arg-type, misc]  # day, hour, minute
        assert price is not None
        return price.rates.input

    assert at(2026, 11, 30, 23, 59) == 2_000_000_000
    assert at(2026, 12, 1) == 4_000_000_000
    assert at(2020, 1, 1) == 2_000_000_000  # before the first one: the oldest that is known


def test_prices_agree_with_genai_prices(catalog: Catalog) -> None:
    """The dataset's own calculation, for every offer that was priced by the installed version."""
    from importlib.metadata import version

    from genai_prices import Usage
    from genai_prices.data_snapshot import get_snapshot

    source = f"genai-prices {version('genai-prices')}"
    known = {provider.id: provider for provider in get_snapshot().providers}
    usage = Usage(input_tokens=20_000, cache_read_tokens=15_000, output_tokens=1_000)
    compared = 0
    for model in catalog.models.values():
        for found in model.offers:
            price = found.price(NOW)
            provider = known.get({"xai": "x-ai"}.get(found.provider, found.provider))
            if provider is None or price is None or price.source != source:
                continue
            info = provider.find_model(found.id)
            if info is None:
                continue
            theirs = info.calc_price(usage, provider, genai_request_timestamp=NOW).total_price
            read = price.rates.input if price.rates.cache_read is None else price.rates.cache_read
            ours = Decimal(5_000 * price.rates.input + 15_000 * read + 1_000 * price.rates.output) / 10**15
            assert abs(ours - theirs) < Decimal("1e-9"), (model.id, found.provider)
            compared += 1
    assert compared > 300


def test_windows_of_the_day() -> None:
    by_day, over_midnight = Window(60, 120, FREE.rates), Window(1_380, 60, FREE.rates)
    assert [minute for minute in (59, 60, 119, 120) if by_day.holds(minute)] == [60, 119]
    assert [minute for minute in (59, 60, 1_379, 1_380) if over_midnight.holds(minute)] == [59, 1_380]


def test_everything_that_a_price_can_say(tmp_path: Path) -> None:
    shutil.copytree(HERE / "providers", tmp_path / "providers")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.yaml").write_text("""
- id: m
  name: M
  vendor: v
  input: [text]
  limits: {context: 100, output: 10}
  flags: {json_schema: true, effort: [low]}
  offers:
  - provider: openai
    id: m
    apis: [responses]
    limits: {output: 5}
    flags: {effort: []}
    input: [text, image]
    quirks: [no_stop]
    prices:
    - since: 2026-02-01
      source: here
      rates: {input: 2, output: 4, cache_read: 0.000000001, web_search: 10}
      tiers:
      - {over: 200, rates: {input: 6}, service_tiers: {flex: {output: 3}}}
      - {over: 100, rates: {input: 4}}
      windows: [{start: 60, end: 120, rates: {output: 1}}]
      service_tiers: {flex: {input: 1}}
    - {since: 2026-01-01, source: there, rates: {input: 1, output: 1}}
""")
    model = load(tmp_path, check=True).models["m"]
    (found,) = model.offers
    assert (found.limits.context, found.limits.output, found.flags.json_schema, found.flags.effort) == (
        100,
        5,
        True,
        (),
    )
    assert (found.input, found.quirks, found.apis) == ({"text", "image"}, {"no_stop"}, ("responses",))
    older, newer = found.prices
    assert (older.source, newer.source, found.price_source) == ("there", "here", "here")
    assert newer.rates == Rates(2_000_000_000, 4_000_000_000, cache_read=1, web_search=10_000_000)
    assert [(tier.over, tier.rates.input, tier.rates.output) for tier in newer.tiers] == [
        (100, 4_000_000_000, 4_000_000_000),
        (200, 6_000_000_000, 4_000_000_000),
    ]
    flex = [tier.service_tiers["flex"] for tier in newer.tiers]
    assert [(part.input, part.output) for part in flex] == [
        (1_000_000_000, 4_000_000_000),
        (1_000_000_000, 3_000_000_000),
    ]
    assert newer.windows[0].rates == Rates(2_000_000_000, 1_000_000_000, cache_read=1, web_search=10_000_000)
    target = found.target(load().providers["openai"].endpoints["responses"])
    assert (target.provider, target.model, target.quirks) == ("openai", "m", {"no_stop"})

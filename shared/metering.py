"""Tokens to money: pure arithmetic on whole nano-dollars."""

from __future__ import annotations

from datetime import UTC, datetime

from catalog.types import Price, Rates
from shared.canonical import Usage
from shared.store import Cost, Tokens

_MILLION = 1_000_000
_STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
_MOST_TOKENS = 1_000_000_000
_MOST_SEARCHES = 10_000
"""No request comes near these; a provider that reports more has erred, and its row must still fit the store and its sums."""
CHARS_PER_TOKEN = 4
"""A rule of thumb for text that nobody counted."""


def tokens_of(usage: Usage) -> Tokens:
    """Usage, in which input includes the cached part, as disjoint classes. Counts that contradict each other never go below 0."""
    read, write_5m, write_1h = _count(usage.cache_read), _count(usage.cache_write_5m), _count(usage.cache_write_1h)
    output = _count(usage.output)
    return Tokens(
        input=_count(usage.input - read - write_5m - write_1h),
        cache_read=read,
        cache_write_5m=write_5m,
        cache_write_1h=write_1h,
        output=output,
        reasoning=min(_count(usage.reasoning), output),
    )


def _count(tokens: int) -> int:
    return tokens if 0 <= tokens <= _MOST_TOKENS else 0 if tokens < 0 else _MOST_TOKENS


def estimated_tokens(chars: int) -> int:
    """How many tokens that many characters may be."""
    return -(-chars // CHARS_PER_TOKEN)


def rates_at(price: Price, usage: Usage, at: datetime) -> Rates:
    """The rates that hold for this request at that moment (UTC): its length, its service tier, the hour of the day."""
    tier = next((tier for tier in reversed(price.tiers) if usage.input > tier.over), None)
    services = price.service_tiers if tier is None else tier.service_tiers
    if usage.service_tier not in _STANDARD_TIERS and (special := services.get(usage.service_tier)) is not None:
        return special
    if tier is not None:
        return tier.rates
    if price.windows:
        minute = at.hour * 60 + at.minute
        for window in price.windows:
            if window.holds(minute):
                return window.rates
    return price.rates


def cost_of(usage: Usage, price: Price, at: datetime, surcharge_ppm: int = 0) -> Cost:
    """What a request costs, by class; each class is rounded to the nearest nano-dollar, halves up."""
    rates, tokens = rates_at(price, usage, at), tokens_of(usage)
    audio_in = min(_count(usage.audio_input), tokens.input)
    audio_out = min(_count(usage.audio_output), tokens.output)
    write_5m = _or(rates.cache_write_5m, rates.input)
    writes = tokens.cache_write_5m * write_5m + tokens.cache_write_1h * _or(rates.cache_write_1h, write_5m)
    searches = min(_count(usage.web_searches), _MOST_SEARCHES) * (rates.web_search or 0) * _MILLION
    fresh = (tokens.input - audio_in) * rates.input + audio_in * _or(rates.audio_input, rates.input)
    written = (tokens.output - audio_out) * rates.output + audio_out * _or(rates.audio_output, rates.output)
    return Cost(
        input=_rounded(fresh, surcharge_ppm),
        cache_read=_rounded(tokens.cache_read * _or(rates.cache_read, rates.input), surcharge_ppm),
        cache_write=_rounded(writes, surcharge_ppm),
        output=_rounded(written, surcharge_ppm),
        fees=_rounded(searches, surcharge_ppm),
    )


def _or(rate: int | None, wider: int) -> int:
    return wider if rate is None else rate


def _rounded(part: int, surcharge_ppm: int) -> int:
    return (part * (_MILLION + surcharge_ppm) + _MILLION * _MILLION // 2) // (_MILLION * _MILLION)


def dollars(nano: int | None) -> float | None:
    """Nano-dollars for people and JSON."""
    return None if nano is None else nano / 1_000_000_000


def exact_dollars(nano: int) -> str:
    """Nano-dollars as a decimal without rounding: `0.000012345`."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    text = f"{sign}{nano // 1_000_000_000}.{nano % 1_000_000_000:09d}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def period_of(at_ms: int) -> str:
    """The month in which a moment's spending counts (UTC): `2026-11`."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment.year}-{moment.month:02d}"

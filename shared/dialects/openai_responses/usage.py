"""Token counts, both ways (https://platform.openai.com/docs/api-reference/responses/object#responses/object-usage)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shared.canonical import Json, Usage

_NANO = 1_000_000_000
_TICKS_PER_NANO = 10
"""xAI bills in ticks of 1e-10 dollars: https://docs.x.ai/docs/api-reference"""


def read_usage(response: Json) -> Usage:
    """What a response object tells of tokens and money; `reported` is False where it has no figures."""
    tier = response.get("service_tier")
    service_tier = tier if isinstance(tier, str) else ""
    searches = _searches(response)
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return Usage(web_searches=searches, service_tier=service_tier, reported=False)
    inside = _part(usage, "input_tokens_details")
    written = _part(inside, "cache_write_tokens_details")
    long_lived = _count(written, "ttl_12h_tokens")
    cache_write = max(_count(inside, "cache_write_tokens"), long_lived + _count(written, "ttl_30m_tokens"))
    return Usage(
        input=_count(usage, "input_tokens"),
        cache_read=_count(inside, "cached_tokens"),
        cache_write_5m=cache_write - long_lived,
        cache_write_1h=long_lived,
        output=_count(usage, "output_tokens"),
        reasoning=_count(_part(usage, "output_tokens_details"), "reasoning_tokens"),
        audio_input=_count(inside, "audio_tokens"),
        audio_output=_count(_part(usage, "output_tokens_details"), "audio_tokens"),
        web_searches=searches,
        service_tier=service_tier,
        provider_cost=_cost(usage),
    )


def write_usage(usage: Usage) -> Json | None:
    """`usage` with every detail that the SDKs require; None where nobody counted."""
    if not usage.reported and not (usage.input or usage.output):
        return None
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def _cost(usage: Json) -> int | None:
    match usage:
        case {"cost_in_usd_ticks": int(ticks)} if ticks >= 0:
            return (ticks + _TICKS_PER_NANO // 2) // _TICKS_PER_NANO
        case {"cost": int(cost) | float(cost)} if 0 <= cost < _NANO:
            # A boolean is no price, though Python takes it for a number.
            return None if isinstance(cost, bool) else int((Decimal(str(cost)) * _NANO).to_integral_value())
        case _:
            return None


def _searches(response: Json) -> int:
    """Billed searches: the provider's own count, else the search calls among the items (opening a page is none)."""
    told = _part(_part(response, "tool_usage"), "web_search")
    if "num_requests" in told:
        return _count(told, "num_requests")
    output = response.get("output")
    return sum(map(_is_search, output)) if isinstance(output, list) else 0


def _is_search(item: Any) -> bool:
    match item:
        case {"type": "web_search_call", "action": {"type": str(kind)}}:
            return kind == "search"
        case {"type": "web_search_call"}:
            return True
        case _:
            return False


def _part(source: Json, key: str) -> Json:
    value = source.get(key)
    return value if isinstance(value, dict) else {}


def _count(source: Json, key: str) -> int:
    value = source.get(key)
    return value if isinstance(value, int) and value > 0 else 0

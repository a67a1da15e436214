"""Token counts of the Messages API: `input_tokens` is there without what was read from or written to the cache.

https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Usage

_TIERS = frozenset(("standard", "priority", "batch"))
_NANO = 1_000_000_000
_MOST = 1_000_000  # dollars: more for one call is no price


def read_usage(usage: Json) -> Usage:
    """The counts of a whole reply, or of `message_start` with `message_delta` laid over it."""
    read, fresh = _count(usage, "cache_read_input_tokens"), _count(usage, "input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    parts = _part(usage, "cache_creation")
    hour = _count(parts, "ephemeral_1h_input_tokens")
    short = max(written - hour, _count(parts, "ephemeral_5m_input_tokens"))
    tier = usage.get("service_tier")
    return Usage(
        input=fresh + read + short + hour,
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=hour,
        output=_count(usage, "output_tokens"),
        reasoning=_count(_part(usage, "output_tokens_details"), "thinking_tokens"),
        web_searches=_count(_part(usage, "server_tool_use"), "web_search_requests"),
        service_tier=tier if isinstance(tier, str) else "",
        provider_cost=_billed(usage.get("cost")),
        reported="input_tokens" in usage or "output_tokens" in usage,
    )


def overlay(old: Json, new: Json) -> Json:
    """Counts are running totals: a later one replaces an earlier one, an absent one leaves it."""
    return {**old, **{key: value for key, value in new.items() if value is not None}}


def write_usage(usage: Usage) -> Json:
    """The counts for a client. All of them, as some clients read the prompt's size from the last event only."""
    body: Json = {
        "input_tokens": max(usage.input - usage.cache_read - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
    }
    if usage.cache_write:
        body["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    if usage.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.web_searches:
        body["server_tool_use"] = {"web_search_requests": usage.web_searches, "web_fetch_requests": 0}
    if usage.service_tier in _TIERS:
        body["service_tier"] = usage.service_tier
    return body


def _count(owner: Json, key: str) -> int:
    value = owner.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _part(owner: Json, key: str) -> Json:
    value = owner.get(key)
    return value if isinstance(value, dict) else {}


def _billed(value: Any) -> int | None:
    """Dollars as nano-dollars (`usage_cost`: https://openrouter.ai/docs/use-cases/usage-accounting)."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST:
        return round(value * _NANO)
    return None

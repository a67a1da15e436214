"""Tokens and ends of chat completions, both ways (https://platform.openai.com/docs/api-reference/chat/object).

What is where: `prompt_tokens` includes what the cache gave. `completion_tokens` includes the reasoning at OpenAI, and
leaves it out at xAI and in Google's OpenAI layer (https://docs.x.ai/docs/guides/reasoning), where `total_tokens` tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.canonical import Json, StopReason, Usage

_NANO = 1_000_000_000
_NANO_PER_TICK = 10  # of xAI's ticks, ten thousand million make a dollar: ten to a nano-dollar
_MAX_DOLLARS = 1e9
_MAX_COUNT = 2**53

REASONS: Mapping[str, StopReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "refusal",
    "sensitive": "refusal",  # Z.AI: https://docs.z.ai/api-reference/llm/chat-completion
    "model_context_window_exceeded": "context_full",  # Z.AI
}
CUT: tuple[StopReason, ...] = ("length", "context_full", "refusal")
"""Reasons after which a tool call's arguments may be torn."""
FAILURES = frozenset({"error", "network_error"})
"""Finish reasons that are none: OpenRouter's and Z.AI's words for a reply that broke."""

_FINISH: Mapping[StopReason, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "tool_call": "tool_calls",
    "length": "length",
    "context_full": "length",
    "paused": "length",
    "refusal": "content_filter",
}


def read_reason(word: str, *, called: bool, refused: bool) -> StopReason:
    """The neutral reason. Where the model called tools that is the reason, whatever the provider says, unless the reply was
    cut; words by which the model declined make a refusal (OpenAI says `stop` there)."""
    reason = REASONS.get(word, "end")
    if reason in CUT:
        return reason
    if called:
        return "tool_call"
    return "refusal" if refused else "end"


def write_reason(reason: StopReason, *, declined: bool, legacy: bool) -> str:
    """`finish_reason`. `declined`: the model's own words say no, for which OpenAI's word is `stop`; SDKs that parse output take
    `content_filter` for an error."""
    if reason == "refusal" and declined:
        return "stop"
    if reason == "tool_call" and legacy:
        return "function_call"
    return _FINISH[reason]


def usage_in(body: Json) -> Json | None:
    """The usage object of a reply or a chunk (Groq puts a stream's also into `x_groq`)."""
    if isinstance(usage := body.get("usage"), dict):
        return usage
    match body.get("x_groq"):
        case {"usage": dict(usage)}:
            return usage
    return None


def read_usage(usage: Json, service_tier: object = None) -> Usage:
    """A provider's usage object. Odd values count as nothing; it never raises."""
    given = _details(usage, "prompt_tokens_details")
    taken = _details(usage, "completion_tokens_details")
    prompt, completion, total = (_count(usage, f"{field}_tokens") for field in ("prompt", "completion", "total"))
    thought = _count(taken, "reasoning_tokens")
    if thought and total == prompt + completion + thought:
        completion += thought
    elif not thought and completion > 0 and total > prompt + completion:
        thought = total - prompt - completion
        completion = total - prompt
    return Usage(
        input=prompt,
        cache_read=_count(given, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"),
        cache_write_5m=_count(given, "cache_write_tokens"),
        output=completion,
        reasoning=thought,
        audio_input=_count(given, "audio_tokens"),
        audio_output=_count(taken, "audio_tokens"),
        web_searches=_count(_details(usage, "server_tool_use"), "web_search_requests"),
        service_tier=service_tier if isinstance(service_tier, str) else "",
        provider_cost=_cost(usage),
    )


def _details(usage: Json, field: str) -> Json:
    details = usage.get(field)
    return details if isinstance(details, dict) else {}


def _count(holder: Json, field: str) -> int:
    value = holder.get(field)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MAX_COUNT else 0


def _cost(usage: Json) -> int | None:
    """What the provider billed: OpenRouter in dollars (https://openrouter.ai/docs/use-cases/usage-accounting), xAI in ticks."""
    ticks: Any = usage.get("cost_in_usd_ticks")
    if isinstance(ticks, int) and not isinstance(ticks, bool) and ticks >= 0:
        return (ticks + _NANO_PER_TICK // 2) // _NANO_PER_TICK
    dollars: Any = usage.get("cost")
    if isinstance(dollars, int | float) and not isinstance(dollars, bool) and 0 <= dollars < _MAX_DOLLARS:
        return round(dollars * _NANO)
    return None


def write_usage(usage: Usage) -> Json:
    """The usage object for a client."""
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }

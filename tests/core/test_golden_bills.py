"""Usage as every provider and API reports it, and what it costs to the nano-dollar: whole, streamed, passed through and translated.

Expected figures are worked out by hand from the prices of 24 November 2026 (nano-dollars a token: $2.50 per million are 2,500).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from catalog.load import load
from shared.dialects import Api, Reading, dialect
from shared.metering import cost_of, tokens_of
from shared.sse import SSE

CATALOG = load()
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Bill:
    name: str
    api: Api
    provider: str
    model: str
    usage: dict[str, Any]
    tokens: tuple[int, int, int, int, int, int]  # fresh, read, written 5m, written 1h, output, reasoning
    nano: int
    provider_nano: int | None = None


BILLS = [
    Bill(
        "openai chat", "chat_completions", "openai", "gpt-4o",
        {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306, "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
         "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}},
        (86, 1920, 0, 0, 300, 0), 86 * 2_500 + 1920 * 1_250 + 300 * 10_000,
    ),
    Bill(
        "openai responses", "responses", "openai", "gpt-5.5",
        {"input_tokens": 12_000, "input_tokens_details": {"cached_tokens": 10_000, "cache_write_tokens": 0}, "output_tokens": 1_500,
         "output_tokens_details": {"reasoning_tokens": 1_024}, "total_tokens": 13_500},
        (2_000, 10_000, 0, 0, 1_500, 1_024), 2_000 * 5_000 + 10_000 * 500 + 1_500 * 30_000,
    ),
    Bill(
        "openai responses, long", "responses", "openai", "gpt-5.5",
        {"input_tokens": 300_000, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 1_000,
         "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 301_000},
        (300_000, 0, 0, 0, 1_000, 0), 300_000 * 10_000 + 1_000 * 45_000,
    ),
    Bill(
        "anthropic", "messages", "anthropic", "claude-sonnet-5-5",
        {"input_tokens": 60, "cache_read_input_tokens": 30_000, "cache_creation_input_tokens": 10_000, "output_tokens": 500,
         "cache_creation": {"ephemeral_5m_input_tokens": 6_000, "ephemeral_1h_input_tokens": 4_000},
         "output_tokens_details": {"thinking_tokens": 120}, "server_tool_use": {"web_search_requests": 2}, "service_tier": "standard"},
        (60, 30_000, 6_000, 4_000, 500, 120),
        60 * 2_000 + 30_000 * 100 + 6_000 * 2_500 + 4_000 * 4_000 + 500 * 10_000 + 2 * 10_000_000,
    ),
    Bill(
        "google native", "gemini", "google", "gemini-2.5-flash",
        {"promptTokenCount": 5_000, "cachedContentTokenCount": 2_000, "toolUsePromptTokenCount": 100, "candidatesTokenCount": 200,
         "thoughtsTokenCount": 800, "totalTokenCount": 6_100},
        (3_100, 2_000, 0, 0, 1_000, 800), 3_100 * 300 + 2_000 * 30 + 1_000 * 2_500,
    ),
    Bill(
        "google chat, thoughts outside", "chat_completions", "google", "gemini-2.5-flash",
        {"prompt_tokens": 5_000, "completion_tokens": 200, "total_tokens": 6_000},
        (5_000, 0, 0, 0, 1_000, 800), 5_000 * 300 + 1_000 * 2_500,
    ),
    Bill(
        "xai chat, reasoning outside", "chat_completions", "xai", "grok-4",
        {"prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_250, "prompt_tokens_details": {"cached_tokens": 600},
         "completion_tokens_details": {"reasoning_tokens": 200}, "cost_in_usd_ticks": 12_450_000},
        (400, 600, 0, 0, 250, 200), 400 * 1_250 + 600 * 200 + 250 * 2_500, 1_245_000,
    ),
    Bill(
        "xai responses", "responses", "xai", "grok-4",
        {"input_tokens": 1_000, "input_tokens_details": {"cached_tokens": 600}, "output_tokens": 250,
         "output_tokens_details": {"reasoning_tokens": 200}, "total_tokens": 1_250, "cost_in_usd_ticks": 12_450_000},
        (400, 600, 0, 0, 250, 200), 400 * 1_250 + 600 * 200 + 250 * 2_500, 1_245_000,
    ),
    Bill(
        "openrouter chat", "chat_completions", "openrouter", "deepseek/deepseek-v3.2",
        {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, "prompt_tokens_details": {"cached_tokens": 200},
         "cost": 0.000272, "is_byok": False, "cost_details": {"upstream_inference_cost": None}},
        (800, 200, 0, 0, 100, 0), 800 * 260 + 200 * 130 + 100 * 380, 272_000,
    ),
    Bill(
        "openrouter messages", "messages", "openrouter", "claude-sonnet-5-5",
        {"input_tokens": 60, "cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 0, "output_tokens": 50, "cost": 0.00072},
        (60, 1_000, 0, 0, 50, 0), 60 * 2_000 + 1_000 * 100 + 50 * 10_000, 720_000,
    ),
    Bill(
        "groq", "chat_completions", "groq", "gpt-oss-120b",
        {"prompt_tokens": 20_000, "completion_tokens": 1_000, "total_tokens": 21_000, "prompt_tokens_details": {"cached_tokens": 15_000},
         "queue_time": 0.1, "prompt_time": 0.2, "completion_time": 0.3, "total_time": 0.5},
        (5_000, 15_000, 0, 0, 1_000, 0), 2_475_000,
    ),
    Bill(
        "z.ai", "chat_completions", "zai", "glm-4.6",
        {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100, "prompt_tokens_details": {"cached_tokens": 0}},
        (1_000, 0, 0, 0, 100, 0), 1_000 * 600 + 100 * 2_200,
    ),
]  # fmt: skip

each = pytest.mark.parametrize("bill", BILLS, ids=lambda bill: bill.name)


def _whole(bill: Bill) -> dict[str, Any]:
    match bill.api:
        case "chat_completions":
            message = {"role": "assistant", "content": "Hi"}
            return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": bill.usage}  # fmt: skip
        case "messages":
            content = [{"type": "text", "text": "Hi"}]
            return {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": bill.usage}  # fmt: skip
        case "responses":
            item = {"id": "i", "type": "message", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}  # fmt: skip
            return {"id": "1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [item], "usage": bill.usage}  # fmt: skip
        case "gemini":
            candidate = {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
            return {"responseId": "1", "modelVersion": "m", "candidates": [candidate], "usageMetadata": bill.usage}


def _events(bill: Bill) -> list[dict[str, Any]]:
    """The events of a stream that can hold usage; what came before the last word is smaller."""
    whole = _whole(bill)
    match bill.api:
        case "chat_completions":
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            delta = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            return [{**chunk, "choices": [delta], "usage": None}, {**chunk, "choices": [], "usage": bill.usage}]
        case "messages":
            start = {**whole, "content": [], "stop_reason": None, "usage": {**bill.usage, "output_tokens": 1}}
            end = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": bill.usage}
            return [
                {"type": "message_start", "message": start},
                {"type": "message_delta", **end},
                {"type": "message_stop"},
            ]
        case "responses":
            return [{"type": "response.created", "sequence_number": 0, "response": {**whole, "status": "in_progress", "output": [], "usage": None}}, {"type": "response.completed", "sequence_number": 1, "response": whole}]  # fmt: skip
        case "gemini":
            early = {**whole, "candidates": [{"content": {"role": "model", "parts": [{"text": "H"}]}}], "usageMetadata": {"promptTokenCount": 10}}  # fmt: skip
            return [early, whole]


def _price(bill: Bill) -> tuple[Any, int]:
    match = CATALOG.find(bill.model)
    assert match is not None
    offer = next(offer for offer in match.model.offers if offer.provider == bill.provider)
    price = offer.price(AT)
    assert price is not None
    return price, CATALOG.providers[bill.provider].surcharge_ppm


@each
@pytest.mark.parametrize("how", ["whole", "streamed", "translated"])
def test_a_bill(bill: Bill, how: str) -> None:
    spoken = dialect(bill.api)
    if how == "translated":
        endpoint = CATALOG.providers[bill.provider].endpoints[bill.api]
        match = CATALOG.find(bill.model)
        assert match is not None
        offer = next(offer for offer in match.model.offers if offer.provider == bill.provider)
        usage = spoken.read_response(_whole(bill), Reading(offer.target(endpoint))).finish.usage
    else:
        meter = spoken.meter()
        if how == "whole":
            meter.whole(_whole(bill))
        for event in _events(bill) if how == "streamed" else ():
            meter.see(SSE(orjson.dumps(event), event.get("type", "")))
        assert meter.usage is not None
        usage = meter.usage
    tokens = tokens_of(usage)
    counted = (
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.output,
        tokens.reasoning,
    )
    assert counted == bill.tokens
    price, surcharge = _price(bill)
    assert cost_of(usage, price, AT, surcharge).total == bill.nano
    assert usage.provider_cost == bill.provider_nano


def test_the_tier_that_served_is_the_one_that_is_paid() -> None:
    bill = next(bill for bill in BILLS if bill.name == "openai responses")
    meter = dialect("responses").meter()
    meter.whole({**_whole(bill), "service_tier": "flex"})
    assert meter.usage is not None
    price, _ = _price(bill)
    flex = price.service_tiers["flex"]
    assert flex.output < price.rates.output
    expected = (2_000 * flex.input + 10_000 * flex.cache_read + 1_500 * flex.output) // 1_000_000
    assert cost_of(meter.usage, price, AT).total == expected

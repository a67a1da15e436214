"""What a reply took and why it ended: https://ai.google.dev/api/generate-content#UsageMetadata and `#FinishReason`."""

from __future__ import annotations

from shared.canonical import Json, StopReason, Usage
from shared.dialects.gemini.fields import count, mapping, rows, sequence, string

REASONS: dict[str, StopReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
    "IMAGE_OTHER": "refusal",
}
"""Any reason that stands neither here nor in FAILURES is one of the future, and an end."""

FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "LANGUAGE",
        "OTHER",
        "NO_IMAGE",
    }
)
"""Reasons by which Google says that no usable reply came about."""

_TIERS = {"ON_DEMAND_PRIORITY": "priority", "ON_DEMAND_FLEX": "flex"}


def read_usage(metadata: object, web_searches: int = 0) -> Usage:
    """`usageMetadata` in canonical tokens; `candidatesTokenCount` leaves the thoughts out."""
    if not isinstance(metadata, dict):
        return Usage(web_searches=web_searches, reported=False)
    thoughts = count(metadata, "thoughtsTokenCount")
    return Usage(
        input=count(metadata, "promptTokenCount") + count(metadata, "toolUsePromptTokenCount"),
        cache_read=count(metadata, "cachedContentTokenCount"),
        output=count(metadata, "candidatesTokenCount") + thoughts,
        reasoning=thoughts,
        audio_input=_audio(metadata, "promptTokensDetails"),
        audio_output=_audio(metadata, "candidatesTokensDetails"),
        web_searches=web_searches,
        service_tier=_TIERS.get(string(metadata, "trafficType"), ""),
    )


def searches(candidate: Json) -> int:
    """Queries that Google Search was asked for this candidate."""
    return len(sequence(mapping(candidate, "groundingMetadata"), "webSearchQueries"))


def _audio(metadata: Json, key: str) -> int:
    return sum(count(row, "tokenCount") for row in rows(metadata, key) if row.get("modality") == "AUDIO")

"""A provider that passes requests on to hosts of unequal abilities: what keeps it from one that ignores an output format.

With tools OpenRouter looks for such hosts by itself. An output format it only holds them to when all parameters are required
(https://openrouter.ai/docs/guides/features/structured-outputs#model-support), and a host without it answers in prose.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Target


def able_hosts(body: Json, output_format: Any, target: Target) -> Json:
    """The field to add; none where nothing is at stake, or where the client has wishes of its own."""
    match output_format:
        case {"type": "json_schema" | "json_object"} if (
            "require_parameters" in target.quirks and body.get("provider") is None
        ):
            return {"provider": {"require_parameters": True}}
    return {}

"""JSON schemas for providers that want `properties` and `required` spelt out.

Groq refuses `required` without `type` and `properties` (https://github.com/livekit/agents/issues/4610), xAI a `required`
that is null.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json

_MAX_DEPTH = 64
_ONE = ("items", "additionalProperties", "not", "contains")
_MANY = ("anyOf", "allOf", "oneOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


def complete(schema: Json) -> Json:
    """The schema with `properties` and a list `required` in every object schema; the very same one if it has them."""
    done = _complete(schema, 0)
    return done if isinstance(done, dict) else schema


def _complete(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return schema
    changed: Json = {}
    for key, value in schema.items():
        if key in _ONE:
            new = _complete(value, depth + 1)
        elif key in _MANY and isinstance(value, list):
            parts = [_complete(part, depth + 1) for part in value]
            new = value if all(part is old for part, old in zip(parts, value, strict=True)) else parts
        elif key in _NAMED and isinstance(value, dict):
            named = {name: _complete(part, depth + 1) for name, part in value.items()}
            new = value if all(named[name] is part for name, part in value.items()) else named
        else:
            continue
        if new is not value:
            changed[key] = new
    if _is_object(schema):
        if schema.get("type") is None:
            changed["type"] = "object"
        if not isinstance(schema.get("properties"), dict):
            changed["properties"] = {}
        if not isinstance(schema.get("required"), list):
            changed["required"] = []
    return {**schema, **changed} if changed else schema


def _is_object(schema: Json) -> bool:
    return schema.get("type") == "object" or ("type" not in schema and ("properties" in schema or "required" in schema))

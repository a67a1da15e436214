"""Two schemas as one: `allOf`, and what stands beside a `$ref` (https://json-schema.org/draft/2020-12/json-schema-core#section-10.2.1)."""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import Json


def merge(first: Json, second: Json) -> Json:
    """A schema that holds where both do. What can't be joined becomes a hint."""
    merged = dict(first)
    for key, value in second.items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        else:
            merged[key] = _joined(key, merged[key], value)
    if merged.get("anyOf") and first.get("anyOf") not in (None, merged["anyOf"]):
        also = orjson.dumps(first["anyOf"]).decode()
        merged["description"] = " ".join(filter(None, (merged.get("description"), f"(and one of {also})")))
    return merged


def _joined(key: str, one: Any, other: Any) -> Any:
    match key:
        case "properties":
            both = one.keys() & other.keys()
            return {**one, **other, **{name: merge(one[name], other[name]) for name in both}}
        case "required" | "propertyOrdering":
            return list(dict.fromkeys([*one, *other]))
        case "minimum" | "minItems":
            return max(one, other)
        case "maximum" | "maxItems":
            return min(one, other)
        case "enum":
            return [value for value in one if value in other] or other
        case "type":
            return _narrower(one, other)
        case "additionalProperties":
            return False if False in (one, other) else other if isinstance(other, dict) else one
        case "description":
            return one if other in one else f"{one} {other}"
        case "items" if isinstance(one, dict) and isinstance(other, dict):
            return merge(one, other)
        case _:
            return other


def _narrower(one: str | list[str], other: str | list[str]) -> str | list[str]:
    ours = [one] if isinstance(one, str) else one
    theirs = [other] if isinstance(other, str) else other
    both = [kind for kind in ours if kind in theirs]
    if not both and {"integer", "number"} <= {*ours, *theirs}:
        return "integer"
    return both[0] if len(both) == 1 else both or other

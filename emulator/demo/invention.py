"""Values for a JSON schema, made up but always the same (https://json-schema.org/draft/2020-12)."""

from __future__ import annotations

from typing import Any

from emulator.demo.talk import Json

_FORMATS = {
    "date": "2026-01-02",
    "date-time": "2026-01-02T03:04:05Z",
    "time": "03:04:05Z",
    "email": "demo@example.com",
    "uri": "https://example.com/demo",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_DEEPEST = 12  # a schema that holds itself ends somewhere


def instance(schema: Json | None, *, everything: bool = False) -> Any:
    """A value that fits the schema. `everything` fills properties that aren't required too."""
    return _value(schema or {"type": "object"}, schema or {}, everything, 0)


def _value(schema: Any, root: Json, everything: bool, depth: int) -> Any:
    if not isinstance(schema, dict):
        return "demo"
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("examples"):
        return schema["examples"][0]
    if "$ref" in schema:
        return _value(_target(schema["$ref"], root), root, everything, depth + 1) if depth < _DEEPEST else None
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            first = next((s for s in schema[key] if s != {"type": "null"}), schema[key][0])
            return _value(first, root, everything, depth + 1)
    if schema.get("allOf"):
        return _value(_joined(schema), root, everything, depth + 1)
    return _of_type(schema, root, everything, depth)


def _joined(schema: Json) -> Json:
    joined: Json = {"type": schema.get("type", "object"), "properties": {}, "required": []}
    for part in ({k: v for k, v in schema.items() if k != "allOf"}, *schema["allOf"]):
        joined["properties"].update(part.get("properties", {}))
        joined["required"] += part.get("required", [])
    return joined


def _target(ref: str, root: Json) -> Any:
    found: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        found = found.get(step, {}) if isinstance(found, dict) else {}
    return found


def _of_type(schema: Json, root: Json, everything: bool, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    match str(kind).lower():  # Gemini's own schemas write types in capitals
        case "object":
            wanted = schema.get("required") or []
            return {
                name: _value(below, root, everything, depth + 1)
                for name, below in (schema.get("properties") or {}).items()
                if name in wanted or (everything and depth < _DEEPEST)
            }
        case "array":
            count = max(1, schema.get("minItems", 1)) if depth < _DEEPEST else 0
            return [_value(schema.get("items", {}), root, everything, depth + 1)] * min(
                count, schema.get("maxItems", count)
            )
        case "integer" | "number" as number:
            return _number(schema, whole=number == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema)


def _number(schema: Json, *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1)
    value = schema.get("minimum", schema.get("exclusiveMinimum", 0) + step)
    value = -(-value // step) * step
    high = schema.get("maximum", value)
    return int(min(value, high)) if whole else float(min(value, high))


def _text(schema: Json) -> str:
    text: str = _FORMATS.get(schema.get("format", ""), "demo")
    text += "." * max(0, schema.get("minLength", 0) - len(text))
    longest: int = schema.get("maxLength", len(text))
    return text[:longest]

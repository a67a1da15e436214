"""JSON schemas as Claude's structured output and strict tools take them: closed objects, few keywords.

What is not enforced there moves into the description, where the model reads it:
https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import GatewayError, unsupported

_KEPT = ("title", "description", "enum", "const", "default", "$ref")
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
)
_SILENT = frozenset(("$schema", "$id", "$comment", "examples", "strict"))
_DEEPEST = 64


def closed(schema: Json, path: str, depth: int = 0) -> Json:
    """The schema with what Claude enforces, all else told in words. Raises UNSUPPORTED_BY_MODEL for an object with open keys."""
    if depth > _DEEPEST:
        raise _too_deep(path)
    shut: Json = {}
    told: Json = {}
    for key, value in schema.items():
        if key in _KEPT:
            shut[key] = value
        elif key not in _SILENT and not _place(shut, key, value, path, depth):
            told[key] = value
    if _is_object(shut):
        _close(shut, told.pop("additionalProperties", False), path)
    else:
        told.pop("additionalProperties", None)
    if told:
        words = _in_words(told, path)
        shut["description"] = f"{shut['description']}\n\n{words}" if shut.get("description") else words
    return shut


def _place(shut: Json, key: str, value: Any, path: str, depth: int) -> bool:
    """Takes a keyword over, in the enforced form; False where there is none."""
    match key, value:
        case (("properties" | "$defs" | "definitions"), dict()):
            shut[key] = {name: _inner(part, path, depth) for name, part in value.items()}
        case "items", dict():
            shut[key] = _inner(value, path, depth)
        case (("anyOf" | "allOf"), list()):
            shut[key] = [_inner(part, path, depth) for part in value]
        case "oneOf", list():
            shut["anyOf"] = [_inner(part, path, depth) for part in value]
        case "required", list():
            shut[key] = value
        case "type", str() | list():
            shut[key] = value
        case "format", str() if value in _FORMATS:
            shut[key] = value
        case "minItems", int() if value in (0, 1):
            shut[key] = value
        case _:
            return False
    return True


def _in_words(told: Json, path: str) -> str:
    try:
        return orjson.dumps(told).decode()
    except TypeError:
        raise _too_deep(path) from None


def _too_deep(path: str) -> GatewayError:
    return unsupported(f"{path}: the schema is nested too deeply.", path)


def _inner(part: Any, path: str, depth: int) -> Any:
    return closed(part, path, depth + 1) if isinstance(part, dict) else part


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _close(shut: Json, more: Any, path: str) -> None:
    if isinstance(more, dict) or (more is True and "properties" not in shut):
        raise unsupported(
            f"{path}: this model only writes objects whose properties are all named: list them under `properties` "
            "and set `additionalProperties: false`.",
            path,
        )
    shut["additionalProperties"] = False
    shut.setdefault("properties", {})

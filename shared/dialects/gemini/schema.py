"""JSON schemas made fit for Gemini: https://ai.google.dev/gemini-api/docs/structured-output#json_schema_support.

`parametersJsonSchema` and `responseJsonSchema` know a part of JSON Schema. What has an equal there is rewritten (references are
put in place, `allOf` is merged, `const` becomes `enum`); every other constraint moves into the description, where the model
reads it: nothing is lost, though it isn't enforced any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson

from shared.canonical import Json
from shared.dialects.gemini.merge import merge
from shared.errors import invalid

_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_KEPT = ("title", "format")
_COUNTS = ("minItems", "maxItems", "minimum", "maximum")
_READ = frozenset(
    {
        *_KEPT,
        *_COUNTS,
        *("type", "description", "enum", "const", "properties", "required", "additionalProperties", "propertyOrdering"),
        *(
            "items",
            "prefixItems",
            "anyOf",
            "oneOf",
            "allOf",
            "$ref",
            "nullable",
            "exclusiveMinimum",
            "exclusiveMaximum",
        ),
    }
)
_MEANINGLESS = frozenset(
    {"$schema", "$id", "id", "$anchor", "$defs", "definitions", "$comment", "cache_control", "strict", "discriminator"}
)
_SHAPE = frozenset({"type", "properties", "items", "prefixItems", "enum", "anyOf"})
_DEPTH = 48  # levels of nesting that are looked at
_NODES = 5_000  # schema nodes that one tool may unfold into: references to references grow exponentially
_AGAIN = 2  # how often a definition may stand within itself


def fit(schema: Json) -> Json:
    """`schema` in the keywords that Gemini reads. The argument stays as it is."""
    return _Fitting(schema).node(schema, 0)


def fit_parameters(schema: Json | None, tool: str) -> Json | None:
    """A tool's schema; None where the tool takes nothing. Raises VALIDATION_ERROR where it describes no object."""
    fitted = fit(schema) if schema else {}
    kind = fitted.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else (kind,)):
        raise invalid(f"tools: the schema of the tool {tool!r} must describe an object.", "tools")
    if not (fitted.get("properties") or "anyOf" in fitted or fitted.get("additionalProperties", False) is not False):
        return None
    return {**fitted, "type": "object"}


@dataclass(slots=True)
class _Fitting:
    root: Json
    nodes: int = 0
    stack: list[str] = field(default_factory=list)

    def node(self, schema: object, depth: int) -> Json:
        self.nodes += 1
        if not isinstance(schema, dict):
            return {"description": "No value is allowed here."} if schema is False else {}
        if depth > _DEPTH or self.nodes > _NODES:
            return _outline(schema, "simplified")
        hints: list[str] = []
        fitted = self._own(schema, depth, hints)
        if isinstance(reference := schema.get("$ref"), str):
            fitted = merge(self._referenced(reference, depth), fitted)
        for part in _listed(schema, "allOf"):
            fitted = merge(fitted, self.node(part, depth + 1))
        for keyword in ("anyOf", "oneOf"):
            if choices := _listed(schema, keyword):
                fitted = self._choice(fitted, choices, depth, hints)
        if "required" in fitted and (fitted.get("type") == "object" or "properties" in fitted):
            # a required name that no property defines is refused
            fitted["properties"] = {**fitted.get("properties", {}), **_undefined(fitted)}
        hints += _unread(schema)
        if hints:
            fitted["description"] = " ".join(filter(None, (fitted.get("description"), f"({'; '.join(hints)})")))
        return fitted

    def _own(self, schema: Json, depth: int, hints: list[str]) -> Json:
        """What the node says itself, without its references and combinations."""
        fitted: Json = {key: schema[key] for key in _KEPT if isinstance(schema.get(key), str)}
        if isinstance(text := schema.get("description"), str) and text:
            fitted["description"] = text
        if kinds := _kinds(schema):
            fitted["type"] = kinds[0] if len(kinds) == 1 else kinds
        fitted |= {key: schema[key] for key in _COUNTS if _is_number(schema.get(key))}
        _exclusive(schema, fitted, hints)
        _values(schema, fitted, hints)
        self._object(schema, fitted, depth)
        items, prefix = schema.get("items"), schema.get("prefixItems")
        if isinstance(items, list):  # the tuple of older drafts
            items, prefix = schema.get("additionalItems"), items
        if isinstance(prefix, list):
            fitted["prefixItems"] = [self.node(item, depth + 1) for item in prefix]
        if isinstance(items, dict):
            fitted["items"] = self.node(items, depth + 1)
        return fitted

    def _object(self, schema: Json, fitted: Json, depth: int) -> None:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            fitted["properties"] = {name: self.node(value, depth + 1) for name, value in properties.items()}
            fitted.setdefault("type", "object")
        for key in ("required", "propertyOrdering"):
            if names := [name for name in _listed(schema, key) if isinstance(name, str)]:
                fitted[key] = names
        match schema.get("additionalProperties"):
            case bool() as allowed:
                fitted["additionalProperties"] = allowed
            case dict() as extra:
                fitted["additionalProperties"] = self.node(extra, depth + 1)

    def _referenced(self, reference: str, depth: int) -> Json:
        """The definition in place of the reference: beside a `$ref` Gemini takes no other keyword, and cycles only here and there."""
        target = _find(self.root, reference)
        if target is None:
            return {"description": f"(defined at {reference})"}
        if self.stack.count(reference) >= _AGAIN:
            return _outline(target, f"the same shape again as {reference.rpartition('/')[2]}")
        self.stack.append(reference)
        fitted = self.node(target, depth + 1)
        self.stack.pop()
        return fitted

    def _choice(self, fitted: Json, choices: list[Any], depth: int, hints: list[str]) -> Json:
        """Alternatives. Those that only say which properties are required are refused without the properties: they become a hint."""
        branches = [self.node(choice, depth + 1) for choice in choices]
        if len(branches) == 1:
            return merge(fitted, branches[0])
        if all(branch.keys() & _SHAPE for branch in branches) and "anyOf" not in fitted:
            return {**fitted, "anyOf": branches}
        hints.append(f"one of: {' | '.join(_json(branch) for branch in branches)}")
        return fitted


def _kinds(schema: Json) -> list[str]:
    given = schema.get("type")
    kinds = [kind.lower() for kind in (given if isinstance(given, list) else [given]) if isinstance(kind, str)]
    kinds = [kind for kind in dict.fromkeys(kinds) if kind in _TYPES]
    if kinds and schema.get("nullable") is True and "null" not in kinds:  # OpenAPI 3.0's word for it
        kinds.append("null")
    return kinds


def _exclusive(schema: Json, fitted: Json, hints: list[str]) -> None:
    for word, bound, step, sign in (("exclusiveMinimum", "minimum", 1, ">"), ("exclusiveMaximum", "maximum", -1, "<")):
        limit = schema.get(word)
        if limit is True:  # draft 4: says that the bound beside it is exclusive
            limit = fitted.pop(bound, None)
        if not _is_number(limit):
            continue
        if fitted.get("type") == "integer" and isinstance(limit, int):
            tighter = max if step > 0 else min
            fitted[bound] = tighter(limit + step, fitted.get(bound, limit + step))
        else:
            fitted.setdefault(bound, limit)
            hints.append(f"must be {sign} {limit}")


def _values(schema: Json, fitted: Json, hints: list[str]) -> None:
    """`enum` and `const`. Gemini's enums hold strings and numbers only."""
    if "const" in schema:
        values = [schema["const"]]
    elif not (values := _listed(schema, "enum")):
        return
    plain = [value for value in values if isinstance(value, str) or _is_number(value)]
    if len(plain) == len(values):
        fitted["enum"] = plain
        kinds = {"string" if isinstance(value, str) else "number" for value in plain}
        if "type" not in fitted and len(kinds) == 1:
            fitted["type"] = kinds.pop()
    elif plain and len(plain) + values.count(None) == len(values):
        kinds_left = [kind for kind in _kinds(schema) if kind != "null"]
        fitted.pop("type", None)
        typed = {"type": kinds_left[0]} if len(kinds_left) == 1 else {}
        fitted["anyOf"] = [{**typed, "enum": plain}, {"type": "null"}]
    else:
        if all(isinstance(value, bool) for value in values):
            fitted.setdefault("type", "boolean")
        elif values == [None]:
            fitted.setdefault("type", "null")
        hints.append(f"one of {_json(values)}" if len(values) > 1 else f"always {_json(values[0])}")


def _unread(schema: Json) -> Iterator[str]:
    for keyword, value in schema.items():
        if keyword in _READ or keyword in _MEANINGLESS or keyword.startswith("x-"):
            continue
        if (keyword, value) != ("propertyNames", {"type": "string"}):  # which says nothing, and which zod always says
            yield f"{keyword}: {_json(value)}"


def _undefined(fitted: Json) -> Json:
    defined = fitted.get("properties", {})
    return {name: {} for name in fitted["required"] if name not in defined}


def _find(root: Json, reference: str) -> object:
    """The part of the document that a local reference points to (RFC 6901); None for any other reference."""
    if not reference.startswith("#"):
        return None
    here: object = root
    for step in _steps(reference):
        match here:
            case dict() if step in here:
                here = here[step]
            case list() if step in (places := {str(at): item for at, item in enumerate(here)}):
                here = places[step]
            case _:
                return None
    return here


def _steps(reference: str) -> Iterable[str]:
    return (unquote(step).replace("~1", "/").replace("~0", "~") for step in reference[1:].split("/")[1:])


def _outline(schema: object, why: str) -> Json:
    kinds = _kinds(schema) if isinstance(schema, dict) else []
    return {"type": kinds[0] if kinds else "object", "description": f"({why})"}


def _listed(schema: Json, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # nested deeper than it writes
        return "…"

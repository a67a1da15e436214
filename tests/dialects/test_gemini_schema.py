"""JSON schemas made fit for Gemini: equal where it has the words, a hint in the description where it hasn't."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dialects.gemini.schema import fit, fit_parameters
from shared.errors import GatewayError

SUPPORTED = {  # the SDK's list, less references
    *("type", "format", "title", "description", "enum", "items", "prefixItems", "minItems", "maxItems", "minimum"),
    *("maximum", "anyOf", "properties", "additionalProperties", "required", "propertyOrdering"),
}


def check(schema: Any, depth: int = 0) -> None:
    """Raises where a keyword is left that Gemini's list doesn't have, or one of the wrong type."""
    assert depth < 200
    assert set(schema) <= SUPPORTED
    for key in ("properties",):
        for child in schema.get(key, {}).values():
            check(child, depth + 1)
    for key in ("anyOf", "prefixItems"):
        for child in schema.get(key, ()):
            check(child, depth + 1)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            check(schema[key], depth + 1)
    assert all(type(value) in (str, int, float) for value in schema.get("enum", ()))
    if "required" in schema and "properties" in schema:
        assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("schema", "fitted"),
    [
        ({"$schema": "x", "$id": "y", "type": "string", "cache_control": {}}, {"type": "string"}),
        ({"properties": {"cache_control": {"type": "string"}}}, {"type": "object", "properties": {"cache_control": {"type": "string"}}}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"const": "a"}, {"type": "string", "enum": ["a"]}),
        ({"const": 4, "type": "integer"}, {"type": "integer", "enum": [4]}),
        ({"const": True}, {"type": "boolean", "description": "(always true)"}),
        ({"const": None}, {"type": "null", "description": "(always null)"}),
        ({"const": {"a": 1}}, {"description": '(always {"a":1})'}),
        (
            {"type": ["string", "null"], "enum": ["a", None]},
            {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "null"}]},
        ),
        ({"enum": [1, True]}, {"description": "(one of [1,true])"}),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}, {"type": "integer", "minimum": 1, "maximum": 8}),
        ({"type": "integer", "minimum": 5, "exclusiveMinimum": 0}, {"type": "integer", "minimum": 5}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "description": "(must be > 0)"}),
        (
            {"type": "number", "maximum": 3, "exclusiveMaximum": True},
            {"type": "number", "maximum": 3, "description": "(must be < 3)"},
        ),
        (
            {"type": "string", "description": "A name.", "pattern": "^a", "minLength": 2},
            {"type": "string", "description": 'A name. (pattern: "^a"; minLength: 2)'},
        ),
        ({"type": "string", "format": "uri"}, {"type": "string", "format": "uri"}),
        ({"type": "object", "propertyNames": {"type": "string"}}, {"type": "object"}),
        ({"type": "array", "items": [{"type": "string"}, True]}, {"type": "array", "prefixItems": [{"type": "string"}, {}]}),
        ({"oneOf": [{"type": "string"}, {"type": "number"}]}, {"anyOf": [{"type": "string"}, {"type": "number"}]}),
        ({"anyOf": [{"type": "string"}], "description": "D"}, {"type": "string", "description": "D"}),
        ({"allOf": [{"type": "number", "minimum": 1}, {"minimum": 3, "maximum": 9}]}, {"type": "number", "minimum": 3, "maximum": 9}),
        ({"type": "object", "required": ["a"]}, {"type": "object", "required": ["a"], "properties": {"a": {}}}),
        (
            {"type": "object", "properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "description": '(one of: {"required":["a"]} | {"required":["b"]})',
            },
        ),
        (
            {"type": "object", "properties": {"a": False}, "additionalProperties": False},
            {
                "type": "object",
                "properties": {"a": {"description": "No value is allowed here."}},
                "additionalProperties": False,
            },
        ),
        ({"type": 7, "properties": [], "required": "a", "enum": 3, "anyOf": {}, "minimum": "x", "items": 1}, {}),
    ],
)  # fmt: skip
def test_keywords(schema: Any, fitted: Any) -> None:
    before = deepcopy(schema)
    assert fit(schema) == fitted
    assert schema == before
    check(fitted)


def test_all_of_merges_objects() -> None:
    one = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}, "required": ["a"]}
    other = {"properties": {"a": {"type": "integer", "minimum": 0}, "c": {"enum": ["x", "y"]}}, "required": ["c", "a"]}
    assert fit({"allOf": [one, other], "additionalProperties": False}) == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 0},
            "b": {"type": "string"},
            "c": {"type": "string", "enum": ["x", "y"]},
        },
        "required": ["a", "c"],
        "additionalProperties": False,
    }


def test_references_are_put_in_place() -> None:
    schema = {
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Address", "description": "Where to."},
            "work": {"$ref": "#/properties/home"},
            "odd~/name": {"$ref": "#/definitions/a~1b%20c"},
            "far": {"$ref": "https://example.com/schema.json"},
            "gone": {"$ref": "#/$defs/Nowhere"},
        },
        "$defs": {
            "Address": {"type": "object", "properties": {"zip": {"type": "string"}}, "description": "An address."}
        },
        "definitions": {"a/b c": {"type": "integer"}},
    }
    fitted = fit(schema)
    address = {
        "type": "object",
        "properties": {"zip": {"type": "string"}},
        "description": "An address. Where to.",
    }
    assert fitted["properties"] == {
        "home": address,
        "work": address,
        "odd~/name": {"type": "integer"},
        "far": {"description": "(defined at https://example.com/schema.json)"},
        "gone": {"description": "(defined at #/$defs/Nowhere)"},
    }
    assert "$defs" not in fitted


def test_recursion_ends() -> None:
    node = {
        "type": "object",
        "properties": {"value": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}},
    }
    fitted = fit({"$ref": "#/$defs/Node", "$defs": {"Node": node}})
    check(fitted)
    inner = fitted["properties"]["children"]["items"]["properties"]["children"]["items"]
    assert inner == {"type": "object", "description": "(the same shape again as Node)"}
    assert fit({"$ref": "#"}) == {"type": "object", "description": "(the same shape again as #)"}
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    check(fit(loop))


def test_growth_is_bounded() -> None:
    defs: dict[str, Any] = {"d0": {"type": "string"}}
    for at in range(1, 40):
        defs[f"d{at}"] = {"type": "object", "properties": {key: {"$ref": f"#/$defs/d{at - 1}"} for key in "ab"}}
    fitted = fit({"$ref": "#/$defs/d39", "$defs": defs})
    check(fitted)
    assert len(json.dumps(fitted)) < 2_000_000
    deep: Any = {"type": "string"}
    for _ in range(400):
        deep = {"type": "array", "items": deep}
    check(fit(deep))


def test_parameters_are_objects() -> None:
    assert fit_parameters(None, "t") is None
    assert fit_parameters({"type": "object", "properties": {}, "required": []}, "t") is None
    assert fit_parameters({"type": "object", "additionalProperties": {}}, "t") == {
        "type": "object",
        "additionalProperties": {},
    }
    assert fit_parameters({"type": ["object", "null"], "properties": {"a": {}}}, "t") == {
        "type": "object",
        "properties": {"a": {}},
    }
    with pytest.raises(GatewayError):
        fit_parameters({"type": "array"}, "t")


WORDS = st.sampled_from(
    [
        *("type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "required", "description"),
        *("additionalProperties", "prefixItems", "minimum", "exclusiveMinimum", "not", "$defs", "nullable", "format"),
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["object", "string", "null", "array", "#", "#/$defs/a", "#/properties/a", "#/anyOf/0", "x"]),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["a", "b"]), inner, max_size=5),
    max_leaves=30,
)


@settings(deadline=None)
@given(st.dictionaries(WORDS, SCHEMAS, max_size=6))
def test_any_json_is_fitted(schema: Any) -> None:
    before = deepcopy(schema)
    check(fit(schema))
    assert schema == before

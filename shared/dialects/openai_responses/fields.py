"""Typed reading of a client's JSON: what is there, or a refusal that names the place.

Absent and null mean the same (https://platform.openai.com/docs/api-reference/responses/create).
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import GatewayError, invalid

_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def wrong(value: object, wanted: str, where: str) -> GatewayError:
    """The refusal of a value of another type."""
    return invalid(f"{where}: expected {wanted}, got {_KINDS.get(type(value), 'something else')}.", where)


def under(where: str, key: str) -> str:
    """The place of `key` in the object at `where`."""
    return f"{where}.{key}" if where else key


def the_string(value: Any, where: str) -> str:
    """`value`, which must be a string."""
    if isinstance(value, str):
        return value
    raise wrong(value, "a string", where)


def the_object(value: Any, where: str) -> Json:
    """`value`, which must be an object."""
    if isinstance(value, dict):
        return value
    raise wrong(value, "an object", where)


def the_list(value: Any, where: str) -> list[Any]:
    """`value`, which must be an array."""
    if isinstance(value, list):
        return value
    raise wrong(value, "an array", where)


def string(source: Json, key: str, where: str = "") -> str:
    """The string under `key`; empty where there is none."""
    value = source.get(key)
    return "" if value is None else the_string(value, under(where, key))


def required_string(source: Json, key: str, where: str = "") -> str:
    """The string under `key`, which must be there and hold something."""
    value = source.get(key)
    if value is None or value == "":
        raise invalid(f"{under(where, key)}: this field is required.", under(where, key))
    return the_string(value, under(where, key))


def items(source: Json, key: str, where: str = "") -> list[Any]:
    """The array under `key`; empty where there is none."""
    value = source.get(key)
    return [] if value is None else the_list(value, under(where, key))


def obj(source: Json, key: str, where: str = "") -> Json | None:
    """The object under `key`."""
    value = source.get(key)
    return None if value is None else the_object(value, under(where, key))


def boolean(source: Json, key: str, where: str = "") -> bool | None:
    """The boolean under `key`."""
    value = source.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise wrong(value, "a boolean", under(where, key))


def integer(source: Json, key: str, where: str = "") -> int | None:
    """The integer under `key`, which must not be negative."""
    value = source.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(value, "an integer", under(where, key))
    if value < 0:
        raise invalid(f"{under(where, key)}: expected a positive number, got {value}.", under(where, key))
    return value


def number(source: Json, key: str, where: str = "") -> float | None:
    """The number under `key`."""
    value = source.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(value, "a number", under(where, key))
    return float(value)


def json_text(value: Any, where: str) -> str:
    """`value` as JSON text. Raises VALIDATION_ERROR for nesting and integers beyond what JSON parsers agree on."""
    try:
        return orjson.dumps(value).decode()
    except TypeError as problem:
        raise invalid(f"{where}: can't be read ({problem}).", where) from problem

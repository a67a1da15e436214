"""What a client's JSON must be, said in one line: a value of the right type, or VALIDATION_ERROR that names its place.

A place is given in pieces and joined only when something is wrong with it: `messages.3.content`.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json
from shared.errors import GatewayError, invalid

_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "an integer",
    list: "an array",
    str: "a string",
    type(None): "null",
}


def wrong(wanted: str, value: object, *place: str | int) -> GatewayError:
    """VALIDATION_ERROR for a value that isn't what the API takes there."""
    param = ".".join(map(str, place))
    found = (
        f"{value[:40]!r}" if isinstance(value, str) and wanted.startswith("one of") else _NAMES.get(type(value), "?")
    )
    return invalid(f"{param}: expected {wanted}, got {found}.", param)


def text(value: object, *place: str | int) -> str:
    """A string."""
    if not isinstance(value, str):
        raise wrong("a string", value, *place)
    return value


def name(value: object, *place: str | int) -> str:
    """A string that isn't empty."""
    if not isinstance(value, str) or not value:
        raise wrong("a string that is not empty", value, *place)
    return value


def obj(value: object, *place: str | int) -> Json:
    """An object."""
    if not isinstance(value, dict):
        raise wrong("an object", value, *place)
    return value


def array(value: object, *place: str | int) -> list[Any]:
    """An array."""
    if not isinstance(value, list):
        raise wrong("an array", value, *place)
    return value


def maybe_text(value: object, *place: str | int) -> str:
    """A string; empty for null and for what isn't there."""
    return "" if value is None else text(value, *place)


def maybe_obj(value: object, *place: str | int) -> Json | None:
    """An object or null."""
    return None if value is None else obj(value, *place)


def maybe_bool(value: object, *place: str | int) -> bool | None:
    """A boolean or null."""
    if value is not None and not isinstance(value, bool):
        raise wrong("a boolean", value, *place)
    return value


def maybe_int(value: object, *place: str | int) -> int | None:
    """An integer or null."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise wrong("an integer", value, *place)
    return value


def maybe_number(value: object, *place: str | int) -> float | None:
    """A number or null."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise wrong("a number", value, *place)
    return value

"""Reads single values of a Messages body and refuses wrong types as that API does: `<path>: <what it should be>`.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from typing import Any

from shared.canonical import CacheMark, Json
from shared.errors import GatewayError, invalid


def wrong(path: str, expected: str) -> GatewayError:
    """VALIDATION_ERROR that names the place and what belongs there."""
    return invalid(f"{path}: Input should be {expected}", path)


def string(value: Any, path: str) -> str:
    """A string that has to be there."""
    if isinstance(value, str):
        return value
    raise missing(path) if value is None else wrong(path, "a valid string")


def maybe_string(value: Any, path: str) -> str:
    """A string that may be absent; empty then."""
    return "" if value is None else string(value, path)


def items(value: Any, path: str) -> list[Any]:
    """A list that has to be there."""
    if isinstance(value, list):
        return value
    raise missing(path) if value is None else wrong(path, "a valid array")


def mapping(value: Any, path: str) -> Json:
    """An object that has to be there."""
    if isinstance(value, dict):
        return value
    raise missing(path) if value is None else wrong(path, "an object")


def maybe_mapping(value: Any, path: str) -> Json:
    """An object that may be absent; empty then."""
    return {} if value is None else mapping(value, path)


def maybe_bool(value: Any, path: str) -> bool | None:
    """True, False or absent."""
    if value is None or isinstance(value, bool):
        return value
    raise wrong(path, "a valid boolean")


def maybe_int(value: Any, path: str, least: int = 0) -> int | None:
    """A whole number not below `least`, or absent."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(path, "a valid integer")
    if value < least:
        raise wrong(path, f"greater than or equal to {least}")
    return value


def maybe_number(value: Any, path: str, most: float) -> float | None:
    """A number from 0 to `most`, or absent."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong(path, "a valid number")
    if not 0 <= value <= most:
        raise wrong(path, f"between 0 and {most:g}")
    return float(value)


def missing(path: str) -> GatewayError:
    """VALIDATION_ERROR for a field that isn't there."""
    return invalid(f"{path}: Field required", path)


def cache_mark(owner: Json, path: str) -> CacheMark | None:
    """The `cache_control` of a block, a tool or the request."""
    value = owner.get("cache_control")
    if value is None:
        return None
    mark = mapping(value, f"{path}.cache_control" if path else "cache_control")
    return CacheMark(maybe_string(mark.get("ttl"), f"{path}.cache_control.ttl") or None)


def write_mark(mark: CacheMark) -> Json:
    """`cache_control` for a wish: this API keeps a prefix for 5 minutes (its default) or an hour."""
    if mark.ttl is None:
        return {"type": "ephemeral"}
    return {"type": "ephemeral", "ttl": "5m" if mark.ttl == "5m" else "1h"}

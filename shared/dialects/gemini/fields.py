"""Fields of JSON that may be of any type: what is of the wrong one counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.canonical import Json


def string(holder: Mapping[Any, Any], key: str) -> str:
    """The text at `key`, else an empty one."""
    value = holder.get(key)
    return value if isinstance(value, str) else ""


def mapping(holder: Json | None, key: str) -> Json:
    """The object at `key`, else an empty one."""
    value = holder.get(key) if holder else None
    return value if isinstance(value, dict) else {}


def sequence(holder: Mapping[Any, Any], key: str) -> list[Any]:
    """The array at `key`, else an empty one."""
    value = holder.get(key)
    return value if isinstance(value, list) else []


def rows(holder: Json, key: str) -> list[Json]:
    """The objects in the array at `key`."""
    return [row for row in sequence(holder, key) if isinstance(row, dict)]


def count(holder: Json, key: str) -> int:
    """The number of things at `key`, else 0."""
    value = holder.get(key)
    return value if isinstance(value, int) and value > 0 else 0

"""Quantities, bytes and parameters as JSON-RPC writes them.

https://ethereum.org/developers/docs/apis/json-rpc/#hex-encoding
"""

from __future__ import annotations

import re
from typing import Any, Final

QUANTITY: Final = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]*)")
BYTES: Final = re.compile(r"0x([0-9a-fA-F]{2})*")


class RpcError(Exception):
    """An error answer: https://www.jsonrpc.org/specification#error_object."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def invalid(message: str) -> RpcError:
    """The parameters are wrong."""
    return RpcError(-32602, f"invalid argument: {message}")


def read_quantity(value: object) -> int:
    """`"0x1f"` -> 31."""
    if not isinstance(value, str) or not QUANTITY.fullmatch(value) or len(value) > 66:
        raise invalid(f"not a hex quantity: {_short(value)}")
    return int(value, 16)


def read_bytes(value: object, length: int | None = None) -> bytes:
    """`"0x00ff"` -> two bytes; with `length`, exactly so many."""
    if not isinstance(value, str) or not BYTES.fullmatch(value):
        raise invalid(f"not hex bytes: {_short(value)}")
    read = bytes.fromhex(value[2:])
    if length is not None and len(read) != length:
        raise invalid(f"{len(read)} bytes where {length} are wanted")
    return read


def read_object(value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise invalid(f"not an object: {_short(value)}")
    return value


def write_quantity(value: int) -> str:
    """31 -> `"0x1f"`."""
    return hex(value)


def write_bytes(value: bytes) -> str:
    """Two bytes -> `"0x00ff"`."""
    return f"0x{value.hex()}"


def _short(value: object) -> str:
    return repr(value)[:80]

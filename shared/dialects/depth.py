"""How deep a reply may be nested: `orjson` (https://github.com/ijl/orjson#deserialize) reads 1024 levels and writes 254."""

from __future__ import annotations

from typing import Any

import orjson

from shared.errors import Code, GatewayError

_DEEPEST = 240  # writers put what they keep of a reply some levels deeper


def read_event(data: bytes) -> Any:
    """An event's JSON. Raises JSONDecodeError for what is none, PROVIDER_ERROR for what could not be written again."""
    value = orjson.loads(data)
    if len(data) > 2 * _DEEPEST and data.count(b"[") + data.count(b"{") > _DEEPEST:  # else it can't be so deep
        check(value)
    return value


def check(reply: Any) -> None:
    """Raises PROVIDER_ERROR for a reply that could not be written again."""
    if not is_writable(reply):
        raise GatewayError(Code.PROVIDER_ERROR, "The provider's reply is nested too deep to be read.")


def is_writable(value: Any) -> bool:
    """Whether there is room for some levels around it."""
    try:
        orjson.dumps([[[[[[[[[[[[[[value]]]]]]]]]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True

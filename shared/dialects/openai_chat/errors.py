"""Errors of chat completions (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import Code, GatewayError


def broken(message: str) -> GatewayError:
    """A reply that can't be one of chat completions."""
    return GatewayError(Code.PROVIDER_ERROR, message)


def write_error(error: GatewayError, request_id: str) -> Json:
    """The body of an error reply. OpenAI names the request in a header only."""
    shown: dict[str, Any] = {
        "message": error.message,
        "type": error.openai_type,
        "param": error.param,
        "code": error.code.value,
    }
    if error.provider_code:
        shown["provider_code"] = error.provider_code
    return {"error": shown}


def error_event(error: GatewayError) -> bytes:
    """The event that ends a broken stream: no `[DONE]` follows. SDKs raise on any chunk that holds an `error`."""
    return b"data: %b\n\n" % orjson.dumps(write_error(error, ""))

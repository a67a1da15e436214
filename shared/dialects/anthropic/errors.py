"""Errors of the Messages API (https://platform.claude.com/docs/en/api/errors)."""

from __future__ import annotations

import orjson

from shared.canonical import Json
from shared.errors import GatewayError
from shared.sse import SSE


def write_error(error: GatewayError, request_id: str) -> Json:
    """The body for a client."""
    return {"type": "error", "error": _write_inner(error), "request_id": request_id}


def error_event(error: GatewayError) -> bytes:
    """The event that ends a stream which has begun."""
    return SSE(orjson.dumps({"type": "error", "error": _write_inner(error)}), "error").encode()


def _write_inner(error: GatewayError) -> Json:
    body: Json = {"type": error.anthropic_type, "message": error.message, "code": error.code.value}
    if error.provider_code:
        body["provider_code"] = error.provider_code
    if error.param:
        body["param"] = error.param
    if error.details:
        body["details"] = dict(error.details)
    return body

"""Errors of the Messages API, both ways, and the error bodies of whoever else speaks it.

https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import Code, GatewayError
from shared.sse import SSE

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_LONGEST = 2000
_SCANNED = 65536
_SECRET = re.compile(r"\b(?:(?:sk|gsk|xai|rk|pk|org)[-_]|AIza)[A-Za-z0-9_*.-]{12,}")
_HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def read_error(status: int, body: bytes) -> GatewayError:
    """Any provider's error body: an object, a list with one, a page of HTML, or nothing."""
    try:
        value = orjson.loads(body)
    except ValueError:
        return _error(status, _plain(body[:_SCANNED].decode("utf-8", "replace")), "")
    if isinstance(value, list) and value:
        value = value[0]
    return read_error_value(value, status)


def read_error_value(value: Any, status: int = 0) -> GatewayError:
    """An error that is parsed already. `status` 0: it stood in a stream or in a reply that seemed right, and says itself how bad
    it is."""
    kind, message, details = "", "", None
    match value:
        case {"error": {"message": str(message)} as inner} | ({"message": str(message)} as inner):
            kind = _kind(inner)
            status = status or _own_status(inner)
            details = inner.get("details")
        case {"error": str(message)}:
            kind = str(value.get("code") or "")
        case {"detail": str(message)} | str(message):
            pass
        case {"error": dict(inner)}:
            message = ", ".join(f"{key}: {said}" for key, said in inner.items() if isinstance(said, str | int))
    return _error(status or 502, message, kind, details)


def _kind(error: Json) -> str:
    """The most telling name that an error gives itself: a code in words, else its type."""
    code = error.get("code")
    if isinstance(code, str) and not code.isdigit():
        return code
    return next((str(error[key]) for key in ("type", "status", "code") if error.get(key)), "")


def _own_status(error: Json) -> int:
    code = error.get("code")
    number = int(code) if isinstance(code, int) or (isinstance(code, str) and code.isascii() and code.isdigit()) else 0
    return number if 400 <= number < 600 else _STATUS.get(str(error.get("type")), 0)


def _error(status: int, message: str, kind: str, details: Any = None) -> GatewayError:
    text = _SECRET.sub("[hidden]", message[:_SCANNED]).strip()
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + " …"
    return GatewayError(
        Code.PROVIDER_ERROR,
        text or f"The provider answered with status {status} and no explanation.",
        status=status if 400 <= status < 600 else 502,
        provider_code=kind[:100] or None,
        details=details if isinstance(details, dict) and len(str(details)) <= _LONGEST else None,
    )


def _plain(text: str) -> str:
    """A page of HTML as one sentence; any other text as it is."""
    if "<" not in text:
        return text
    title = _TITLE.search(text)
    words = title.group(1) if title and title.group(1).strip() else _TAG.sub(" ", _HIDDEN.sub(" ", text))
    short = " ".join(unescape(words).split())[:200]
    return f"The provider answered with a web page: {short}" if short else ""


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

"""Errors as Google sends them, and as others do: https://ai.google.dev/gemini-api/docs/troubleshooting."""

from __future__ import annotations

import math
import re
from html import unescape

import orjson

from shared.canonical import Json
from shared.dialects.gemini.fields import rows, string
from shared.errors import Code, GatewayError

_LONGEST = 2000
_PAGE = 20_000  # characters of a text that are looked at
_INVISIBLE = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")
_SECRET = re.compile(r"AIza[\w-]{20,}|(?<=project_number:)\d+|(?<=projects/)[\w-]+|(?<=consumer ')[^']+")
_TOO_LONG = re.compile(r"exceeds the maximum number of tokens|context (?:window|length)", re.IGNORECASE)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
_STATUSES: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read_error(status: int, body: bytes) -> GatewayError:
    """PROVIDER_ERROR with the provider's own words, whatever the shape of the body. Keys and project names are left out."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _error(status, _plain(body.decode("utf-8", "replace")))
    return error_of(status, parsed)


def error_of(status: int, parsed: object) -> GatewayError:
    """The same from a body that is parsed already. Streams send it as a list of one:
    https://github.com/google-gemini/gemini-cli/issues/16845."""
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    match parsed:
        case {"error": dict() as error}:
            return _google_error(status, error)
        case (
            {"error": str() as message, **rest}
            | {"message": str() as message, **rest}
            | {"detail": str() as message, **rest}
        ):
            return _error(status, message, _code(rest.get("code")))
        case str() as message:
            return _error(status, _plain(message))
        case _:
            return _error(status, "")


def write_error(error: GatewayError, request_id: str) -> Json:
    """Google's shape, with our code and the provider's as `ErrorInfo`."""
    metadata = {"request_id": request_id}
    if error.provider_code:
        metadata["provider_code"] = error.provider_code
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code.value, "metadata": metadata}
    name = _STATUSES.get(error.status, "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": error.status, "message": error.message, "status": name, "details": [info]}}


def _google_error(status: int, error: Json) -> GatewayError:
    message = string(error, "message")
    inner = error.get("code")
    if status < 400 and isinstance(inner, int) and 400 <= inner < 600:
        status = inner
    code = _code(error.get("status")) or _code(inner) or _code(error.get("type"))
    headers: dict[str, str] = {}
    for detail in rows(error, "details"):
        match detail:
            case {"retryDelay": str() as delay} if found := _DELAY.fullmatch(delay):
                headers["retry-after"] = str(math.ceil(float(found[1])))
            case {"reason": "API_KEY_INVALID" as reason}:
                # Google answers a wrong key with 400: https://ai.google.dev/gemini-api/docs/api-key
                status, code = 401, reason
    if status == 400 and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    return _error(status, message, code, headers)


def _error(status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None) -> GatewayError:
    text = _SECRET.sub("…", message[:_PAGE]).strip() or f"The provider answered with status {status} and no message."
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return GatewayError(
        Code.PROVIDER_ERROR, shown, status=status if status >= 400 else None, provider_code=code, headers=headers
    )


def _code(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _plain(text: str) -> str:
    """A page for browsers in one sentence."""
    if not text.lstrip().startswith("<"):
        return text
    text = text[:_PAGE]
    title = _TITLE.search(text)
    body = " ".join(unescape(_TAG.sub(" ", _INVISIBLE.sub(" ", text))).split())
    return body or (" ".join(unescape(title[1]).split()) if title else "")

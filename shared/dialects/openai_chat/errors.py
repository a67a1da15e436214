"""Errors of chat completions, both ways (https://platform.openai.com/docs/guides/error-codes).

Read is every shape that a provider of this form has been seen to answer with; written is OpenAI's.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import Code, GatewayError

_MAX = 2000
_SECRET = re.compile(r"\b(?:sk|org|proj|gsk|xai)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}")
"""Keys (masked ones too) and ids of the organisation that owns them: OpenAI's texts name both."""
_TITLE = re.compile(r"<(title|h1)[^>]*>([^<]{1,300})</\1>", re.IGNORECASE)
_TAG = re.compile(r"<(?:script|style)\b[^>]*>[^<]*|<[^<>]{0,500}>|\s+", re.IGNORECASE)


def read_error(status: int, body: bytes) -> GatewayError:
    """A provider's error reply, whatever its body holds."""
    try:
        parsed = orjson.loads(body)
    except ValueError:
        return _error(status, _plain(body.decode("utf-8", "replace"), status), "")
    return read_error_object(status, parsed)


def read_error_object(status: int, body: Any) -> GatewayError:
    """The same for JSON that is parsed already, such as an error in the middle of a stream."""
    if isinstance(body, list):  # https://github.com/google-gemini/gemini-cli/issues/16845
        body = body[0] if body else {}
    message, code = "", ""
    match body:
        case {"error": dict(error)}:
            message, code = _from_object(error)
        case {"error": str(message)}:  # xAI and Ollama
            code = _word(body.get("code"))
        case dict():
            message, code = _from_object(body)
        case str():
            message = _plain(body, status)
    return _error(status, message or f"The provider answered with status {status} and no message.", code)


def status_of(body: object, otherwise: int = 502) -> int:
    """The status that an error inside a 200 stands for: OpenRouter gives it as `code`."""
    match body:
        case {"error": {"code": int(code)}} if 400 <= code < 600:
            return code
    return otherwise


def _from_object(error: Json) -> tuple[str, str]:
    message = next((text for key in ("message", "detail", "msg", "error_msg") if (text := _text(error.get(key)))), "")
    match error.get("metadata"):  # OpenRouter: the words of the provider behind it
        case {"raw": str(raw)} if raw and raw not in message:
            message = f"{message}: {raw}" if message else raw
    code = next((word for key in ("code", "status", "type") if (word := _word(error.get(key)))), "")
    return message, code


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, list | dict) and value else ""


def _word(value: object) -> str:
    """A code that says more than the HTTP status does."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if 100 <= value < 600 else str(value)
    return value[:200] if isinstance(value, str) else ""


def _plain(text: str, status: int) -> str:
    """Text as it is; of a web page, its title."""
    if "<" not in text[:500]:
        return text.strip()
    found = _TITLE.search(text[:20_000])
    words = unescape(found[2] if found else _TAG.sub(" ", text[:20_000]))
    return f"The provider answered with a web page (status {status}): {' '.join(words.split())[:300]}".rstrip(": ")


def _error(status: int, message: str, code: str) -> GatewayError:
    message = _SECRET.sub("(withheld)", message)
    message = message if len(message) <= _MAX else message[: _MAX - 1] + "…"
    message = message or f"The provider answered with status {status} and no message."
    return GatewayError(Code.PROVIDER_ERROR, message, status=status, provider_code=code or None)


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

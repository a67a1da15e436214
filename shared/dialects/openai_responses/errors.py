"""Errors: any provider's, read; this API's, written (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import Code, GatewayError

MOST_TEXT = 2000
"""Characters of a provider's message that are passed on."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"<(script|style|head)\b.*?</\1>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_HTML = re.compile(r"\s*<(!doctype|html|head|body|h1|center)\b", re.IGNORECASE)

_STATUS: dict[str, int] = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "invalid_request_error": 400,
    "server_is_overloaded": 503,
    "overloaded_error": 529,
}

FAILURES = frozenset(
    (
        *("server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch", "bio_policy"),
        *("misalignment_policy_violation", "vector_store_timeout", "invalid_image", "invalid_image_format"),
        *("invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small", "image_parse_error"),
        *("image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "empty_image_file"),
        *("unsupported_image_media_type", "failed_to_download_image", "image_file_not_found"),
        # Codex acts on these too: https://github.com/openai/codex/blob/main/codex-rs/codex-api/src/sse/responses.rs
        *("context_length_exceeded", "insufficient_quota"),
    )
)
"""Codes that `response.error` may have."""


def read_error(status: int, body: bytes) -> GatewayError:
    """A provider's refusal in whatever shape it came: JSON of any vendor, a list of one, HTML, plain text, nothing."""
    try:
        parsed: Any = orjson.loads(body)
    except ValueError:
        text = _plain(body.decode("utf-8", "replace"))
        return GatewayError(Code.PROVIDER_ERROR, text or _silent(status), status=status)
    message, code = told(parsed)
    return GatewayError(Code.PROVIDER_ERROR, message or _silent(status), status=status, provider_code=code)


def failure(source: Any, fallback: str = "The provider failed while it was answering.") -> GatewayError:
    """An error that stands in a reply or in a stream, where there is no HTTP status to go by."""
    message, code = told(source)
    status = _STATUS.get(code or "")
    if status is None and code is not None and code.isdigit() and 400 <= int(code[:4]) < 600:
        status = int(code[:4])
    return GatewayError(Code.PROVIDER_ERROR, message or fallback, status=status, provider_code=code)


def told(source: Any) -> tuple[str, str | None]:
    """The message and the code in an error of any vendor; empty and None where there is none."""
    match source:
        case [first, *_]:
            return told(first)
        case {"error": dict(error)}:
            outer = source.get("code")
            message, code = _of_object(error)
            return message, code or (outer if isinstance(outer, str) else None)
        case {"error": str(text)}:
            code = source.get("code")
            return text[:MOST_TEXT], code[:100] if isinstance(code, str) and code else None
        case {"detail": str(text)}:
            return text[:MOST_TEXT], None
        case {"detail": [{"msg": str(text)}, *_]}:
            return text[:MOST_TEXT], None
        case dict():
            return _of_object(source)
        case str(text):
            return text[:MOST_TEXT], None
        case _:
            return "", None


def _of_object(error: Json) -> tuple[str, str | None]:
    message = error.get("message") or error.get("msg")
    text = message if isinstance(message, str) else ""
    match error.get("metadata"):
        case {"raw": str(raw)} if raw and raw not in text:  # OpenRouter hides the provider's own words in there
            text = f"{text}: {raw}" if text else raw
    named = (error.get(key) for key in ("code", "status", "type"))
    code = next((name for name in named if isinstance(name, str) and name not in ("", "error")), None)
    number = error.get("code")
    if code is None and isinstance(number, int) and not isinstance(number, bool):
        code = str(number)
    return text[:MOST_TEXT], code[:100] if code else None


def write_error(error: GatewayError, request_id: str) -> Json:
    """The body of an HTTP error. The request's id goes out in a header: this API has no place for it in the body."""
    told_of: Json = {
        "message": error.message,
        "type": error.openai_type,
        "param": error.param,
        "code": error.code.value,
    }
    if error.provider_code:
        told_of["provider_code"] = error.provider_code
    return {"error": told_of}


def failed_error(error: GatewayError) -> Json:
    """`response.error` of a reply that failed: the code is from the API's closed list.

    A limit says when to come back, in the words that Codex looks for.
    """
    message, wait = error.message, error.headers.get("retry-after", "")
    limited = error.code is Code.RATE_LIMIT_EXCEEDED or error.status == 429
    if error.provider_code in FAILURES:
        code = error.provider_code
    elif limited:
        code = "rate_limit_exceeded"
    elif 400 <= error.status < 500 and error.status not in (401, 402, 403, 408, 409):
        code = "invalid_prompt"
    else:
        code = "server_error"
    if code == "rate_limit_exceeded" and wait.isdigit() and "try again in" not in message:
        message = f"{message.rstrip()} Please try again in {wait}s."
    return {"code": code, "message": message}


def _plain(text: str) -> str:
    if _HTML.match(text):
        title = _TITLE.search(text)
        text = unescape(title.group(1) if title and title.group(1).strip() else _TAG.sub(" ", _UNSEEN.sub(" ", text)))
    return " ".join(text.split())[:MOST_TEXT]


def _silent(status: int) -> str:
    return f"The provider answered with status {status} and said nothing more."

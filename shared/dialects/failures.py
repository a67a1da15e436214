"""What a provider says when it fails, in whatever shape: gateways stand behind gateways, so any of them may speak like any other.

OpenAI: https://platform.openai.com/docs/guides/error-codes. Anthropic: https://platform.claude.com/docs/en/api/errors.
Google: https://ai.google.dev/gemini-api/docs/troubleshooting. OpenRouter: https://openrouter.ai/docs/api-reference/errors
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import orjson

from shared.canonical import Json
from shared.errors import Code, GatewayError

LONGEST = 2000
"""Characters of a provider's message that are passed on."""
_SCANNED = 20_000
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SECRET = re.compile(
    r"\b(?:sk|gsk|xai|rk|pk|org|proj)[-_](?=\S{0,64}[\d*])[\w*.-]{6,}|\bAIza[\w-]{20,}"
    r"|(?<=project[_ ])(?:number:)?\d{6,}|(?<=projects/)[\w-]+|(?<=consumer ')[^']+"
)
"""Keys (masked ones too), and who owns them: texts of OpenAI and Google name organisations and projects."""
_TITLE = re.compile(r"<(title|h1)[^<>]{0,200}>([^<]{1,300})</\1>", re.IGNORECASE)
_TAG = re.compile(r"<(?:script|style)\b[^<>]{0,500}>[^<]*|<[^<>]{0,500}>|\s+", re.IGNORECASE)
_TOO_LONG = re.compile(r"exceeds the maximum number of tokens|context (?:window|length)", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")

_STATUS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "INVALID_ARGUMENT": 400,
    "authentication_error": 401,
    "API_KEY_INVALID": 401,
    "billing_error": 402,
    "permission_error": 403,
    "PERMISSION_DENIED": 403,
    "not_found_error": 404,
    "NOT_FOUND": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "RESOURCE_EXHAUSTED": 429,
    "api_error": 500,
    "server_is_overloaded": 503,
    "UNAVAILABLE": 503,
    "timeout_error": 504,
    "DEADLINE_EXCEEDED": 504,
    "overloaded_error": 529,
}


def read_error(status: int, body: bytes) -> GatewayError:
    """PROVIDER_ERROR with the provider's own words: JSON of any vendor, a list of one, a web page, plain text, nothing."""
    try:
        parsed: Any = orjson.loads(body)
    except ValueError:
        text = body[: 4 * _SCANNED].decode("utf-8", "replace")
        parsed = "" if _BINARY.search(text) else text  # compressed, and nothing said so
    return failure(parsed, status)


def failure(said: Any, status: int = 0) -> GatewayError:
    """The same of what is parsed already. Where there is no status of an error (the reply had begun, or claimed to be right), it
    is the one that the error gives itself, else 502."""
    if isinstance(said, list):  # https://github.com/google-gemini/gemini-cli/issues/16845
        said = said[0] if said else None
    error, outer = _found(said)
    message, code = _message(error), _code(error) or _code(outer)
    silence = f"The provider answered with status {status} and no message."
    if not 400 <= status < 600:
        status, silence = _own_status(error, code), "The provider failed while it was answering."
    headers: dict[str, str] = {}
    for hint in _hints(error):
        match hint:
            case {"retryDelay": str(delay)} if found := _DELAY.fullmatch(delay):
                headers["retry-after"] = str(math.ceil(float(found[1])))
            case {"reason": "API_KEY_INVALID" as code}:
                status = 401  # Google answers a wrong key with 400: https://ai.google.dev/gemini-api/docs/api-key
    if status == 400 and code == "INVALID_ARGUMENT" and _TOO_LONG.search(message):
        code = "context_length_exceeded"
    shown = _shown(message, status) or silence
    return GatewayError(
        Code.PROVIDER_ERROR, shown, status=status, provider_code=code or None, headers=headers, details=_told(error)
    )


def _told(error: Any) -> Json | None:
    """What Anthropic's clients act upon, as its API words it."""
    details = error.get("details") if isinstance(error, dict) else None
    return details if isinstance(details, dict) and len(str(details)) <= LONGEST else None


def _found(said: Any) -> tuple[Any, Any]:
    """The error itself, and what stands around it."""
    match said:
        case {"error": dict(error)}:
            return error, {"code": said.get("code")}
        case {"error": str(text)}:  # xAI and Ollama
            return text, {"code": said.get("code")}
        case _:
            return said, None


def _message(error: Any) -> str:
    match error:
        case str():
            return error
        case {"detail": [{"msg": str(text)}, *_]}:  # FastAPI, which many compatible servers are made with
            return text
        case dict():
            told = next(
                (error[key] for key in ("message", "detail", "msg", "error_msg") if _is_text(error.get(key))), ""
            )
            match error.get("metadata"):
                case {"raw": str(raw)} if raw and raw not in told:  # OpenRouter: the words of the provider behind it
                    return f"{told}: {raw}" if told else raw
            return told or ", ".join(
                f"{key}: {text}" for key, text in error.items() if key not in _WORDS and _is_text(text)
            )
        case _:
            return ""


_WORDS = frozenset({"code", "status", "type", "param", "request_id", "object", "id", "model"})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _code(error: Any) -> str:
    """The most telling name that an error gives itself: one that says more than its status does."""
    if not isinstance(error, dict):
        return ""
    named = (error.get(key) for key in ("code", "status", "type"))
    words = [name[:200] for name in named if isinstance(name, str) and name.strip() and name != "error"]
    if words:
        return words[0]
    number = error.get("code")
    told = isinstance(number, int) and not isinstance(number, bool) and not 100 <= number < 600
    return str(number) if told else ""


def _own_status(error: Any, code: str) -> int:
    number = error.get("code") if isinstance(error, dict) else None
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:4])
    if isinstance(number, int) and 400 <= number < 600:
        return number
    kind = error.get("type") if isinstance(error, dict) else None
    return _STATUS.get(code) or (_STATUS.get(kind) if isinstance(kind, str) else None) or 502


def _hints(error: Any) -> list[Json]:
    details = error.get("details") if isinstance(error, dict) else None
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _shown(message: str, status: int) -> str:
    """A message that may be seen: short, without secrets, of a web page its title."""
    text = message[:_SCANNED].strip()
    if text.startswith("<"):
        found = _TITLE.search(text)
        words = " ".join(unescape(found[2] if found else _TAG.sub(" ", text)).split())[:300]
        text = f"The provider answered with a web page (status {status}): {words}".rstrip(": ")
    text = _SECRET.sub("(withheld)", text)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"

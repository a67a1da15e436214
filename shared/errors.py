"""What can go wrong, and how each client API names it: one table, one exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any


@dataclass(frozen=True, slots=True)
class Naming:
    """The HTTP status of an error and the `type` that each API family gives it."""

    status: int
    openai: str
    anthropic: str


@unique
class Code(Enum):
    """The codes of the contract. Values are the texts clients see in `error.code`."""

    VALIDATION_ERROR = "VALIDATION_ERROR"
    MODEL_PREFERENCES_REQUIRED = "MODEL_PREFERENCES_REQUIRED"
    UNSUPPORTED_BY_MODEL = "UNSUPPORTED_BY_MODEL"
    AUTHENTICATION_ERROR = "AUTHENTICATION_ERROR"
    BUDGET_EXCEEDED = "BUDGET_EXCEEDED"
    DELEGATE_NOT_PERMITTED = "DELEGATE_NOT_PERMITTED"
    MODEL_NOT_ALLOWED = "MODEL_NOT_ALLOWED"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    SECRET_NOT_FOUND = "SECRET_NOT_FOUND"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    UPGRADE_NOT_SUPPORTED = "UPGRADE_NOT_SUPPORTED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    DECRYPTION_FAILED = "DECRYPTION_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    SAPPHIRE_UNAVAILABLE = "SAPPHIRE_UNAVAILABLE"
    OVERLOADED = "OVERLOADED"


_INVALID = ("invalid_request_error", "invalid_request_error")
_NOT_FOUND = ("invalid_request_error", "not_found_error")
_BROKEN = ("server_error", "api_error")

NAMES: Mapping[Code, Naming] = {
    Code.VALIDATION_ERROR: Naming(400, *_INVALID),
    Code.MODEL_PREFERENCES_REQUIRED: Naming(400, *_INVALID),
    Code.UNSUPPORTED_BY_MODEL: Naming(400, *_INVALID),
    Code.AUTHENTICATION_ERROR: Naming(401, "authentication_error", "authentication_error"),
    Code.BUDGET_EXCEEDED: Naming(402, "insufficient_quota", "billing_error"),
    Code.DELEGATE_NOT_PERMITTED: Naming(403, "permission_error", "permission_error"),
    Code.MODEL_NOT_ALLOWED: Naming(403, "permission_error", "permission_error"),
    Code.MODEL_NOT_FOUND: Naming(404, *_NOT_FOUND),
    Code.SECRET_NOT_FOUND: Naming(404, *_NOT_FOUND),
    Code.NOT_FOUND: Naming(404, *_NOT_FOUND),
    Code.METHOD_NOT_ALLOWED: Naming(405, *_INVALID),
    Code.REQUEST_TOO_LARGE: Naming(413, "invalid_request_error", "request_too_large"),
    Code.UPGRADE_NOT_SUPPORTED: Naming(426, *_INVALID),
    Code.RATE_LIMIT_EXCEEDED: Naming(429, "rate_limit_error", "rate_limit_error"),
    Code.DECRYPTION_FAILED: Naming(500, *_BROKEN),
    Code.INTERNAL_ERROR: Naming(500, *_BROKEN),
    Code.PROVIDER_ERROR: Naming(502, *_BROKEN),
    Code.SAPPHIRE_UNAVAILABLE: Naming(503, *_BROKEN),
    Code.OVERLOADED: Naming(503, "server_error", "overloaded_error"),
}

_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: _INVALID,
    401: ("authentication_error", "authentication_error"),
    402: ("insufficient_quota", "billing_error"),
    403: ("permission_error", "permission_error"),
    404: _NOT_FOUND,
    408: ("server_error", "timeout_error"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_error"),
    503: ("server_error", "overloaded_error"),
    504: ("server_error", "timeout_error"),
    529: ("server_error", "overloaded_error"),
}


class GatewayError(Exception):
    """An error that is safe to show: its message holds no key, no path and no stack.

    `status` overrides the table's (a provider's own status); `provider_code` is the code that the
    provider gave (`context_length_exceeded`, `insufficient_quota` …); `headers` go out with the reply
    (`retry-after`, rate limits); `details` are what Anthropic's clients act upon, as its API words them.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        status: int | None = None,
        param: str | None = None,
        provider_code: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or NAMES[code].status
        self.param = param
        self.provider_code = provider_code
        self.headers: Mapping[str, str] = headers or {}
        self.details: Mapping[str, Any] = details or {}

    @property
    def openai_type(self) -> str:
        """`error.type` for chat and responses clients."""
        return self._types()[0]

    @property
    def anthropic_type(self) -> str:
        """`error.type` for messages clients."""
        return self._types()[1]

    def without(self, secret: str) -> GatewayError:
        """The same error with `secret` struck out: some providers repeat the key that they refuse."""
        if not secret or secret not in f"{self.message}{self.provider_code}{self.param}{self.headers}{self.details}":
            return self
        headers = {name: value for name, value in self.headers.items() if secret not in value}
        message = self.message.replace(secret, "[key]")
        return GatewayError(self.code, message, status=self.status, headers=headers)

    def _types(self) -> tuple[str, str]:
        if self.code is Code.PROVIDER_ERROR:
            return _BY_STATUS.get(self.status, _INVALID if 400 <= self.status < 500 else _BROKEN)
        return NAMES[self.code].openai, NAMES[self.code].anthropic


def invalid(message: str, param: str | None = None) -> GatewayError:
    """The request itself is wrong (400)."""
    return GatewayError(Code.VALIDATION_ERROR, message, param=param)


def unsupported(message: str, param: str | None = None, details: Mapping[str, Any] | None = None) -> GatewayError:
    """The request is right, but this model or provider can't do it (400, before anything is sent)."""
    return GatewayError(Code.UNSUPPORTED_BY_MODEL, message, param=param, details=details)

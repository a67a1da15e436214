"""Errors in Google's shape: https://ai.google.dev/gemini-api/docs/troubleshooting."""

from __future__ import annotations

from shared.canonical import Json
from shared.errors import GatewayError

_STATUSES: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def write_error(error: GatewayError, request_id: str) -> Json:
    """Google's shape, with our code and the provider's as `ErrorInfo`."""
    metadata = {"request_id": request_id}
    if error.provider_code:
        metadata["provider_code"] = error.provider_code
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code.value, "metadata": metadata}
    name = _STATUSES.get(error.status, "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT")
    return {"error": {"code": error.status, "message": error.message, "status": name, "details": [info]}}

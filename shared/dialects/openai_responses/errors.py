"""Errors of this API (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from shared.canonical import Json
from shared.errors import Code, GatewayError

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

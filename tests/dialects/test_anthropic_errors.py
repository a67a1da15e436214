"""Errors: those of every provider read, ours written, judged by the official SDK."""

from __future__ import annotations

from pathlib import Path

import anthropic
import httpx2
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dialects import dialect
from shared.errors import Code, GatewayError

MESSAGES = dialect("messages")
RECORDINGS = Path(__file__).parent.parent / "recordings" / "anthropic"


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("400_prompt_too_long", "prompt is too long: 212034 tokens > 200000 maximum", "invalid_request_error"),
        ("401_bad_key", "invalid x-api-key", "authentication_error"),
        ("402_openrouter_credits", "This request requires more credits, or fewer max_tokens.", None),
        ("404_no_model", "model: claude-0", "not_found_error"),
        ("413_too_large", "Request exceeds the maximum size", "request_too_large"),
        ("429_zai", "High concurrency usage of this API", "1302"),
        ("500_api_error", "Internal server error", "api_error"),
        ("529_overloaded", "Overloaded", "overloaded_error"),
        ("400_google_array", "API key not valid.", "INVALID_ARGUMENT"),
        ("502_html", "The provider answered with a web page (status 502): 502 Bad Gateway", None),
        ("503_empty", "The provider answered with status 503 and no message.", None),
    ],
)
def test_recorded_errors(name: str, message: str, code: str | None) -> None:
    status = int(name[:3])
    error = MESSAGES.read_error(status, (RECORDINGS / "errors" / f"{name}.json").read_bytes())
    assert (error.code, error.status) == (Code.PROVIDER_ERROR, status)
    assert (error.message, error.provider_code) == (message, code)


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (
            b'{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}',
            "m",
            "context_length_exceeded",
        ),
        (b'{"code":"bad","error":"text"}', "text", "bad"),
        (b'{"message":"m"}', "m", None),
        (b'{"detail":"Not found"}', "Not found", None),
        (b'{"error":{"reason":"x","more":[]}}', "reason: x", None),
        (b"upstream connect error", "upstream connect error", None),
        (b'"just text"', "just text", None),
        (b"[]", "The provider answered with status 400 and no message.", None),
        (b"<p>Busy &amp; <b>tired</b></p>", "The provider answered with a web page (status 400): Busy & tired", None),
    ],
)
def test_other_shapes(body: bytes, message: str, code: str | None) -> None:
    error = MESSAGES.read_error(400, body)
    assert (error.message, error.provider_code) == (message, code)


def test_messages_are_short_and_hold_no_key() -> None:
    long = MESSAGES.read_error(400, orjson.dumps({"error": {"message": "x" * 9000}}))
    assert len(long.message) < 2010
    key = MESSAGES.read_error(401, b'{"error":{"message":"Incorrect API key provided: sk-ant-api03-abcdefghijkl."}}')
    assert "abcdefghijkl" not in key.message
    plain = "Your organizationally unsound request asks for organization-wide settings."
    assert MESSAGES.read_error(400, orjson.dumps({"error": plain})).message == plain


@given(
    st.integers(100, 700), st.binary(max_size=60) | st.text(max_size=30).map(lambda text: orjson.dumps({"error": text}))
)
def test_any_error_body_is_read(status: int, body: bytes) -> None:
    error = MESSAGES.read_error(status, body)
    assert 400 <= error.status < 600
    assert error.message


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GatewayError(Code.OVERLOADED, "m", status=529), "overloaded_error"),
        (GatewayError(Code.RATE_LIMIT_EXCEEDED, "m"), "rate_limit_error"),
        (GatewayError(Code.MODEL_NOT_FOUND, "m"), "not_found_error"),
        (GatewayError(Code.PROVIDER_ERROR, "m", status=402), "billing_error"),
    ],
)
def test_the_sdk_reads_our_errors(error: GatewayError, kind: str) -> None:
    body = MESSAGES.write_error(error, "req_1")
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "m", "code": error.code.value},
        "request_id": "req_1",
    }
    transport = httpx2.MockTransport(lambda _: httpx2.Response(error.status, json=body))
    client = anthropic.Anthropic(
        api_key="none", base_url="http://gateway.test", max_retries=0, http_client=httpx2.Client(transport=transport)
    )
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "?"}])
    assert raised.value.body == body
    assert raised.value.status_code == error.status


def test_errors_tell_the_providers_code_and_the_place() -> None:
    error = GatewayError(Code.PROVIDER_ERROR, "m", status=400, param="tools", provider_code="context_length_exceeded")
    assert MESSAGES.write_error(error, "r")["error"] == {
        "type": "invalid_request_error",
        "message": "m",
        "code": "PROVIDER_ERROR",
        "provider_code": "context_length_exceeded",
        "param": "tools",
    }

"""Google's errors, read whatever their shape; and the meter that watches replies go by."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from gemini_targets import GEMINI, GEMINI_3
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.dialects import Reading
from shared.errors import Code, GatewayError, unsupported
from shared.sse import SSE, Parser

RECORDINGS = Path(__file__).parents[1] / "recordings" / "gemini"
NAMES = sorted(path.stem for path in (RECORDINGS / "replies").glob("*.json"))


def recorded(name: str) -> GatewayError:
    return GEMINI.read_error(int(name[:3]), (RECORDINGS / "errors" / f"{name}.json").read_bytes())


@pytest.mark.parametrize(
    ("name", "status", "code", "words"),
    [
        ("400_invalid_argument", 400, "INVALID_ARGUMENT", "Unknown name"),
        # a wrong key comes as 400: https://ai.google.dev/gemini-api/docs/api-key
        ("400_api_key_invalid", 401, "API_KEY_INVALID", "API key not valid"),
        ("400_context_length", 400, "context_length_exceeded", "(1048999) exceeds"),
        ("400_thought_signature", 400, "INVALID_ARGUMENT", "missing a thought_signature"),
        ("403_permission_denied", 403, "PERMISSION_DENIED", "has not been used"),
        ("404_not_found", 404, "NOT_FOUND", "models/gemini-9 is not found"),
        ("429_resource_exhausted", 429, "RESOURCE_EXHAUSTED", "retry in 16.284s"),
        ("429_array", 429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
        ("500_internal", 500, "INTERNAL", "internal error"),
        ("503_unavailable", 503, "UNAVAILABLE", "overloaded"),
    ],
)
def test_recorded_errors(name: str, status: int, code: str, words: str) -> None:
    error = recorded(name)
    assert (error.code, error.status, error.provider_code) == (Code.PROVIDER_ERROR, status, code)
    assert words in error.message


def test_how_long_to_wait() -> None:
    assert recorded("429_resource_exhausted").headers == {"retry-after": "17"}
    assert recorded("429_array").headers == {"retry-after": "17"}
    assert recorded("503_unavailable").headers == {}


def test_whose_project_it_is_stays_hidden() -> None:
    assert "681255809395" not in recorded("429_array").message
    body = {
        "error": {"code": 403, "message": "Key AIzaSyA1234567890abcdefghijklmnopqrstu of projects/my-team-1 is off"}
    }
    message = GEMINI.read_error(403, orjson.dumps(body)).message
    assert "AIza" not in message
    assert "my-team" not in message


@pytest.mark.parametrize(
    ("status", "body", "message", "code"),
    [
        (500, b"", "The provider answered with status 500 and no message.", None),
        (502, b"   \n", "The provider answered with status 502 and no message.", None),
        (502, b"upstream connect error", "upstream connect error", None),
        (
            502,
            b"<!DOCTYPE html><html><head><title>Error 502</title><style>p{}</style></head>"
            b"<body><p>Bad&nbsp;<b>gateway</b>.</p><script>x()</script></body></html>",
            "The provider answered with a web page (status 502): Error 502",
            None,
        ),
        (
            413,
            b"<html><head><title>413 Too large</title></head></html>",
            "The provider answered with a web page (status 413): 413 Too large",
            None,
        ),
        (400, b'{"code": "bad", "error": "Wrong model"}', "Wrong model", "bad"),
        (429, b'{"error": {"code": 429, "message": "Slow down", "metadata": {}}}', "Slow down", None),
        (401, b'{"error": {"type": "authentication_error", "message": "No"}}', "No", "authentication_error"),
        (404, b'{"detail": "Not Found"}', "Not Found", None),
        (
            400,
            b'{"error": {"message": 5, "details": "x"}}',
            "details: x",
            None,
        ),
        (400, b"[]", "The provider answered with status 400 and no message.", None),
    ],
)
def test_other_shapes(status: int, body: bytes, message: str, code: str | None) -> None:
    error = GEMINI.read_error(status, body)
    assert (error.status, error.message, error.provider_code) == (status, message, code)


def test_an_error_inside_a_success_has_its_own_status() -> None:
    assert GEMINI.read_error(200, b'{"error": {"code": 429, "message": "x"}}').status == 429
    assert GEMINI.read_error(200, b'{"error": {"message": "x"}}').status == 502


def test_long_messages_are_cut() -> None:
    assert len(GEMINI.read_error(400, b"x" * 50_000).message) <= 2001
    assert len(GEMINI.read_error(400, b"<p>" + b"x " * 50_000).message) <= 2001


@settings(deadline=None)
@given(
    st.integers(100, 599),
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode),
)
def test_any_body_is_an_error(status: int, body: bytes) -> None:
    error = GEMINI.read_error(status, body)
    assert error.status >= 400
    assert error.message


def test_written_errors_are_read_again() -> None:
    body = GEMINI.write_error(unsupported("No tools."), "abc")
    assert body["error"]["details"][0]["reason"] == "UNSUPPORTED_BY_MODEL"
    again = GEMINI.read_error(400, orjson.dumps(body))
    assert (again.status, again.message, again.provider_code) == (400, "No tools.", "INVALID_ARGUMENT")
    shown = GEMINI.write_error(GatewayError(Code.PROVIDER_ERROR, "x", provider_code="SPECIAL"), "abc")
    assert shown["error"]["details"][0]["metadata"] == {"request_id": "abc", "provider_code": "SPECIAL"}


# ── the meter ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_the_meter_counts_what_the_reader_reads(name: str) -> None:
    body = orjson.loads((RECORDINGS / "replies" / f"{name}.json").read_bytes())
    reply = GEMINI.read_response(body, Reading(GEMINI_3))
    whole, streamed = GEMINI.meter(), GEMINI.meter()
    whole.whole(body)
    for event in Parser().feed((RECORDINGS / "replies" / f"{name}.sse").read_bytes()):
        assert not streamed.ended
        streamed.see(event)
    for meter in (whole, streamed):
        assert (meter.usage, meter.model, meter.ended, meter.failed) == (reply.finish.usage, reply.model, True, False)
    assert whole.output_chars == streamed.output_chars


def test_the_meter_sees_errors_and_the_reader_reads_its_last_word() -> None:
    meter = GEMINI.meter()
    meter.see(SSE(b'{"error": {"code": 503, "message": "x"}}'))
    assert meter.failed
    torn = GEMINI.meter()
    torn.see(SSE(b'{"candidates": [{"content": {"parts": ['))
    assert torn.failed
    last = torn.break_off(GatewayError(Code.PROVIDER_ERROR, "The provider went silent.", status=504))
    (event,) = Parser().feed(last)
    error = GEMINI.stream_reader(Reading(GEMINI_3)).feed(event)[-1].error  # type: ignore[union-attr]  # a Failed
    assert (error.status, error.message) == (504, "The provider went silent.")


def test_the_meter_does_not_parse_what_tells_nothing() -> None:
    meter = GEMINI.meter()
    meter.see(SSE(b"not json at all"))
    assert not meter.failed

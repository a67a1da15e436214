"""The meter of replies that pass through."""

from __future__ import annotations

import anthropic
import orjson
import pytest
from anthropic_streams import MESSAGES, NAMES, REPLIES, by_stream, sse, start, whole
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import (
    Json,
    Usage,
)
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser


@pytest.mark.parametrize("name", NAMES)
def test_the_meter_counts_as_the_reader_does(name: str) -> None:
    body = orjson.loads((REPLIES / f"{name}.json").read_bytes())
    streaming, at_once = MESSAGES.meter(), MESSAGES.meter()
    for event in Parser().feed((REPLIES / f"{name}.sse").read_bytes()):
        streaming.see(event)
    at_once.whole(body)
    for meter in (streaming, at_once):
        assert meter.usage == whole(name).finish.usage
        assert (meter.model, meter.ended, meter.failed) == (body["model"], True, False)
        assert meter.break_off(GatewayError(Code.PROVIDER_ERROR, "late")) == b""


def test_the_meter_measures_text() -> None:
    meter = MESSAGES.meter()
    for event in Parser().feed((REPLIES / "text.sse").read_bytes()):
        meter.see(event)
    length = len(orjson.loads((REPLIES / "text.json").read_bytes())["content"][0]["text"])
    assert length <= meter.output_chars <= length * 1.3


def test_the_meter_breaks_off_with_an_error_event() -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(orjson.dumps(start(input_tokens=4)), "message_start"))
    assert meter.usage == Usage(input=4)
    assert not meter.ended
    stream = sse(start()) + meter.break_off(GatewayError(Code.PROVIDER_ERROR, "The stream broke."))
    with pytest.raises(anthropic.APIStatusError, match="The stream broke"):
        by_stream(stream)


def test_the_meter_sees_errors() -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "error"))
    assert meter.failed


@given(st.binary(max_size=80), st.sampled_from(["", "message_delta", "error", "content_block_delta"]))
def test_the_meter_never_raises(data: bytes, name: str) -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(data, name))
    meter.see(SSE(b'{"usage":' + data, name))


def test_the_meter_measures_whole_replies_of_any_depth() -> None:
    deep: Json = {}
    for _ in range(2000):
        deep = {"a": deep}
    meter = MESSAGES.meter()
    call = {"type": "tool_use", "input": {"text": "x" * 50, "deep": deep}}
    meter.whole({"content": [{"type": "text", "text": "abc"}, call, 5], "usage": None, "model": 3})
    assert meter.usage is None
    assert 53 <= meter.output_chars <= 100

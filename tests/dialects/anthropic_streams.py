"""Recordings, streams made by hand and the official SDK, for the tests of the Messages API."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import orjson
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from shared.canonical import (
    Event,
    Json,
    Request,
    Response,
    Target,
)
from shared.dialects import Reading, Writing, dialect
from shared.sse import SSE, Parser

MESSAGES = dialect("messages")
REPLIES = Path(__file__).parent.parent / "recordings" / "anthropic" / "replies"
NAMES = sorted(path.stem for path in REPLIES.glob("*.json"))
TARGET = Target("anthropic", "claude-sonnet-5-5")
READING = Reading(TARGET)
WRITING = Writing(Request("claude", ()), {}, "claude-as-asked", "0123456789abcdef0123456789abcdef", 1763990000)


def whole(name: str, reading: Reading = READING) -> Response:
    return MESSAGES.read_response(orjson.loads((REPLIES / f"{name}.json").read_bytes()), reading)


def sse(*values: Json) -> bytes:
    return b"".join(SSE(orjson.dumps(value), str(value["type"])).encode() for value in values)


def read(stream: bytes, reading: Reading = READING, size: int = 1 << 20) -> list[Event]:
    reader, parser, events = MESSAGES.stream_reader(reading), Parser(), list[Event]()
    for i in range(0, len(stream), size):
        for event in parser.feed(stream[i : i + size]):
            events += reader.feed(event)
    return events + reader.close()


def write(events: Iterable[Event]) -> bytes:
    writer = MESSAGES.stream_writer(WRITING)
    return b"".join(map(writer.feed, events))


def start(**usage: int) -> Json:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": usage}}


def block(index: int, body: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": body},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(reason: str | None, **usage: int) -> list[Json]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def call(index: int, name: str, *pieces: str) -> list[Json]:
    body = {"type": "tool_use", "id": f"t{index}", "name": name, "input": {}}
    return block(index, body, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def sdk(body: bytes, kind: str) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return anthropic.Anthropic(
        api_key="none",
        base_url="http://gateway.test",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


ASK: Any = {"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "?"}]}


def by_stream(stream: bytes) -> Json:
    with sdk(stream, "text/event-stream").messages.stream(**ASK) as got:
        return got.get_final_message().to_dict()


def by_whole(body: Json) -> Json:
    Message.model_validate(body)
    got: Json = sdk(orjson.dumps(body), "application/json").messages.create(**ASK).to_dict()
    return got


def validate(stream: bytes) -> None:
    judge: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for event in Parser().feed(stream):
        value = orjson.loads(event.data)
        assert event.event == value["type"]
        judge.validate_python(value)

"""A fake provider as fast as Python allows: fixed replies in all four dialects, whole or streamed, paced or not.

python -m bench.upstream PORT
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import dataclass
from typing import cast

import uvloop

EVENTS = 60


def _sse(*bodies: dict[str, object], named: bool = True) -> list[bytes]:
    head = [f"event: {body['type']}\n" if named else "" for body in bodies]
    return [
        f"{line}data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()
        for line, body in zip(head, bodies, strict=True)
    ]


def _chat() -> tuple[bytes, list[bytes]]:
    usage = {"prompt_tokens": 120, "completion_tokens": EVENTS, "total_tokens": 120 + EVENTS}
    base = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o"}
    message = {"role": "assistant", "content": "word " * EVENTS}
    whole = {
        **base,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    chunk = {**base, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": ""}, *[{"content": "word "}] * EVENTS]
    bodies = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    bodies.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    bodies.append({**chunk, "choices": [], "usage": usage})
    return json.dumps(whole).encode(), [*_sse(*bodies, named=False), b"data: [DONE]\n\n"]


def _messages() -> tuple[bytes, list[bytes]]:
    usage = {"input_tokens": 120, "output_tokens": EVENTS}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_sequence": None}
    text: dict[str, object] = {"type": "text", "text": "word " * EVENTS}
    whole = {**message, "content": [text], "stop_reason": "end_turn", "usage": usage}
    start: dict[str, object] = {**message, "content": [], "stop_reason": None, "usage": usage}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}
    end: dict[str, object] = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": usage,
    }
    return json.dumps(whole).encode(), _sse(
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[delta] * EVENTS,
        {"type": "content_block_stop", "index": 0},
        end,
        {"type": "message_stop"},
    )


def _responses() -> tuple[bytes, list[bytes]]:
    usage = {
        "input_tokens": 120, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": EVENTS,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 120 + EVENTS,
    }  # fmt: skip
    part = {"type": "output_text", "text": "word " * EVENTS, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**item, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *[{"type": "response.output_text.delta", **place, "delta": "word ", "logprobs": []}] * EVENTS,
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return json.dumps(done).encode(), _sse(
        *[{**event, "sequence_number": number} for number, event in enumerate(events)]
    )


def _gemini() -> tuple[bytes, list[bytes]]:
    usage = {"promptTokenCount": 120, "candidatesTokenCount": EVENTS, "totalTokenCount": 120 + EVENTS}

    def body(text: str, finish: str | None) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        return {
            "candidates": [{**candidate, "finishReason": finish} if finish else candidate],
            "usageMetadata": usage,
            "responseId": "r",
            "modelVersion": "g",
        }

    return json.dumps(body("word " * EVENTS, "STOP")).encode(), _sse(
        *[body("word ", None)] * EVENTS, body("word ", "STOP"), named=False
    )


@dataclass(frozen=True, slots=True)
class Canned:
    """A reply as it goes over the wire: whole, and streamed, an event in each chunk, the end with the last one. The first `lead`
    chunks, up to the first word, go out together and at once."""

    whole: bytes
    chunks: list[bytes]
    lead: int


def _canned(whole: bytes, events: list[bytes]) -> Canned:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole)
    chunks[-1] += b"0\r\n\r\n"
    return Canned(head + whole, chunks, next(number for number, chunk in enumerate(chunks, 1) if b"word" in chunk))


REPLIES = {
    b"chat/completions": _canned(*_chat()), b"messages": _canned(*_messages()), b"responses": _canned(*_responses()),
    b"enerateContent": _canned(*_gemini()),
}  # fmt: skip
_STREAMED = re.compile(rb'"stream": ?true')


@dataclass(slots=True)
class Desk:
    """What all connections share. `pace`: seconds between the events of a stream, 0: as fast as they go; `GET /pace/<ms>` sets
    it. `GET /asked` tells the first line of the newest request."""

    pace: float = 0.0
    asked: bytes = b""


@dataclass(slots=True)
class _Stream:
    """A stream under way: how many chunks were sent, and when the last of them was due."""

    chunks: list[bytes]
    sent: int
    due: float


class Provider(asyncio.Protocol):
    """One connection: requests one after another, told apart by their path and `"stream":true`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._buffer = b""
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by name
        self._write = self._transport.write

    def connection_lost(self, error: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer = buffer = self._buffer + data if self._buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = buffer[:end]
        at = head.lower().find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(buffer) < end + 4 + size:
            return
        self._buffer = b""
        self._answer(head.split(b"\r\n", 1)[0], buffer[end + 4 :])

    def _answer(self, line: bytes, body: bytes) -> None:
        if line.startswith(b"GET /pace/"):
            self._desk.pace = float(line.split()[1].rpartition(b"/")[2]) / 1000
            self._write(b"HTTP/1.1 204 No Content\r\n\r\n")
            return
        if line.startswith(b"GET /asked"):
            self._write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(self._desk.asked), self._desk.asked))
            return
        self._desk.asked = line
        reply = next((reply for name, reply in REPLIES.items() if name in line), None)
        if reply is None:
            self._write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
            return
        if b"streamGenerate" in line or _STREAMED.search(body):
            self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            loop = asyncio.get_running_loop()
            self._write(b"".join(reply.chunks[: reply.lead]))
            self._pass(_Stream(reply.chunks, reply.lead, loop.time()), loop)
        else:
            self._write(reply.whole)

    def _send(self, stream: _Stream, loop: asyncio.AbstractEventLoop) -> None:
        if not self._transport.is_closing():
            self._write(stream.chunks[stream.sent])
            stream.sent += 1
            self._pass(stream, loop)

    def _pass(self, stream: _Stream, loop: asyncio.AbstractEventLoop) -> None:
        """The next event at its time, counted from the first: what is late doesn't make the rest late."""
        if stream.sent == len(stream.chunks):
            return
        stream.due += self._desk.pace
        if self._desk.pace:
            self._next = loop.call_at(stream.due, self._send, stream, loop)
        else:
            loop.call_soon(self._send, stream, loop)


async def main(port: int) -> None:
    """Serves until it is told to stop."""
    desk = Desk()
    server = await asyncio.get_running_loop().create_server(lambda: Provider(desk), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))

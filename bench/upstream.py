"""A fake provider as fast as Python allows: fixed replies in all four dialects, whole or streamed, paced or not.

python -m bench.upstream PORT [PACE_MS]
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

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
    text = {"type": "text", "text": "word " * EVENTS}
    whole = {**message, "content": [text], "stop_reason": "end_turn", "usage": usage}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
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


REPLIES: dict[bytes, tuple[bytes, list[bytes]]] = {
    b"chat/completions": _chat(), b"messages": _messages(), b"responses": _responses(), b"enerateContent": _gemini(),
}  # fmt: skip


class Provider(asyncio.Protocol):
    """One connection: requests one after another, told apart by their path and `"stream":true`."""

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._buffer = b""
        self._write: Callable[[bytes], None] = lambda data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._write = transport.write  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            at = head.lower().find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + size:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            line = head.split(b"\r\n", 1)[0]
            whole, stream = next(reply for name, reply in REPLIES.items() if name in line)
            if b"streamGenerate" in line or b'"stream":true' in body.replace(b" ", b""):
                asyncio.ensure_future(self._stream(stream))  # noqa: RUF006  (the connection keeps it)
            else:
                self._write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(whole), whole)
                )

    async def _stream(self, events: list[bytes]) -> None:
        self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for event in events:
            self._write(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(self._pace)
        self._write(b"0\r\n\r\n")


async def main(port: int, pace: float) -> None:
    """Serves until it is told to stop."""
    server = await asyncio.get_running_loop().create_server(lambda: Provider(pace), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2] if len(sys.argv) > 2 else 0) / 1000))

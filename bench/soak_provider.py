"""The soak's fake provider: four dialects, faults on demand, and a ledger of every token that it reported.

What it does with a request stands in the prompt: `soak:PLAN:NUMBER`. Every reply says its number, so that a reply which went to the
wrong client shows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import cast

import orjson

_ORDER = re.compile(rb"soak:(\w+):(\d+);")
_MODEL = re.compile(rb'"model"\s*:\s*"([^"]+)"|/models/([^:?\s]+):')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_REFUSALS: Mapping[str, tuple[int, bytes]] = {
    "limited": (429, b"retry-after: 1\r\n"), "failing": (500, b""), "overloaded": (529, b""), "wrong": (400, b""),
}  # fmt: skip
_PACES: Mapping[str, float] = {"paced": 0.05, "big": 0.0}
_PIECES: Mapping[str, int] = {"big": 256}
_FILLING = "word " * 800


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens of one reply in disjoint classes, by provider and model."""

    provider: str
    model: str
    fresh: int
    cache_read: int
    cache_write: int
    output: int

    @property
    def prompt(self) -> int:
        """The whole prompt, cached part included."""
        return self.fresh + self.cache_read + self.cache_write


@dataclass
class Ledger:
    """What the provider reported: `whole` replies to their end, and `begun` ones that said no more than the prompt's size."""

    whole: dict[int, Used] = field(default_factory=dict)
    begun: dict[int, Used] = field(default_factory=dict)
    under_way: int = 0
    connections: int = 0


def used(number: int, provider: str, model: str, writes_cache: bool) -> Used:
    """What a request is said to have used: any figures, the same for the same number."""
    dice = Random(number)
    fresh, read = dice.randrange(1, 5_000), dice.randrange(0, 4_000)
    write = dice.randrange(0, 3_000) if writes_cache else 0
    return Used(provider, model, fresh, read, write, dice.randrange(1, 900))


class Provider(asyncio.Protocol):
    """One connection. The first part of the path is the provider's name, the rest its API."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = b""
        self._streams: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's isn't one by inheritance
        self._ledger.connections += 1

    def connection_lost(self, error: Exception | None) -> None:
        self._ledger.connections -= 1
        for stream in self._streams:
            stream.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
            self._answer(head.split(b"\r\n", 1)[0], body)

    def _answer(self, line: bytes, body: bytes) -> None:
        order, model = _ORDER.search(body), _MODEL.search(body) or _MODEL.search(line)
        assert order is not None, body
        assert model is not None, body
        plan, number = order[1].decode(), int(order[2])
        provider, _, path = line.split(b" ")[1].decode().lstrip("/").partition("/")
        if plan == "moving":  # the first provider is down, the second isn't
            plan = "failing" if provider == "openai" else "fine"
        if plan == "cut":
            self._transport.abort()
        elif plan in _REFUSALS:
            status, headers = _REFUSALS[plan]
            self._whole(status, orjson.dumps({"error": {"message": "The soak's fault.", "type": "fault"}}), headers)
        elif plan == "nonsense":
            self._whole(200, b"<html>fine</html>", b"")
        else:
            tokens = used(number, provider, (model[1] or model[2]).decode(), path.endswith("messages"))
            self._serve(path, plan, number, tokens, b'"stream":true' in body or "streamGenerateContent" in path)

    def _serve(self, path: str, plan: str, number: int, tokens: Used, stream: bool) -> None:
        whole, events = reply(path, f"n{number};", tokens, _PIECES.get(plan, 6))
        if not stream:
            self._ledger.whole[number] = tokens
            self._whole(200, whole, b"")
            return
        task = asyncio.ensure_future(self._stream(number, plan, tokens, events))
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    def _whole(self, status: int, body: bytes, headers: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
            % (status, headers, len(body), body)
        )

    async def _stream(self, number: int, plan: str, tokens: Used, events: list[bytes]) -> None:
        ledger, write = self._ledger, self._transport.write
        ledger.under_way += 1
        try:
            write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            ledger.begun[number] = tokens
            middle = len(events) // 2
            for place, event in enumerate(events):
                if place == middle and plan == "half":
                    write(b"%x\r\n%b" % (len(event), event[:-9]))
                    self._transport.close()
                    return
                if place == middle and plan == "stalling":
                    await asyncio.sleep(60)
                write(b"%x\r\n%b\r\n" % (len(event), event))
                await asyncio.sleep(_PACES.get(plan, 0.001))
            write(b"0\r\n\r\n")
            ledger.whole[number] = ledger.begun.pop(number)
        finally:
            ledger.under_way -= 1


def reply(path: str, mark: str, tokens: Used, pieces: int) -> tuple[bytes, list[bytes]]:
    """The reply of the API at `path`, whole and as events: `mark`, then so many pieces of text."""
    texts = [mark, *[_FILLING if pieces > 6 else "word "] * pieces]
    if path.endswith("chat/completions"):
        return _chat(texts, tokens)
    if path.endswith("messages"):
        return _messages(texts, tokens)
    if path.endswith("responses"):
        return _responses(texts, tokens)
    return _gemini(texts, tokens)


def _chat(texts: list[str], tokens: Used) -> tuple[bytes, list[bytes]]:
    usage = {
        "prompt_tokens": tokens.prompt, "completion_tokens": tokens.output, "total_tokens": tokens.prompt + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read},
    }  # fmt: skip
    same = {"id": "chatcmpl-1", "created": 1, "model": tokens.model}
    message = {"role": "assistant", "content": "".join(texts)}
    whole = {**same, "object": "chat.completion", "usage": usage}
    chunk = {**same, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts)]
    bodies = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    bodies.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    bodies.append({**chunk, "choices": [], "usage": usage})
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return orjson.dumps(whole), [*map(_sse, bodies), b"data: [DONE]\n\n"]


def _messages(texts: list[str], tokens: Used) -> tuple[bytes, list[bytes]]:
    usage = {
        "input_tokens": tokens.fresh, "cache_read_input_tokens": tokens.cache_read,
        "cache_creation_input_tokens": tokens.cache_write, "output_tokens": tokens.output,
    }  # fmt: skip
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": tokens.model, "stop_sequence": None}
    content = [{"type": "text", "text": "".join(texts)}]
    start: dict[str, object] = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    bodies: list[Mapping[str, object]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": tokens.output},
        },
        {"type": "message_stop"},
    ]
    whole = {**message, "content": content, "stop_reason": "end_turn", "usage": usage}
    return orjson.dumps(whole), [*map(_sse, bodies)]


def _responses(texts: list[str], tokens: Used) -> tuple[bytes, list[bytes]]:
    usage = {
        "input_tokens": tokens.prompt, "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.output, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens.prompt + tokens.output,
    }  # fmt: skip
    part = {"type": "output_text", "text": "".join(texts), "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    response = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": tokens.model, "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    bodies: list[dict[str, object]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []} for text in texts),
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]  # fmt: skip
    return orjson.dumps(done), [_sse({**body, "sequence_number": n}) for n, body in enumerate(bodies)]


def _gemini(texts: list[str], tokens: Used) -> tuple[bytes, list[bytes]]:
    usage = {
        "promptTokenCount": tokens.prompt, "cachedContentTokenCount": tokens.cache_read,
        "candidatesTokenCount": tokens.output, "totalTokenCount": tokens.prompt + tokens.output,
    }  # fmt: skip

    def body(text: str, last: bool) -> dict[str, object]:
        candidate: dict[str, object] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        shared: dict[str, object] = {"responseId": "r", "modelVersion": tokens.model}
        return {"candidates": [candidate | ({"finishReason": "STOP"} if last else {})], **shared} | (
            {"usageMetadata": usage} if last else {}
        )

    return orjson.dumps(body("".join(texts), True)), [*(_sse(body(t, False)) for t in texts), _sse(body("", True))]


def _sse(body: Mapping[str, object]) -> bytes:
    named = f"event: {body['type']}\n".encode() if "type" in body else b""
    return named + b"data: " + orjson.dumps(body) + b"\n\n"

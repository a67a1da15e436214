"""Requests and replies of the three client APIs, as small as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Api:
    """One client API: where it is, what a request is, what its whole and its streamed reply are, and where an error stands."""

    name: str
    path: str
    model: str
    request: dict[str, Any]
    whole: dict[str, Any]
    events: tuple[bytes, ...]

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": self.model, **self.request, **more}

    def code(self, reply: Any) -> str:
        body = reply.json()
        if self.name == "messages":
            assert body["type"] == "error"
            assert body["request_id"]
        assert body["error"]["type"]
        assert body["error"]["message"]
        return str(body["error"]["code"])


def sse(body: dict[str, Any], event: str = "") -> bytes:
    head = f"event: {event}\n".encode() if event else b""
    return head + b"data: " + orjson.dumps(body) + b"\n\n"


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return sse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt-4o-2024-08-06",
            "choices": choices,
            **more,
        }
    )


_CHAT_USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
}
CHAT = Api(
    "chat_completions",
    "/v1/chat/completions",
    "gpt-4o",
    {"messages": [{"role": "user", "content": "Hi"}]},
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}],
        "usage": _CHAT_USAGE,
    },
    (
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "Hello"}),
        _chunk({"content": " there"}),
        _chunk({}, "stop"),
        sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06", "choices": [], "usage": _CHAT_USAGE}),
        b"data: [DONE]\n\n",
    ),
)  # fmt: skip

_MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "stop_sequence": None,
}
_MESSAGES_USAGE = {
    "input_tokens": 60, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 10, "output_tokens": 20,
    "cache_creation": {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 4},
}  # fmt: skip
MESSAGES = Api(
    "messages",
    "/v1/messages",
    "claude-haiku-4-5",
    {"max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}]},
    {**_MESSAGE, "content": [{"type": "text", "text": "Hello there"}], "stop_reason": "end_turn", "usage": _MESSAGES_USAGE},
    (
        sse({"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None, "usage": {**_MESSAGES_USAGE, "output_tokens": 1}}}, "message_start"),
        sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, "content_block_start"),
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}, "content_block_delta"),
        sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}}, "content_block_delta"),
        sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        sse({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 20}}, "message_delta"),
        sse({"type": "message_stop"}, "message_stop"),
    ),
)  # fmt: skip

_RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-2024-08-06", "parallel_tool_calls": True,
    "tool_choice": "auto", "tools": [],
}  # fmt: skip
_TEXT = {"type": "output_text", "text": "Hello there", "annotations": []}
_ITEM = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [_TEXT]}
_RESPONSES_USAGE = {
    "input_tokens": 100, "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0}, "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 120,
}  # fmt: skip
_DONE = {**_RESPONSE, "status": "completed", "output": [_ITEM], "usage": _RESPONSES_USAGE}
_PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}


def _numbered(*events: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(sse({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(events))


RESPONSES = Api(
    "responses",
    "/v1/responses",
    "gpt-4o",
    {"input": "Hi"},
    _DONE,
    _numbered(
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**_ITEM, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **_PLACE, "part": {**_TEXT, "text": ""}},
        {"type": "response.output_text.delta", **_PLACE, "delta": "Hello", "logprobs": []},
        {"type": "response.output_text.delta", **_PLACE, "delta": " there", "logprobs": []},
        {"type": "response.output_text.done", **_PLACE, "text": "Hello there", "logprobs": []},
        {"type": "response.content_part.done", **_PLACE, "part": _TEXT},
        {"type": "response.output_item.done", "output_index": 0, "item": _ITEM},
        {"type": "response.completed", "response": _DONE},
    ),
)  # fmt: skip

APIS = (CHAT, MESSAGES, RESPONSES)

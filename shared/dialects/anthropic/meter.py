"""Counts a Messages reply that passes through.

https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from shared.canonical import Json, Usage
from shared.dialects.anthropic.errors import error_event
from shared.dialects.anthropic.usage import overlay, read_usage
from shared.errors import GatewayError
from shared.sse import SSE

_TELLING = (b'"usage"', b'"error"', b"message_", b": error", b":error")
_TEXT = re.compile(rb'"(?:text|thinking|partial_json)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')


class Meter:
    """Looks at what may hold usage or the end; the rest is only measured."""

    __slots__ = ("_counts", "ended", "failed", "model", "output_chars", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.ended = False
        self.failed = False
        self.output_chars = 0
        self._counts: Json = {}

    def see(self, event: SSE) -> None:
        """One event of a stream."""
        data = event.data
        if event.event == "content_block_delta" or b'"content_block_delta"' in data[:40]:
            self.output_chars += sum(map(len, _TEXT.findall(data)))
            return
        if b'"usage"' in data or b"message_stop" in data or b'"error"' in data or b"message_start" in data:
            try:
                value = orjson.loads(data)
            except orjson.JSONDecodeError:
                return
            if isinstance(value, dict):
                self._event(value)

    def see_block(self, block: bytes) -> bool:
        """Whole events at once, if they are mere deltas."""
        if any(word in block for word in _TELLING):
            return False
        self.output_chars += sum(map(len, _TEXT.findall(block)))
        return True

    def _event(self, value: Json) -> None:
        match value.get("type"):
            case "message_start":
                message = value.get("message")
                if isinstance(message, dict):
                    self._model(message)
                    self._count(message.get("usage"))
            case "message_delta":
                self._count(value.get("usage"))
            case "message_stop":
                self.ended = True
            case kind if kind == "error" or (not isinstance(kind, str) and value.get("error")):
                self.failed = True

    def whole(self, body: Json) -> None:
        """A whole reply."""
        self._model(body)
        self._count(body.get("usage"))
        self.failed = body.get("type") == "error" or bool(body.get("error"))
        self.ended = not self.failed
        content = body.get("content")
        if isinstance(content, list):
            self.output_chars += sum(map(_size, content))

    def break_off(self, error: GatewayError) -> bytes:
        """The error event; nothing after the end."""
        return b"" if self.ended or self.failed else error_event(error)

    def _model(self, message: Json) -> None:
        model = message.get("model")
        if isinstance(model, str):
            self.model = model

    def _count(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        self._counts = overlay(self._counts, usage)
        counted = read_usage(self._counts)
        if counted.reported:
            self.usage = counted


def _size(block: Any) -> int:
    match block:
        case {"text": str(text)} | {"thinking": str(text)}:
            return len(text)
        case {"type": "tool_use", "input": dict(wanted)}:
            return sum(len(key) + (len(value) if isinstance(value, str) else 4) for key, value in wanted.items())
    return 0

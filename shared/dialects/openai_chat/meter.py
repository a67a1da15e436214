"""Counts a chat completions reply that passes through (https://platform.openai.com/docs/api-reference/chat-streaming).

An event is parsed only where its bytes can hold usage, an end or an error. In JSON a quote inside a string is escaped, so a
field's name between bare quotes is a field.
"""

from __future__ import annotations

import re

import orjson

from shared.canonical import Json, Usage
from shared.dialects.openai_chat.errors import error_event
from shared.dialects.openai_chat.usage import read_usage, usage_in
from shared.errors import GatewayError
from shared.sse import SSE

_TELLING = re.compile(rb'"(?:usage|error)"\s*:\s*[^\sn]|"finish_reason"\s*:\s*"')
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_TEXT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments|input|refusal)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"'
)


class Meter:
    """See `shared.dialects.Meter`."""

    __slots__ = ("_tier", "ended", "failed", "model", "output_chars", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.ended = False
        self.failed = False
        self.output_chars = 0
        self._tier: object = None

    def see(self, event: SSE) -> None:
        """One event of a stream."""
        data = event.data
        for text in _TEXT.findall(data):
            self.output_chars += len(text)
        if data.startswith(b"[DONE]"):
            self.ended = True
        elif event.event == "error":
            self.failed = True
        elif not self.model or _TELLING.search(data):
            try:
                chunk = orjson.loads(data)
            except ValueError:
                return
            if isinstance(chunk, dict):
                self._note(chunk)

    def see_block(self, block: bytes) -> bool:
        """Whole events at once, if they are mere deltas."""
        if not self.model or b"event:" in block or b"[DONE]" in block or _FINISHED.search(block):
            return False
        if (b'"usage"' in block or b'"error"' in block) and _TELLING.search(block):
            return False
        self.output_chars += sum(map(len, _TEXT.findall(block)))
        return True

    def whole(self, body: Json) -> None:
        """A whole reply."""
        self._note(body)
        self.ended = True
        for choice in _choices(body):
            if isinstance(message := choice.get("message"), dict):
                self.output_chars += sum(map(_length, (message.get(f) for f in ("content", "reasoning_content"))))
                calls = message.get("tool_calls")
                for call in calls if isinstance(calls, list) else ():
                    match call:
                        case {"function": {"arguments": str(arguments)}}:
                            self.output_chars += len(arguments)

    def _note(self, chunk: Json) -> None:
        if chunk.get("error"):
            self.failed = True
        if not self.model and isinstance(model := chunk.get("model"), str):
            self.model = model
        self._tier = chunk.get("service_tier") or self._tier
        if (usage := usage_in(chunk)) is not None:
            self.usage = read_usage(usage, self._tier)
        for choice in _choices(chunk):
            word = choice.get("finish_reason")
            self.failed = self.failed or word in ("error", "network_error")
            self.ended = self.ended or bool(word)

    def break_off(self, error: GatewayError) -> bytes:
        """The event that ends a stream that broke. Chat completions have no numbering to keep in step with."""
        self.failed = True
        return error_event(error)


def _choices(chunk: Json) -> list[Json]:
    choices = chunk.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _length(text: object) -> int:
    return len(text) if isinstance(text, str) else 0

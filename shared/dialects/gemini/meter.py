"""Counts a reply in Gemini's form that passes by: https://ai.google.dev/api/generate-content#UsageMetadata."""

from __future__ import annotations

import orjson

from shared.canonical import Json, Usage
from shared.dialects.gemini.errors import write_error
from shared.dialects.gemini.fields import mapping, rows, string
from shared.dialects.gemini.usage import FAILURES, read_usage, searches
from shared.errors import GatewayError
from shared.sse import SSE

_TELLING = (b'"usageMetadata"', b'"finishReason"', b'"blockReason"', b'"error"', b'"parts"')


_ROUGHLY = 4  # characters of an argument that is no text


class Meter:
    """See `shared.dialects.Meter`."""

    __slots__ = ("_last", "_metadata", "_reply", "_searches", "ended", "failed", "model", "output_chars", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.ended = self.failed = False
        self.output_chars = 0
        self._metadata: Json = {}
        self._last: Json = {}
        self._searches = 0
        self._reply = ""

    def see(self, event: SSE) -> None:
        """One event of a stream."""
        if not any(word in event.data for word in _TELLING):
            return
        try:
            self._look(orjson.loads(event.data))
        except orjson.JSONDecodeError:
            self.failed = True  # a reader of it would fail as well

    def see_block(self, block: bytes) -> bool:
        """Every event counts the tokens so far: none is a mere delta."""
        return False

    def whole(self, body: Json) -> None:
        """A whole reply."""
        self._look(body)

    def break_off(self, error: GatewayError) -> bytes:
        """Google's own error in a stream: an event with nothing but `error`."""
        return SSE(orjson.dumps(write_error(error, self._reply))).encode()

    def _look(self, body: object) -> None:
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            return
        self.failed = self.failed or bool(body.get("error"))
        self.model = string(body, "modelVersion") or self.model
        self._reply = string(body, "responseId") or self._reply
        self.ended = self.ended or bool(string(mapping(body, "promptFeedback"), "blockReason"))
        match body.get("candidates"):
            case [dict() as candidate, *_]:
                self._candidate(candidate)
        metadata = mapping(body, "usageMetadata")
        if metadata and (metadata != self._last or self.ended):  # most events repeat it
            self._last = metadata
            self._metadata.update(metadata)
            self.usage = read_usage(self._metadata, self._searches)

    def _candidate(self, candidate: Json) -> None:
        reason = string(candidate, "finishReason")
        self.ended = self.ended or bool(reason)
        self.failed = self.failed or reason in FAILURES
        self._searches = searches(candidate) or self._searches
        self.output_chars += sum(map(_chars, rows(mapping(candidate, "content"), "parts")))


def _chars(part: Json) -> int:
    match part:
        case {"text": str() as text}:
            return len(text)
        case {"functionCall": {"args": dict() as args}}:
            return sum(len(value) if isinstance(value, str) else _ROUGHLY for value in args.values())
    return 0

"""Streamed replies of the Messages API: events to the canonical form.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any, Literal

import orjson

from shared.canonical import (
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Failed,
    HostedCall,
    Json,
    Opaque,
    Start,
    Text,
    Thinking,
)
from shared.dialects import Reading
from shared.dialects.anthropic.reasoning import REDACTED
from shared.dialects.anthropic.response import CUT, odd, read_call, read_finish, signed, text_at, write_arguments
from shared.dialects.anthropic.sources import HostedCalls, is_hosted_result, read_citation
from shared.dialects.anthropic.usage import overlay, read_usage
from shared.dialects.anthropic.write_stream import StreamWriter
from shared.dialects.depth import read_event
from shared.dialects.failures import failure
from shared.dialects.toolnames import Unwrap
from shared.errors import Code, GatewayError
from shared.sse import SSE

__all__ = ["StreamReader", "StreamWriter"]

_DELTAS = frozenset(("text_delta", "citations_delta", "thinking_delta", "signature_delta", "input_json_delta"))


class StreamReader:
    """Events of one stream. Blocks that interleave are put one after another; what is new and unknown is passed over."""

    __slots__ = (
        *("_called", "_cut", "_delta", "_held", "_hosted", "_index", "_input", "_kind", "_over"),
        *("_raw", "_reading", "_seen", "_started", "_unwrap", "_usage"),
    )

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._started = self._over = self._called = False
        self._usage: Json = {}
        self._delta: Json = {}
        self._hosted = HostedCalls()
        self._cut: GatewayError | None = None
        self._held: dict[Any, list[Json]] = {}  # events of blocks that began while another was open
        # the open block
        self._kind: Literal["", "text", "thinking", "tool", "hosted", "whole", "unknown"] = ""
        self._index: Any = None
        self._raw: Json = {}
        self._input: list[str] = []
        self._seen = False  # a call's arguments, or a thought's signature
        self._unwrap: Unwrap | None = None

    def feed(self, event: SSE) -> list[Event]:
        """The canonical events that this one completes."""
        if self._over or event.event == "ping" or event.data == b"[DONE]":
            return []
        try:
            value = read_event(event.data)
            if not isinstance(value, dict):
                raise odd("an event that is no object")
            return self._step(value)
        except orjson.JSONDecodeError:
            return self._fail(odd("an event that is no JSON"))
        except GatewayError as error:
            return self._fail(error)

    def close(self) -> list[Event]:
        """`Failed`, unless the stream has ended properly: it may only do so with `message_stop`."""
        if self._over:
            return []
        return self._fail(GatewayError(Code.PROVIDER_ERROR, "The stream ended before the reply was complete."))

    def _fail(self, error: GatewayError) -> list[Event]:
        self._over = True
        return [Failed(error)]

    def _step(self, value: Json) -> list[Event]:
        match value.get("type"):
            case "content_block_delta" | "content_block_start":
                return self._block(value)
            case "content_block_stop":
                return self._block(value) + self._release()
            case "message_start":
                return self._start(value)
            case "message_delta":
                return self._message_delta(value)
            case "message_stop":
                return self._stop()
            case "error":
                raise failure(value)
            case _ if value.get("error"):
                raise failure(value)
        return []

    def _start(self, value: Json) -> list[Event]:
        message = value.get("message")
        if self._started or not isinstance(message, dict):
            return []
        self._started = True
        if isinstance(usage := message.get("usage"), dict):
            self._usage = usage
        known = read_usage(self._usage) if self._usage.get("input_tokens") else None
        return [Start(text_at(message, "id"), text_at(message, "model"), known)]

    def _message_delta(self, value: Json) -> list[Event]:
        if isinstance(usage := value.get("usage"), dict):
            self._usage = overlay(self._usage, usage)
        if isinstance(delta := value.get("delta"), dict):
            self._delta = overlay(self._delta, delta)
        return self._close_all()

    def _stop(self) -> list[Event]:
        if not self._started:
            raise odd("the end of a reply that has not begun")
        events = self._close_all()
        for call in self._hosted.rest():
            events += (BlockStart(call), BlockEnd())
        finish = read_finish(self._delta, self._usage, self._called)
        if self._cut is not None and finish.reason not in CUT:
            raise self._cut
        events.append(finish)
        self._over = True
        return events

    # ── one block at a time ──────────────────────────────────────────────────────────────────────────────────────

    def _block(self, value: Json) -> list[Event]:
        index = value.get("index")
        if index is not None and not isinstance(index, int):
            raise odd("a block without a number")
        if not self._kind:
            if value["type"] == "content_block_start" and self._started:
                return self._open(index, value.get("content_block"))
            raise odd("a part of a block that has not begun")
        if index != self._index:
            self._held.setdefault(index, []).append(value)
            return []
        if value["type"] == "content_block_delta":
            delta = value.get("delta")
            return self._grow(delta) if isinstance(delta, dict) else []
        if value["type"] == "content_block_stop":
            return self._close()
        raise odd("a block that begins twice")

    def _release(self) -> list[Event]:
        """What was held back, as far as it goes."""
        events: list[Event] = []
        while self._held and not self._kind:
            for value in self._held.pop(next(iter(self._held))):
                events += self._block(value)
        return events

    def _close_all(self) -> list[Event]:
        events: list[Event] = []
        while self._kind:
            events += self._close() + self._release()
        return events

    def _open(self, index: Any, raw: Any) -> list[Event]:
        if not isinstance(raw, dict):
            raise odd("a block without content")
        self._index, self._raw, self._input, self._seen, self._unwrap = index, raw, [], False, None
        target = self._reading.target
        match raw.get("type"):
            case "text":
                self._kind = "text"
                return [BlockStart(Text("")), *self._first_text(raw)]
            case "thinking":
                self._kind = "thinking"
                events: list[Event] = [BlockStart(Thinking())]
                if text := text_at(raw, "thinking"):
                    events.append(Delta(text))
                if signature := text_at(raw, "signature"):
                    events += self._sign(signature)
                return events
            case "redacted_thinking":
                self._kind = "whole"
                return [
                    BlockStart(Thinking(opaque=Opaque(target.provider, REDACTED, text_at(raw, "data")), redacted=True))
                ]
            case "tool_use":
                self._kind, self._called = "tool", True
                call = read_call(raw, self._reading)
                self._unwrap = Unwrap() if call.kind == "custom" else None
                return [BlockStart(call)]
            case "server_tool_use" | "mcp_tool_use":
                self._kind = "hosted"
            case str(kind) if is_hosted_result(kind):
                self._kind = "whole"
                found: HostedCall = self._hosted.result(raw)
                return [BlockStart(found)]
            case _ if isinstance(raw.get("text"), str):
                self._kind = "text"
                return [BlockStart(Text("")), *self._first_text(raw)]
            case _:
                self._kind = "unknown"
        return []

    def _first_text(self, raw: Json) -> list[Event]:
        text, cited = text_at(raw, "text"), raw.get("citations")
        events: list[Event] = [Delta(text)] if text else []
        if isinstance(cited, list):
            events += [Delta(citation=read_citation(source)) for source in cited if isinstance(source, dict)]
        return events

    def _sign(self, signature: str) -> list[Event]:
        self._seen = True
        opaque = signed(signature, self._reading.target)
        return [Delta(opaque=opaque)] if opaque else []

    def _grow(self, delta: Json) -> list[Event]:
        word = delta.get("type")
        if self._kind in ("unknown", "whole"):
            return []
        match word:
            case "text_delta" if self._kind == "text":
                text = delta.get("text")
                return [Delta(text)] if isinstance(text, str) and text else []
            case "input_json_delta" if self._kind in ("tool", "hosted"):
                piece = delta.get("partial_json")
                return self._arguments(piece) if isinstance(piece, str) and piece else []
            case "thinking_delta" if self._kind == "thinking":
                text = delta.get("thinking")
                return [Delta(text)] if isinstance(text, str) and text else []
            case "signature_delta" if self._kind == "thinking":
                return self._sign(text_at(delta, "signature"))
            case "citations_delta" if self._kind == "text":
                source = delta.get("citation")
                return [Delta(citation=read_citation(source))] if isinstance(source, dict) else []
            case str() if word in _DELTAS:
                raise odd(f"a {word} in a block of another kind")
        return []

    def _arguments(self, piece: str) -> list[Event]:
        self._seen = True
        if self._kind == "hosted":
            self._input.append(piece)
            return []
        if self._unwrap is None:
            return [Delta(piece)]
        text = self._unwrap.feed(piece)
        return [Delta(text)] if text else []

    def _close(self) -> list[Event]:
        kind, self._kind = self._kind, ""
        events: list[Event] = []
        match kind:
            case "tool":
                if not self._seen:  # no fragment at all: the arguments stood in the start, or there are none
                    self._kind = kind
                    events += self._arguments(write_arguments(self._raw.get("input")))
                    self._kind = ""
                self._end_text()
            case "thinking" if not self._seen:
                events += self._sign("")
            case "hosted":
                self._hosted.call(self._with_input())
                return []
            case "unknown":
                return []
        events.append(BlockEnd())
        return events

    def _end_text(self) -> None:
        """Free text that isn't whole is a fault, unless the reply as a whole turns out to be cut."""
        if self._unwrap is not None:
            try:
                self._unwrap.close()
            except GatewayError as error:
                self._cut = error

    def _with_input(self) -> Json:
        if not self._seen:
            return self._raw
        try:
            return {**self._raw, "input": read_event("".join(self._input).encode())}
        except orjson.JSONDecodeError:
            raise odd("arguments that are no JSON") from None

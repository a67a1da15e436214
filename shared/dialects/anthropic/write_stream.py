"""Streamed replies of the Messages API: the canonical form to events.

Every event needs its name: the SDKs throw away those without. https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Literal

import orjson

from shared.canonical import (
    Audio,
    Block,
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Failed,
    Finish,
    HostedCall,
    Image,
    Json,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Writing
from shared.dialects.anthropic.errors import error_event
from shared.dialects.anthropic.reasoning import NEXT, PREVIOUS, REDACTED, carrier
from shared.dialects.anthropic.response import in_words, write_reply_call, write_stop
from shared.dialects.anthropic.sources import write_citation, write_hosted
from shared.dialects.anthropic.usage import write_usage
from shared.dialects.seal import seal

_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}}\n\n'
)
_HEAD, _TAIL = '{"input":"', '"}'  # a free text as arguments
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_END = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class StreamWriter:
    """One stream for a client: blocks one after another, numbered from 0."""

    __slots__ = ("_index", "_kind", "_late", "_opaque", "_refused", "_started", "_writing")

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._index = 0  # of the block that is open, or comes next
        self._kind: Literal["", "text", "thinking", "redacted", "tool", "custom"] = ""
        self._opaque: Opaque | None = None  # of the open thoughts
        self._late: Opaque | None = None  # of the open text or call, known only after it began
        self._started = self._refused = False

    def feed(self, event: Event) -> bytes:
        """Encoded events, possibly none."""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart():
                return self._open(event.block)
            case BlockEnd():
                return self._close()
            case Start():
                return self._start(event.usage)
            case Finish():
                return self._finish(event)
            case Failed():
                return error_event(event.error)

    def _start(self, usage: Usage | None) -> bytes:
        if self._started:
            return b""
        self._started = True
        message: Json = {
            "id": f"msg_{self._writing.id}",
            "type": "message",
            "role": "assistant",
            "model": self._writing.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(usage or Usage()),
        }
        return _event("message_start", {"message": message})

    def _finish(self, finish: Finish) -> bytes:
        empty = self._whole({"type": "text", "text": ""}) if self._index == 0 else b""
        delta = write_stop(finish, self._refused)
        return empty + _event("message_delta", {"delta": delta, "usage": write_usage(finish.usage)}) + _END

    def _open(self, block: Block) -> bytes:
        return self._state() + self._begin_block(block)

    def _state(self) -> bytes:
        """State of the block before this one, where it became known too late to stand in front of it."""
        late, self._late = self._late, None
        return self._whole(carrier(late, PREVIOUS)) if late else b""

    def _begin_block(self, block: Block) -> bytes:
        match block:
            case Text():
                self._kind = "text"
                self._refused |= block.refusal
                begun = self._begin({"type": "text", "text": ""}) + self._text(block.text)
                self._late = block.opaque
                return begun + b"".join(self._delta(Delta(citation=citation)) for citation in block.citations)
            case Thinking(redacted=True):
                self._kind, self._opaque = "redacted", block.opaque
                return b""
            case Thinking():
                self._kind, self._opaque = "thinking", block.opaque
                return self._begin({"type": "thinking", "thinking": "", "signature": ""}) + self._text(block.text)
            case ToolCall():
                self._kind = "custom" if block.kind == "custom" else "tool"
                head = self._whole(carrier(block.opaque, NEXT)) if block.opaque else b""
                body = write_reply_call(block, f"{self._writing.id}{self._index}")
                return (
                    head
                    + self._begin(body)
                    + (self._piece(_HEAD) if self._kind == "custom" else b"")
                    + self._text(block.arguments)
                )
            case HostedCall():
                return b"".join(map(self._whole, write_hosted(block, f"{self._writing.id}{self._index}")))
            case Image() | Audio():
                return self._whole({"type": "text", "text": in_words(block)})
        return b""

    def _delta(self, delta: Delta) -> bytes:
        written = self._text(delta.text)
        if delta.citation is not None and self._kind == "text" and (raw := write_citation(delta.citation)):
            written += _DELTA % (self._index, b"citations_delta", b"citation", orjson.dumps(raw))
        if delta.opaque is not None:
            if self._kind in ("thinking", "redacted"):
                self._opaque = delta.opaque
            else:
                self._late = delta.opaque
        return written

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        if self._kind == "text":
            return _DELTA % (self._index, b"text_delta", b"text", orjson.dumps(text))
        if self._kind == "tool":
            return self._piece(text)
        if self._kind == "thinking":
            return _DELTA % (self._index, b"thinking_delta", b"thinking", orjson.dumps(text))
        if self._kind == "custom":
            return self._piece(orjson.dumps(text)[1:-1].decode())
        return b""

    def _piece(self, json: str) -> bytes:
        return _DELTA % (self._index, b"input_json_delta", b"partial_json", orjson.dumps(json))

    def _close(self) -> bytes:
        kind, self._kind = self._kind, ""
        written = b""
        if kind == "thinking":
            written = self._signature(seal(self._opaque) if self._opaque else "") + self._end()
        elif kind == "redacted" and self._opaque:
            written = self._whole({"type": REDACTED, "data": seal(self._opaque)})
        elif kind == "custom":
            written = self._piece(_TAIL) + self._end()
        elif kind in ("text", "tool"):
            written = self._end()
        self._opaque = None
        if kind in ("tool", "custom"):  # a call needs its state; a text's is written only if more follows
            written += self._state()
        return written

    def _begin(self, body: Json) -> bytes:
        return _event("content_block_start", {"index": self._index, "content_block": body})

    def _end(self) -> bytes:
        index = self._index
        self._index += 1
        return _STOP % index

    def _signature(self, sealed: str) -> bytes:
        return _DELTA % (self._index, b"signature_delta", b"signature", orjson.dumps(sealed))

    def _whole(self, body: Json) -> bytes:
        """A block that is known already, in the events that a client expects for its kind."""
        match body:
            case {"type": "thinking", "signature": str(sealed)}:
                return self._begin({**body, "signature": ""}) + self._signature(sealed) + self._end()
            case {"type": "text", "text": str(text)} if text:
                delta = _DELTA % (self._index, b"text_delta", b"text", orjson.dumps(text))
                return self._begin({**body, "text": ""}) + delta + self._end()
            case {"type": "server_tool_use" | "mcp_tool_use", "input": dict(wanted)}:
                piece = orjson.dumps(orjson.dumps(wanted).decode())
                delta = _DELTA % (self._index, b"input_json_delta", b"partial_json", piece)
                return self._begin({**body, "input": {}}) + delta + self._end()
        return self._begin(body) + self._end()


def ping() -> bytes:
    """The event by which this API keeps a silent stream open."""
    return _event("ping", {})


def _event(name: str, body: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **body}))

"""Canonical events as the stream that a client reads (https://platform.openai.com/docs/api-reference/responses-streaming).

What the official SDKs and Codex insist on: `response.created` first, `sequence_number` on every event, each item added and done with one id,
each part of a message announced, and all of it once more in the terminal event.
"""

from __future__ import annotations

import orjson

from shared.canonical import (
    Audio,
    Block,
    BlockEnd,
    BlockStart,
    Citation,
    Delta,
    Event,
    Failed,
    Finish,
    Json,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Writing
from shared.dialects.openai_responses import reply
from shared.dialects.openai_responses.response import whole_items
from shared.dialects.openai_responses.state import sealed

_DELTA = b'event: response.%b.delta\ndata: {"type":"response.%b.delta","sequence_number":'
_ARGUMENTS: dict[str, str] = {"function": "function_call_arguments", "custom": "custom_tool_call_input"}
_SCORED = b',"logprobs":[]}\n\n'


class StreamWriter:
    """One reply. Texts of one phase in a row are parts of one message, which ends when another kind of block begins."""

    __slots__ = (
        "_after",
        "_before",
        "_block",
        "_citations",
        "_id",
        "_ids",
        "_logprobs",
        "_message",
        "_opaque",
        "_output",
        "_pieces",
        "_place",
        "_response",
        "_sequence",
    )

    def __init__(self, writing: Writing) -> None:
        self._response = reply.envelope(writing)
        # Repeated in three events, so serialised once.
        for heavy in ("instructions", "tools"):
            self._response[heavy] = orjson.Fragment(orjson.dumps(self._response[heavy]))
        self._ids = reply.Ids(writing)
        self._sequence = -1
        self._output: list[Json] = []
        self._message: Json | None = None  # the item that is open for more parts
        self._block: Block | None = None
        self._id = ""  # of the open block's item
        self._before = self._place = self._after = b""  # of its deltas: up to the number, up to the text, what follows
        self._pieces: list[str] = []
        self._citations: list[Citation] = []
        self._logprobs: list[Json] = []
        self._opaque: Opaque | None = None

    def feed(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart():
                return self._start_block(event.block)
            case BlockEnd():
                return self._end_block()
            case Start():
                return self._begin()
            case Finish():
                return self._finish(event)
            case Failed():
                head = self._begin() if self._sequence < 0 else b""
                broken = reply.failed(self._response, event.error, self._output)
                return head + self._event("response.failed", {"response": broken})

    def _event(self, kind: str, fields: Json) -> bytes:
        self._sequence += 1
        data = orjson.dumps({"type": kind, "sequence_number": self._sequence, **fields})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _begin(self) -> bytes:
        told = {"response": self._response}
        return self._event("response.created", told) + self._event("response.in_progress", told)

    def _delta(self, delta: Delta) -> bytes:
        if delta.opaque:
            self._opaque = delta.opaque
        if delta.citation:
            self._citations.append(delta.citation)
        return self._text(delta.text, delta.logprobs) if delta.text else b""

    def _text(self, text: str, logprobs: tuple[Json, ...] = ()) -> bytes:
        """A delta of the open block: all but its number and its text was written when the block began."""
        if not self._after:
            self._pieces.append(text)
            return b""  # the arguments of a tool search come with its end
        head = b"" if self._pieces else self._first_thought()
        self._pieces.append(text)
        self._sequence += 1
        after = self._after
        if logprobs and after is _SCORED:
            self._logprobs += logprobs
            after = b',"logprobs":%b}\n\n' % orjson.dumps(logprobs)
        return b"%b%b%d%b%b%b" % (head, self._before, self._sequence, self._place, orjson.dumps(text), after)

    def _first_thought(self) -> bytes:
        """A summary's part is announced with its first words: there may be none."""
        if not isinstance(self._block, Thinking):
            return b""
        place: Json = {"item_id": self._id, "output_index": len(self._output), "summary_index": 0}
        return self._event(
            "response.reasoning_summary_part.added", {**place, "part": {"type": "summary_text", "text": ""}}
        )

    def _frame(self, kind: str, part: str = "", after: bytes = b"}\n\n") -> None:
        """What the deltas of the open block have in common. `part` names the number that a part has within its item."""
        place: Json = {"item_id": self._id, "output_index": len(self._output)}
        if part:
            place[part] = self._part_index()
        self._before = _DELTA % (kind.encode(), kind.encode())
        self._place = b',%b,"delta":' % orjson.dumps(place)[1:-1]
        self._after = after

    def _part_index(self) -> int:
        return len(self._message["content"]) if self._message else 0

    def _start_block(self, block: Block) -> bytes:
        block = Text(block.transcript) if isinstance(block, Audio) else block
        self._block, self._pieces, self._citations, self._logprobs = block, [], [], []
        self._opaque = None
        self._after = b""
        match block:
            case Text():
                head = self._open_part(block)
                self._opaque, self._citations = block.opaque, list(block.citations)
                return head + (self._text(block.text) if block.text else b"")
            case Thinking():
                head = self._end_message()
                self._opaque, self._id = block.opaque, self._ids.new("rs")
                self._frame("reasoning_summary_text", "summary_index")
                head += self._added(reply.reasoning(self._id, "", None))
                return head + (self._text(block.text) if block.text else b"")
            case ToolCall():
                head = self._end_message()
                if block.opaque:
                    head += self._whole(reply.carrier(self._ids.new("rs"), block.opaque, "call", block.id))
                self._id = self._ids.new(reply.CALLS[block.kind][1])
                if block.kind in _ARGUMENTS:
                    self._frame(_ARGUMENTS[block.kind])
                head += self._added(reply.tool_call(self._id, block, "in_progress", ""))
                return head + (self._text(block.arguments) if block.arguments else b"")
            case _:
                return self._end_message() + b"".join(map(self._whole, whole_items(block, self._ids)))

    def _end_block(self) -> bytes:
        block, text = self._block, "".join(self._pieces)
        self._block = None
        match block:
            case Text():
                return self._end_text(block, text)
            case Thinking():
                return self._end_thinking(block, text)
            case ToolCall():
                return self._end_call(block, text)
            case _:
                return b""

    def _end_text(self, block: Text, text: str) -> bytes:
        place: Json = {"item_id": self._id, "output_index": len(self._output), "content_index": self._part_index()}
        part = reply.part(block, text, tuple(self._citations), self._logprobs)
        if block.refusal:
            told = self._event("response.refusal.done", {**place, "refusal": text})
        else:
            told = b"".join(
                self._event(
                    "response.output_text.annotation.added", {**place, "annotation_index": n, "annotation": note}
                )
                for n, note in enumerate(part["annotations"])
            )
            told += self._event("response.output_text.done", {**place, "text": text, "logprobs": part["logprobs"]})
        told += self._event("response.content_part.done", {**place, "part": part})
        if self._message is not None:
            self._message["content"].append(part)
        if self._opaque:
            told += self._end_message() + self._whole(reply.carrier(self._ids.new("rs"), self._opaque, "text"))
        return told

    def _end_thinking(self, block: Thinking, text: str) -> bytes:
        told = b""
        if text:
            place: Json = {"item_id": self._id, "output_index": len(self._output), "summary_index": 0}
            part = {"type": "summary_text", "text": text}
            told = self._event("response.reasoning_summary_text.done", {**place, "text": text})
            told += self._event("response.reasoning_summary_part.done", {**place, "part": part})
        state = sealed(self._opaque, "redacted" if block.redacted else "thinking") if self._opaque else None
        return told + self._done(reply.reasoning(self._id, text, state))

    def _end_call(self, block: ToolCall, text: str) -> bytes:
        kind = block.kind
        told = b""
        if not text and kind == "function":
            told = self._text("{}")
            text = "{}"
        place: Json = {"item_id": self._id, "output_index": len(self._output)}
        if kind == "function":
            told += self._event(
                "response.function_call_arguments.done", {**place, "name": block.name, "arguments": text}
            )
        elif kind == "custom":
            told += self._event("response.custom_tool_call_input.done", {**place, "input": text})
        told += self._done(reply.tool_call(self._id, block, "completed", text))
        if self._opaque:
            told += self._whole(reply.carrier(self._ids.new("rs"), self._opaque, "call", block.id))
        return told

    def _open_part(self, block: Text) -> bytes:
        head = b""
        if self._message is not None and self._message.get("phase", "") != block.phase:
            head = self._end_message()
        if self._message is None:
            self._message = reply.message(self._ids.new("msg"), "in_progress", [], block.phase)
            head += self._added(self._message)
        self._id = self._message["id"]
        if block.refusal:
            self._frame("refusal", "content_index")
        else:
            self._frame("output_text", "content_index", _SCORED)
        place: Json = {"item_id": self._id, "output_index": len(self._output), "content_index": self._part_index()}
        return head + self._event("response.content_part.added", {**place, "part": reply.part(block, "", (), [])})

    def _end_message(self) -> bytes:
        message, self._message = self._message, None
        return self._done({**message, "status": "completed"}) if message else b""

    def _added(self, item: Json) -> bytes:
        return self._event("response.output_item.added", {"output_index": len(self._output), "item": item})

    def _done(self, item: Json) -> bytes:
        told = self._event("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        return told

    def _whole(self, item: Json) -> bytes:
        return self._added(item) + self._done(item)

    def _finish(self, finish: Finish) -> bytes:
        told = self._end_message()
        if not self._output and finish.reason == "refusal" and finish.detail:
            told += self._explain(finish.detail)
        response: Json = reply.ended(self._response, finish, self._output)
        return told + self._event(f"response.{response['status']}", {"response": response})

    def _explain(self, detail: str) -> bytes:
        told = self._start_block(Text("", refusal=True)) + self._text(detail) + self._end_block()
        return told + self._end_message()

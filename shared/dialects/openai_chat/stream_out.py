"""Canonical events as a client's chat completions stream (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from __future__ import annotations

from typing import Any

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
    Image,
    Json,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Writing
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.errors import error_event
from shared.dialects.openai_chat.reply import (
    is_legacy,
    reply_id,
    write_audio,
    write_call,
    write_citation,
    write_image,
)
from shared.dialects.openai_chat.usage import write_reason, write_usage

DONE = b"data: [DONE]\n\n"


class StreamWriter:
    """See `shared.dialects.StreamWriter`."""

    __slots__ = (
        "_annotations",
        "_argued",
        "_block",
        "_calls",
        "_cited",
        "_declined",
        "_details",
        "_head",
        "_images",
        "_legacy",
        "_length",
        "_offset",
        "_opaque",
        "_open",
        "_over",
        "_signed",
        "_tail",
        "_text_head",
        "_usage",
        "_written",
    )

    def __init__(self, writing: Writing) -> None:
        frame = {
            "id": reply_id(writing),
            "object": "chat.completion.chunk",
            "created": writing.created,
            "model": writing.model,
        }
        self._open = orjson.dumps(frame)[:-1]  # without its closing brace
        self._usage = writing.request.stream_usage
        self._head = b'data: %b,"choices":[{"index":0,"delta":' % self._open
        null = b',"usage":null' if self._usage else b""
        self._tail = b',"logprobs":null,"finish_reason":null}]%b}\n\n' % null
        self._text_head = b""  # of a delta of the open block, up to its text
        self._written = b""  # and what closes that delta
        self._legacy = is_legacy(writing.body)
        self._block: Block | None = None
        self._cited: list[Citation] = []  # by the open text
        self._opaque: Opaque | None = None  # of the open block; sent once, since SDKs append strings
        self._length = 0  # characters of the open block
        self._offset = 0  # characters of content before it
        self._argued = self._declined = self._signed = self._over = False
        self._calls = self._details = self._images = self._annotations = 0

    def feed(self, event: Event) -> bytes:
        """Encoded events, possibly none."""
        if self._over:
            return b""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart(block=block):
                return self._begin(block)
            case BlockEnd():
                return self._end()
            case Start():
                return self._chunk({"role": "assistant", "content": "", "refusal": None})
            case Finish():
                self._over = True
                return self._finish(event)
            case Failed(error=error):
                self._over = True
                return error_event(error)

    def _chunk(self, delta: Json) -> bytes:
        return b"".join((self._head, orjson.dumps(delta), self._tail))

    def _begin(self, block: Block) -> bytes:
        self._block = block
        self._opaque = None
        self._length = 0
        match block:
            case Text():
                return self._begin_text(block)
            case Thinking(text=text, opaque=opaque):
                self._opaque = opaque
                self._frame(b'{"reasoning_content":', b"}")
                return self._say(text) if text else b""
            case ToolCall():
                return self._begin_call(block)
            case Image():
                self._images += 1
                return self._chunk({"images": [{"index": self._images - 1, **write_image(block)}]})
            case Audio():
                return self._chunk({"audio": write_audio(block)})
            case _:
                return b""

    def _begin_text(self, block: Text) -> bytes:
        self._opaque = block.opaque
        self._declined = self._declined or block.refusal
        self._frame(b'{"refusal":' if block.refusal else b'{"content":', b"}")
        self._cited = list(block.citations)
        return self._say(block.text) if block.text else b""

    def _begin_call(self, block: ToolCall) -> bytes:
        index = self._calls
        self._calls += 1
        entry = write_call(block)
        kind = entry["type"]
        field = "input" if kind == "custom" else "arguments"
        entry[kind][field] = block.arguments
        self._argued = bool(block.arguments)
        if self._legacy:
            self._frame(b'{"function_call":{"arguments":', b"}}")
            return self._chunk({"function_call": entry["function"]}) if index == 0 else b""
        self._frame(b'{"tool_calls":[{"index":%d,"%b":{"%b":' % (index, kind.encode(), field.encode()), b"}}]}")
        return self._chunk({"tool_calls": [{"index": index, **entry}]})

    def _frame(self, head: bytes, end: bytes) -> None:
        self._text_head = self._head + head
        self._written = end + self._tail

    def _delta(self, event: Delta) -> bytes:
        if event.opaque:
            self._opaque = event.opaque
        if event.citation:
            self._cited.append(event.citation)
        return self._with_logprobs(event) if event.logprobs else self._say(event.text) if event.text else b""

    def _say(self, text: str) -> bytes:
        self._length += len(text)
        self._argued = True
        if self._legacy and self._calls > 1 and isinstance(self._block, ToolCall):
            return b""  # the old form has room for one call
        return b"".join((self._text_head, orjson.dumps(text), self._written))

    def _with_logprobs(self, event: Delta) -> bytes:
        self._length += len(event.text)
        logprobs: Json = {"content": list(event.logprobs), "refusal": None}
        return self._choice({"delta": {"content": event.text}, "logprobs": logprobs, "finish_reason": None})

    def _choice(self, choice: Json, **more: Any) -> bytes:
        usage: Json = {"usage": None} if self._usage else {}
        rest = orjson.dumps({"choices": [{"index": 0, **choice}], **more, **usage})
        return b"data: %b,%b\n\n" % (self._open, rest[1:])

    def _cite(self) -> bytes:
        """The sources of the open text: how far it reaches is known at its end."""
        cited = [write_citation(one, self._offset, self._length) for one in self._cited if one.url]
        first = self._annotations
        self._annotations += len(cited)
        return b"".join(self._chunk({"annotations": [{"index": first + at, **one}]}) for at, one in enumerate(cited))

    def _end(self) -> bytes:
        block, opaque = self._block, self._opaque
        self._block = self._opaque = None
        match block:
            case ToolCall():
                return self._end_call(block, opaque)
            case Text():
                cited = self._cite() if self._cited else b""
                self._offset += 0 if block.refusal else self._length
                if opaque and not self._signed:
                    self._signed = True
                    return cited + self._chunk({"extra_content": reasoning.sealed_signature(opaque)})
                return cited + (self._detail(opaque, 0, 0, False) if opaque else b"")
            case Thinking(redacted=redacted) if opaque:
                return self._detail(opaque, self._length, self._offset, redacted)
            case _:
                return b""

    def _detail(self, opaque: Opaque, length: int, after: int, redacted: bool) -> bytes:
        self._details += 1
        return self._chunk(
            {"reasoning_details": [reasoning.sealed_detail(opaque, self._details - 1, length, after, redacted)]}
        )

    def _end_call(self, block: ToolCall, opaque: Opaque | None) -> bytes:
        out = self._say("{}") if not self._argued and block.kind != "custom" else b""
        if opaque and block.opaque is None and not self._legacy:
            # SDKs want the function in every fragment: they append its arguments unasked.
            entry: Json = {"index": self._calls - 1, "function": {"arguments": ""}}
            if block.kind == "custom":
                entry = {"index": self._calls - 1, "custom": {"input": ""}}
            out += self._chunk({"tool_calls": [{**entry, "extra_content": reasoning.sealed_signature(opaque)}]})
        return out

    def _finish(self, event: Finish) -> bytes:
        out = self._chunk({"refusal": event.detail}) if event.detail and not self._declined else b""
        reason = write_reason(event.reason, declined=self._declined, legacy=self._legacy)
        tier = event.usage.service_tier
        more = {"service_tier": tier} if tier else {}
        out += self._choice({"delta": {}, "logprobs": None, "finish_reason": reason}, **more)
        if self._usage:
            rest = orjson.dumps({"choices": [], "usage": write_usage(event.usage), **more})
            out += b"data: %b,%b\n\n" % (self._open, rest[1:])
        return out + DONE

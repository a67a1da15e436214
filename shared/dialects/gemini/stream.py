"""A streamed reply, read: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent.

Every event is a whole `GenerateContentResponse` that adds parts to those before it. There is no terminal event: the reply is
over when the bytes are, and complete if a finish reason was among them. A whole reply is a stream of one event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Literal

import orjson

from shared.canonical import (
    Block,
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Failed,
    Finish,
    HostedCall,
    Json,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Reading
from shared.dialects.depth import read_event
from shared.dialects.failures import failure
from shared.dialects.gemini.fields import mapping, string
from shared.dialects.gemini.grounding import citations, hosted_calls
from shared.dialects.gemini.parts import HostedPairs, call_arguments, json_text, logprobs_of, media_block
from shared.dialects.gemini.said import MEDIA_SIGNATURE, PARTS, SIGNATURE, THOUGHT
from shared.dialects.gemini.usage import FAILURES, REASONS, read_usage, searches
from shared.errors import Code, GatewayError
from shared.sse import SSE

_END = BlockEnd()
_TEXT = BlockStart(Text(""))
_LATE = ("groundingMetadata", "citationMetadata", "urlContextMetadata")  # told when the text is there


class StreamReader:
    """Canonical events from Gemini's. See `shared.dialects.StreamReader`."""

    __slots__ = (
        "_calls",
        "_feedback",
        "_id",
        "_late",
        "_made",
        "_maker",
        "_model",
        "_names",
        "_open",
        "_over",
        "_pairs",
        "_pieces",
        "_reason",
        "_signed",
        "_started",
        "_usage",
    )

    def __init__(self, reading: Reading) -> None:
        self._maker = reading.target.provider
        self._model = reading.target.model
        self._names = reading.tools
        self._id = ""
        self._started = self._over = False
        self._open: Literal["", "text", "thinking"] = ""
        self._signed = False  # the open block's part: what follows is another part
        self._pieces: list[str] = []  # of the last text, for the places of citations
        self._calls = self._made = 0  # tool calls seen, ids made up
        self._pairs = HostedPairs()
        self._usage: Json | None = None
        self._late: Json = {}
        self._reason: tuple[str, str] | None = None
        self._feedback: tuple[str, str] | None = None

    def feed(self, event: SSE) -> list[Event]:
        """The canonical events that this one completes."""
        if self._over or event.data == b"[DONE]":
            return []
        try:
            body = read_event(event.data)
        except orjson.JSONDecodeError:
            return self._fail("The provider sent an event that is no JSON.")
        except GatewayError as error:
            self._over = True
            return [Failed(error)]
        return self.take(body)

    def take(self, body: object) -> list[Event]:
        """The same for an event that is parsed already."""
        if self._over:
            return []
        if not isinstance(body, dict):
            if not (isinstance(body, list) and len(body) == 1 and isinstance(body[0], dict)):
                return self._fail("The provider sent an event that is no JSON object.")
            body = body[0]
        if body.get("error"):
            self._over = True
            return [Failed(failure(body))]
        out: list[Event] = []
        self._envelope(body, out)
        candidates = body.get("candidates")
        if isinstance(candidates, list) and candidates and isinstance(candidates[0], dict):
            try:
                self._candidate(candidates[0], out)
            except GatewayError as error:
                self._over = True
                out.append(Failed(error))
        return out

    def close(self) -> list[Event]:
        """`Finish`, or `Failed` where no finish reason came."""
        if self._over:
            return []
        if self._reason is None and self._feedback is None:
            return self._fail("The provider's reply ended before it was complete.")
        self._over = True
        out: list[Event] = []
        try:
            self._end(out)
        except GatewayError as error:
            out.append(Failed(error))
        return out

    def _end(self, out: list[Event]) -> None:
        if self._open == "text" and self._late:
            out += [Delta(citation=one) for one in citations(self._late, "".join(self._pieces))]
        for pair in self._pairs.rest():
            self._show_pair(pair, out)
        for hosted in hosted_calls(self._late, self._pairs.kinds):
            self._show(hosted, out)
        self._close_block(out)
        out.append(self._finish())

    def _fail(self, message: str) -> list[Event]:
        self._over = True
        return [Failed(GatewayError(Code.PROVIDER_ERROR, message))]

    def _finish(self) -> Finish:
        usage = read_usage(self._usage, searches(self._late))
        if self._reason is None:
            reason, message = self._feedback or ("", "")
            return Finish("refusal", usage, detail=message or f"The prompt was blocked by the provider ({reason}).")
        reason, message = self._reason
        stop = REASONS.get(reason, "end")
        if stop == "refusal":
            return Finish(stop, usage, detail=message or f"The reply was stopped by the provider ({reason}).")
        return Finish("tool_call" if stop == "end" and self._calls else stop, usage)

    def _envelope(self, body: Json, out: list[Event]) -> None:
        if isinstance(metadata := body.get("usageMetadata"), dict):
            if self._usage is None:
                self._usage = metadata
            else:
                self._usage.update(metadata)
        if not self._started:
            self._started = True
            self._id = string(body, "responseId")
            self._model = string(body, "modelVersion") or self._model
            out.append(Start(self._id, self._model, read_usage(self._usage) if self._usage else None))
        if "promptFeedback" in body:
            feedback = mapping(body, "promptFeedback")
            reason = string(feedback, "blockReason")
            if reason and reason != "BLOCKED_REASON_UNSPECIFIED":
                self._feedback = reason, string(feedback, "blockReasonMessage")

    def _candidate(self, candidate: Json, out: list[Event]) -> None:
        scored = logprobs_of(candidate["logprobsResult"]) if "logprobsResult" in candidate else ()
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        if isinstance(parts, list):
            for part in parts:
                if isinstance(part, dict):
                    scored = self._part(part, scored, out)
        if scored and self._open == "text":
            out.append(Delta(logprobs=scored))
        for key in _LATE:
            if key in candidate and isinstance(candidate[key], dict):
                self._late[key] = candidate[key]
        if "finishReason" in candidate:
            self._note_reason(candidate)

    def _note_reason(self, candidate: Json) -> None:
        reason = string(candidate, "finishReason")
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            message = string(candidate, "finishMessage")
            if reason in FAILURES:
                text = message or f"The provider could not complete the reply ({reason})."
                raise GatewayError(Code.PROVIDER_ERROR, text, provider_code=reason)
            self._reason = reason, message

    def _part(self, part: Json, scored: tuple[Json, ...], out: list[Event]) -> tuple[Json, ...]:
        """One part; answers the log probabilities that are left for the texts after it."""
        signature = string(part, "thoughtSignature") if "thoughtSignature" in part else ""
        opaque = Opaque(self._maker, SIGNATURE, signature) if signature else None
        text = part.get("text")
        if isinstance(text, str):
            kind: Literal["text", "thinking"] = "thinking" if part.get("thought") is True else "text"
            if text and opaque is None and not scored and self._open == kind and not self._signed:  # nearly every event
                if kind == "text":
                    self._pieces.append(text)
                out.append(Delta(text))
                return scored
            return self._words(kind, text, opaque, scored, out)
        if isinstance(call := part.get("functionCall"), dict):
            self._call(call, opaque, out)
            return scored
        if made := media_block(part):
            if opaque:
                self._bare(replace(opaque, kind=MEDIA_SIGNATURE), out)
            self._show(made, out)
        elif self._pairs.is_half(part):
            if pair := self._pairs.take(part):
                self._show_pair(pair, out)
        elif opaque:
            self._bare(opaque, out)
        return scored

    def _words(
        self,
        kind: Literal["text", "thinking"],
        text: str,
        opaque: Opaque | None,
        scored: tuple[Json, ...],
        out: list[Event],
    ) -> tuple[Json, ...]:
        """Text or a thought. Parts are joined up to the one that is signed, as Google joins them in a whole reply."""
        if not text and opaque is None:
            return scored
        if self._open != kind or self._signed:
            if not text and opaque is not None:
                self._bare(opaque, out)
                return scored
            self._close_block(out)
            out.append(_TEXT if kind == "text" else BlockStart(Thinking(opaque=Opaque(self._maker, THOUGHT, ""))))
            self._open = kind
            self._pieces.clear()
        self._signed = opaque is not None
        if kind == "thinking":
            out.append(Delta(text, opaque))
            return scored
        self._pieces.append(text)
        out.append(Delta(text, opaque, logprobs=scored))
        return ()

    def _bare(self, opaque: Opaque, out: list[Event]) -> None:
        """A signature with no text to stand on: a thought that shows nothing carries it through every client."""
        self._show(Thinking(opaque=opaque), out)

    def _show_pair(self, pair: HostedCall, out: list[Event]) -> None:
        """A call of Google's own tools, after a thought that carries its parts: no client could return them."""
        self._show(Thinking(opaque=Opaque(self._maker, PARTS, json_text(pair.raw))), out)
        self._show(pair, out)

    def _show(self, block: Block, out: list[Event]) -> None:
        """A block that comes whole."""
        self._close_block(out)
        if isinstance(block, HostedCall) and not block.id:
            block = replace(block, id=self._new_id("hosted", block.name))
        out += (BlockStart(block), _END)

    def _call(self, call: Json, opaque: Opaque | None, out: list[Event]) -> None:
        name = string(call, "name")
        if not name:
            return
        self._close_block(out)
        ref = self._names.client(name)
        arguments = call_arguments(call.get("args"), ref.kind)
        identity = string(call, "id") or self._new_id("call", f"{name}{arguments}")
        self._calls += 1
        block = ToolCall(identity, ref.name, "", ref.kind, ref.namespace, opaque)
        out += (BlockStart(block), Delta(arguments), _END)

    def _close_block(self, out: list[Event]) -> None:
        if self._open:
            out.append(_END)
            self._open = ""
            self._signed = False

    def _new_id(self, prefix: str, salt: str) -> str:
        """An id where Google gives none: the same for the same reply, streamed or whole."""
        self._made += 1
        return f"{prefix}_{sha256(f'{self._id}:{self._made}:{salt}'.encode()).hexdigest()[:24]}"


def events_of(body: object, reading: Reading) -> Iterator[Event]:
    """A whole reply as canonical events."""
    reader = StreamReader(reading)
    yield from reader.take(body)
    yield from reader.close()

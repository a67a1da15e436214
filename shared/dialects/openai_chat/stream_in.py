"""A provider's chat completions stream as canonical events (https://platform.openai.com/docs/api-reference/chat-streaming).

The API lets tool calls interleave and never says when one is whole. The first call streams at once; a later one waits until
the arguments before it make a whole JSON value, at the latest until the reply's end.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import (
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Failed,
    Finish,
    Json,
    Opaque,
    Start,
    ToolCall,
    Usage,
)
from shared.dialects import Reading
from shared.dialects.depth import read_event
from shared.dialects.failures import failure
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.calls import Call, Calls
from shared.dialects.openai_chat.errors import broken
from shared.dialects.openai_chat.media import Media
from shared.dialects.openai_chat.response import (
    called_tool,
    citations_of,
    content_of,
    failed,
    logprobs_of,
    made_up_id,
)
from shared.dialects.openai_chat.usage import CUT, FAILURES, REASONS, read_reason, read_usage, usage_in
from shared.dialects.openai_chat.words import Kind, Words
from shared.dialects.toolnames import Unwrap
from shared.errors import GatewayError
from shared.sse import SSE

_COMMON = frozenset({"role", "content", "tool_calls", "refusal", "reasoning", "reasoning_content"})


class StreamReader:
    """See `shared.dialects.StreamReader`."""

    __slots__ = (
        "_blank",
        "_calls",
        "_id",
        "_late",
        "_live",
        "_media",
        "_model",
        "_out",
        "_over",
        "_reading",
        "_reason",
        "_refused",
        "_started",
        "_tier",
        "_usage",
        "_waiting",
        "_words",
    )

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._out: list[Event] = []
        self._words = Words(reading.target.provider, self._out)
        self._media = Media()
        self._started = self._over = self._refused = False
        self._id = self._model = ""
        self._calls = Calls()
        self._live: Call | None = None  # the call whose block is open
        self._waiting: list[Call] = []
        self._late: list[tuple[Kind, str]] = []  # said while a call was open
        self._reason = ""
        self._blank = False  # an empty finish reason was seen
        self._usage: Usage | None = None
        self._tier: object = None

    def feed(self, event: SSE) -> list[Event]:
        """The canonical events that this one completes."""
        if self._over:
            return []
        try:
            if event.data.startswith(b"[DONE]"):
                self._end()
            elif event.data.strip():
                self._chunk(read_event(event.data), event.event)
        except orjson.JSONDecodeError:
            self._fail(broken("The provider sent an event that is no JSON."))
        except GatewayError as error:
            self._fail(error)
        out = self._out.copy()
        self._out.clear()
        return out

    def close(self) -> list[Event]:
        """What is left at the end of the bytes. `[DONE]` is not asked for, a finish reason is."""
        return self.feed(SSE(b"[DONE]"))

    def _fail(self, error: GatewayError) -> None:
        self._over = True
        self._out.append(Failed(error))

    def _chunk(self, chunk: Any, event: str) -> None:
        if not isinstance(chunk, dict):
            raise broken("The provider sent an event that is no object.")
        if chunk.get("error") or event == "error":
            raise failure(chunk)
        if not self._started:
            self._begin(chunk)
        if (chunk.get("usage") or "x_groq" in chunk) and (usage := usage_in(chunk)) is not None:
            self._tier = chunk.get("service_tier") or self._tier
            self._usage = read_usage(usage, self._tier)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return
        for choice in choices:
            if isinstance(choice, dict) and choice.get("index") in (0, None):
                self._choice(choice)

    def _begin(self, chunk: Json) -> None:
        """Azure's first chunk tells of content filters only: it has no id, no model and no choice."""
        id_, model = chunk.get("id"), chunk.get("model")
        self._id = id_ if isinstance(id_, str) else ""
        self._model = model if isinstance(model, str) and model else self._reading.target.model
        self._tier = chunk.get("service_tier")
        if self._id or chunk.get("choices"):
            self._started = True
            self._out.append(Start(self._id, self._model))

    def _choice(self, choice: Json) -> None:
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")  # some servers end with the whole message of an empty reply
        if isinstance(delta, dict):
            self._delta(delta, choice)
        word = choice.get("finish_reason")
        if isinstance(word, str):
            if word in FAILURES:
                raise failed(word, choice)
            self._reason = word or self._reason
            self._blank = self._blank or not word

    def _delta(self, delta: Json, choice: Json) -> None:
        content = delta.get("content")
        if len(delta) == 1 and content and isinstance(content, str) and not choice.get("logprobs"):
            self._say("text", content)  # nearly every event
            return
        if text := reasoning.thoughts_of(delta):
            self._say("thinking", text)
        logprobs = logprobs_of(choice) if choice.get("logprobs") else ()
        if content:
            if text := content_of(content):
                self._say("text", text, logprobs)
        elif logprobs and self._words.open == "text":
            self._out.append(Delta(logprobs=logprobs))
        if len(delta) > 1 or content is None:
            self._rest(delta)

    def _rest(self, delta: Json) -> None:
        if (refusal := delta.get("refusal")) and isinstance(refusal, str):
            self._refused = True
            self._say("refusal", refusal)
        if isinstance(calls := delta.get("tool_calls"), list):
            for call in calls:
                if isinstance(call, dict):
                    self._call_piece(call)
        if delta.keys() <= _COMMON:
            return
        if isinstance(function := delta.get("function_call"), dict):
            self._call_piece({"index": "function_call", "function": function})
        for detail in reasoning.details_of(delta):
            owner = self._calls.unfinished(detail.get("id"))
            (self._words.details if owner is None else owner.details).append(detail)
        if signature := reasoning.signature_of(delta):
            self._sign(signature)
        for citation in citations_of(delta):
            self._words.cite(citation)
        self._media.note(delta)

    def _sign(self, signature: str) -> None:
        """A signature outside of any call. Alone in a delta after a call it is that call's.

        https://github.com/open-webui/computer/issues/224
        """
        if self._live is None or self._live.opaque is not None:
            self._words.sign(signature)
        else:
            self._live.opaque = Opaque(self._reading.target.provider, reasoning.SIGNATURE, signature)
            self._out.append(Delta(opaque=self._live.opaque))

    def _say(self, kind: Kind, text: str, logprobs: tuple[Json, ...] = ()) -> None:
        if self._live is None:
            self._words.say(kind, text, logprobs)
        else:
            self._late.append((kind, text))

    # ── tool calls ───────────────────────────────────────────────────────────────────────────────────────────────

    def _call_piece(self, entry: Json) -> None:
        call, piece, new = self._calls.note(entry)
        if new:
            self._waiting.append(call)
        if signature := reasoning.signature_of(entry):
            call.opaque = Opaque(self._reading.target.provider, reasoning.SIGNATURE, signature)
            if call is self._live:
                self._out.append(Delta(opaque=call.opaque))
        if call.closed:
            if piece.strip():
                raise broken("The provider went on with a tool call that was whole.")
            return
        if piece:
            call.pieces.append(piece)
        if call is not self._live:
            self._advance(force=False)
        elif piece:
            self._argue(call, piece)

    def _advance(self, *, force: bool) -> None:
        """Opens the next call that waits, once the one before it is whole. `force`: at the end, when all are."""
        while self._waiting and self._waiting[0].name:
            if self._live is not None:
                if not (force or self._live.is_whole()):
                    return
                self._close_call(self._live)
            self._open_call(self._waiting.pop(0))

    def _open_call(self, call: Call) -> None:
        self._words.close()
        self._words.bring_signature()
        ref, wrapped = called_tool(call.name, self._reading, native=call.native)
        call.unwrap = Unwrap() if wrapped else None
        call.id = call.id or made_up_id(self._id, call.number)
        self._out.append(BlockStart(ToolCall(call.id, ref.name, "", ref.kind, ref.namespace, call.opaque)))
        self._live = call
        for piece in call.pieces:
            self._argue(call, piece)

    def _argue(self, call: Call, piece: str) -> None:
        if call.unwrap is not None:
            piece = call.unwrap.feed(piece)
        if piece:
            self._out.append(Delta(piece))

    def _close_call(self, call: Call) -> None:
        if call.unwrap is not None and REASONS.get(self._reason) not in CUT:
            call.unwrap.close()
        if call.details:
            self._out.append(Delta(opaque=reasoning.details_state(call.details, self._reading.target.provider)))
        self._out.append(BlockEnd())
        call.closed = True
        self._live = None

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self) -> None:
        if not self._reason and not (self._blank and self._calls):
            raise broken("The provider's stream ended before the reply was complete.")
        self._over = True
        if not self._started:
            self._out.append(Start(self._id, self._model or self._reading.target.model))
        self._advance(force=True)
        if self._live is not None:
            self._close_call(self._live)
        if self._waiting:
            raise broken("The provider's reply holds a tool call without a name.")
        for kind, text in self._late:
            self._words.say(kind, text)
        self._words.end()
        for block in self._media.blocks():
            self._out += (BlockStart(block), BlockEnd())
        reason = read_reason(self._reason, called=bool(self._calls), refused=self._refused)
        self._out.append(Finish(reason, self._usage or Usage(reported=False)))

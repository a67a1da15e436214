"""Output items while they stream: each turns its own events into canonical ones
(https://platform.openai.com/docs/api-reference/responses-streaming).

A provider may leave deltas out and send an item at its end only; what was not seen before is then taken from there.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.canonical import (
    Block,
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Finish,
    Json,
    Response,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Reading
from shared.dialects.openai_responses.content import read_annotation, read_annotations
from shared.dialects.openai_responses.response import begin_call, read_item, read_logprobs, word
from shared.dialects.openai_responses.state import minted, visible
from shared.dialects.toolnames import Unwrap
from shared.streams import unfold

_END = BlockEnd()


class Item:
    """An item of a kind that comes in one piece, or that nobody knew when this was written."""

    __slots__ = ("called", "done", "id", "reading", "refused", "waiting")

    def __init__(self, item: Json, reading: Reading) -> None:
        self.id = word(item, "id")
        self.reading = reading
        self.done = False
        self.called = False  # it holds a tool call
        self.refused = False
        self.waiting: list[Event] = []  # while an earlier item is open

    def begin(self, item: Json) -> list[Event]:
        return []

    def feed(self, kind: str, event: Json) -> list[Event]:
        return []

    def finish(self, item: Json) -> list[Event]:
        return self.whole(item)

    def whole(self, item: Json) -> list[Event]:
        logprobs: list[Json] = []
        blocks = read_item(item, self.reading, logprobs)
        self.called |= any(isinstance(block, ToolCall) for block in blocks)
        self.refused |= any(isinstance(block, Text) and block.refusal for block in blocks)
        return _unfolded(blocks, logprobs)


def _index(event: Json, key: str) -> int:
    """The number of a part; servers that send one part only may leave it out."""
    value = event.get(key)
    return value if isinstance(value, int) and value >= 0 else 0


def _unfolded(blocks: Iterable[Block], logprobs: list[Json]) -> list[Event]:
    whole = Response("", "", tuple(blocks), Finish("end"), tuple(logprobs))
    return list(unfold(whole))[1:-1]


class Message(Item):
    """Texts and refusals, one open at a time."""

    __slots__ = ("_cited", "_open", "_phase", "_seen")

    def __init__(self, item: Json, reading: Reading) -> None:
        super().__init__(item, reading)
        self._open: int | None = None  # index of the part that is open
        self._seen: set[int] = set()
        self._cited = 0  # citations of the open part
        self._phase = word(item, "phase")

    def feed(self, kind: str, event: Json) -> list[Event]:
        text = event.get("delta")
        if isinstance(text, str) and text:
            if kind == "response.output_text.delta":
                found = event.get("logprobs")
                delta = Delta(text, logprobs=tuple(read_logprobs(found))) if found else Delta(text)
                if self._open is not None and event.get("content_index") == self._open:
                    return [delta]
                return [*self._at(event), delta]
            if kind == "response.refusal.delta":
                return [*self._at(event, refusal=True), Delta(text)]
        match kind, event:
            case "response.output_text.annotation.added", {"annotation": dict(note)}:
                opened = self._at(event)
                self._cited += 1
                return [*opened, Delta(citation=read_annotation(note))]
            case "response.content_part.done", {"part": dict(part)}:
                return self._end(part) if _index(event, "content_index") == self._open else []
            case _:
                return []

    def finish(self, item: Json) -> list[Event]:
        content = item.get("content")
        parts = content if isinstance(content, list) else []
        last = parts[self._open] if self._open is not None and self._open < len(parts) else None
        events = self._end(last)
        for n, part in enumerate(parts):
            if n not in self._seen:
                events += self.whole({"type": "message", "content": [part], "phase": self._phase})
        return events

    def _at(self, event: Json, *, refusal: bool = False) -> list[Event]:
        index = _index(event, "content_index")
        if index == self._open:
            return []
        events = self._end(None)
        self._open, self._cited = index, 0
        self._seen.add(index)
        self.refused |= refusal
        events.append(BlockStart(Text("", refusal=refusal, phase=self._phase)))
        return events

    def _end(self, part: object) -> list[Event]:
        if self._open is None:
            return []
        self._open = None
        notes = read_annotations(part.get("annotations")) if isinstance(part, dict) else ()
        return [*(Delta(citation=note) for note in notes[self._cited :]), _END]


class Call(Item):
    """A function or custom tool call."""

    __slots__ = ("_any", "_started", "_unwrap")

    def __init__(self, item: Json, reading: Reading) -> None:
        super().__init__(item, reading)
        self.called = True
        self._started = False
        self._any = False
        self._unwrap: Unwrap | None = None

    def begin(self, item: Json) -> list[Event]:
        if self._started or not word(item, "name"):  # some send the name at the end only
            return []
        self._started = True
        call = begin_call(item, self.reading)
        if call.kind == "custom" and item.get("type") == "function_call":
            self._unwrap = Unwrap()
        return [BlockStart(call)]

    def feed(self, kind: str, event: Json) -> list[Event]:
        text = event.get("delta")
        if not (isinstance(text, str) and text and self._started and kind in _ARGUMENTS):
            return []
        self._any = True
        if self._unwrap:
            text = self._unwrap.feed(text)
        return [Delta(text)] if text else []

    def finish(self, item: Json) -> list[Event]:
        events = self.begin(item)
        if not self._started:
            return []
        text = word(item, "arguments") or word(item, "input")
        if not self._any and text:
            text = self._unwrap.feed(text) if self._unwrap else text
            events.append(Delta(text))
        if self._unwrap:
            self._unwrap.close()
        events.append(_END)
        return events


_ARGUMENTS = frozenset(("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"))


class Reasoning(Item):
    """Reasoning: its summary, or (where a provider shows them) the thoughts themselves; state comes with the end."""

    __slots__ = ("_kind", "_part")

    def __init__(self, item: Json, reading: Reading) -> None:
        super().__init__(item, reading)
        self._kind = ""  # of the first delta: the item's other texts are left out
        self._part = 0

    def feed(self, kind: str, event: Json) -> list[Event]:
        match kind, event:
            case "response.reasoning_summary_text.delta", {"delta": str(text)} if text:
                part = _index(event, "summary_index")
            case "response.reasoning_text.delta", {"delta": str(text)} if text:
                part = _index(event, "content_index")
            case _:
                return []
        if not self._kind:
            self._kind, self._part = kind, part
            return [BlockStart(Thinking()), Delta(text)]
        if kind != self._kind:
            return []
        if part != self._part:
            self._part = part
            return [Delta(f"\n\n{text}")]
        return [Delta(text)]

    def finish(self, item: Json) -> list[Event]:
        text, opaque = visible(item), minted(item, self.reading.target.provider)
        events: list[Event] = []
        if not self._kind:
            if not text and not opaque:
                return []
            events.append(BlockStart(Thinking()))
            if text:
                events.append(Delta(text))
        if opaque:
            events.append(Delta(opaque=opaque))
        events.append(_END)
        return events


_KINDS: dict[str, type[Item]] = {
    "message": Message,
    "function_call": Call,
    "custom_tool_call": Call,
    "reasoning": Reasoning,
}


def item_of(item: Json, reading: Reading) -> Item:
    """The reader for an item that begins."""
    return _KINDS.get(word(item, "type"), Item)(item, reading)

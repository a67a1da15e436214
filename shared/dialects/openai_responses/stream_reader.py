"""A provider's stream as canonical events (https://platform.openai.com/docs/api-reference/responses-streaming).

Items may interleave by `output_index`; canonical blocks may not. The first item that is not done yet is the open one, and what later
ones bring waits for its end.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.canonical import Event, Failed, Finish, Json, Start
from shared.dialects import Reading
from shared.dialects.depth import read_event
from shared.dialects.failures import failure
from shared.dialects.openai_responses.response import stop_reason, word
from shared.dialects.openai_responses.stream_items import Item, item_of
from shared.dialects.openai_responses.usage import read_usage
from shared.errors import Code, GatewayError
from shared.sse import SSE

_AGAIN = ("response.in_progress", "response.queued")
"""Events that repeat what `response.created` said."""


class StreamReader:
    """One reply. Answers `Failed` for an error event, for what is no JSON, for content of an item that never began, and for bytes
    that end before the terminal event; nothing follows it."""

    __slots__ = ("_items", "_open", "_order", "_out", "_over", "_reading", "_started")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._items: dict[int, Item] = {}
        self._order: list[Item] = []  # that follow the open one
        self._open: Item | None = None
        self._out: list[Event] = []
        self._started = False
        self._over = False

    def feed(self, event: SSE) -> list[Event]:
        if self._over or (self._started and event.event in _AGAIN):
            return []
        try:
            data = read_event(event.data)
        except ValueError:
            return [] if event.data == b"[DONE]" else self._fail(_unreadable())
        except GatewayError as error:
            return self._fail(error)
        if not isinstance(data, dict):
            return self._fail(_unreadable())
        kind = data.get("type") or event.event
        handle = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handle is None:
            return self._fail(failure(data)) if kind in ("", None) and data.get("error") else []
        self._out = []
        try:
            handle(self, kind, data)
        except GatewayError as error:
            return self._fail(error)
        return self._out

    def close(self) -> list[Event]:
        if self._over:
            return []
        return self._fail(
            GatewayError(Code.PROVIDER_ERROR, "The provider's stream ended before the reply was complete.")
        )

    def _fail(self, error: GatewayError) -> list[Event]:
        self._over = True
        return [Failed(error)]

    def _begin(self, kind: str, data: Json) -> None:
        self._start(data.get("response"))

    def _start(self, response: object) -> None:
        if not self._started:
            self._started = True
            told = response if isinstance(response, dict) else {}
            self._out.append(Start(word(told, "id"), word(told, "model") or self._reading.target.model))

    def _added(self, kind: str, data: Json) -> None:
        self._start(None)
        item = data.get("item")
        index = data.get("output_index")
        if isinstance(item, dict) and isinstance(index, int) and index not in self._items:
            entry = self._enter(index, item)
            self._emit(entry, entry.begin(item))

    def _enter(self, index: int, item: Json) -> Item:
        entry = item_of(item, self._reading)
        self._items[index] = entry
        if self._open is None:
            self._open = entry
        else:
            self._order.append(entry)
        return entry

    def _content(self, kind: str, data: Json) -> None:
        index = data.get("output_index")
        entry = self._items.get(index) if isinstance(index, int) else None
        if entry is None:
            raise GatewayError(Code.PROVIDER_ERROR, "The provider sent content of an item that it had not begun.")
        if entry is self._open:
            self._out += entry.feed(kind, data)
        elif not entry.done:
            entry.waiting += entry.feed(kind, data)

    def _item_done(self, kind: str, data: Json) -> None:
        self._start(None)
        item, index = data.get("item"), data.get("output_index")
        if not isinstance(item, dict) or not isinstance(index, int):
            return
        entry = self._items.get(index)
        if entry is None:
            entry = self._enter(index, item)
        if not entry.done:
            self._finish(entry, item)

    def _finish(self, entry: Item, item: Json) -> None:
        self._emit(entry, entry.finish(item))
        entry.done = True
        while self._open is not None and self._open.done:
            self._open = self._order.pop(0) if self._order else None
            if self._open is not None:
                self._out += self._open.waiting
                self._open.waiting = []

    def _emit(self, entry: Item, events: list[Event]) -> None:
        if entry is self._open:
            self._out += events
        else:
            entry.waiting += events

    def _ended(self, kind: str, data: Json) -> None:
        response = data.get("response")
        if not isinstance(response, dict):
            raise _unreadable()
        self._start(response)
        output = response.get("output")
        self._complete(output if isinstance(output, list) else [])
        if "status" not in response:
            response["status"] = kind.removeprefix("response.")
        reason = stop_reason(
            response,
            called=any(entry.called for entry in self._items.values()),
            refused=any(entry.refused for entry in self._items.values()),
        )
        self._over = True
        self._out.append(Finish(reason, read_usage(response)))

    def _complete(self, output: list[object]) -> None:
        """Ends what is open, and takes from the last event what was never announced."""
        known = {entry.id for entry in self._items.values()} - {""}
        last = max(self._items, default=-1)
        for index, item in enumerate(output):
            if not isinstance(item, dict):
                continue
            entry = self._items.get(index)
            if entry is None and index > last and word(item, "id") not in known:
                entry = self._enter(index, item)
            if entry is not None and not entry.done:
                self._finish(entry, item)
        for entry in list(self._items.values()):
            if not entry.done:
                self._finish(entry, {})

    def _broken(self, kind: str, data: Json) -> None:
        response = data.get("response")
        raise failure(response if isinstance(response, dict) else data)


def _unreadable() -> GatewayError:
    return GatewayError(Code.PROVIDER_ERROR, "The provider sent an event that can't be read.")


_CONTENT = (
    "response.output_text.delta",
    "response.output_text.annotation.added",
    "response.refusal.delta",
    "response.content_part.done",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
)

_HANDLERS: dict[str, Callable[[StreamReader, str, Json], None]] = {
    "response.created": StreamReader._begin,
    "response.queued": StreamReader._begin,
    "response.in_progress": StreamReader._begin,
    "response.output_item.added": StreamReader._added,
    "response.output_item.done": StreamReader._item_done,
    "response.completed": StreamReader._ended,
    "response.incomplete": StreamReader._ended,
    "response.failed": StreamReader._broken,
    "response.cancelled": StreamReader._broken,
    "error": StreamReader._broken,
    **dict.fromkeys(_CONTENT, StreamReader._content),
}

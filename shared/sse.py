"""Server-sent events: bytes to events and back (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import Code, GatewayError

MAX_EVENT = 32 * 1024 * 1024
"""Bytes that one event may hold before the stream counts as broken (an image in a delta is the largest seen)."""


@dataclass(slots=True)  # not frozen: one is made for every event, and that would take three times as long
class SSE:
    """One event. `data` holds the joined `data:` lines; `event` is empty where the sender named none. Not to be changed."""

    data: bytes
    event: str = ""

    def encode(self) -> bytes:
        """The event as bytes for the wire, ended by its blank line."""
        head = f"event: {self.event}\n".encode() if self.event else b""
        body = self.data if b"\n" not in self.data else self.data.replace(b"\n", b"\ndata: ")
        return b"%bdata: %b\n\n" % (head, body)


def comment(text: str) -> bytes:
    """A line that every client ignores: keeps a silent connection open."""
    return f": {text}\n\n".encode()


class Parser:
    """Bytes in pieces of any size to whole events. Comments, `id` and `retry` lines are skipped.

    An event that is still open when the stream ends is no event, as the specification has it.
    Raises PROVIDER_ERROR for an event that grows beyond `MAX_EVENT`.
    """

    __slots__ = ("_cr", "_data", "_event", "_first", "_open", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of the line that is still open
        self._open = 0  # bytes of that line
        self._data: list[bytes] = []
        self._event = ""
        self._size = 0  # bytes of the lines in `_data`, with their ends
        self._cr = False  # the last byte was a CR: an LF that follows belongs to it
        self._first = True

    @property
    def at_boundary(self) -> bool:
        """True between two events: the only place where a comment of ours may be slipped in."""
        return not (self._pieces or self._data or self._event)

    def feed(self, chunk: bytes) -> list[SSE]:
        """Events that became whole with this chunk."""
        if not chunk:
            return []
        if self._cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._cr = chunk.endswith(b"\r")
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        events: list[SSE] = []
        if chunk.endswith(b"\n\n") and self.at_boundary and not self._first:
            for block in chunk[:-2].split(b"\n\n"):
                self._block(block, events)
            return events
        if b"\n" in chunk:
            lines = chunk.split(b"\n")
            if self._pieces:
                lines[0] = b"".join((*self._pieces, lines[0]))
                self._pieces.clear()
                self._open = 0
            chunk = lines.pop()
            for line in lines:
                self._line(line, events)
        if chunk:
            self._pieces.append(chunk)
            self._open += len(chunk)
            self._check()
        return events

    def _block(self, block: bytes, events: list[SSE]) -> None:
        """The lines of one event, which nearly always are `data`, or `event` and `data`."""
        name, _, data = block.rpartition(b"\n")
        if data.startswith(b"data: ") and (not name or (name.startswith(b"event: ") and b"\n" not in name)):
            events.append(SSE(data[6:], name[7:].decode("utf-8", "replace")))
            return
        for line in block.split(b"\n"):
            self._line(line, events)
        self._line(b"", events)

    def _check(self) -> None:
        if self._size + self._open > MAX_EVENT:
            raise GatewayError(Code.PROVIDER_ERROR, "The provider sent an event larger than the gateway accepts.")

    def _line(self, line: bytes, events: list[SSE]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            if self._data:
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                events.append(SSE(data, self._event))
            self._data, self._event, self._size = [], "", 0
            return
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            self._check()
        elif field == b"event":
            self._event = value.decode("utf-8", "replace")


_BLANK_LINES = (b"\n\n", b"\r\n\r\n", b"\r\r")


class Gate:
    """Lets bytes through in whole events: what belongs to an event that is still open waits here."""

    __slots__ = ("_held", "_tail")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._tail = b""  # the last bytes of what waits: a blank line may lie across two chunks

    def feed(self, chunk: bytes, at_boundary: bool) -> bytes:
        """What may go out now. `at_boundary`: the parser found that `chunk` ends with an event."""
        end = len(chunk) if at_boundary else self._end(chunk)
        if end <= 0:
            self._held.append(chunk)
            self._tail = (self._tail + chunk)[-3:]
            return b""
        out = b"".join((*self._held, chunk[:end])) if self._held else chunk[:end]
        rest = chunk[end:]
        self._held = [rest] if rest else []
        self._tail = rest[-3:]
        return out

    def _end(self, chunk: bytes) -> int:
        seam = self._tail + chunk
        last = max((seam.rfind(mark) + len(mark) for mark in _BLANK_LINES if mark in seam), default=0)
        return last - len(self._tail)

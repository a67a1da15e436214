"""A provider's reply on its way to the client: eats bytes, gives bytes, and keeps count. No I/O, no clock."""

from __future__ import annotations

from typing import Protocol

import orjson

from shared.canonical import Delta, Event, Failed, Finish, Json, Start, Usage
from shared.dialects import Dialect, Reading, Repair, Writing
from shared.errors import Code, GatewayError
from shared.sse import Gate, Parser

_CUT_SHORT = "The provider's stream ended before the reply was complete."


class Relay(Protocol):
    """What became of the reply so far, and the next piece of it."""

    ended: bool  # the provider's terminal event was seen
    failed: GatewayError | None  # the reply broke
    progress: bool  # the provider has begun to answer

    @property
    def usage(self) -> Usage | None:
        """What was reported so far."""

    @property
    def output_chars(self) -> int:
        """Characters that the model has written so far, roughly."""

    def feed(self, chunk: bytes) -> bytes:
        """A piece of the stream as the client gets it."""

    def close(self) -> bytes:
        """The end of the provider's bytes: the rest, or the client API's error event if the terminal event is missing."""

    def break_off(self, error: GatewayError) -> bytes:
        """The client API's error event, to end a stream that can't go on."""

    def whole(self, raw: bytes) -> bytes:
        """A whole reply. Raises PROVIDER_ERROR where it is none."""


class Passthrough:
    """The client speaks the provider's dialect: the bytes go through untouched, but for a provider's known faults.

    Only whole events go out, so that a comment or an error of ours never lands inside one.
    """

    __slots__ = ("_client", "_gate", "_meter", "_parser", "_plain", "_repair", "ended", "failed", "progress")

    def __init__(self, client: Dialect, repair: Repair | None) -> None:
        self._client = client
        self._meter = client.meter()
        self._parser = Parser()
        self._repair = repair
        self._gate = Gate()
        self._plain = True  # every line so far ended with LF alone
        self.ended = False
        self.failed: GatewayError | None = None
        self.progress = False

    @property
    def usage(self) -> Usage | None:
        return self._meter.usage

    @property
    def output_chars(self) -> int:
        return self._meter.output_chars

    def feed(self, chunk: bytes) -> bytes:
        """Whole events go through as one block where they are mere deltas, all else event by event."""
        self._plain = self._plain and b"\r" not in chunk
        end = chunk.rfind(b"\n\n") + 2
        if not self._plain or end == 1:
            return self._one_by_one(chunk)
        begun = 0
        out: list[bytes] = []
        if not (self.progress and self._parser.at_boundary):
            begun = chunk.find(b"\n\n") + 2
            out.append(self._one_by_one(chunk[:begun]))
        block = chunk[begun:end]
        if block and self.progress and self._parser.at_boundary and (passed := self._block(block)) is not None:
            out.append(passed)
            begun = end
        out.append(self._one_by_one(chunk[begun:]))
        return b"".join(out)

    def _block(self, block: bytes) -> bytes | None:
        mended = block if self._repair is None else self._repair.block(block)
        return mended if mended is not None and self._meter.see_block(block) else None

    def _one_by_one(self, chunk: bytes) -> bytes:
        if not chunk:
            return b""
        meter, repair = self._meter, self._repair
        events = self._parser.feed(chunk)
        for event in events:
            meter.see(event)
        if meter.failed and self.failed is None:
            self.failed = self._client.read_error(502, events[-1].data)
        self.ended = meter.ended
        self.progress = self.progress or bool(events)
        if repair is None:
            return self._gate.feed(chunk, self._parser.at_boundary)
        mended = (repair.event(event) for event in events)
        return b"".join([event.encode() for event in mended if event is not None])

    def close(self) -> bytes:
        if self.ended or self.failed:
            return b""
        return self.break_off(GatewayError(Code.PROVIDER_ERROR, _CUT_SHORT))

    def break_off(self, error: GatewayError) -> bytes:
        if self.failed is not None:
            return b""
        self.failed = error
        return self._meter.break_off(error)

    def whole(self, raw: bytes) -> bytes:
        body = _read_reply(raw, self._client)
        self._meter.whole(body)
        self.ended = True
        if self._repair is None:
            return raw
        mended = self._repair.whole(body)
        return raw if mended is body else orjson.dumps(mended)


class Translated:
    """Provider's events to canonical ones to the client's."""

    __slots__ = (
        "_client",
        "_parser",
        "_provider",
        "_reader",
        "_reading",
        "_writer",
        "_writing",
        "ended",
        "failed",
        "output_chars",
        "progress",
        "usage",
    )

    def __init__(self, client: Dialect, provider: Dialect, reading: Reading, writing: Writing) -> None:
        self._client, self._provider = client, provider
        self._reading, self._writing = reading, writing
        self._parser = Parser()
        self._reader = provider.stream_reader(reading)
        self._writer = client.stream_writer(writing)
        self.usage: Usage | None = None
        self.ended = False
        self.failed: GatewayError | None = None
        self.output_chars = 0
        self.progress = False

    def feed(self, chunk: bytes) -> bytes:
        out: list[bytes] = []
        read, write = self._reader.feed, self._write
        for sse in self._parser.feed(chunk):
            self.progress = True
            for event in read(sse):
                out.append(write(event))  # noqa: PERF401  (a comprehension for each event costs more)
        return b"".join(out)

    def close(self) -> bytes:
        if self.ended or self.failed:
            return b""
        out = b"".join([self._write(event) for event in self._reader.close()])
        if not (self.ended or self.failed):
            out += self.break_off(GatewayError(Code.PROVIDER_ERROR, _CUT_SHORT))
        return out

    def _write(self, event: Event) -> bytes:
        if type(event) is Delta:
            self.output_chars += len(event.text)
            return self._writer.feed(event)
        match event:
            case Start():
                self.usage = event.usage
            case Finish():
                self.usage = event.usage
                self.ended = True
            case Failed():
                self.failed = event.error
        return self._writer.feed(event)

    def break_off(self, error: GatewayError) -> bytes:
        if self.failed is not None:
            return b""
        self.failed = error
        return self._writer.feed(Failed(error))

    def whole(self, raw: bytes) -> bytes:
        response = self._provider.read_response(_read_reply(raw, self._provider), self._reading)
        self.usage, self.ended = response.finish.usage, True
        return orjson.dumps(self._client.write_response(response, self._writing))


def _read_reply(raw: bytes, provider: Dialect) -> Json:
    """The reply's JSON. Raises PROVIDER_ERROR for anything else, and for an error that came with status 200."""
    try:
        body = orjson.loads(raw)
    except ValueError:
        raise provider.read_error(502, raw) from None
    if not isinstance(body, dict) or (body.get("error") and not _REPLIES & body.keys()):
        raise provider.read_error(502, raw)
    return body


_REPLIES = {"choices", "content", "output", "candidates"}

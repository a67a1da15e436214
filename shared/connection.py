"""One HTTP/1.1 connection to a provider, on httptools (https://github.com/MagicStack/httptools): a request out, a reply in.

It knows POST, whole bodies and streams, and nothing of redirects, cookies and proxies, which a gateway has no use for: that makes a
request three times as cheap as through a general client (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from shared.unpacking import unpacker

MOST_HEAD = 65_536
"""Bytes that a reply's head (or its trailers) may have."""
_READ_AHEAD = 262_144
"""Bytes of a reply that wait for their reader before the provider has to."""
_PIECE = 262_144
"""Bytes of a large request that are written before other requests get their turn."""


class BrokenError(ConnectionError):
    """The connection ended too early, or what came over it is no HTTP/1.1 that was asked for."""


class LateError(BrokenError):
    """The reply didn't begin in time."""


class UnansweredError(BrokenError):
    """A kept connection was closed without a byte of a reply: the provider gave it up while the request was on its way."""


class Reply:
    """A reply whose head has come; its body arrives in pieces."""

    __slots__ = ("_connection", "_error", "_pieces", "_size", "_unpacker", "_waiter", "ended", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers  # by their names in lower case; of several of one name the last
        self.ended = False  # all of it has come
        self._connection = connection
        self._pieces: list[bytes] = []
        self._size = 0
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unpacker = unpacker(headers.get("content-encoding", ""))

    async def read(self) -> bytes:
        """What has come since the last time, empty at the end. Raises BrokenError when the rest never comes, and `zlib.error` when it
        can't be unpacked."""
        if self._unpacker is None:
            return await self._next()
        while not (piece := self._unpacker.take()):
            packed = await self._next()
            if not packed:
                self._unpacker.end()
                break
            self._unpacker.give(packed)
        return piece

    async def _next(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.ended:
                return b""
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        pieces, self._pieces = self._pieces, []
        if self._size > _READ_AHEAD:
            self._connection.go_on()
        self._size = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def put(self, piece: bytes) -> bool:
        """A piece has come. True when so much waits that the provider should, too."""
        self._pieces.append(piece)
        self._size += len(piece)
        return self._size > _READ_AHEAD

    def wake(self) -> None:
        """Whoever waits may look for what has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more will come; the first call counts."""
        if not self.ended and self._error is None:
            self.ended, self._error = error is None, error
            self.wake()

    def in_time(self) -> None:
        """What counted has come: the rest may take as long as it likes."""
        self._connection.in_time()

    def close(self) -> None:
        """Gives the connection back if the reply was whole, and ends it otherwise. A second call does nothing."""
        self._connection.leave(self)


class Connection(asyncio.Protocol):
    """Carries one exchange at a time. `left` is told when one is over and another may follow, `lost` when the connection has ended."""

    __slots__ = ("_begun", "_drained", "_head", "_headers", "_last", "_left", "_lost", "_parser", "_paused", "_reply",
                 "_silent", "_timer", "_transport", "_used", "closed", "idle_since", "loop")  # fmt: skip

    def __init__(self, left: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self.closed = False
        self.idle_since = 0.0  # of the event loop's clock
        self._left, self._lost = left, lost
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = HttpResponseParser(self)
        self._begun: asyncio.Future[Reply] | None = None  # the head of the reply to the request under way
        self._reply: Reply | None = None
        self._headers: dict[str, str] = {}
        self._head = 0  # bytes of a head, or of trailers, so far
        self._silent = True  # nothing has come since the request
        self._last = False  # no other exchange follows; a reply without a length ends with the connection
        self._used = False  # an exchange went well before this one
        self._paused = False
        self._drained: asyncio.Future[None] | None = None  # set while the provider doesn't read
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, head: bytes, body: bytes, seconds: float) -> Reply:
        """Sends a request; its reply once the head has come. Raises BrokenError or another OSError; then, as when this is cancelled,
        the connection is closed. LateError, here or from the reply, unless `Reply.in_time` is called within so many seconds."""
        if self._transport.is_closing():
            raise UnansweredError("a kept connection was closed")
        self._begun = begun = self.loop.create_future()
        self._silent = True
        self._timer = self.loop.call_later(seconds, self._late)
        try:
            if len(body) <= _PIECE:
                self._transport.write(head + body)
            else:
                await self._write_long(head, body, begun)
            reply: Reply = await begun
        except BaseException:
            begun.cancel()
            self.close()
            raise
        return reply

    async def _write_long(self, head: bytes, body: bytes, begun: asyncio.Future[Reply]) -> None:
        """In pieces, until the provider answers: one that refuses needn't read the rest."""
        self._transport.write(head)
        whole = memoryview(body)
        for start in range(0, len(whole), _PIECE):
            self._transport.write(whole[start : start + _PIECE])
            if self._drained is None:
                await asyncio.sleep(0)
            else:
                await asyncio.wait((self._drained, begun), return_when=asyncio.FIRST_COMPLETED)
            if begun.done():
                self._last = self._last or start + _PIECE < len(whole)
                return

    def _late(self) -> None:
        self.close(LateError("the reply did not begin in time"))

    def in_time(self) -> None:
        """What was asked for has come, or never will."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self, reply: Reply) -> None:
        """The exchange is over for who reads this reply."""
        if reply is not self._reply:
            return
        self.in_time()
        self._reply = self._begun = None
        if self._last or not reply.ended or self._transport.get_write_buffer_size():
            self.close()
        if not self.closed:
            self.go_on()
            self._used = True
            self._left(self)

    def close(self, error: Exception | None = None) -> None:
        """Ends it, whatever is under way."""
        if not self.closed:
            self.closed = True
            self.in_time()
            self._transport.abort()
            self._over(error or BrokenError("the connection was closed"))

    def _over(self, error: Exception) -> None:
        if self._reply is not None:
            self._reply.end(error)
        elif self._begun is not None and not self._begun.done():
            self._begun.set_exception(error)

    def go_on(self) -> None:
        """The reader has caught up."""
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    # ── what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._begun is None:  # nobody has asked: the next one would take it for an answer
            self.close()
            return
        self._silent = False
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.close(BrokenError("what came is no HTTP/1.1 reply"))
            return
        if self._reply is not None:
            self._reply.wake()
            return
        self._head += len(data)
        if self._head > MOST_HEAD:
            self.close(BrokenError("the reply's head is too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self.in_time()
            if self._reply is not None and self._last and exc is None:
                self._reply.end()
            elif self._used and self._silent:
                self._over(UnansweredError("a kept connection was closed"))
            else:
                self._over(BrokenError("the connection ended before the reply"))
        self.resume_writing()
        self._lost(self)

    def pause_writing(self) -> None:
        self._drained = self.loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # ── what the parser calls

    def on_message_begin(self) -> None:
        self._headers = {}
        self._last = self._last or self._reply is not None  # a second reply, unasked

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reply is None:  # what comes after the body are trailers
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status, headers = self._parser.get_status_code(), self._headers
        if status < 200 or self._begun is None or self._begun.done():
            return
        self._head = 0
        measured = "content-length" in headers or headers.get("transfer-encoding", "").lower().endswith("chunked")
        self._last = self._last or not (measured or status in _BODILESS)
        self._reply = Reply(self, status, headers)
        self._begun.set_result(self._reply)

    def on_body(self, body: bytes) -> None:
        reply = self._reply
        if reply is not None and not reply.ended and reply.put(body) and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._reply is not None:  # and not one of 100 to 103, after which the reply is still to come
            self._last = self._last or not self._parser.should_keep_alive()
            self._reply.end()


_BODILESS = frozenset({204, 304})

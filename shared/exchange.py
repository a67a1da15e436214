"""One HTTP exchange at the level of ASGI: headers, the body with its limit, and the reply piece by piece."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from time import monotonic

import orjson
from starlette.types import Message, Receive, Scope, Send

from shared.errors import Code, GatewayError
from shared.sse import comment

BODY_SECONDS = 300
"""How long a client may take to send its body."""

PING = comment("ping")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_HEADER = 4096
_PART = 65_536  # what uvicorn takes before it waits


class ClientGoneError(Exception):
    """The client hung up: nobody reads what is written now."""


class Exchange:
    """Request in, reply out. Not shared between requests."""

    __slots__ = (
        "_receive",
        "_send",
        "_start",
        "blocked_since",
        "deadline",
        "headers",
        "scope",
        "started",
        "streaming",
        "written_at",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.headers: Mapping[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        self.deadline: float | None = scope.get(
            "ekai.deadline"
        )  # of the event loop's clock: AWS Lambda ends the process soon after
        self._start: Message | None = None
        self.started = False
        self.streaming = False
        self.written_at = 0.0
        self.blocked_since: float | None = None  # a piece is being written since then: the client doesn't read

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises REQUEST_TOO_LARGE before more than `limit` bytes are read, and ClientGoneError."""
        declared = self.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(limit)
        except TimeoutError:
            raise GatewayError(
                Code.VALIDATION_ERROR, f"The body did not arrive within {BODY_SECONDS} seconds.", status=408
            ) from None

    async def _read(self, limit: int) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            piece = message.get("body", b"")
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Status and headers. They go out with the first piece, in one packet."""
        self._start = {"type": "http.response.start", "status": status, "headers": _written(headers)}

    async def _put(self, piece: bytes, more: bool) -> None:
        try:
            if self._start is not None:
                start, self._start, self.started = self._start, None, True
                await self._send(start)
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        except OSError:
            raise ClientGoneError from None

    async def write(self, piece: bytes) -> None:
        """A piece of the reply; waits while the client doesn't read. A large one goes out in parts, each of which shows that the
        client still reads, if slowly."""
        for start in range(0, len(piece), _PART):
            self.written_at = self.blocked_since = monotonic()
            await self._put(piece if len(piece) <= _PART else piece[start : start + _PART], more=True)
        self.blocked_since = None

    async def ping(self) -> None:
        """A comment for a client that waits; nothing while a piece is under way, between whose parts it would fall."""
        if self.blocked_since is None:
            self.written_at = self.blocked_since = asked = monotonic()
            await self._put(PING, more=True)
            if self.blocked_since == asked:  # no piece has come to wait behind it
                self.blocked_since = None

    async def finish(self, piece: bytes = b"") -> None:
        """The last piece."""
        await self._put(piece, more=False)

    async def reply_json(self, status: int, body: object, headers: Mapping[str, str]) -> None:
        """A whole JSON reply."""
        raw = orjson.dumps(body)
        lengths = {"content-type": "application/json", "content-length": str(len(raw))}
        self.start(status, {**headers, **lengths}.items())
        await self.finish(raw)

    async def disconnected(self) -> None:
        """Returns when the client has hung up (or the reply is complete)."""
        while (await self._receive())["type"] != "http.disconnect":
            continue

    def watch(self, limit: asyncio.Timeout, ping_after: float, idle_after: float) -> Watch:
        """Begins to look after the exchange while the gateway waits for the provider."""
        return Watch(self, limit, ping_after, idle_after)


_FIRST_LOOK = 0.05
"""Seconds until somebody listens for a client that hangs up: most errors and short replies are over by then."""


class Watch:
    """Ends `limit` when the client hangs up or reads nothing for too long, when the provider of a stream stays silent for too long,
    or when the exchange's time is over; pings a client that waits. To be stopped in every case."""

    __slots__ = (
        "_end",
        "_exchange",
        "_heard",
        "_idle_after",
        "_limit",
        "_listener",
        "_loop",
        "_ping",
        "_ping_after",
        "_timer",
        "gone",
        "late",
        "stalled",
    )

    def __init__(self, exchange: Exchange, limit: asyncio.Timeout, ping_after: float, idle_after: float) -> None:
        self._exchange = exchange
        self._limit: asyncio.Timeout | None = limit
        self._ping_after, self._idle_after = ping_after, idle_after
        self._loop = asyncio.get_running_loop()
        self._heard = monotonic()
        self.gone = False
        self.late = False
        self.stalled = False
        self._ping: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(min(self._pause(), _FIRST_LOOK), self._look)
        self._end = None if exchange.deadline is None else self._loop.call_at(exchange.deadline, self._run_out)

    def heard(self) -> None:
        """The provider sent something."""
        self._heard = monotonic()

    def let_end(self) -> None:
        """The reply is as good as over: from now on nothing is broken off any more."""
        self._limit = None

    async def stop(self) -> None:
        """Ends the watch."""
        self._limit = None
        self._timer.cancel()
        if self._end is not None:
            self._end.cancel()
        tasks = [task for task in (self._listener, self._ping) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _break_off(self) -> None:
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0)

    def _run_out(self) -> None:
        self.late = True
        self._break_off()

    def _pause(self) -> float:
        return max(min(self._ping_after, self._idle_after) / 4, 0.01)

    def _look(self) -> None:
        if self._listener is None:
            self._listener = self._loop.create_task(self._listen())
        now, blocked_since = monotonic(), self._exchange.blocked_since
        if blocked_since is not None:
            self._heard = now  # whose turn it is to read is the client, so the provider's silence says nothing
            self.gone = self.gone or now - blocked_since >= self._idle_after
        elif self._exchange.streaming:
            self.stalled = now - self._heard >= self._idle_after
            if now - self._exchange.written_at >= self._ping_after and (self._ping is None or self._ping.done()):
                self._ping = self._loop.create_task(self._exchange.ping())
        if self.gone or self.stalled:
            self._break_off()
            return
        self._timer = self._loop.call_later(self._pause(), self._look)

    async def _listen(self) -> None:
        await self._exchange.disconnected()
        self.gone = True
        self._break_off()


def _written(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI wants them. Nothing that a client sent (a model's name, a field's) can begin another header in a value."""
    return [
        (name.encode("latin-1"), _CONTROL.sub(" ", value[:_MOST_HEADER]).encode("latin-1", "replace"))
        for name, value in headers
    ]


def _too_large(limit: int) -> GatewayError:
    return GatewayError(Code.REQUEST_TOO_LARGE, f"The body is larger than {limit} bytes.")

"""A load on raw sockets that costs little itself: many connections, each asking again as soon as it is answered."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

_END = b"\r\n0\r\n\r\n"
_WORD = b"word"
_TAIL = 4096  # bytes in which the last event of any dialect begins
SLACK = 0.05
"""Seconds by which a paced stream may end after its nominal time and still count as on pace."""


@dataclass(slots=True)
class Figures:
    """What a run measured. Times in seconds."""

    requests: int = 0
    failures: int = 0
    seconds: float = 0.0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    first_words: array[float] = field(default_factory=lambda: array("d"))

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float:
        """The latency that this share of the requests kept below."""
        return _quantile(self.latencies, share)

    @property
    def first_word(self) -> float:
        """Median of the time until the first word of the reply had come."""
        return _quantile(self.first_words, 0.5)

    def on_pace(self, nominal: float) -> float:
        """Share of the requests that ended within `SLACK` of their nominal time."""
        return sum(taken <= nominal + SLACK for taken in self.latencies) / max(self.requests, 1)


def _quantile(values: array[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What each connection sends, again and again. `ends`: what the last bytes of a streamed reply must hold."""

    raw: bytes
    ends: bytes = b""


def request(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a POST."""
    own = {"host": "127.0.0.1", "content-type": "application/json", "content-length": str(len(body))}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in {**own, **headers}.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def run(port: int, question: Question, connections: int, seconds: float, spread: float = 0.0) -> Figures:
    """Asks over so many connections for so long, and waits for what is under way. The first questions are sent evenly over
    `spread` seconds, so that paced streams don't beat in time."""
    figures, loop = Figures(), asyncio.get_running_loop()
    begun = time.perf_counter()
    clients = [Client(question, figures, begun + seconds) for _ in range(connections)]
    for number, client in enumerate(clients):
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]  # lambda's default
        loop.call_later(spread * number / connections, client.ask)
    try:
        async with asyncio.timeout(seconds + spread + 60):
            await asyncio.gather(*(client.done for client in clients))
    except TimeoutError:
        figures.failures += sum(not client.done.done() for client in clients)
    for client in clients:
        client.hang_up()
    figures.seconds = time.perf_counter() - begun
    return figures


class Client(asyncio.Protocol):
    """One connection: a question, its whole answer, the next question."""

    def __init__(self, question: Question, figures: Figures, stop: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._question, self._figures, self._stop = question, figures, stop
        self._reset()

    def _reset(self) -> None:
        self._head, self._tail, self._left, self._status = b"", b"", -1, b""
        self._begun = time.perf_counter()
        self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is none by name

    def ask(self) -> None:
        """Sends the question; ends instead when the time is over."""
        if time.perf_counter() >= self._stop:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._reset()
        self._transport.write(self._question.raw)

    def hang_up(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._status:
            self._head += data
            at = self._head.find(b"\r\n\r\n")
            if at < 0:
                return
            data = self._read_head(at)
        if not self._first and _WORD in data:
            self._first = time.perf_counter()
        if self._left >= 0:
            self._left -= len(data)
            if self._left <= 0:
                self._answered(self._left == 0)
        else:
            self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
            if self._tail.endswith(_END):
                self._answered(self._question.ends in self._tail)

    def _read_head(self, at: int) -> bytes:
        head = self._head[:at].lower()
        self._status = head[9:12]
        size, begins = head.find(b"\r\ncontent-length:"), at + 4
        if size >= 0:
            self._left = int(head[size + 17 :].split(b"\r\n", 1)[0])
        else:
            begins -= 2  # the line end before the first chunk's size, so that an empty stream ends like any other
        rest, self._head = self._head[begins:], b""
        return rest

    def _answered(self, whole: bool) -> None:
        now, figures = time.perf_counter(), self._figures
        figures.requests += 1
        figures.failures += not (whole and self._status == b"200")
        figures.latencies.append(now - self._begun)
        figures.first_words.append((self._first or now) - self._begun)
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._figures.failures += 1
            self.done.set_result(None)

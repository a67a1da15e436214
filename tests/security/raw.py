"""Both ends of a wire, byte by byte: a provider that says what it likes, and a client that asks as no client would."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable

import httpx

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawProvider:
    """`talk` is called for each connection; it reads requests with `request`."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the gateway has hung up
        finally:
            self._open.discard(writer)
            writer.close()

    def drop(self) -> None:
        """Hangs up on everybody."""
        asyncio.run_coroutine_threadsafe(self._dropped(), self._loop).result(10)

    async def _dropped(self) -> None:
        for writer in self._open:
            writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        asyncio.run_coroutine_threadsafe(self._cancelled(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _cancelled(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """The next request's body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
    return await reader.readexactly(int(size or 0))


def answer(body: bytes, *headers: bytes, status: int = 200, kind: bytes = b"application/json") -> bytes:
    """A whole reply's bytes."""
    lines = [b"HTTP/1.1 %d X" % status, b"content-type: " + kind, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def connected(url: str, seconds: float = 10.0) -> socket.socket:
    """A client's socket."""
    parsed = httpx.URL(url)
    return socket.create_connection((parsed.host, parsed.port or 80), timeout=seconds)


def said(url: str, raw: bytes, seconds: float = 3.0) -> bytes:
    """All that the gateway says to these bytes, until it closes or is silent."""
    with connected(url, seconds) as plug:
        plug.sendall(raw)
        heard = b""
        try:
            while piece := plug.recv(65_536):
                heard += piece
                plug.settimeout(0.15)
        except (TimeoutError, ConnectionError):
            return heard
        return heard

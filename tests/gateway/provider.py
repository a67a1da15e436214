"""A provider that does what a test says, byte by byte, over a real socket."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson


class Cut:
    """In a reply's pieces: the connection is torn here."""


CUT = Cut()
Piece = bytes | float | Cut


@dataclass(frozen=True)
class Asked:
    """A request as the provider got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """`pieces` are bytes, pauses in seconds, and CUT. Without `length` the body is chunked."""

    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    silent: bool = False  # not even a head comes


def json_reply(body: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([orjson.dumps(body)], status, {"content-type": "application/json", **named})


def sse_reply(*pieces: Piece) -> Reply:
    return Reply(pieces, 200, {"content-type": "text/event-stream"})


class Provider:
    """`script` answers each request; `asked` lists them; `gone` counts clients that hung up while a reply was under way."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.gone = 0
        self.script: Callable[[Asked], Reply] = lambda asked: json_reply({"error": {"message": "no script"}}, 500)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.run_until_complete(self._cancelled())
        self._loop.close()

    async def _cancelled(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def was_left(self, times: int) -> bool:
        """Whether so many clients hung up; that takes its moment to arrive here."""
        end = time.monotonic() + 5
        while self.gone < times and time.monotonic() < end:
            time.sleep(0.01)
        return self.gone == times

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await _read(reader)
            if asked is None:
                return
            self.asked.append(asked)
            reply = self.script(asked)
            await self._write(reply, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.gone += 1
        finally:
            writer.close()

    async def _write(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if reply.silent:
            await self._or_gone(reader, asyncio.sleep(60))
            return
        chunked = reply.length is None
        framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(reply.length)}
        head = {"connection": "close", **framing, **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        for piece in reply.pieces:
            if isinstance(piece, Cut):
                await writer.drain()
                writer.transport.abort()
                return
            if isinstance(piece, float):
                await self._or_gone(reader, asyncio.sleep(piece))
            else:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _or_gone(self, reader: asyncio.StreamReader, waiting: Coroutine[Any, Any, None]) -> None:
        pause = asyncio.ensure_future(waiting)
        more = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait({pause, more}, return_when=asyncio.FIRST_COMPLETED)
        pause.cancel()
        more.cancel()
        if more in done:
            raise ConnectionError


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body)

"""Lambda's Runtime API as far as a runtime can see it: hands out events, takes streamed responses, and notes when each piece came."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

ROOT = "/2018-06-01/runtime"


@dataclass
class Seen:
    """What a runtime posted. `pieces` are the chunks as they came, with their times (time.monotonic)."""

    path: str
    headers: dict[str, str]
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    cut: bool = False

    @property
    def raw(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)

    @property
    def prelude(self) -> Any:
        return json.loads(self.raw.partition(bytes(8))[0])

    @property
    def body(self) -> bytes:
        return self.raw.partition(bytes(8))[2]

    @property
    def error(self) -> Any:
        encoded = self.trailers.get("lambda-runtime-function-error-body")
        return json.loads(b64decode(encoded)) if encoded else None


@dataclass
class _Asked:
    event: bytes
    seconds: float
    seen: Future[Seen]


class FakeRuntime:
    """`taken` is the status for responses; `on_end` is called when a response's last byte has come; `limit` cuts one off."""

    def __init__(self) -> None:
        self.taken = 202
        self.limit: int | None = None
        self.on_end: Callable[[], None] = lambda: None
        self.init_errors: list[Seen] = []
        self.connections = 0
        self._events: queue.Queue[_Asked] = queue.Queue()
        self._running: dict[str, _Asked] = {}
        self._count = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def invoke(self, event: Any, seconds: float = 60.0) -> Future[Seen]:
        """Hands an event to the runtime that asks next, and tells it how long it may take."""
        raw = event if isinstance(event, bytes) else json.dumps(event).encode()
        asked = _Asked(raw, seconds, Future())
        self._events.put(asked)
        return asked.seen

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self._port = self._server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                if (method, path) == ("GET", f"{ROOT}/invocation/next"):
                    await self._next(writer)
                elif not await self._take(Seen(path, headers), reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _next(self, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                asked = self._events.get_nowait()
                break
            except queue.Empty:
                await asyncio.sleep(0.002)
                if writer.is_closing():
                    raise ConnectionError from None
        self._count += 1
        number = f"00000000-0000-4000-8000-{self._count:012d}"
        self._running[number] = asked
        framing = f"Content-Length: {len(asked.event)}" if self._count % 2 else "Transfer-Encoding: chunked"
        body = (
            asked.event
            if self._count % 2
            else b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in _parts(asked.event)) + b"0\r\n\r\n"
        )
        head = (
            f"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {number}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {round((time.time() + asked.seconds) * 1000)}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:x\r\n{framing}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()

    async def _take(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked = self._running.pop(seen.path.split("/")[-2], None)
        whole = await self._read(seen, reader)
        if whole:
            self.on_end()
        status = self.taken if whole else 413
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        await writer.drain()
        if asked is None:
            self.init_errors.append(seen)
        else:
            asked.seen.set_result(seen)
        return whole

    async def _read(self, seen: Seen, reader: asyncio.StreamReader) -> bool:
        if seen.headers.get("transfer-encoding") != "chunked":
            seen.pieces.append((time.monotonic(), await reader.readexactly(int(seen.headers["content-length"]))))
            return True
        while size := int(await reader.readuntil(b"\r\n"), 16):
            piece = (await reader.readexactly(size + 2))[:-2]
            seen.pieces.append((time.monotonic(), piece))
            if self.limit is not None and len(seen.raw) > self.limit:
                seen.cut = True
                return False
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode().partition(":")
            seen.trailers[name.lower()] = value.strip()
        return True


def _parts(raw: bytes) -> list[bytes]:
    return [raw[start : start + 100] for start in range(0, len(raw), 100)]

"""A load on raw sockets that costs little itself: many connections, each asking again as soon as it is answered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass
class Figures:
    """What a run measured. Times in seconds."""

    requests: int = 0
    failures: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def request(path: str, token: str, body: bytes) -> bytes:
    """The bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def run(port: int, raw: bytes, connections: int, seconds: float) -> Figures:
    """Asks over so many connections for so long."""
    figures = Figures()
    begun = time.perf_counter()
    stop = begun + seconds
    await asyncio.gather(*[_connection(port, raw, stop, figures) for _ in range(connections)])
    figures.seconds = time.perf_counter() - begun
    return figures


async def _connection(port: int, raw: bytes, stop: float, figures: Figures) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < stop:
        begun = time.perf_counter()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        if at >= 0:
            await reader.readexactly(int(lowered[at + 15 :].split(b"\r\n", 1)[0]))
            first = time.perf_counter()
        else:
            first = await _chunked(reader)
        figures.requests += 1
        figures.failures += not head.startswith(b"HTTP/1.1 200")
        figures.latencies.append(time.perf_counter() - begun)
        figures.first_bytes.append(first - begun)
    writer.close()


async def _chunked(reader: asyncio.StreamReader) -> float:
    first = 0.0
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        first = first or time.perf_counter()
        await reader.readexactly(size + 2)
        if size == 0:
            return first

"""A client that reads slowly is not one that doesn't read: large events reach it whole, however long they take."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest
from starlette.types import Message

from shared.exchange import PING, Exchange
from tests.gateway.live import Live, gateway
from tests.gateway.provider import sse_reply
from tests.gateway.wire import CHAT, sse

EVENT = sse({"choices": [{"index": 0, "delta": {"content": "x" * 12_000_000}, "finish_reason": None}], "model": "m"})
IDLE = 0.8


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), STREAM_IDLE_TIMEOUT=str(IDLE), PING_INTERVAL="0.1") as running:
        yield running


def test_a_large_event_over_a_slow_link(live: Live) -> None:
    """Three times as long as a client may do nothing; pings of the meantime never fall into an event."""
    live.provider.script = lambda asked: sse_reply(CHAT.events[0], EVENT, 0.3, *CHAT.events[1:])
    client = live.caller("openai/gpt-4o")
    body = orjson.dumps(CHAT.body(stream=True))
    url, token = httpx.URL(live.url), client.headers["authorization"]
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        plug.connect((url.host, url.port))
        head = f"POST {CHAT.path} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        plug.sendall(head.encode() + body)
        heard, begun = [], time.monotonic()
        while piece := plug.recv(65_536):
            heard.append(piece)
            time.sleep(len(piece) / 5_000_000)
    assert time.monotonic() - begun > 2 * IDLE
    raw = _unchunked(b"".join(heard).partition(b"\r\n\r\n")[2])
    events = [event for event in raw.split(b"\n\n") if event and not event.startswith(b": ping")]
    assert events[1] + b"\n\n" == EVENT
    assert events[-1] == b"data: [DONE]"
    assert live.rows(client, 1)[0]["outcome"] == "complete"


def test_no_ping_falls_between_the_parts_of_a_piece() -> None:
    sent: list[bytes] = []

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    async def play() -> None:
        free = asyncio.Event()

        async def send(message: Message) -> None:
            await free.wait()
            sent.append(message["body"])

        exchange = Exchange({"type": "http", "headers": []}, receive, send)
        first = asyncio.create_task(exchange.ping())  # waits since before the piece came
        await asyncio.sleep(0)
        piece = asyncio.create_task(exchange.write(b"a" * 200_000))
        await asyncio.sleep(0)
        await exchange.ping()
        assert exchange.blocked_since is not None
        free.set()
        await asyncio.gather(first, piece)
        assert exchange.blocked_since is None

    asyncio.run(play())
    assert sent[0] == PING
    assert b"".join(sent[1:]) == b"a" * 200_000
    assert len(sent) > 3


def _unchunked(raw: bytes) -> bytes:
    out: list[bytes] = []
    at = 0
    while True:
        end = raw.index(b"\r\n", at)
        size = int(raw[at:end], 16)
        if size == 0:
            return b"".join(out)
        out.append(raw[end + 2 : end + 2 + size])
        at = end + 4 + size

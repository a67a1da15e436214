"""What a provider may send besides a reply: compressed, too long, too short, unasked, without end, with traps in its headers."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.wire import CHAT, MESSAGES
from tests.security.raw import RawProvider, Talk, answer, request

WHOLE = orjson.dumps(CHAT.whole)
PINNED = "openai/gpt-4o"


class Stage:
    """A gateway whose OpenAI does what `talk` says."""

    def __init__(self, live: Live, raw: RawProvider) -> None:
        self.live = live
        self._raw = raw
        self.connections = 0
        self._talk: Talk

    def plays(self, talk: Talk) -> None:
        """From now on, and on no connection from before."""
        self._talk = talk
        self._raw.drop()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self._talk(reader, writer)

    def once(self, raw: bytes) -> None:
        """Every request is answered with these bytes, then the connection ends."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await request(reader)
            writer.write(raw)
            await writer.drain()

        self.plays(talk)

    def ask(self, **more: object) -> httpx.Response:
        return self.live.caller(PINNED).post(CHAT.path, json=CHAT.body(**more))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made: list[Stage] = []
    raw = RawProvider(lambda reader, writer: made[0].play(reader, writer))
    settings = {"COOLDOWN_SECONDS": "0", "UPSTREAM_TIMEOUT": "20"}
    try:
        with gateway(tmp_path_factory.mktemp("gateway"), OPENAI_UPSTREAM_URL=raw.url, **settings) as live:
            made.append(Stage(live, raw))
            yield made[0]
    finally:
        raw.close()


# ── compressed ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_compressed_although_nobody_asked_for_it(stage: Stage, coding: bytes) -> None:
    body = gzip.compress(WHOLE) if coding == b"gzip" else zlib.compress(WHOLE)
    stage.once(answer(body, b"content-encoding: " + coding))
    reply = stage.ask()
    assert reply.status_code == 200
    assert reply.content == WHOLE
    assert "content-encoding" not in reply.headers


def test_a_compressed_stream(stage: Stage) -> None:
    body = gzip.compress(b"".join(CHAT.events))
    stage.once(answer(body, b"content-encoding: gzip", kind=b"text/event-stream"))
    assert stage.ask(stream=True, stream_options={"include_usage": True}).content == b"".join(CHAT.events)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "raw",
    [
        answer(gzip.compress(WHOLE)),
        answer(WHOLE, b"content-encoding: gzip"),
        answer(gzip.compress(WHOLE)[:-20], b"content-encoding: gzip"),
        answer(WHOLE, b"content-encoding: br"),
        answer(b"\x00\xff" * 50),
    ],
    ids=["gzip-undeclared", "gzip-that-is-none", "gzip-cut", "br-that-is-none", "noise"],
)
def test_what_can_not_be_unpacked(stage: Stage, raw: bytes, stream: bool) -> None:
    stage.once(raw)
    reply = stage.ask(stream=stream)
    assert (reply.status_code, CHAT.code(reply)) == (502, "PROVIDER_ERROR")
    assert reply.json()["error"]["message"].isprintable()


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """300 megabytes of spaces in 300 kilobytes."""
    packed = zlib.compressobj(1, wbits=31)
    return b"".join(packed.compress(b" " * 1_000_000) for _ in range(300)) + packed.flush()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 500])
def test_a_bomb_is_bounded(
    stage: Stage, bomb: bytes, stream: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.upstream.MAX_REPLY", 8_000_000)
    monkeypatch.setattr("shared.sse.MAX_EVENT", 8_000_000)
    stage.once(answer(bomb, b"content-encoding: gzip", status=status))
    before = _resident()
    reply = stage.ask(stream=stream)
    assert (reply.status_code, CHAT.code(reply)) == (502 if status == 200 else 500, "PROVIDER_ERROR")
    assert _resident() - before < 120_000_000


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


# ── lengths ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"content-length: %d" % (len(WHOLE) + 10), 502),
        (b"content-length: %d" % (len(WHOLE) - 10), 502),
        (b"content-length: -5", 502),
        (b"content-length: many", 502),
        (b"content-length: 5\r\ncontent-length: %d" % len(WHOLE), 502),
        (b"content-length: %d\r\ntransfer-encoding: chunked" % len(WHOLE), 502),
        (b"transfer-encoding: chunked", 502),
        (b"x: no length at all", 200),
    ],
    ids=["long", "short", "negative", "a-word", "two", "both", "chunks-that-are-none", "none"],
)
def test_lengths_that_lie(stage: Stage, head: bytes, status: int) -> None:
    stage.once(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + head + b"\r\n\r\n" + WHOLE)
    reply = stage.ask()
    assert reply.status_code == status, reply.text


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_an_answer_that_nobody_asked_for_reaches_nobody(stage: Stage, pause: float) -> None:
    """A kept connection on which more came than was asked for is not used again."""
    evil = orjson.dumps({**CHAT.whole, "id": "somebody-elses"})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(answer(WHOLE))
            await writer.drain()
            await asyncio.sleep(pause)
            writer.write(answer(evil))
            await writer.drain()

    stage.plays(talk)
    caller = stage.live.caller(PINNED)
    for _ in range(4):
        assert caller.post(CHAT.path, json=CHAT.body()).content == WHOLE
        time.sleep(pause * 3)


def test_a_kept_connection_is_used_again(stage: Stage) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request(reader)
            writer.write(answer(WHOLE))
            await writer.drain()

    stage.plays(talk)
    before = stage.connections
    caller = stage.live.caller(PINNED)
    for _ in range(5):
        assert caller.post(CHAT.path, json=CHAT.body()).status_code == 200
    assert stage.connections - before <= 2  # one of another test's may still have been at hand


@pytest.mark.parametrize("api", [CHAT, MESSAGES], ids=["passed", "translated"])
def test_a_stream_of_nothing_but_comments_ends(stage: Stage, api: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it may go out before the reply has begun, so it would gather in memory."""
    monkeypatch.setattr("shared.attempts.MAX_EVENT", 4_000_000)
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while sent < 400_000_000:
            writer.write(b": thinking\n\n" * 10_000)
            sent += 120_000
            await writer.drain()

    stage.plays(talk)
    wire = MESSAGES if api is MESSAGES else CHAT
    reply = stage.live.caller(PINNED).post(wire.path, json={**wire.body(stream=True), "model": PINNED})
    assert (reply.status_code, wire.code(reply)) == (502, "PROVIDER_ERROR")
    assert sent < 100_000_000


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "header",
    [
        b"retry-after: 5\r\n x-evil: folded",
        b"retry-after: 5\rx-evil: bare",
        b"retry-after: 5\x00",
        b"x-ratelimit-a: \xff\xfe",
        b"x-ratelimit-a: " + b"a" * 200_000,
        b"\r\n".join(b"x-h%d: %d" % (number, number) for number in range(5_000)),
        b"set-cookie: a=b\r\nserver: evil\r\nx-ekai-provider: me\r\nx-request-id: mine",
    ],
    ids=["fold", "bare-cr", "nul", "bytes", "long", "many", "ours"],
)
def test_headers_of_a_provider_set_none_of_ours(stage: Stage, header: bytes) -> None:
    stage.once(answer(WHOLE, header))
    reply = stage.ask()
    assert reply.status_code in (200, 502)
    assert not {"x-evil", "set-cookie"} & reply.headers.keys()
    assert reply.headers["server"] == "uvicorn"
    if reply.status_code == 200:
        assert reply.headers["x-ekai-provider"] == "openai"
        assert reply.headers["x-request-id"] != "mine"
        assert all(len(value) <= 4_096 and value.isprintable() for value in reply.headers.values())


# ── too many ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_storm_of_429_leaves_the_provider_alone_for_as_long_as_it_asks(tmp_path: Path) -> None:
    asked = {"limited": 0, "open": 0}

    async def limited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        asked["limited"] += 1
        error = orjson.dumps({"error": {"message": "slow down", "type": "rate_limit_error"}})
        writer.write(answer(error, b"retry-after: 3", b"connection: close", status=429))

    async def generous(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        asked["open"] += 1
        writer.write(answer(WHOLE, b"connection: close"))

    first, second = RawProvider(limited), RawProvider(generous)
    upstreams = {"OPENAI_UPSTREAM_URL": first.url, "OPENROUTER_UPSTREAM_URL": second.url}
    try:
        with gateway(tmp_path, COOLDOWN_SECONDS="60", **upstreams) as live:
            client = live.caller("gpt-4o")
            begun = time.monotonic()
            replies = [client.post(CHAT.path, json=CHAT.body()) for _ in range(12)]
            assert time.monotonic() - begun < 2.9, "too slow to tell"
            assert {reply.status_code for reply in replies} == {200}
            assert asked == {"limited": 1, "open": 12}
            time.sleep(max(begun + 3.2 - time.monotonic(), 0))
            assert client.post(CHAT.path, json=CHAT.body()).headers["x-ekai-attempts"] == "2"
            assert asked["limited"] == 2
            assert sum(row["attempts"] for row in live.rows(client, 13)) == 15
    finally:
        first.close()
        second.close()

"""The client for providers on a wire of its own: connections kept and given up, bodies of any size, replies of any shape, and time."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from shared import pool
from shared.errors import GatewayError
from shared.plan import Call
from shared.pool import Origin, address_of
from shared.unpacking import PIECE
from shared.upstream import Upstream

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    def run(work: Awaitable[None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(work)  # type: ignore[arg-type]  # a coroutine

    return run


class Provider:
    """Says on every connection what `talk` says."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.connections = 0
        self.heard: list[bytes] = []
        self.ended = asyncio.Event()  # a connection was closed by the other side

    @asynccontextmanager
    async def open(self, connect_seconds: float = 5.0) -> AsyncIterator[tuple[Upstream, str]]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        upstream = Upstream(connect_seconds)
        try:
            yield upstream, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
        finally:
            await upstream.close()
            server.close()
            await asyncio.sleep(0.02)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.ended.set()
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        body = await reader.readexactly(size)
        self.heard.append(head + body)
        return body


def says(*replies: bytes) -> Provider:
    """Each connection answers its requests with these, one after the other, and then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await provider.request(reader)
            writer.write(reply)
            await writer.drain()

    provider = Provider(talk)
    return provider


def always(reply: bytes) -> Provider:
    return says(*[reply] * 100)


def call(url: str, body: bytes = b"{}", **headers: str) -> Call:
    return Call(url, {"content-type": "application/json", **headers}, body, stream=False)


async def asked(upstream: Upstream, url: str, body: bytes = b"{}", seconds: float = 5.0) -> bytes:
    answer = await upstream.send(call(url, body), seconds)
    try:
        return await answer.whole()
    finally:
        answer.close()


async def refusal(work: Awaitable[object]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await work
    return caught.value


# ── connections ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_connection_is_used_again_and_again(run: Callable[..., None]) -> None:
    async def test() -> None:
        provider = always(OK)
        async with provider.open() as (upstream, url):
            assert [await asked(upstream, url, b"%d" % number) for number in range(20)] == [b"ok"] * 20
        assert provider.connections == 1
        assert [raw.rpartition(b"\r\n\r\n")[2] for raw in provider.heard] == [b"%d" % number for number in range(20)]

    run(test())


def test_at_once_means_on_connections_of_their_own(run: Callable[..., None]) -> None:
    async def test() -> None:
        provider = always(OK)
        async with provider.open() as (upstream, url):
            assert await asyncio.gather(*[asked(upstream, url) for _ in range(30)]) == [b"ok"] * 30
            assert provider.connections == 30
            assert await asyncio.gather(*[asked(upstream, url) for _ in range(30)]) == [b"ok"] * 30
            assert provider.connections == 30

    run(test())


def test_what_is_idle_for_long_is_closed(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "KEPT_SECONDS", 0.1)

    async def test() -> None:
        provider = always(OK)
        async with provider.open() as (upstream, url):
            await asked(upstream, url)
            await asyncio.wait_for(provider.ended.wait(), 5)
            await asked(upstream, url)
            assert provider.connections == 2

    run(test())


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_connection_that_the_provider_closed_is_not_the_requests_fault(
    run: Callable[..., None], pause: float
) -> None:
    async def test() -> None:
        provider = says(OK)
        async with provider.open() as (upstream, url):
            for _ in range(5):
                assert await asked(upstream, url) == b"ok"
                await asyncio.sleep(pause)
        assert provider.connections == 5

    run(test())


def test_a_kept_connection_that_answers_nothing_is_replaced_once(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.request(reader)
        if provider.connections > 1:
            return  # new, and no answer either
        writer.write(OK)
        await provider.request(reader)

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            await asked(upstream, url)
            error = await refusal(asked(upstream, url))
        assert (error.status, provider.connections, len(provider.heard)) == (502, 2, 3)

    provider.ended = asyncio.Event()
    run(test())


def test_a_reply_that_began_is_not_asked_for_again(run: Callable[..., None]) -> None:
    async def test() -> None:
        provider = says(OK, b"HTTP/1.1 200 OK\r\ncontent-le")
        async with provider.open() as (upstream, url):
            await asked(upstream, url)
            assert (await refusal(asked(upstream, url))).status == 502
        assert (provider.connections, len(provider.heard)) == (1, 2)

    run(test())


@pytest.mark.parametrize(
    "unasked",
    [OK, b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", b"x", b"\0" * 10],
    ids=["reply", "error", "x", "nul"],
)
def test_what_comes_unasked_is_nobodys_answer(run: Callable[..., None], unasked: bytes) -> None:
    async def test() -> None:
        for pause in (0.0, 0.03):
            provider = always(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nmine" + unasked)
            async with provider.open() as (upstream, url):
                for _ in range(5):
                    assert await asked(upstream, url) == b"mine"
                    await asyncio.sleep(pause)
                assert provider.connections == 5

    run(test())


def test_an_exchange_that_is_given_up_ends_its_connection(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.request(reader)
        await reader.readexactly(1)

    provider = Provider(talk)

    async def test() -> None:
        provider.ended = asyncio.Event()
        async with provider.open() as (upstream, url):
            task = asyncio.create_task(asked(upstream, url))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(provider.ended.wait(), 5)

    run(test())


def test_the_end_of_the_process_ends_what_is_under_way(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.request(reader)
        await reader.readexactly(1)

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            task = asyncio.create_task(refusal(asked(upstream, url)))
            await asyncio.sleep(0.05)
            await upstream.close()
            assert (await asyncio.wait_for(task, 5)).status == 502

    run(test())


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reply_has_its_time_to_begin_and_then_all_the_time(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab")
        await asyncio.sleep(0.4)
        writer.write(b"cd")

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            error = await refusal(asked(upstream, url, seconds=0.2))
            assert (error.status, "within 0.2 seconds" in error.message) == (504, True)
            answer = await upstream.send(call(url), 0.2)
            answer.in_time()
            assert await answer.whole() == b"abcd"
            answer.close()

    run(test())


def test_silence_ends_in_time(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000_000)

    async def test() -> None:
        async with Provider(talk).open() as (upstream, url):
            for body in (b"{}", b"x" * 20_000_000):
                assert (await refusal(asked(upstream, url, body, seconds=0.2))).status == 504

    run(test())


def test_nobody_is_waited_for_longer_than_the_limit_to_connect(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*args: object, **kwargs: object) -> None:
        await asyncio.sleep(30)

    monkeypatch.setattr(pool, "start_connection", never)

    async def test() -> None:
        assert (await refusal(asked(Upstream(0.1), "http://127.0.0.1:9/x"))).status == 504

    run(test())


def test_names_that_lead_nowhere_are_looked_up_again(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        loop, looked = asyncio.get_running_loop(), list[object]()
        real = loop.getaddrinfo

        async def counted(*args: object, **kwargs: object) -> object:
            looked.append(args)
            return await real(*args, **kwargs)  # type: ignore[arg-type]  # passed on

        provider = always(OK)
        async with provider.open() as (upstream, url):
            places = pool.Pool()
            monkeypatch.setattr(places, "_loop", _Counting(loop, counted))
            origin = address_of(url).origin
            for _ in range(3):
                (await places.connect(origin)).close()
            assert len(looked) == 1
            nowhere = Origin("127.0.0.1", 1, tls=False)
            for _ in range(2):
                with pytest.raises(OSError):
                    await places.connect(nowhere)
            assert len(looked) == 3
            assert await asked(upstream, url) == b"ok"

    run(test())


class _Counting:
    def __init__(self, loop: asyncio.AbstractEventLoop, getaddrinfo: object) -> None:
        self._loop, self.getaddrinfo = loop, getaddrinfo

    def __getattr__(self, name: str) -> object:
        return getattr(self._loop, name)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 262_144, 262_145, 5_000_000])
def test_a_body_of_any_size_arrives(run: Callable[..., None], size: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await asyncio.sleep(0.05)  # the provider takes its time
            await provider.request(reader)
            writer.write(OK)

    provider = Provider(talk)

    async def test() -> None:
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        async with provider.open() as (upstream, url):
            assert [await asked(upstream, url, body), await asked(upstream, url, body)] == [b"ok", b"ok"]
        assert [raw.partition(b"\r\n\r\n")[2] == body for raw in provider.heard] == [True, True]
        assert provider.connections == 1

    run(test())


def test_a_provider_may_refuse_a_body_that_it_has_not_read(run: Callable[..., None]) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")
        await writer.drain()
        await asyncio.sleep(0.3)

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            for _ in range(2):
                answer = await upstream.send(call(url, b"x" * 30_000_000), 5)
                assert (answer.status, await answer.error_body()) == (413, b"big")
                answer.close()
            assert provider.connections == 2  # what was not sent can't be taken back

    run(test())


def test_a_reply_waits_at_the_providers_until_it_is_read(run: Callable[..., None]) -> None:
    size, sent = 40_000_000, list[int]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await provider.request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(b"y" * 100_000)
            await writer.drain()
            sent.append(100_000)

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            answer = await upstream.send(call(url), 5)
            await asyncio.sleep(0.3)
            assert sum(sent) < 20_000_000
            assert len(await answer.whole()) == size
            answer.close()

    run(test())


@pytest.mark.parametrize(
    "before",
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 P\r\n\r\n"],
    ids=["nothing", "continue", "hints"],
)
@pytest.mark.parametrize(
    ("raw", "body", "kept"),
    [
        (OK, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nretry-after: 9\r\n\r\n", b"ok", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok", b"ok", True),
    ],
    ids=["length", "empty", "chunks", "trailers", "close", "old", "old-kept"],
)
def test_replies_in_every_form(run: Callable[..., None], before: bytes, raw: bytes, body: bytes, kept: bool) -> None:
    whole = before + raw

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await provider.request(reader)
            for byte in whole if provider.connections == 1 else [whole]:
                writer.write(bytes([byte]) if isinstance(byte, int) else byte)
                await asyncio.sleep(0)

    provider = Provider(talk)

    async def test() -> None:
        async with provider.open() as (upstream, url):
            for _ in range(2):
                answer = await upstream.send(call(url), 5)
                assert await answer.whole() == body
                assert not {"link", "retry-after"} & answer.headers.keys()
                answer.close()
                answer.close()
            assert provider.connections == (1 if kept else 2)

    run(test())


def test_a_reply_without_a_length_ends_with_its_connection(run: Callable[..., None]) -> None:
    async def test() -> None:
        provider = says(b"HTTP/1.1 200 OK\r\n\r\nall there is")
        async with provider.open() as (upstream, url):
            assert [await asked(upstream, url), await asked(upstream, url)] == [b"all there is"] * 2
            assert provider.connections == 2

    run(test())


def test_heads_have_an_end(run: Callable[..., None]) -> None:
    async def test() -> None:
        async with says(b"HTTP/1.1 200 OK\r\n" + b"x-more: y\r\n" * 10_000).open() as (upstream, url):
            error = await refusal(asked(upstream, url))
            assert (error.status, error.message) == (502, "The provider could not be reached (BrokenError).")

    run(test())


@pytest.mark.parametrize("size", [0, 10, PIECE - 1, PIECE, PIECE + 1, 3_000_000])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_what_is_packed_comes_out_whole(run: Callable[..., None], coding: str, size: int) -> None:
    plain = b"z" * size
    packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)

    async def test() -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {len(packed)}\r\n\r\n".encode()
        async with always(head + packed).open() as (upstream, url):
            assert await asked(upstream, url) == plain

    run(test())


# ── addresses and heads ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "origin", "first"),
    [
        ("http://h/v1/x?alt=sse", Origin("h", 80, tls=False), "POST /v1/x?alt=sse HTTP/1.1\r\nhost: h\r\n"),
        ("https://H.example:8443", Origin("h.example", 8443, tls=True), "POST / HTTP/1.1\r\nhost: h.example:8443\r\n"),
        ("http://[::1]:8000/x", Origin("::1", 8000, tls=False), "POST /x HTTP/1.1\r\nhost: [::1]:8000\r\n"),
        ("https://bücher.example/x", Origin("xn--bcher-kva.example", 443, tls=True), "POST /x HTTP/1.1\r\nhost: xn--"),
    ],
)
def test_addresses(url: str, origin: Origin, first: str) -> None:
    address = address_of(url)
    assert address.origin == origin
    assert address.head.startswith(first)


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "h/x", "http:///x", "http://h/a b", "http://h/\r\nx: y", "http://h/ü", "http://h:port/x"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError):
        address_of(url)


def test_a_user_in_the_url_is_for_those_who_have_no_key(run: Callable[..., None]) -> None:
    async def test() -> None:
        provider = always(OK)
        async with provider.open() as (upstream, url):
            named = url.replace("http://", "http://me:p%40ss@")
            assert "p@ss" not in repr(address_of(named))
            (await upstream.send(call(named), 5)).close()
            (await upstream.send(call(named, authorization="Bearer k"), 5)).close()
        told = [raw.lower().partition(b"authorization: ")[2].split(b"\r\n")[0] for raw in provider.heard]
        assert told == [b"basic bwu6cebzcw==", b"bearer k"]

    run(test())


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\0"])
def test_a_header_is_one_line_or_nothing_is_sent(run: Callable[..., None], value: str) -> None:
    async def test() -> None:
        provider = always(OK)
        async with provider.open() as (upstream, url):
            error = await refusal(upstream.send(call(url, authorization=value), 5))
            assert (error.status, value in error.message, provider.connections) == (502, False, 0)

    run(test())

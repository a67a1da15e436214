"""ASGI at its edges: bodies, headers, clients that are gone, and what a broken gateway says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from starlette.types import Message, Scope

from shared.context import Gateway
from shared.delivery import _pump
from shared.errors import Code, GatewayError
from shared.exchange import PING, ClientGoneError, Exchange
from shared.web import Completion, Endpoint, Reply, serve


def scope(method: str = "GET", path: str = "/x", **headers: str) -> Scope:
    named = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "headers": named,
        "root_path": "", "scheme": "http", "http_version": "1.1", "server": ("x", 1), "client": ("x", 1),
    }  # fmt: skip


class Client:
    """The other side: `bodies` arrive one by one, then a hang-up; what is sent to it is kept, until it is gone."""

    def __init__(self, *bodies: bytes, gone_after: int = 10**6) -> None:
        self._messages: list[Message] = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
        self.received: list[Message] = []
        self._gone_after = gone_after

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if len(self.received) >= self._gone_after:
            raise OSError("gone")
        self.received.append(message)

    @property
    def status(self) -> int:
        return int(self.received[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.received[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.received[1:])


def read(limit: int, *bodies: bytes, last: bool = True, **headers: str) -> bytes:
    client = Client(*bodies)
    if last and client._messages:
        client._messages[-1]["more_body"] = False
    return asyncio.run(Exchange(scope(**headers), client.receive, client.send).body(limit))


def test_bodies_in_pieces() -> None:
    assert read(10, b"abc", b"", b"def") == b"abcdef"
    assert read(6, b"abc", b"def") == b"abcdef"


@pytest.mark.parametrize(
    "headers", [{}, {"content_length": "7"}, {"content_length": "3"}, {"content_length": "-1"}, {"content_length": "x"}]
)
def test_bodies_too_large_whatever_was_declared(headers: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        read(6, b"abc", b"defg", b"never read", **headers)
    assert caught.value.code is Code.REQUEST_TOO_LARGE


def test_a_body_that_breaks_off() -> None:
    with pytest.raises(ClientGoneError):
        read(100, b"abc", last=False)


def test_a_client_that_dawdles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.exchange.BODY_SECONDS", 0.05)

    async def never() -> Message:
        await asyncio.sleep(10)
        raise AssertionError

    with pytest.raises(GatewayError) as caught:
        asyncio.run(Exchange(scope(), never, Client().send).body(5))
    assert caught.value.status == 408


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\0b", "tab\t", "ü", "名", "x" * 10_000, "\x7f", "\u2028"])
def test_no_value_breaks_a_header(value: str) -> None:
    client = Client()
    exchange = Exchange(scope(), client.receive, client.send)
    exchange.start(200, [("x-name", value)])
    asyncio.run(exchange.finish())
    got = client.headers[b"x-name"]
    assert not any(byte < 32 or byte == 127 for byte in got)
    assert len(got) <= 4096


# ── a JSON route ─────────────────────────────────────────────────────────────────────────────────────────────────


class _App:
    """A gateway in as far as a route sees it."""

    state = SimpleNamespace(gateway=SimpleNamespace(clock=lambda: 0.0))


def call(handler: Callable[[Exchange, Gateway], Any], client: Client, method: str = "GET", path: str = "/x") -> Client:
    asyncio.run(Endpoint(handler)({**scope(method, path), "app": _App}, client.receive, client.send))
    return client


async def _fine(exchange: Exchange, gateway: Gateway) -> Reply:
    return Reply({"a": 1})


async def _broken(exchange: Exchange, gateway: Gateway) -> Reply:
    raise RuntimeError("secret /path/of/mine")


async def _empty(exchange: Exchange, gateway: Gateway) -> Reply:
    return Reply(status=204)


def test_a_reply() -> None:
    client = call(_fine, Client())
    assert (client.status, client.body) == (200, b'{"a":1}')
    assert client.headers[b"content-length"] == b"7"


def test_head_has_the_headers_and_no_body() -> None:
    client = call(_fine, Client(), "HEAD")
    assert (client.body, client.headers[b"content-length"]) == (b"", b"7")


def test_no_content_has_no_length() -> None:
    """https://www.rfc-editor.org/rfc/rfc9110#field.content-length"""
    client = call(_empty, Client())
    assert (client.status, client.body) == (204, b"")
    assert b"content-length" not in client.headers
    assert b"content-type" not in client.headers


@pytest.mark.parametrize("path", ["/x", "/v1/messages"])
def test_a_failure_of_ours_says_nothing_and_is_logged(path: str, caplog: pytest.LogCaptureFixture) -> None:
    client = call(_broken, Client(), path=path)
    assert client.status == 500
    assert b"secret" not in client.body
    body = orjson.loads(client.body)
    assert body["error"]["code"] == "INTERNAL_ERROR"
    assert ("type" in body) == (path != "/x")
    assert "secret /path/of/mine" in caplog.text


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("handler", [_fine, _broken, _empty])
def test_a_client_that_is_gone_is_no_error(after: int, handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "uvicorn")
    call(handler, Client(gone_after=after))


def test_a_completion_whose_client_is_gone_is_no_error() -> None:
    async def refuse(headers: object) -> None:
        raise GatewayError(Code.AUTHENTICATION_ERROR, "no")

    async def record(*_: object) -> None:
        rows.append(_[0])

    rows: list[object] = []
    gateway = SimpleNamespace(
        clock=lambda: 0.0, receipts_on=False, billed=None, callers=SimpleNamespace(identify=refuse), store=SimpleNamespace(record=record)
    )  # fmt: skip
    for after in (0, 1):
        client = Client(gone_after=after)
        app = SimpleNamespace(state=SimpleNamespace(gateway=gateway))
        asyncio.run(Completion("messages")({**scope("POST", "/v1/messages"), "app": app}, client.receive, client.send))
    assert len(rows) == 2


def test_nothing_and_wrong_methods_in_the_apis_shape() -> None:
    async def ask(method: str, path: str) -> tuple[int, Any]:
        from starlette.routing import Route

        app = serve([Route("/v1/messages", Endpoint(_fine), methods=["POST"])])
        client = Client()
        await app({**scope(method, path), "app": app}, client.receive, client.send)
        return client.status, orjson.loads(client.body)

    status, body = asyncio.run(ask("GET", "/nothing"))
    assert (status, body["error"]["code"], "type" in body) == (404, "NOT_FOUND", False)
    status, body = asyncio.run(ask("GET", "/v1/messages"))
    assert (status, body["error"]["code"], body["type"]) == (405, "METHOD_NOT_ALLOWED", "error")


# ── the watch ────────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def _until_broken_off() -> AsyncIterator[asyncio.Timeout]:
    limit = asyncio.timeout(None)
    with suppress(TimeoutError):
        async with limit:
            yield limit


async def _watched(
    ping: float, idle: float, seconds: float, *, streaming: bool, hears: float = 10.0
) -> tuple[Any, Client, bool]:
    client = Client()
    over = asyncio.Event()

    async def receive() -> Message:
        await over.wait()
        return {"type": "http.disconnect"}

    exchange = Exchange(scope(), receive, client.send)
    exchange.streaming = streaming
    exchange.written_at = asyncio.get_running_loop().time()
    async with _until_broken_off() as limit:
        watch = exchange.watch(limit, ping, idle)
        try:
            for _ in range(round(seconds / min(hears, seconds))):
                await asyncio.sleep(min(hears, seconds))
                watch.heard()
        finally:
            await watch.stop()
    return watch, client, limit.expired()


def test_a_silent_stream_is_pinged_and_in_the_end_given_up() -> None:
    watch, client, cancelled = asyncio.run(_watched(0.04, 0.3, 2.0, streaming=True))
    assert (watch.stalled, watch.gone, cancelled) == (True, False, True)
    assert {message["body"] for message in client.received} == {PING}
    assert 3 <= len(client.received) <= 9


def test_a_stream_that_is_heard_of_goes_on() -> None:
    watch, _, cancelled = asyncio.run(_watched(10, 0.2, 0.8, streaming=True, hears=0.02))
    assert (watch.stalled, cancelled) == (False, False)


def test_what_has_not_begun_is_neither_pinged_nor_given_up() -> None:
    watch, client, cancelled = asyncio.run(_watched(0.02, 0.1, 0.4, streaming=False))
    assert (watch.stalled, cancelled, client.received) == (False, False, [])


def test_a_hang_up_cancels() -> None:
    async def run() -> tuple[bool, bool]:
        client = Client()
        exchange = Exchange(scope(), client.receive, client.send)
        async with _until_broken_off() as limit:
            watch = exchange.watch(limit, 10, 10)
            try:
                await asyncio.sleep(5)
            finally:
                await watch.stop()
        return watch.gone, limit.expired()

    assert asyncio.run(run()) == (True, True)


def test_a_provider_without_a_pause_ends_with_its_client() -> None:
    """A task is cancelled only while it waits for something; one whose data is always there never does."""

    class Answer:
        sent = -1

        async def read(self) -> bytes:
            self.sent += 1
            watch.gone = self.sent >= 10
            return b"data: {}\n\n" if self.sent < 1_000 else b""

    async def run() -> None:
        client = Client()
        relay = SimpleNamespace(ended=False, failed=None, feed=lambda chunk: chunk, close=lambda: b"")
        attempt = SimpleNamespace(relay=relay, first=b"", answer=answer)
        await _pump(Exchange(scope(), client.receive, client.send), attempt, watch)  # type: ignore[arg-type]  # stand-ins

    answer, watch = Answer(), SimpleNamespace(gone=False, heard=lambda: None)
    with pytest.raises(ClientGoneError):
        asyncio.run(run())
    assert answer.sent == 10


@pytest.mark.parametrize(("seconds", "gone"), [(0.3, False), (3.0, True)])
def test_a_client_that_does_not_read_is_no_fault_of_the_providers(seconds: float, gone: bool) -> None:
    async def run() -> tuple[bool, bool]:
        async def receive() -> Message:
            await asyncio.sleep(10)
            raise AssertionError

        async def send(message: Message) -> None:
            await asyncio.sleep(seconds)

        exchange = Exchange(scope(), receive, send)
        exchange.streaming = True
        async with _until_broken_off() as limit:
            watch = exchange.watch(limit, 0.05, 0.6)
            try:
                for _ in range(3):
                    await exchange.write(b"x")
            finally:
                await watch.stop()
        assert not watch.stalled
        return watch.gone, limit.expired()

    assert asyncio.run(run()) == (gone, gone)

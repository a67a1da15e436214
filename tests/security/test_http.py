"""Requests that no client would send, over a real socket: two in one, heads without end, names that would be headers, odd methods."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import orjson
import pytest

from emulator import heads
from emulator.app import create
from tests.gateway.live import KEYS, Live, running
from tests.gateway.provider import Provider, json_reply
from tests.gateway.wire import CHAT, MESSAGES
from tests.security.raw import connected, said

BODY = orjson.dumps(CHAT.body())
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Served as `ekai serve` does it, with little patience."""
    folder = tmp_path_factory.mktemp("gateway")
    provider = Provider()
    provider.script = lambda asked: json_reply(CHAT.whole if asked.path.endswith("completions") else MESSAGES.whole)
    upstreams = {
        f"{name.removesuffix('_API_KEY')}_UPSTREAM_URL": f"{provider.url}/{name.removesuffix('_API_KEY').lower()}"
        for name in KEYS
    }
    settings = {
        **KEYS,
        **upstreams,
        "DATABASE_PATH": str(folder / "gateway.db"),
        "LOGIN_ATTEMPTS": "0",
        "COOLDOWN_SECONDS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "SECONDS", 1.0)
        with closing(provider), running(create, settings, folder, http=heads.BoundedHeads) as url:
            made = Live(url, provider, folder)
            yield made
            made.rest()


@pytest.fixture(autouse=True)
def _rested(live: Live) -> Iterator[None]:
    yield
    live.rest()


def statuses(raw: bytes) -> list[int]:
    return [int(status) for status in STATUS.findall(raw)]


# ── two requests in one ──────────────────────────────────────────────────────────────────────────────────────────


def _post(token: str, *headers: bytes, body: bytes = BODY) -> bytes:
    lines = [b"POST /v1/chat/completions HTTP/1.1", b"host: x", b"authorization: " + token.encode(), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_HIDDEN = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
_CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([b"content-length: %d" % len(BODY), b"transfer-encoding: chunked"], _CHUNKED),
        ([b"transfer-encoding: chunked", b"content-length: 4"], _CHUNKED),
        ([b"content-length: %d" % len(BODY), b"content-length: %d" % (len(BODY) + 3)], BODY),
        ([b"content-length: %d" % len(BODY), b"content-length: %d" % len(BODY)], BODY),
        ([b"content-length: %d, %d" % (len(BODY), len(BODY))], BODY),
        ([b"content-length: +%d" % len(BODY)], BODY),
        ([b"content-length: 0x%x" % len(BODY)], BODY),
        ([b"content-length : %d" % len(BODY)], BODY),
        ([b"content-length: 99999999999999999999999"], BODY),
        ([b"transfer-encoding: xchunked"], _CHUNKED),
        ([b"transfer-encoding: chunked, identity"], _CHUNKED),
        ([b"transfer-encoding: chunked"], b"-5\r\nhello\r\n0\r\n\r\n"),
        ([b"transfer-encoding: chunked"], b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ([b"transfer-encoding: chunked"], b"5\nhello\n0\n\n"),
        ([b"x-a: b", b" content-length: %d" % len(BODY)], BODY),
        ([b"x-a: b\nx-c: d", b"content-length: %d" % len(BODY)], BODY),
        ([b"x-a: b\rx-c: d", b"content-length: %d" % len(BODY)], BODY),
        ([b"x-a: b\x00c", b"content-length: %d" % len(BODY)], BODY),
        ([b"x(a): b", b"content-length: %d" % len(BODY)], BODY),
    ],
    ids=[
        "cl-te", "te-cl", "two-lengths", "the-same-length-twice", "lengths-in-one", "plus", "hex", "space-before-colon",
        "huge", "unknown-coding", "chunked-not-last", "negative-chunk", "huge-chunk", "bare-lf-chunks", "folded", "bare-lf",
        "bare-cr", "nul", "bad-name",
    ],
)  # fmt: skip
def test_two_requests_in_one(live: Live, headers: list[bytes], body: bytes) -> None:
    """Whatever a proxy in front may think of it: refused, and nothing that follows on the connection is answered."""
    token = live.caller("openai/gpt-4o").headers["authorization"]
    answers = statuses(said(live.url, _post(token, *headers, body=body) + _HIDDEN))
    assert answers in ([400], []), answers
    assert not live.provider.asked


def test_requests_one_after_another_are_answered_in_their_order(live: Live) -> None:
    token = live.caller("openai/gpt-4o").headers["authorization"]
    whole = _post(token, b"content-length: %d" % len(BODY))
    chunked = _post(token, b"transfer-encoding: chunked", body=_CHUNKED)
    assert statuses(said(live.url, whole + chunked + _HIDDEN)) == [200, 200, 404]
    assert len(live.provider.asked) == 2


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://elsewhere.example/health HTTP/1.1",
        b"GET //health HTTP/1.1",
        b"GET /health%00 HTTP/1.1",
        b"GET /health%0d%0ax-evil:%201 HTTP/1.1",
        b"GET /v1/models/%ff%fe HTTP/1.1",
        b"GET /v1/models/..%2f..%2fetc%2fpasswd HTTP/1.1",
        b"GET /v1/models/" + b"a/" * 5_000 + b" HTTP/1.1",
        b"GET /v1/models?limit=99999999999999999999999999&offset=-1 HTTP/1.1",
        b"GET /v1/models?search=%ff%fe%00 HTTP/1.1",
        b"GET /usage?timezone=../../etc/passwd HTTP/1.1",
        b"GET /usage?startTime=%00&limit=1e9 HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT provider.example:443 HTTP/1.1",
        b"TRACE /health HTTP/1.1",
        b"PROPFIND / HTTP/1.1",
        b"BREW /coffee HTTP/1.1",
        b"GET /health HTTP/9.9",
        b"GET /health",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_odd_request_lines(live: Live, line: bytes) -> None:
    heard = said(live.url, line + b"\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert b"x-evil" not in heard.partition(b"\r\n\r\n")[0]
    assert b"root:" not in heard
    assert all(status < 500 for status in statuses(heard)), heard
    assert httpx.get(f"{live.url}/health").status_code == 200


def test_methods_that_only_look(live: Live) -> None:
    for path in ("/", "/health", "/v1/models", "/usage", "/budget", "/rofl/public-key"):
        shown, looked = httpx.get(live.url + path), httpx.head(live.url + path)
        assert (looked.status_code, looked.content) == (shown.status_code, b"")
        assert int(looked.headers["content-length"]) == pytest.approx(len(shown.content), abs=64)
    assert httpx.head(f"{live.url}/v1/messages").status_code == 405
    assert httpx.options(f"{live.url}/v1/messages").status_code == 405
    asking = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key",
    }
    allowed = httpx.options(f"{live.url}/v1/messages", headers=asking)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in allowed.headers


# ── names that would be headers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "name", ["gpt-4o\r\nx-evil: 1", "gpt-4o\nx-evil: 1", "é\u2028x", "x" * 100_000, "\x00", "a\r\n\r\n<html>"]
)
def test_a_models_name_is_no_header(live: Live, name: str) -> None:
    client = live.caller("openai/gpt-4o")
    raw = said(live.url, _raw(client, {**CHAT.body(), "model": name}))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert statuses(raw) == [200]
    assert b"\nx-evil" not in head
    assert b"x-ekai-model-requested: " in head
    assert len(head) < 8_192
    assert orjson.loads(body)["model"]


@pytest.mark.parametrize("field", ["logit_bias\r\nx-evil: 1", "n\x00", "é", "x" * 50_000])
def test_a_fields_name_is_no_header(live: Live, field: str) -> None:
    """Names of dropped fields go out in `x-ekai-dropped`."""
    client = live.caller("anthropic/claude-haiku-4-5")
    raw = said(
        live.url, _raw(client, {**CHAT.body(), "model": "anthropic/claude-haiku-4-5", "max_tokens": 5, field: {"a": 1}})
    )
    head = raw.partition(b"\r\n\r\n")[0]
    assert statuses(raw)[0] in (200, 400)
    assert b"\nx-evil" not in head
    assert len(head) < 8_192


def test_headers_that_are_passed_on_hold_one_line(live: Live) -> None:
    client = live.caller("anthropic/claude-haiku-4-5")
    raw = _raw(
        client, MESSAGES.body(), MESSAGES.path, b"anthropic-beta: a\tb\xff, c", b"anthropic-version: " + b"9" * 30_000
    )
    assert statuses(said(live.url, raw))[0] < 500
    for asked in live.provider.asked:
        assert asked.headers["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]


def _raw(client: httpx.Client, body: object, path: str = CHAT.path, *headers: bytes) -> bytes:
    raw = orjson.dumps(body)
    token = client.headers["authorization"].encode()
    lines = [
        b"POST " + path.encode() + b" HTTP/1.1",
        b"host: x",
        b"authorization: " + token,
        b"content-length: %d" % len(raw),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + raw


# ── slow and endless ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "begun", [b"", b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-a: "], ids=["silent", "trickling"]
)
def test_a_head_that_does_not_come_is_not_waited_for(live: Live, begun: bytes) -> None:
    begin = time.monotonic()
    with connected(live.url) as plug:
        plug.sendall(begun)
        plug.settimeout(0.2)
        while time.monotonic() - begin < 8:
            try:
                if plug.recv(10) == b"":
                    break
            except TimeoutError:
                plug.sendall(b"a" if begun else b"")
            except ConnectionError:
                break
    assert 0.8 < time.monotonic() - begin < 5


def test_a_slow_body_holds_up_nobody(live: Live) -> None:
    token = live.caller("openai/gpt-4o").headers["authorization"]
    with ExitStack() as stack:
        plugs = [stack.enter_context(connected(live.url)) for _ in range(150)]
        for plug in plugs:
            plug.sendall(_post(token, b"content-length: 1000", body=b"{"))
        begun = time.monotonic()
        for _ in range(20):
            reply = httpx.post(live.url + CHAT.path, content=BODY, headers={"authorization": token})
            assert reply.status_code == 200
        assert time.monotonic() - begun < 5
        time.sleep(1.2)  # the limit is for heads: a body has its own, longer one
        plugs[0].sendall(b" " * (1000 - 1 - len(BODY[1:])) + BODY[1:])
        assert plugs[0].recv(15) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("kind", ["line", "header", "headers"])
def test_a_head_without_end(live: Live, kind: str) -> None:
    piece = b"x-h: " + b"a" * 4_000 + b"\r\n" if kind == "headers" else b"a" * 4_096
    sent = 0
    with connected(live.url) as plug:
        try:
            plug.sendall(b"GET /" if kind == "line" else b"GET /health HTTP/1.1\r\nx-a: ")
            while sent < 50_000_000:
                plug.sendall(piece)
                sent += len(piece)
        except ConnectionError:
            pass
    assert sent < 20_000_000  # with what lies in the kernel's buffers
    assert httpx.get(f"{live.url}/health").status_code == 200


def test_a_large_head_is_refused_by_its_name(live: Live) -> None:
    heard = said(live.url, b"GET /health HTTP/1.1\r\nhost: x\r\nx-a: " + b"a" * 70_000)
    assert statuses(heard) == [431]


def test_a_kept_connection_outlives_the_time_for_a_head(live: Live) -> None:
    with connected(live.url) as plug:
        for _ in range(2):
            plug.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert plug.recv(4_096).startswith(b"HTTP/1.1 200")
            time.sleep(1.3)

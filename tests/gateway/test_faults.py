"""What breaks: providers that answer nonsense, break off or stall, clients that hang up. Each leaves a clear end and one row."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import CUT, Reply, json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES, Api, sse

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
ERROR_EVENT = {
    "chat_completions": b'data: {"error"',
    "messages": b"event: error\n",
    "responses": b"event: response.failed\n",
}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {
        "COOLDOWN_SECONDS": "0",
        "STREAM_IDLE_TIMEOUT": "0.6",
        "PING_INTERVAL": "0.2",
        "UPSTREAM_TIMEOUT": "1.5",
    }
    with gateway(tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


def _alone(api: Api) -> str:
    """A name that pins the model to one provider, so that there is nobody to fall back to."""
    return f"{'anthropic' if api is MESSAGES else 'openai'}/{api.model}"


@each_api
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (
            json_reply(
                {"error": {"message": "Slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}},
                429,
                retry_after="7",
            ),
            429,
        ),
        (
            json_reply(
                {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long"}}, 400
            ),
            400,
        ),
        (Reply([b"<html><body><h1>502 Bad Gateway</h1></body></html>"], 502, {"content-type": "text/html"}), 502),
        (Reply([b"<html>fine</html>"], 200, {"content-type": "text/html"}), 502),
        (Reply([], 529), 529),
        (Reply([], 302, {"location": "http://127.0.0.1:1/"}), 502),
        (json_reply({"error": {"message": "inside a 200", "code": 503}}, 200), 502),
        (json_reply([{"error": {"code": 400, "message": "in a list", "status": "INVALID_ARGUMENT"}}], 400), 400),
        (Reply([CUT], 200), 502),
        (Reply(silent=True), 504),
    ],
    ids=["429", "400", "html-502", "html-200", "529", "redirect", "error-in-200", "list", "cut", "silent"],
)
def test_a_provider_that_fails(live: Live, api: Api, stream: bool, reply: Reply, status: int) -> None:
    live.provider.script = lambda asked: reply
    client = live.caller(_alone(api))
    got = client.post(api.path, json=api.body(stream=stream))
    assert got.status_code == status, got.text
    assert api.code(got) == "PROVIDER_ERROR"
    if status == 429:
        assert got.headers["retry-after"] == "7"
        assert "Slow down" in got.json()["error"]["message"]
    assert "html" not in got.text
    [row] = live.rows(client, 1)
    assert row["status"] == status
    assert row["outcome"] == ("refused" if status < 500 else "broken")
    assert row["error"] == "PROVIDER_ERROR"
    assert row["attempts"] == 1
    assert row["total_tokens"] == 0


@each_api
@pytest.mark.parametrize("how", ["cut", "ends", "half", "garbage", "stalls"])
def test_a_stream_that_breaks(live: Live, api: Api, how: str) -> None:
    begun = api.events[:3]
    endings = {
        "cut": (CUT,),
        "ends": (),
        "half": (api.events[3][:-9],),
        "garbage": (api.events[3][:-9], CUT),
        "stalls": (30.0,),
    }
    live.provider.script = lambda asked: sse_reply(*begun, 0.05, *endings[how])
    client = live.caller(_alone(api))
    with client.stream("POST", api.path, json=api.body(stream=True)) as reply:
        raw = b"".join(reply.iter_raw())
    assert reply.status_code == 200
    events = [event for event in raw.split(b"\n\n") if event and not event.startswith(b":")]
    assert events[-1].startswith(ERROR_EVENT[api.name]), events[-1]
    assert all(b"data: {" in event and event.endswith(b"}") for event in events)
    assert b"[DONE]" not in raw
    assert b"message_stop" not in raw
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"], row["error"]) == ("broken", 200, "PROVIDER_ERROR")
    assert row["estimated"] or api is MESSAGES  # message_start has told the prompt's size
    assert row["total_tokens"] > 0
    if how == "stalls":
        assert b": ping\n\n" in raw
        assert live.provider.was_left(1)


@each_api
@pytest.mark.parametrize("when", ["before the head", "in the stream"])
def test_a_client_that_hangs_up(live: Live, api: Api, when: str) -> None:
    slow = (20.0, *api.events) if when == "before the head" else (*api.events[:3], 20.0)
    live.provider.script = lambda asked: sse_reply(*slow) if when == "in the stream" else Reply(silent=True)
    client = live.caller(_alone(api))
    with pytest.raises(httpx.ReadTimeout):
        client.post(api.path, json=api.body(stream=True), timeout=0.3) if when != "in the stream" else _leave(
            client, api
        )
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"]) == ("client_gone", 499)
    assert row["attempts"] == 1
    assert (row["total_tokens"] > 0) == (when == "in the stream")
    assert live.provider.was_left(1)


def _leave(client: httpx.Client, api: Api) -> None:
    with client.stream("POST", api.path, json=api.body(stream=True)) as reply:
        next(reply.iter_raw())
    raise httpx.ReadTimeout("left")


@each_api
def test_an_error_event_of_the_provider_passes_and_ends_the_stream(live: Live, api: Api) -> None:
    error = {
        "chat_completions": b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n',
        "messages": b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"overloaded"}}\n\n',
        "responses": b'event: error\ndata: {"type":"error","code":"server_error","message":"overloaded","param":null,"sequence_number":3}\n\n',
    }[api.name]
    live.provider.script = lambda asked: sse_reply(*api.events[:3], 0.05, error)
    client = live.caller(_alone(api))
    raw = client.post(api.path, json=api.body(stream=True)).content
    assert raw.endswith(error)
    assert raw.count(b"overloaded") == error.count(b"overloaded")
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["error"]) == ("broken", "PROVIDER_ERROR")


@each_api
@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_in_tiny_pieces(live: Live, api: Api, size: int) -> None:
    raw = b"".join(api.events)
    live.provider.script = lambda asked: sse_reply(*[raw[i : i + size] for i in range(0, len(raw), size)])
    client = live.caller(_alone(api))
    more = {"stream_options": {"include_usage": True}} if api is CHAT else {}
    assert client.post(api.path, json=api.body(stream=True, **more)).content == raw
    assert live.rows(client, 1)[0]["output_tokens"] == 20


def test_a_silent_stream_is_pinged(live: Live) -> None:
    live.provider.script = lambda asked: sse_reply(*CHAT.events[:2], 0.5, *CHAT.events[2:])
    raw = live.caller(_alone(CHAT)).post(CHAT.path, json=CHAT.body(stream=True)).content
    assert b"\n\n: ping\n\ndata: " in raw
    assert raw.endswith(b"data: [DONE]\n\n")


def test_a_body_that_breaks_off(live: Live) -> None:
    live.provider.script = lambda asked: Reply(
        [b'{"id": "x", '], 200, {"content-type": "application/json"}, length=5000
    )
    client = live.caller(_alone(CHAT))
    reply = client.post(CHAT.path, json=CHAT.body())
    assert (reply.status_code, CHAT.code(reply)) == (502, "PROVIDER_ERROR")


def test_nobody_listens(live: Live) -> None:
    with gateway(
        live.folder, OPENAI_UPSTREAM_URL="http://127.0.0.1:9", DATABASE_PATH=str(live.folder / "other.db")
    ) as other:
        client = other.caller("openai/gpt-4o")
        reply = client.post(CHAT.path, json=CHAT.body())
        assert (reply.status_code, CHAT.code(reply)) == (502, "PROVIDER_ERROR")
        assert "127.0.0.1" not in reply.text


def test_a_client_that_does_not_read_holds_the_provider_back(live: Live) -> None:
    """Backpressure: what nobody reads stays with the provider, not in the gateway's memory. (The kernel's own buffers may take
    some 32 MB on each of the two sockets.)"""
    piece = sse({"choices": [{"index": 0, "delta": {"content": "x" * 65_536}, "finish_reason": None}], "model": "m"})
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(8_000):
            sent += len(piece)
            yield piece

    live.provider.script = lambda asked: Reply(endless(), 200, {"content-type": "text/event-stream"})  # type: ignore[arg-type]
    client = live.caller(_alone(CHAT))
    with client.stream("POST", CHAT.path, json=CHAT.body(stream=True)) as reply:
        pieces = reply.iter_raw(1)
        next(pieces)  # and no more, until the test is over: an iterator that is dropped would close the connection
        before, end = -1, time.monotonic() + 15
        while sent != before and time.monotonic() < end:
            before = sent
            time.sleep(0.7)
        assert sent == before < 200_000_000
    assert live.rows(client, 1)[0]["outcome"] == "client_gone"

"""From one provider to the next: which failures move on, which don't, and what the client is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import CUT, Asked, Reply, json_reply, sse_reply
from tests.gateway.wire import CHAT, MESSAGES, RESPONSES, Api

MODEL = "gpt-oss-120b"  # three providers serve it: Ollama for nothing, then Groq and OpenRouter
each_api = pytest.mark.parametrize("api", [CHAT, RESPONSES], ids=lambda api: api.name)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {
        "COOLDOWN_SECONDS": "0",
        "UPSTREAM_TIMEOUT": "1",
        "UPSTREAM_CONNECT_TIMEOUT": "0.5",
        "MAX_ATTEMPTS": "3",
    }
    with gateway(tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


def good(api: Api) -> Callable[[Asked], Reply]:
    return lambda asked: sse_reply(*api.events) if asked.json.get("stream") else json_reply(api.whole)


def failing(api: Api, *failures: Reply) -> Callable[[Asked], Reply]:
    """The first requests fail, each in its way; the next one is served."""
    left = list(failures)
    return lambda asked: left.pop(0) if left else good(api)(asked)


def error(status: int, message: str = "no", **headers: str) -> Reply:
    return json_reply({"error": {"message": message, "type": "some_error", "code": "some_code"}}, status, **headers)


def asked_of(live: Live) -> list[str]:
    return [asked.path.split("/")[1] for asked in live.provider.asked]


def ask(client: httpx.Client, api: Api, stream: bool = False, **more: object) -> httpx.Response:
    return client.post(api.path, json=api.body(stream=stream, **more) | {"model": MODEL})


# ── what moves on ────────────────────────────────────────────────────────────────────────────────────────────────

MOVING = {
    **{str(status): error(status) for status in (401, 402, 403, 408, 409, 429, 500, 502, 503, 504, 520, 529)},
    "html": Reply([b"<html>busy</html>"], 503, {"content-type": "text/html"}),
    "nothing": Reply([CUT]),
    "no JSON": Reply([b"<html>fine</html>"], 200, {"content-type": "text/html"}),
    "silent": Reply(silent=True),
    "a redirect": Reply([], 307, {"location": "http://127.0.0.1:1/"}),
    "an error in a 200": json_reply({"error": {"message": "overloaded", "code": 503}}),
}


@each_api
@streamed
@pytest.mark.parametrize("failure", MOVING)
def test_the_next_provider_serves(live: Live, api: Api, stream: bool, failure: str) -> None:
    live.provider.script = failing(api, MOVING[failure])
    client = live.caller(MODEL)
    reply = ask(client, api, stream)
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-ekai-attempts"] == "2"
    first, second = asked_of(live)
    assert first == "ollama"
    assert reply.headers["x-ekai-provider"] == second != "ollama"
    assert "some_code" not in reply.text
    [row] = live.rows(client, 1)
    assert (row["provider"], row["attempts"], row["outcome"], row["status"]) == (second, 2, "complete", 200)
    assert row["error"] is None
    assert row["total_cost"] > 0  # the one who served is paid, though another would have been free


@each_api
@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error": {"message": "overloaded", "code": 529}}\n\n',
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}\n\n',
        b"",
        b": only a comment\n\n",
    ],
)
def test_a_stream_that_fails_before_it_says_anything(live: Live, api: Api, event: bytes) -> None:
    if event.startswith(b"data: ") and api is RESPONSES:
        pytest.skip("no event of that API")
    live.provider.script = failing(api, sse_reply(event) if event else sse_reply())
    reply = ask(live.caller(MODEL), api, stream=True)
    assert (reply.status_code, reply.headers.get("x-ekai-attempts")) == (200, "2")
    assert b"overloaded" not in reply.content


@streamed
def test_third_time_lucky(live: Live, stream: bool) -> None:
    live.provider.script = failing(CHAT, error(500), error(429))
    client = live.caller(MODEL)
    reply = ask(client, CHAT, stream)
    assert (reply.status_code, reply.headers["x-ekai-attempts"]) == (200, "3")
    assert sorted(asked_of(live)) == ["groq", "ollama", "openrouter"]
    assert live.rows(client, 1)[0]["attempts"] == 3


def test_each_provider_is_asked_for_its_own_id_with_its_own_key(live: Live) -> None:
    live.provider.script = failing(CHAT, error(500), error(500))
    ask(live.caller(MODEL), CHAT)
    said = {
        asked.path.split("/")[1]: (asked.json["model"], asked.headers.get("authorization"))
        for asked in live.provider.asked
    }
    assert said == {
        "ollama": ("gpt-oss:120b", None),
        "groq": ("openai/gpt-oss-120b", "Bearer gsk-canary-6"),
        "openrouter": ("openai/gpt-oss-120b", "Bearer sk-or-canary-5"),
    }


def test_a_messages_client_falls_back_to_a_translation(live: Live) -> None:
    def script(asked: Asked) -> Reply:
        return (
            json_reply(CHAT.whole)
            if asked.path.startswith("/groq/openai/v1/chat")
            else (json_reply(RESPONSES.whole) if asked.path.startswith("/groq") else error(500))
        )

    live.provider.script = script
    reply = live.caller(MODEL).post(MESSAGES.path, json=MESSAGES.body() | {"model": MODEL})
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-ekai-provider"] == "groq"
    assert reply.json()["content"][0]["text"] == "Hello there"


# ── what doesn't ─────────────────────────────────────────────────────────────────────────────────────────────────


@each_api
@streamed
@pytest.mark.parametrize("status", [400, 404, 405, 413, 418, 422, 451])
def test_the_clients_own_mistake_is_told_at_once(live: Live, api: Api, stream: bool, status: int) -> None:
    live.provider.script = failing(api, error(status, "That is wrong."))
    client = live.caller(MODEL)
    reply = ask(client, api, stream)
    assert reply.status_code == status
    assert api.code(reply) in ("PROVIDER_ERROR", "some_code")
    assert "That is wrong." in reply.json()["error"]["message"]
    assert asked_of(live) == ["ollama"]
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"], row["attempts"], row["total_cost"]) == ("refused", status, 1, 0)


@each_api
@pytest.mark.parametrize("how", ["breaks", "ends", "fails"])
def test_a_stream_that_began_never_starts_again(live: Live, api: Api, how: str) -> None:
    endings: dict[str, tuple[bytes | float | type, ...]] = {
        "breaks": (0.05, CUT),
        "ends": (),
        "fails": (0.05, b'data: {"error": {"message": "gone"}}\n\n'),
    }  # type: ignore[dict-item]  # CUT is a piece
    live.provider.script = failing(api, sse_reply(*api.events[: 3 if api is CHAT else 4], *endings[how]))  # type: ignore[arg-type]  # as above
    client = live.caller(MODEL)
    reply = ask(client, api, stream=True)
    assert reply.status_code == 200
    assert asked_of(live) == ["ollama"]
    assert reply.content.count(b"Hello") == 1
    assert "x-ekai-attempts" not in reply.headers
    assert live.rows(client, 1)[0]["outcome"] == "broken"


def test_a_pin_has_nobody_to_fall_back_to(live: Live) -> None:
    live.provider.script = failing(CHAT, error(500, "broken"))
    reply = live.caller("groq/openai/gpt-oss-120b").post(
        CHAT.path, json=CHAT.body() | {"model": "groq/openai/gpt-oss-120b"}
    )
    assert reply.status_code == 500
    assert set(asked_of(live)) == {"groq"}


# ── when all fail ────────────────────────────────────────────────────────────────────────────────────────────────


@each_api
@streamed
def test_the_error_lists_every_attempt(live: Live, api: Api, stream: bool) -> None:
    live.provider.script = failing(
        api,
        error(500, "first is ill"),
        error(401, "second knows no such key"),
        error(429, "third is busy", retry_after="9"),
    )
    client = live.caller(MODEL)
    reply = ask(client, api, stream)
    assert (reply.status_code, api.code(reply)) == (429, "PROVIDER_ERROR")
    assert reply.headers["retry-after"] == "9"
    message = reply.json()["error"]["message"]
    for told in ("first is ill", "second knows no such key", "third is busy", "Ollama (500)", "(401)", "(429)"):
        assert told in message
    assert len(asked_of(live)) == 3
    [row] = live.rows(client, 1)
    assert (row["attempts"], row["total_tokens"]) == (3, 0)


def test_silence_everywhere_ends_in_bounded_time_and_names_everybody(live: Live) -> None:
    live.provider.script = lambda asked: Reply(silent=True)
    begun = time.monotonic()
    reply = ask(live.caller(MODEL), CHAT)
    assert time.monotonic() - begun < 6
    assert (reply.status_code, CHAT.code(reply)) == (504, "PROVIDER_ERROR")
    for name in ("Ollama", "Groq", "OpenRouter"):
        assert name in reply.json()["error"]["message"]
    assert live.provider.was_left(3)


def test_a_stream_that_never_says_anything_is_silent_too(live: Live) -> None:
    live.provider.script = failing(CHAT, sse_reply(b": hello\n\n", 30.0))
    begun = time.monotonic()
    reply = ask(live.caller(MODEL), CHAT, stream=True)
    assert (reply.status_code, reply.headers["x-ekai-attempts"]) == (200, "2")
    assert time.monotonic() - begun < 4


def test_as_many_attempts_as_the_settings_allow(tmp_path: Path) -> None:
    with gateway(tmp_path, MAX_ATTEMPTS="2", COOLDOWN_SECONDS="0") as live:
        live.provider.script = failing(CHAT, error(500, "one"), error(500, "two"))
        reply = ask(live.caller(MODEL), CHAT)
        assert reply.status_code == 500
        assert len(asked_of(live)) == 2


# ── a provider that keeps failing ────────────────────────────────────────────────────────────────────────────────


def _only_ollama_fails(reply: Reply) -> Callable[[Asked], Reply]:
    return lambda asked: reply if asked.path.startswith("/ollama") else good(CHAT)(asked)


def test_a_provider_that_keeps_failing_is_left_out_for_a_while(tmp_path: Path) -> None:
    with gateway(tmp_path, COOLDOWN_SECONDS="1") as live:
        client = live.caller(MODEL)
        live.provider.script = _only_ollama_fails(error(500))
        attempts = [ask(client, CHAT).headers.get("x-ekai-attempts") for _ in range(5)]
        assert attempts == ["2", "2", "2", None, None]
        time.sleep(1.1)
        assert ask(client, CHAT).headers.get("x-ekai-attempts") == "2"  # the probe
        assert ask(client, CHAT).headers.get("x-ekai-attempts") is None
        time.sleep(1.1)
        live.provider.script = good(CHAT)
        assert [ask(client, CHAT).headers["x-ekai-provider"] for _ in range(2)] == ["ollama", "ollama"]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refused_key_is_left_out_at_once(tmp_path: Path, status: int) -> None:
    with gateway(tmp_path, COOLDOWN_SECONDS="30") as live:
        client = live.caller(MODEL)
        live.provider.script = _only_ollama_fails(error(status))
        assert [ask(client, CHAT).headers.get("x-ekai-attempts") for _ in range(3)] == ["2", None, None]


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    with gateway(tmp_path, COOLDOWN_SECONDS="30") as live:
        client = live.caller(MODEL)
        live.provider.script = _only_ollama_fails(error(429, retry_after="1"))
        assert [ask(client, CHAT).headers.get("x-ekai-attempts") for _ in range(2)] == ["2", None]
        time.sleep(1.1)
        live.provider.script = good(CHAT)
        assert ask(client, CHAT).headers["x-ekai-provider"] == "ollama"


def test_the_last_one_left_is_tried_although_it_keeps_failing(tmp_path: Path) -> None:
    with gateway(tmp_path, COOLDOWN_SECONDS="30") as live:
        client = live.caller(MODEL)
        live.provider.script = lambda asked: error(503)
        for _ in range(5):
            assert ask(client, CHAT).status_code == 503
        live.provider.script = good(CHAT)
        assert ask(client, CHAT).status_code == 200


def test_the_clients_mistakes_do_not_make_a_provider_ill(tmp_path: Path) -> None:
    with gateway(tmp_path, COOLDOWN_SECONDS="30") as live:
        client = live.caller(MODEL)
        live.provider.script = lambda asked: error(400)
        for _ in range(6):
            assert ask(client, CHAT).status_code == 400
        live.provider.script = good(CHAT)
        assert ask(client, CHAT).headers["x-ekai-provider"] == "ollama"

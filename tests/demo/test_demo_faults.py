"""The faults that a prompt can ask for: each API's own errors, streams that break, stall or end too early."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anthropic
import httpx
import openai
import orjson
import pytest
from google import genai
from starlette.applications import Starlette

from emulator.demo import demo_routes
from shared.sse import SSE, Parser

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/demo:streamGenerateContent",
}
LAST = {"chat": b"[DONE]", "messages": b"message_stop", "responses": b"response.completed", "gemini": b"finishReason"}


def body_for(face: str, text: str, stream: bool = True) -> dict[str, Any]:
    told = [{"role": "user", "content": text}]
    match face:
        case "chat":
            return {"model": "demo", "messages": told, "stream": stream}
        case "messages":
            return {"model": "demo", "messages": told, "max_tokens": 1000, "stream": stream}
        case "responses":
            return {"model": "demo", "input": told, "stream": stream}
        case _:
            return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def read(http: httpx.Client, face: str, text: str) -> tuple[bytes, bool]:
    """(bytes that came, whether the connection broke)."""
    got = b""
    with http.stream("POST", PATHS[face], json=body_for(face, text)) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        try:
            for chunk in answer.iter_bytes():
                got += chunk
        except httpx.RemoteProtocolError:
            return got, True
    return got, False


def events(raw: bytes) -> list[SSE]:
    return Parser().feed(raw)


@pytest.mark.parametrize("face", PATHS)
def test_without_a_fault_the_end_comes(http: httpx.Client, face: str) -> None:
    raw, broken = read(http, face, "hello out there")
    assert not broken
    assert LAST[face] in events(raw)[-1].data


@pytest.mark.parametrize("face", PATHS)
@pytest.mark.parametrize("command", ["break", "cut", "error", "half"])
def test_streams_that_go_wrong(http: httpx.Client, face: str, command: str) -> None:
    whole, _ = read(http, face, "[[long 50]]")
    raw, broken = read(http, face, f"[[long 50]] [[{command} after 5]]")
    assert broken == (command == "break")
    assert LAST[face] not in raw
    assert b"word5" in raw
    assert b"word6" not in raw or command == "half"
    assert len(events(raw)) < len(events(whole))
    tail = Parser()
    tail.feed(raw)
    assert tail.at_boundary == (command != "half")
    assert (b"had an error" in raw) == (command == "error")


@pytest.mark.parametrize("face", PATHS)
def test_a_short_reply_breaks_too(http: httpx.Client, face: str) -> None:
    raw, broken = read(http, face, "hi [[break after 500]]")
    assert broken
    assert LAST[face] not in raw


@pytest.mark.parametrize("command", ["break", "half"])
def test_whole_replies_that_are_torn(http: httpx.Client, command: str) -> None:
    ask = body_for("chat", f"hi [[{command}]]", stream=False)
    if command == "break":
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(PATHS["chat"], json=ask)
    else:
        with pytest.raises(ValueError):
            http.post(PATHS["chat"], json=ask).json()


@pytest.mark.parametrize(
    ("face", "kind"),
    [
        ("chat", "rate_limit_error"),
        ("messages", "rate_limit_error"),
        ("responses", "rate_limit_error"),
        ("gemini", None),
    ],
)
def test_429_with_retry_after(http: httpx.Client, face: str, kind: str | None) -> None:
    answer = http.post(PATHS[face], json=body_for(face, "x [[fail 429 retry-after=2]]"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    error = answer.json()["error"]
    assert (error["status"], error["code"]) == ("RESOURCE_EXHAUSTED", 429) if kind is None else error["type"] == kind


def test_529_html_and_the_number_of_times(http: httpx.Client) -> None:
    overloaded = http.post(PATHS["messages"], json=body_for("messages", "[[fail 529]]"))
    assert overloaded.status_code == 529
    assert overloaded.json()["error"]["type"] == "overloaded_error"
    html = http.post(PATHS["chat"], json=body_for("chat", "[[fail 500 html]]"))
    assert html.headers["content-type"].startswith("text/html")
    twice = body_for("chat", "[[fail 503 times=2]] once more", stream=False)
    assert [http.post(PATHS["chat"], json=twice).status_code for _ in range(3)] == [503, 503, 200]


def test_sdks_see_errors_in_mid_stream(chat: openai.OpenAI, claude: anthropic.Anthropic, gemini: genai.Client) -> None:
    ask: Any = {"model": "demo", "messages": [{"role": "user", "content": "[[error after 2]]"}]}
    with pytest.raises(openai.APIError, match="had an error"):
        list(chat.chat.completions.create(stream=True, **ask))
    with pytest.raises(anthropic.APIStatusError, match="had an error"):
        list(claude.messages.create(stream=True, max_tokens=10, **ask))
    kinds = [event.type for event in chat.responses.create(model="demo", input="[[error after 2]]", stream=True)]
    assert kinds[-1] == "response.failed"
    with pytest.raises(genai.errors.ServerError, match="had an error"):
        list(gemini.models.generate_content_stream(model="demo", contents="[[error after 2]]"))


def test_pauses(http: httpx.Client) -> None:
    def took(text: str, stream: bool = True) -> float:
        start = time.monotonic()
        http.post(PATHS["chat"], json=body_for("chat", text, stream))
        return time.monotonic() - start

    assert took("a b [[slow 50]]") > 0.2
    assert took("a [[stall 0.2 after 2]]") > 0.2
    assert took("a [[wait 0.2]]", stream=False) > 0.2
    assert took("a b") < 0.15


@pytest.mark.parametrize("face", PATHS)
def test_empty_replies(http: httpx.Client, face: str) -> None:
    raw, broken = read(http, face, "[[empty]]")
    assert not broken
    assert LAST[face] in raw
    assert b"said" not in raw


def test_figures_on_order(http: httpx.Client) -> None:
    order = "[[usage input=1000 cached=600 written=100 output=50 reasoning=20]]"
    usage = {
        face: http.post(PATHS[face].replace("streamG", "g"), json=body_for(face, order, stream=False)).json()
        for face in PATHS
    }
    chat, messages, responses = (usage[face]["usage"] for face in ("chat", "messages", "responses"))
    assert (chat["prompt_tokens"], chat["prompt_tokens_details"]["cached_tokens"]) == (1000, 600)
    assert (messages["input_tokens"], messages["cache_read_input_tokens"]) == (300, 600)
    assert messages["cache_creation_input_tokens"] == 100
    assert (responses["input_tokens"], responses["total_tokens"]) == (1000, 1050)
    gemini = usage["gemini"]["usageMetadata"]
    assert (gemini["candidatesTokenCount"], gemini["thoughtsTokenCount"], gemini["totalTokenCount"]) == (30, 20, 1050)


def test_a_hang_up_ends_the_stream() -> None:
    """The server stops making events, and doesn't claim that the reply is whole."""
    sent: list[Any] = []
    enough = asyncio.Event()
    app = Starlette(routes=demo_routes(pause=0.001))
    body = orjson.dumps(body_for("chat", "[[long 5000]]"))

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "http.request", "body": body, "more_body": False}
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 10:
            enough.set()

    scope = {"type": "http", "method": "POST", "path": PATHS["chat"], "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    assert 10 <= len(sent) < 100
    assert sent[-1]["more_body"]

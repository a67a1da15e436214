"""POST /v1/messages/count_tokens: the provider's own count, or an estimate that says so."""

from __future__ import annotations

import pytest

from shared.counting import tokens_in
from tests.gateway.live import Live
from tests.gateway.provider import json_reply
from tests.gateway.wire import MESSAGES

PATH = "/v1/messages/count_tokens?beta=true"
BODY = {
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "How many tokens is this sentence of ten words?"}],
    "tools": [],
}


@pytest.mark.parametrize(
    ("model", "path", "reply"),
    [
        ("claude-haiku-4-5", "/anthropic/v1/messages/count_tokens", {"input_tokens": 31}),
        ("gemini-2.5-flash", "/google/v1beta/models/gemini-2.5-flash:countTokens", {"totalTokens": 31}),
        ("gpt-5.5", "/openai/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 31}),
    ],
)
def test_the_provider_counts(live: Live, model: str, path: str, reply: dict[str, object]) -> None:
    live.provider.script = lambda asked: json_reply(reply)
    client = live.caller(f"{'openai/' if model.startswith('gpt') else ''}{model}")
    got = client.post(PATH, json={"model": "whatever", "max_tokens": 10, **BODY})
    assert got.json() == {"input_tokens": 31}
    assert "x-ekai-estimated" not in got.headers
    [asked] = live.provider.asked
    assert asked.path == path
    assert "max_tokens" not in asked.body.decode()
    assert live.rows(client) == []


@pytest.mark.parametrize(
    ("model", "status"), [("groq/openai/gpt-oss-120b", 200), ("claude-haiku-4-5", 500), ("claude-haiku-4-5", 429)]
)
def test_an_estimate_says_so(live: Live, model: str, status: int) -> None:
    live.provider.script = lambda asked: json_reply({"error": {"message": "no"}}, status)
    got = live.caller(model).post(PATH, json={"model": "x", **BODY})
    assert got.status_code == 200
    assert got.headers["x-ekai-estimated"] == "true"
    assert 10 <= got.json()["input_tokens"] <= 30


def test_errors_have_the_clients_shape(live: Live) -> None:
    client = live.caller("claude-haiku-4-5")
    assert MESSAGES.code(client.post(PATH, json={"model": "x"})) == "VALIDATION_ERROR"
    live.provider.script = lambda asked: json_reply(
        {"type": "error", "error": {"type": "invalid_request_error", "message": "messages.0: bad"}}, 400
    )
    got = client.post(PATH, json={"model": "x", **BODY})
    assert (got.status_code, got.json()["error"]["message"]) == (400, "messages.0: bad")


@pytest.mark.parametrize(
    ("text", "counted"),  # by OpenAI's o200k vocabulary
    [
        ("The quick brown fox jumps over the lazy dog. " * 20, 201),
        ('{"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}\n' * 10, 270),
        ("def add(first: int, second: int) -> int:\n    return first + second\n\n\n" * 10, 190),
        ("人人生而自由，在尊严和权利上一律平等。" * 10, 150),
    ],
    ids=["prose", "json", "code", "chinese"],
)
def test_the_estimate_is_near(text: str, counted: int) -> None:
    assert tokens_in(text) == pytest.approx(counted, rel=0.1)


def test_the_estimate_is_linear() -> None:
    assert tokens_in("word " * 20_000) == pytest.approx(10 * tokens_in("word " * 2_000), rel=0.01)

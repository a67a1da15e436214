"""POST /v1/route: every offer in order, with its cost and the reason; and that a conversation stays where it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway.live import Live
from tests.gateway.provider import Asked, Reply, json_reply
from tests.gateway.wire import CHAT, MESSAGES, RESPONSES, Api

each_api = pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES], ids=lambda api: api.name)


@each_api
def test_it_says_what_a_completion_does(live: Live, api: Api) -> None:
    live.provider.script = lambda asked: json_reply(api.whole)
    client = live.caller(api.model)
    told = client.post("/v1/route", params={"endpoint": api.path}, json=api.body()).raise_for_status().json()
    assert not live.provider.asked
    assert live.rows(client) == []
    [taken] = [row for row in told["routes"] if row["taken"]]
    assert taken is told["routes"][0]
    reply = client.post(api.path, json=api.body())
    assert reply.headers["x-ekai-provider"] == taken["provider"]
    assert taken["estimated_cost_usd"] > 0
    assert {row["provider"] for row in told["routes"]} >= {"openrouter"}
    assert all(row["reason"] for row in told["routes"])
    costs = [row["estimated_cost_usd"] for row in told["routes"]]
    assert costs == sorted(costs)


def test_why_not(live: Live) -> None:
    client = live.caller("ollama/some-model", "openai/gpt-4o")
    told = client.post("/v1/route", json={**CHAT.body(), "model": "openai/gpt-4o"}).json()
    reasons = {row["provider"]: (row["taken"], row["reason"]) for row in told["routes"]}
    assert reasons["openai"][0]
    assert not reasons["openrouter"][0]
    substituted = client.post("/v1/route", json={**CHAT.body(), "model": "unheard-of"}).json()
    assert (substituted["model"], substituted["requested"], substituted["substituted"]) == (
        "ollama/some-model",
        "unheard-of",
        True,
    )


def test_what_would_be_dropped_or_refused(live: Live) -> None:
    client = live.caller("claude-haiku-4-5")
    asked = CHAT.body() | {"model": "claude-haiku-4-5", "seed": 7}
    row = client.post("/v1/route", json=asked).json()["routes"][0]
    assert row["dropped"] == [] if row["native"] else row["dropped"] == ["seed"]
    many = client.post("/v1/route", json={**asked, "n": 2})
    assert any("refused" in row["reason"] for row in many.json()["routes"]) or many.status_code == 400


def test_errors(live: Live) -> None:
    client = live.caller("gpt-4o")
    assert client.post("/v1/route", content=b"{").status_code == 400
    assert client.post("/v1/route", json=CHAT.body(), headers={"authorization": "Bearer no"}).status_code == 401
    assert client.post("/v1/route", params={"endpoint": "gemini"}, json=CHAT.body()).status_code == 400


def test_a_conversation_stays_where_a_fallback_took_it(live: Live) -> None:
    """OpenAI fails once; OpenRouter takes over, and keeps the conversation though OpenAI works again."""
    down = True

    def script(asked: Asked) -> Reply:
        if down and asked.path.startswith("/openai/"):
            return json_reply({"error": {"message": "down"}}, 503)
        return json_reply(CHAT.whole)

    live.provider.script = script
    client = live.caller("gpt-4o")
    turns: list[Any] = [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "Two"},
    ]
    first = client.post(CHAT.path, json=CHAT.body(messages=turns))
    assert (first.headers["x-ekai-provider"], first.headers["x-ekai-attempts"]) == ("openrouter", "2")
    down = False
    turns += [{"role": "assistant", "content": "2"}, {"role": "user", "content": "Three"}]
    second = client.post(CHAT.path, json=CHAT.body(messages=turns))
    assert second.headers["x-ekai-provider"] == "openrouter"
    assert "x-ekai-attempts" not in second.headers
    other = client.post(CHAT.path, json=CHAT.body(messages=[{"role": "user", "content": "Another"}, *turns[1:]]))
    assert other.headers["x-ekai-provider"] == "openai"


def test_the_very_name_that_was_asked_for_comes_before_others_of_the_same_model(live: Live) -> None:
    client = live.caller("openrouter/gpt-4o", "gpt-4o")
    told = client.post("/v1/route", json=CHAT.body()).json()
    assert {row["provider"] for row in told["routes"] if "pinned" not in row["reason"]} >= {"openai", "openrouter"}
    pinned = client.post("/v1/route", json=CHAT.body() | {"model": "openrouter/gpt-4o"}).json()
    assert [row["provider"] for row in pinned["routes"] if row["taken"]] == ["openrouter"]

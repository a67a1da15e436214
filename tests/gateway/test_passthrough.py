"""What passes through: the client's bytes out, the provider's bytes back, and a row with every token class."""

from __future__ import annotations

import httpx
import orjson
import pytest

from tests.gateway.live import Live
from tests.gateway.provider import json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES, RESPONSES, Api

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


@each_api
def test_whole(live: Live, api: Api) -> None:
    live.provider.script = lambda asked: json_reply(api.whole, x_ratelimit_remaining_requests="7", x_secret="no")
    client = live.caller(api.model)
    sent = (
        b'{ "model" : "'
        + api.model.encode()
        + b'",  "brand_new_field": [1.0, 1e3, 12345678901234567890], '
        + orjson.dumps(api.request)[1:]
    )
    reply = client.post(api.path, content=sent, headers={"content-type": "application/json"})
    assert reply.status_code == 200
    assert reply.content == orjson.dumps(api.whole)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-ratelimit-remaining-requests"] == "7"
    assert "x-secret" not in reply.headers
    assert reply.headers["x-ekai-model"] == api.model
    assert "x-ekai-model-requested" not in reply.headers
    [asked] = live.provider.asked
    if api is not MESSAGES:  # the catalog's id and the asked name are one
        assert asked.body == sent
    assert asked.json["brand_new_field"] == orjson.loads(sent)["brand_new_field"]
    _check_row(live, client, reply, api)


@each_api
def test_streamed(live: Live, api: Api) -> None:
    live.provider.script = lambda asked: sse_reply(*api.events)
    client = live.caller(api.model)
    with client.stream(
        "POST",
        api.path,
        json=api.body(stream=True, stream_options={"include_usage": True}) if api is CHAT else api.body(stream=True),
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        raw = b"".join(reply.iter_raw())
    assert raw == b"".join(api.events)
    _check_row(live, client, reply, api, stream=True)


def _check_row(live: Live, client: httpx.Client, reply: httpx.Response, api: Api, stream: bool = False) -> None:
    [row] = live.rows(client, 1)
    assert row["request_id"] == reply.headers["x-request-id"]
    assert (row["outcome"], row["status"], row["stream"]) == ("complete", 200, stream)
    expected = {
        "messages": (60, 30, 10, 20, 0),
        "responses": (60, 40, 0, 20, 5),
        "chat_completions": (60, 40, 0, 20, 0),
    }[api.name]
    names = ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "output_tokens", "reasoning_tokens")
    assert tuple(row[name] for name in names) == expected
    assert row["total_tokens"] == sum(expected[:4])
    parts = (row["input_cost"], row["cache_read_cost"], row["cache_write_cost"], row["output_cost"], row["fees"])
    assert row["total_cost"] == pytest.approx(sum(parts), abs=1e-12)
    assert row["total_cost"] > 0
    assert not row["estimated"]
    assert row["first_byte_ms"] <= row["duration_ms"]
    assert row["error"] is None


def test_chat_usage_is_asked_for_but_hidden(live: Live) -> None:
    live.provider.script = lambda asked: sse_reply(*CHAT.events)
    client = live.caller("gpt-4o")
    raw = client.post(CHAT.path, json=CHAT.body(stream=True)).content
    assert live.provider.asked[0].json["stream_options"] == {"include_usage": True}
    assert b'"usage"' not in raw
    assert raw.count(b"data: ") == len(CHAT.events) - 1
    assert live.rows(client, 1)[0]["output_tokens"] == 20


def test_the_key_goes_where_the_provider_wants_it(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(MESSAGES.whole if "messages" in asked.path else CHAT.whole)
    live.caller("claude-haiku-4-5").post(
        MESSAGES.path, json=MESSAGES.body(), headers={"anthropic-beta": "a,b", "x-api-key": "sk-ant-nonsense"}
    )
    live.caller("gpt-4o").post(CHAT.path, json=CHAT.body())
    claude, gpt = live.provider.asked
    assert claude.path == "/anthropic/v1/messages"
    assert claude.headers["x-api-key"] == "sk-anthropic-canary-2"
    assert claude.headers["anthropic-beta"] == "a,b"
    assert claude.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in claude.headers
    assert gpt.path == "/openai/v1/chat/completions"
    assert gpt.headers["authorization"] == "Bearer sk-openai-canary-1"


def test_the_first_preference_serves_what_is_not_in_the_list(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(RESPONSES.whole)
    client = live.caller("gpt-4o-mini", "gpt-4o")
    reply = client.post(RESPONSES.path, json=RESPONSES.body() | {"model": "no-such-model"})
    assert reply.headers["x-ekai-model"] == "gpt-4o-mini"
    assert reply.headers["x-ekai-model-requested"] == "no-such-model"
    assert live.provider.asked[0].json["model"] == "gpt-4o-mini"
    row = live.rows(client, 1)[0]
    assert (row["model"], row["model_requested"]) == ("gpt-4o-mini", "no-such-model")


@pytest.mark.parametrize(
    ("model", "api", "path"),
    [
        ("google/gemini-2.5-flash", CHAT, "/google/v1beta/openai/chat/completions"),
        ("xai/grok-4", CHAT, "/xai/v1/chat/completions"),
        ("xai/grok-4", RESPONSES, "/xai/v1/responses"),
        ("openrouter/some-vendor/some-model", CHAT, "/openrouter/api/v1/chat/completions"),
        ("openrouter/some-vendor/some-model", MESSAGES, "/openrouter/api/v1/messages"),
        ("openrouter/some-vendor/some-model", RESPONSES, "/openrouter/api/v1/responses"),
        ("some-vendor/some-model", CHAT, "/openrouter/api/v1/chat/completions"),
        ("groq/openai/gpt-oss-120b", CHAT, "/groq/openai/v1/chat/completions"),
        ("groq/openai/gpt-oss-120b", RESPONSES, "/groq/openai/v1/responses"),
        ("ollama/llama3", CHAT, "/ollama/v1/chat/completions"),
        ("ollama/llama3", MESSAGES, "/ollama/v1/messages"),
        ("ollama/llama3", RESPONSES, "/ollama/v1/responses"),
        ("zai/glm-4.6", CHAT, "/zai/api/paas/v4/chat/completions"),
        ("zai/glm-4.6", MESSAGES, "/zai/api/anthropic/v1/messages"),
    ],
)
def test_every_native_lane(live: Live, model: str, api: Api, path: str) -> None:
    live.provider.script = lambda asked: json_reply(api.whole)
    reply = live.caller(model).post(api.path, json=api.body() | {"model": model})
    assert reply.status_code == 200, reply.text
    assert [asked.path for asked in live.provider.asked] == [path]

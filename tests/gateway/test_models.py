"""GET /v1/models over a socket: two shapes, with and without a token, any id."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.gateway.live import Live

ANTHROPIC = {"anthropic-version": "2023-06-01"}


def test_without_a_token_everything_is_listed(live: Live) -> None:
    shown = httpx.get(f"{live.url}/v1/models").json()
    assert shown["object"] == "list"
    assert shown["total"] == len(shown["data"]) > 100
    assert not shown["has_more"]
    one = next(model for model in shown["data"] if model["id"] == "gpt-4o")
    assert one["owned_by"] == "openai"
    assert "openai" in one["providers"]
    assert {"chat_completions", "responses"} <= set(one["endpoints"])
    assert one["context_length"] == 128_000
    assert not any("demo" in model["providers"] for model in shown["data"])


def test_with_a_token_it_is_ones_own_list_in_its_order(live: Live) -> None:
    mine = ["grok-4", "openai/gpt-4o", "Claude-Haiku-4.5"]
    client = live.caller(*mine)
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == mine
    shown = client.get("/v1/models", headers=ANTHROPIC).json()
    assert [model["id"] for model in shown["data"]] == [
        "claude-ekai-grok-4", "claude-ekai-openai/gpt-4o", "Claude-Haiku-4.5",
    ]  # fmt: skip
    assert len(live.caller().get("/v1/models").json()["data"]) > 100  # none set: all may be picked


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-4o"])
@pytest.mark.parametrize("token", ["x", "f" * 64, "sk-ant-" + "0" * 64])
def test_a_bad_token_is_told_and_not_overlooked(live: Live, path: str, token: str) -> None:
    for headers in ({"authorization": f"Bearer {token}"}, {"x-api-key": token}):
        reply = httpx.get(live.url + path, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "AUTHENTICATION_ERROR")


def test_filters(live: Live) -> None:
    def ids(**query: str | int) -> list[str]:
        return [model["id"] for model in httpx.get(f"{live.url}/v1/models", params=query).json()["data"]]

    assert ids(provider="xai", search="code-fast") == [name for name in ids(provider="xai") if "code-fast" in name]
    assert "claude-haiku-4-5" in ids(endpoint="/v1/messages", provider="anthropic")
    everything = ids()
    assert ids(limit=5, offset=3) == everything[3:8]
    assert ids(provider="demo") == []
    for wrong in ({"limit": "x"}, {"offset": "-1"}, {"limit": ""}):
        reply = httpx.get(f"{live.url}/v1/models", params=wrong)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "name", ["gpt-4o", "GPT-4o", "openai/gpt-4o", "some-vendor/some-model", "some-vendor/some-model:free", "claude-ekai-grok-4", "ollama/gpt-oss:120b", "groq/openai/gpt-oss-120b", "xai/grok-9-from-the-future"]
)  # fmt: skip
def test_one_model_by_any_of_its_names(live: Live, name: str) -> None:
    plain, escaped = (httpx.get(f"{live.url}/v1/models/{path}") for path in (quote(name), quote(name, safe="")))
    assert plain.status_code == 200, plain.text
    assert plain.json() == escaped.json()
    assert plain.json()["id"] == name
    again = httpx.get(f"{live.url}/v1/models/{quote(name)}", headers=ANTHROPIC).json()
    assert again["type"] == "model"
    assert "claude" in again["id"].lower()


@pytest.mark.parametrize(
    "name", ["nope", "a b", "ü/é", "%00", "a%0d%0ax-injected:1", "..%2f..%2fetc%2fpasswd", "%ff%fe", "a" * 3000, "<b>", "gpt-4o/", "//", "%20"]
)  # fmt: skip
def test_models_that_there_are_not(live: Live, name: str) -> None:
    for headers in ({}, ANTHROPIC):
        reply = httpx.get(f"{live.url}/v1/models/{name}", headers=headers)
        assert reply.status_code == 404
        assert reply.json()["error"]["code"] in ("MODEL_NOT_FOUND", "NOT_FOUND")
        assert "x-injected" not in reply.headers
        assert len(reply.content) < 1_000


def test_the_sdks_page_through_everything(live: Live) -> None:
    token = live.caller().headers["authorization"].removeprefix("Bearer ")
    with OpenAI(api_key=token, base_url=f"{live.url}/v1") as openai:
        names = [model.id for model in openai.models.list()]
        assert openai.models.retrieve("openai/gpt-4o").id == "openai/gpt-4o"
    with Anthropic(api_key=token, base_url=live.url) as anthropic:
        listed = [model.id for model in anthropic.models.list(limit=50)]
        assert anthropic.models.retrieve("claude-haiku-4-5").display_name
    assert len(names) == len(set(names)) > 100
    assert [name.removeprefix("claude-ekai-") for name in listed] == names


def test_a_picked_alias_is_served(live: Live) -> None:
    from tests.gateway.provider import json_reply
    from tests.gateway.wire import MESSAGES

    live.provider.script = lambda asked: json_reply(MESSAGES.whole)
    client = live.caller("claude-haiku-4-5", "ollama/llama3")
    [_, alias] = [model["id"] for model in client.get("/v1/models", headers=ANTHROPIC).json()["data"]]
    reply = client.post(MESSAGES.path, json=MESSAGES.body() | {"model": alias})
    assert reply.headers["x-ekai-model"] == "ollama/llama3"
    assert "x-ekai-model-requested" not in reply.headers
    assert live.provider.asked[0].json["model"] == "llama3"


@pytest.mark.parametrize("path", ["/", "/api/hello", "/v1/models", "/health", "/usage"])
def test_head(live: Live, path: str) -> None:
    reply = httpx.head(live.url + path)
    assert (reply.status_code, reply.content) == (200, b"")
    assert int(reply.headers["content-length"]) == len(httpx.get(live.url + path).content) or path in (
        "/health",
        "/usage",
    )

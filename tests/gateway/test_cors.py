"""Browsers: who may read what from a page of their own (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, Api

PAGE = {"origin": "https://dashboard.example"}
ALLOWED = "access-control-allow-origin"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/user/preferences", "/usage", "/auth/login"])
def test_a_page_asks_first(live: Live, path: str) -> None:
    asked = {
        **PAGE,
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization, anthropic-version, x-stainless-lang",
    }
    reply = httpx.options(live.url + path, headers=asked)
    assert reply.status_code == 200
    assert reply.headers[ALLOWED] == "*"
    assert "PUT" in reply.headers["access-control-allow-methods"]
    assert "anthropic-version" in reply.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("stream", [False, True])
def test_a_page_reads_replies_their_headers_and_errors(live: Live, api: Api, stream: bool) -> None:
    live.provider.script = lambda asked: sse_reply(*api.events) if stream else json_reply(api.whole)
    client = live.caller(api.model)
    reply = client.post(api.path, json=api.body(stream=stream), headers=PAGE)
    assert (reply.status_code, reply.headers[ALLOWED]) == (200, "*")
    shown = reply.headers["access-control-expose-headers"].lower()
    for name in ("x-request-id", "x-ekai-provider", "x-ekai-model", "x-ekai-cost-usd", "retry-after"):
        assert name in shown
    refused = httpx.post(live.url + api.path, json=api.body(), headers=PAGE)
    assert (refused.status_code, refused.headers[ALLOWED]) == (401, "*")
    assert httpx.get(f"{live.url}/nothing", headers=PAGE).headers[ALLOWED] == "*"


def test_without_a_page_nothing_is_said(live: Live) -> None:
    assert ALLOWED not in httpx.get(f"{live.url}/v1/models").headers


def test_only_those_pages_that_are_listed(tmp_path: Path) -> None:
    with gateway(tmp_path, CORS_ORIGINS="https://dashboard.example, https://other.example") as live:
        assert httpx.get(f"{live.url}/health", headers=PAGE).headers[ALLOWED] == PAGE["origin"]
        stranger = {"origin": "https://evil.example"}
        assert ALLOWED not in httpx.get(f"{live.url}/health", headers=stranger).headers
        asked = {**stranger, "access-control-request-method": "POST"}
        assert httpx.options(live.url + CHAT.path, headers=asked).status_code == 400

"""A provider's 429 as Codex needs it: with the seconds after which to come back. Other clients have waits of their own."""

from __future__ import annotations

import pytest

from tests.gateway.live import Live
from tests.gateway.provider import json_reply
from tests.gateway.wire import CHAT, RESPONSES, Api


@pytest.mark.parametrize(
    ("api", "code", "named", "told"),
    [
        (RESPONSES, "rate_limit_exceeded", {}, "5"),
        (RESPONSES, "rate_limit_exceeded", {"retry_after": "7"}, "7"),
        (RESPONSES, "insufficient_quota", {}, None),
        (CHAT, "rate_limit_exceeded", {}, None),
    ],
)
def test_when_to_come_back(live: Live, api: Api, code: str, named: dict[str, str], told: str | None) -> None:
    body = {"error": {"message": "Slow down", "type": "rate_limit_error", "code": code}}
    live.provider.script = lambda asked: json_reply(body, 429, **named)
    got = live.caller(f"openai/{api.model}").post(api.path, json=api.body(stream=True))
    assert got.status_code == 429
    assert got.headers.get("retry-after") == told

"""Grants of owners and rate limits: caps that hold under load, exact across processes, in the client's own shape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply
from tests.gateway.wire import APIS, CHAT, Api

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def put(client: httpx.Client, **grant: Any) -> dict[str, Any]:
    """With local keys everybody is their own owner: the grant to everybody binds the owner too."""
    reply = client.put("/user/grants", json={"grants": {"*": grant or None}})
    return dict(reply.raise_for_status().json()["grants"])


def cost_of(client: httpx.Client, api: Api) -> float:
    return float(client.post(api.path, json=api.body()).headers["x-ekai-cost-usd"])


@each_api
@pytest.mark.parametrize("window", ["dailyUsd", "weeklyUsd", "monthlyUsd"])
def test_a_cap_is_refused_in_the_clients_shape_and_says_what_is_left(live: Live, api: Api, window: str) -> None:
    live.provider.script = lambda asked: json_reply(api.whole)
    client = live.caller(api.model)
    once = cost_of(client, api)
    put(client, **{window: once + 0.000001})  # what was spent before counts
    refused = client.post(api.path, json=api.body(max_tokens=100) if api is not CHAT else api.body())
    assert (refused.status_code, api.code(refused)) == (402, "BUDGET_EXCEEDED")
    assert "0.000001 are left" in refused.json()["error"]["message"]
    assert len(live.provider.asked) == 1
    assert client.get("/user/grants").json()["grants"]["*"]["spentUsd"][window.removesuffix("Usd")] == pytest.approx(
        once
    )
    put(client)
    assert client.post(api.path, json=api.body()).status_code == 200


def test_two_hundred_at_once_never_exceed_a_cap(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("openai/gpt-4o")
    once = cost_of(client, CHAT)
    estimate = client.post("/v1/route", json=CHAT.body() | {"model": "openai/gpt-4o"}).json()["routes"][0][
        "estimated_cost_usd"
    ]
    cap = once + 40 * max(once, estimate)
    put(client, dailyUsd=cap)
    statuses = asyncio.run(_many(live.url, dict(client.headers), 200))
    spent = client.get("/user/grants").json()["grants"]["*"]["spentUsd"]["daily"]
    assert spent <= cap + abs(once - estimate)
    assert statuses.count(200) >= 40
    assert set(statuses) == {200, 402}
    assert spent == pytest.approx(once * (1 + statuses.count(200)))


async def _many(url: str, headers: dict[str, str], count: int) -> list[int]:
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        replies = await asyncio.gather(*[client.post(CHAT.path, json=CHAT.body()) for _ in range(count)])
    return [reply.status_code for reply in replies]


def test_models_providers_and_time(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("gpt-4o", "gpt-4o-mini")
    put(client, models=["gpt-4o-mini"], providers=["openrouter"])
    refused = client.post(CHAT.path, json=CHAT.body())
    assert (refused.status_code, CHAT.code(refused)) == (403, "MODEL_NOT_ALLOWED")
    served = client.post(CHAT.path, json=CHAT.body() | {"model": "gpt-4o-mini"})
    assert served.headers["x-ekai-provider"] == "openrouter"
    put(client, expiresAt="2020-01-01T00:00:00Z")
    expired = client.post(CHAT.path, json=CHAT.body())
    assert (expired.status_code, CHAT.code(expired)) == (403, "DELEGATE_NOT_PERMITTED")
    assert [row["outcome"] for row in live.rows(client, 3)] == ["refused", "complete", "refused"]


@pytest.mark.parametrize(
    "grants",
    [
        None, {}, [], {"nobody": {}}, {"*": 5}, {"*": {"unknown": 1}}, {"*": {"dailyUsd": "x"}}, {"*": {"dailyUsd": -1}},
        {"*": {"dailyUsd": True}}, {"*": {"models": "gpt-4o"}}, {"*": {"models": ["no-such"]}}, {"*": {"providers": ["x"]}},
        {"*": {"expiresAt": "tomorrow"}}, {"*": {"expiresAt": "2027-01-01T00:00:00"}}, {"*": {"requestsPerMinute": 1.5}},
    ],
)  # fmt: skip
def test_grants_that_make_no_sense(live: Live, grants: Any) -> None:
    reply = live.caller().put("/user/grants", json={"grants": grants})
    assert reply.status_code in (400, 404)
    assert reply.json()["error"]["message"]


def test_another_owners_grants_are_out_of_reach(live: Live) -> None:
    one, other = live.caller(), live.caller()
    put(one, dailyUsd=1)
    assert other.get("/user/grants").json()["grants"] == {}
    assert httpx.get(live.url + "/user/grants").status_code == 401


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {"RATE_LIMIT_REQUESTS": "5", "RATE_LIMIT_TOKENS": "4000", "LOGIN_ATTEMPTS": "8"}
    with gateway(tmp_path_factory.mktemp("limited"), **settings) as running:
        yield running


@each_api
def test_requests_a_minute(limited: Live, api: Api) -> None:
    limited.provider.script = lambda asked: json_reply(api.whole)
    client = limited.caller(api.model)
    replies = [client.post(api.path, json=api.body(max_tokens=50)) for _ in range(7)]
    limited.rest()
    statuses = [reply.status_code for reply in replies]
    assert statuses[:3] == [200, 200, 200]
    assert statuses[-1] == 429
    assert api.code(replies[-1]) == "RATE_LIMIT_EXCEEDED"
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
    assert replies[0].headers["x-ratelimit-limit-requests"] == "5"
    assert replies[0].headers["x-ratelimit-remaining-requests"] == "4"


def test_login_attempts(limited: Live) -> None:
    statuses = [httpx.post(limited.url + "/auth/login", json={}).status_code for _ in range(12)]
    assert statuses[-1] == 429
    assert statuses.count(429) >= 4

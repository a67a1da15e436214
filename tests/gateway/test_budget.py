"""The gateway's monthly budget over a socket: who sets it, what it stops, and that it counts to the nano-dollar."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES, Api

OPERATOR = {"authorization": "Bearer operator-canary-8"}
PRICE = 0.0004  # of CHAT.whole at gpt-4o: 60 fresh, 40 cached, 20 written


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with gateway(tmp_path, COOLDOWN_SECONDS="0", OPERATOR_TOKEN="operator-canary-8") as running:
        yield running


@pytest.fixture(autouse=True)
def _rested() -> None:
    """Each test has a gateway of its own."""


def set_budget(live: Live, amount: Any, **more: Any) -> dict[str, Any]:
    reply = httpx.put(f"{live.url}/budget", json={"amountUsd": amount, **more}, headers=OPERATOR)
    assert reply.status_code == 200, reply.text
    shown: dict[str, Any] = reply.json()
    return shown


def budget(live: Live) -> dict[str, Any]:
    shown: dict[str, Any] = httpx.get(f"{live.url}/budget").json()
    return shown


def test_everybody_sees_it(live: Live) -> None:
    assert budget(live) == {
        "amountUsd": None, "alertOnly": False, "window": "monthly", "spentMonthToDate": 0.0, "remaining": None,
    }  # fmt: skip
    shown = set_budget(live, 12.345678901)
    assert shown == budget(live)
    assert (shown["amountUsd"], shown["remaining"]) == (12.345678901, 12.345678901)
    assert set_budget(live, "0.1", alertOnly=True)["amountUsd"] == 0.1
    assert set_budget(live, None)["amountUsd"] is None


def test_only_the_operator_sets_it(live: Live) -> None:
    client = live.caller()
    for headers in ({}, dict(client.headers), {"x-api-key": "operator"}, {"authorization": "Basic operator-canary-8"}):
        reply = httpx.put(f"{live.url}/budget", json={"amountUsd": 1}, headers=headers)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "AUTHENTICATION_ERROR")
    assert budget(live)["amountUsd"] is None
    assert httpx.put(f"{live.url}/budget", json={"amountUsd": 1}, headers={"x-api-key": "operator-canary-8"}).is_success


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"5", b'{"amountUsd": -1}', b'{"amountUsd": 1e400}', b'{"amountUsd": "1e999999"}', b'{"amountUsd": NaN}'])  # fmt: skip
def test_what_is_no_budget_changes_nothing(live: Live, raw: bytes) -> None:
    set_budget(live, 7)
    reply = httpx.put(f"{live.url}/budget", content=raw, headers=OPERATOR)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert budget(live)["amountUsd"] == 7


def test_without_an_operators_token_it_can_not_be_set(tmp_path: Path) -> None:
    with gateway(tmp_path) as live:
        for token in ("", "None", "operator-canary-8"):
            reply = httpx.put(
                f"{live.url}/budget", json={"amountUsd": 1}, headers={"authorization": f"Bearer {token}".strip()}
            )
            assert reply.status_code == 401
        assert httpx.get(f"{live.url}/budget").status_code == 200


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_purse_in_every_clients_shape(live: Live, api: Api, stream: bool) -> None:
    set_budget(live, 0.000001)
    client = live.caller(api.model)
    reply = client.post(api.path, json=api.body(stream=stream))
    assert (reply.status_code, api.code(reply)) == (402, "BUDGET_EXCEEDED")
    error = reply.json()["error"]
    assert error["type"] == ("billing_error" if api is MESSAGES else "insufficient_quota")
    assert "$0.000001" in error["message"]
    assert not live.provider.asked
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"], row["error"], row["total_cost"]) == ("refused", 402, "BUDGET_EXCEEDED", 0)
    assert budget(live)["spentMonthToDate"] == 0


def test_an_alert_stops_nobody_and_still_counts(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    set_budget(live, 0.0001, alertOnly=True)
    client = live.caller("openai/gpt-4o")
    for _ in range(2):
        assert client.post(CHAT.path, json=CHAT.body()).status_code == 200
    shown = budget(live)
    assert (shown["spentMonthToDate"], shown["remaining"], shown["alertOnly"]) == (2 * PRICE, 0.0, True)


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_spent_counts_exactly(live: Live, stream: bool) -> None:
    live.provider.script = lambda asked: sse_reply(*CHAT.events) if stream else json_reply(CHAT.whole)
    set_budget(live, 1)
    client = live.caller("openai/gpt-4o")
    for count in range(1, 4):
        client.post(CHAT.path, json=CHAT.body(stream=stream)).raise_for_status()
        shown = budget(live)
        assert shown["spentMonthToDate"] == pytest.approx(count * PRICE, abs=1e-15)
        assert shown["remaining"] == pytest.approx(1 - count * PRICE, abs=1e-12)
    live.provider.script = lambda asked: json_reply({"error": {"message": "no"}}, 500)
    assert client.post(CHAT.path, json=CHAT.body()).status_code == 500
    client.post(CHAT.path, content=b"{")
    assert budget(live)["spentMonthToDate"] == pytest.approx(3 * PRICE, abs=1e-15)


async def _crowd(live: Live, token: str, count: int) -> list[int]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(
        base_url=live.url, headers={"authorization": token}, timeout=60, limits=limits
    ) as http:
        replies = await asyncio.gather(*[http.post(CHAT.path, json=CHAT.body(max_tokens=20)) for _ in range(count)])
    return [reply.status_code for reply in replies]


def test_fifty_at_once_never_spend_more_than_there_is(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("openai/gpt-4o")
    set_budget(live, 0.005)
    answers = asyncio.run(_crowd(live, client.headers["authorization"], 50))
    served = answers.count(200)
    assert set(answers) == {200, 402}
    shown = budget(live)
    assert shown["spentMonthToDate"] == pytest.approx(served * PRICE, abs=1e-15)
    estimate_error = PRICE - 0.00025  # the prompt's 100 tokens were 20 by its length
    assert shown["spentMonthToDate"] <= 0.005 + 20 * estimate_error
    assert 5 <= served <= 20
    assert len([row for row in live.rows(client, 50) if row["status"] == 402]) == answers.count(402)


def test_an_estimate_that_is_no_less_than_the_cost_is_never_passed(live: Live) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}  # $0.000225
    live.provider.script = lambda asked: json_reply({**CHAT.whole, "usage": usage})
    client = live.caller("openai/gpt-4o")
    set_budget(live, 0.003)
    answers = asyncio.run(_crowd(live, client.headers["authorization"], 50))
    shown = budget(live)
    assert shown["spentMonthToDate"] <= 0.003
    assert shown["spentMonthToDate"] == pytest.approx(answers.count(200) * 0.000225, abs=1e-15)
    assert answers.count(200) >= 10
    while client.post(CHAT.path, json=CHAT.body(max_tokens=20)).status_code == 200:  # one by one, to the last cent
        assert budget(live)["spentMonthToDate"] <= 0.003
    assert budget(live)["remaining"] < 0.0003

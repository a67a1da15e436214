"""Two gateways with one DynamoDB table (moto): whoever is asked, it is one gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import Asked, Reply, json_reply, sse_reply
from tests.gateway.wire import CHAT
from tests.store import dynamo_tables

OPERATOR = {"authorization": "Bearer operator-canary-9"}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Live]]:
    shared = {
        **dynamo_tables.variables(),
        "STORE": "dynamodb",
        "DYNAMODB_TABLE": dynamo_tables.new_table(),
        "OPERATOR_TOKEN": "operator-canary-9",
        "COOLDOWN_SECONDS": "0",
    }
    folder = tmp_path_factory.mktemp("replicas")
    with gateway(folder, **shared) as here, gateway(folder, **shared) as there:
        for place in (here, there):
            place.provider.script = _answer
        yield here, there
    assert not (folder / "gateway.db").exists()


def _answer(asked: Asked) -> Reply:
    return sse_reply(*CHAT.events) if asked.json.get("stream") else json_reply(CHAT.whole)


def at(place: Live, client: httpx.Client) -> httpx.Client:
    """The same caller, at another replica."""
    return httpx.Client(base_url=place.url, headers=client.headers, timeout=30)


def test_a_login_at_one_is_a_login_at_the_other_and_so_is_a_logout(replicas: tuple[Live, Live]) -> None:
    here, there = replicas
    mine = here.caller(CHAT.model)
    with at(there, mine) as elsewhere:
        assert elsewhere.get("/user/preferences").json()["model_preferences"] == [CHAT.model]
        elsewhere.put("/user/preferences", json={"model_preferences": ["claude-sonnet-5-5"]}).raise_for_status()
        assert mine.get("/user/preferences").json()["model_preferences"] == ["claude-sonnet-5-5"]
        assert elsewhere.post("/auth/logout").status_code == 204
    assert mine.get("/user/preferences").status_code == 401


def test_calls_at_both_are_one_account(replicas: tuple[Live, Live]) -> None:
    here, there = replicas
    mine = here.caller(CHAT.model)
    with at(there, mine) as elsewhere, ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda number: (mine, elsewhere)[number % 2].post(CHAT.path, json=CHAT.body()), range(20))
        )
        assert [reply.status_code for reply in replies] == [200] * 20
        ids = {reply.headers["x-request-id"] for reply in replies}
        for client, place in ((mine, here), (elsewhere, there)):
            rows = place.rows(client, 20)
            assert {row["request_id"] for row in rows} == ids
            assert client.get("/usage", params={"scope": "me"}).json()["totalRequests"] == 20
    streamed = mine.post(CHAT.path, json=CHAT.body(stream=True))
    assert "[DONE]" in streamed.text
    assert here.rows(mine, 21)[0]["stream"] is True
    assert mine.get("/health/ready").status_code == 200


def test_a_budget_holds_at_both(replicas: tuple[Live, Live]) -> None:
    here, there = replicas
    mine = here.caller(CHAT.model)
    cost = float(mine.post(CHAT.path, json=CHAT.body()).headers["x-ekai-cost-usd"])
    assert cost > 0
    spent = mine.get("/budget").json()["spentMonthToDate"]
    with at(there, mine) as elsewhere:
        set_to = elsewhere.put("/budget", headers=OPERATOR, json={"amountUsd": spent})
        assert set_to.status_code == 200
        assert mine.get("/budget").json()["remaining"] == 0
        for client in (mine, elsewhere):
            refused = client.post(CHAT.path, json=CHAT.body())
            assert (refused.status_code, refused.json()["error"]["code"]) == (402, "BUDGET_EXCEEDED")
        elsewhere.put("/budget", headers=OPERATOR, json={"amountUsd": spent + 1}).raise_for_status()
        assert mine.post(CHAT.path, json=CHAT.body()).status_code == 200
        elsewhere.put("/budget", headers=OPERATOR, json={"amountUsd": None}).raise_for_status()
        assert elsewhere.post(CHAT.path, json=CHAT.body()).status_code == 200


def test_a_pace_holds_over_both(replicas: tuple[Live, Live]) -> None:
    here, there = replicas
    owner = here.caller(CHAT.model)
    owner.put("/user/grants", json={"grants": {"*": {"requestsPerMinute": 5, "monthlyUsd": 100}}}).raise_for_status()
    while time.time() % 60 > 50:
        time.sleep(0.5)  # all of it in one minute
    with at(there, owner) as elsewhere, ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda number: (owner, elsewhere)[number % 2].post(CHAT.path, json=CHAT.body()), range(12))
        )
        statuses = sorted(reply.status_code for reply in replies)
        assert statuses == [200] * 5 + [429] * 7
        left = {reply.headers["x-ratelimit-remaining-requests"] for reply in replies if reply.status_code == 200}
        assert left == {"0", "1", "2", "3", "4"}
        grant = elsewhere.get("/user/grants").json()["grants"]["*"]
        assert grant["spentUsd"]["monthly"] > 0

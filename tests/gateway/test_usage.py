"""GET /usage over a socket: who sees which calls, in which form, for which time."""

from __future__ import annotations

import asyncio
import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.chain import checksum_address
from shared.store import Cost, Settlement, Tokens, UsageRow
from shared.store.sqlite import SqliteStore
from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES

OPERATOR = {"authorization": "Bearer operator-canary-8"}
STRANGER = "0x" + "5a" * 20


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway(folder, COOLDOWN_SECONDS="0", OPERATOR_TOKEN="operator-canary-8") as running:
        yield running


def address_of(client: httpx.Client) -> str:
    return str(client.get("/user/preferences").json()["address"])


def put(live: Live, *rows: UsageRow) -> None:
    """Rows of another process."""

    async def write() -> None:
        store = SqliteStore(str(live.folder / "gateway.db"))
        for row in rows:
            await store.record(row, Settlement())
        await store.close()

    asyncio.run(write())


def row(name: str, at: datetime, **more: Any) -> UsageRow:
    given = {"caller": STRANGER, "owner": STRANGER, "provider": "openai", "model": "gpt-4o", "tokens": Tokens(1, 2, 3, 4, 5), "cost": Cost(1, 2, 3, 4, 5)}  # fmt: skip
    return UsageRow(name.ljust(32, "0"), int(at.timestamp() * 1000), "messages", "complete", 200, **{**given, **more})


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ones_own_calls_and_those_billed_to_ones_keys(live: Live) -> None:
    owner, delegate, other = (live.caller("gpt-4o") for _ in range(3))
    now = datetime.now(UTC)
    owners, delegates = address_of(owner).lower(), address_of(delegate).lower()
    put(live, row("aa", now, caller=delegates, owner=owners), row("bb", now, caller=owners, owner=owners),
        row("cc", now, caller=owners, owner=STRANGER))  # fmt: skip

    def seen(client: httpx.Client) -> dict[str, tuple[str, str]]:
        return {one["id"][:2]: (one["caller"], one["owner"]) for one in live.rows(client)}

    mine, yours, else_ = checksum_address(owners), checksum_address(delegates), checksum_address(STRANGER)
    assert seen(owner) == {"aa": (yours, mine), "bb": (mine, mine), "cc": (mine, else_)}
    assert seen(delegate) == {"aa": (yours, mine)}
    assert seen(other) == {}


def test_the_public_sees_sums_and_no_address_anywhere(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("openai/gpt-4o")
    client.post(CHAT.path, json=CHAT.body())
    live.rows(client, 1)
    httpx.post(live.url + CHAT.path, json=CHAT.body())  # somebody without a token
    for reply in (httpx.get(f"{live.url}/usage"), client.get("/usage"), httpx.get(f"{live.url}/usage?scope=public")):
        shown = reply.json()
        assert set(shown) >= {"totalRequests", "totalCost", "totalTokens", "costByProvider", "costByModel", "records"}
        assert shown["totalRequests"] == len(shown["records"]) > 0
        assert "0x" not in reply.text
        assert not {"caller", "owner", "receipt", "request_hash"} & set().union(*shown["records"])
        assert all(one["provider"] for one in shown["records"])  # what strangers tried is nobody's usage
    text = httpx.get(f"{live.url}/usage?format=csv").text
    assert "0x" not in text
    assert address_of(client)[2:].lower() not in text.lower()


def test_everything_is_for_the_operator_alone(live: Live) -> None:
    client = live.caller("gpt-4o")
    reply = httpx.post(live.url + CHAT.path, json=CHAT.body())
    assert reply.status_code == 401
    shown = httpx.get(f"{live.url}/usage", params={"scope": "all", "limit": 10_000}, headers=OPERATOR).json()
    stranger = next(one for one in shown["records"] if one["id"] == reply.headers["x-request-id"])
    assert (stranger["caller"], stranger["owner"], stranger["error"]) == (None, None, "AUTHENTICATION_ERROR")
    for headers in ({}, dict(client.headers), {"authorization": "Bearer operator-canary-"}, {"x-api-key": "None"}):
        refused = httpx.get(f"{live.url}/usage?scope=all", headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "AUTHENTICATION_ERROR")
    assert httpx.get(f"{live.url}/usage?scope=all", headers={"x-api-key": "operator-canary-8"}).status_code == 200


@pytest.mark.parametrize("scope", ["me", "all"])
def test_without_a_token_there_is_no_me(live: Live, scope: str) -> None:
    assert httpx.get(f"{live.url}/usage", params={"scope": scope}).status_code == 401


def test_a_bad_token_is_told(live: Live) -> None:
    assert httpx.get(f"{live.url}/usage", headers={"authorization": "Bearer nope"}).status_code == 401
    assert httpx.get(f"{live.url}/usage", headers=OPERATOR).status_code == 200


def test_public_usage_may_be_off(tmp_path: Path) -> None:
    with gateway(tmp_path, PUBLIC_USAGE="off", OPERATOR_TOKEN="operator-canary-8") as live:
        for query in ("", "?scope=public", "?format=csv"):
            assert httpx.get(f"{live.url}/usage{query}").status_code == 401
        assert live.caller().get("/usage").status_code == 200
        assert httpx.get(f"{live.url}/usage", headers=OPERATOR).status_code == 200


def test_without_an_operator_there_is_no_all(tmp_path: Path) -> None:
    with gateway(tmp_path) as live:
        for token in ("", "None", "null", "operator-canary-8"):
            assert httpx.get(f"{live.url}/usage?scope=all", headers={"x-api-key": token}).status_code == 401


# ── when and how ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("startTime=2026-03-29T00:30:00Z&endTime=2026-03-29T01:30:00Z", ["d2"]),
        ("startTime=2026-03-29T02:30:00%2B02:00&endTime=2026-03-29T03:30:00%2B02:00", ["d2"]),
        ("startTime=2026-03-29T02:30:00+02:00&endTime=2026-03-29T03:30:00+02:00", ["d2"]),
        ("startTime=2026-03-29T01:30:00&endTime=2026-03-29T03:30:00&timezone=Europe/Berlin", ["d2"]),
        ("startTime=2026-03-29&endTime=2026-03-30&timezone=Europe/Berlin", ["d3", "d2", "d1"]),
        ("startTime=2026-03-29&endTime=2026-03-30&timezone=America/Los_Angeles", ["d4"]),
        ("startTime=2026-03-29T00:00:00Z&endTime=2026-03-29T01:00:00Z", ["d1"]),
    ],
)
def test_times_and_zones(live: Live, query: str, ids: list[str]) -> None:
    """Around the night in which Berlin's clocks jump from 2 to 3."""
    me = live.caller("gpt-4o")
    who = address_of(me).lower()
    day = datetime(2026, 3, 29, tzinfo=UTC)
    salt = who[2:10]
    made = [("d1", timedelta()), ("d2", timedelta(hours=1)), ("d3", timedelta(hours=4)), ("d4", timedelta(hours=23))]
    put(live, *[row(name + salt, day + later, caller=who, owner=who) for name, later in made])
    shown = me.get(f"/usage?scope=me&{query}").json()
    assert [one["id"][:2] for one in shown["records"]] == ids
    assert shown["totalRequests"] == len(ids)


def test_stamps_are_in_the_zone(live: Live) -> None:
    me = live.caller("gpt-4o")
    who = address_of(me).lower()
    put(live, row("e1" + who[2:10], datetime(2026, 3, 29, 1, 0, tzinfo=UTC), caller=who, owner=who))
    query = {"scope": "me", "startTime": "2026-03-29T00:00:00Z", "endTime": "2026-03-30T00:00:00Z"}
    for zone, stamp in (("", "2026-03-29T01:00:00.000Z"), ("Europe/Berlin", "2026-03-29T03:00:00.000+02:00")):
        [one] = me.get("/usage", params={**query, "timezone": zone}).json()["records"]
        assert one["timestamp"] == stamp


@pytest.mark.parametrize(
    "query",
    [
        "timezone=Mars/Phobos", "timezone=../../etc/passwd", "timezone=..%2f..%2fetc%2fpasswd", "timezone=/etc/passwd", "timezone=%00",
        "startTime=soon", "endTime=2026-02-30", "startTime=2026-11-24T00:00:00Z&endTime=2026-11-23T00:00:00Z", "endTime=0001-01-01",
        "limit=0", "limit=-5", "limit=ten", "limit=999999999999", "format=xml", "scope=everybody",
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(live: Live, query: str) -> None:
    reply = httpx.get(f"{live.url}/usage?{query}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "etc" not in reply.text
    assert "root" not in reply.text


def test_the_limit_cuts_the_records_and_not_the_sums(live: Live) -> None:
    me = live.caller("gpt-4o")
    who, now = address_of(me).lower(), datetime.now(UTC)
    put(live, *[row(f"f{n}" + who[2:10], now - timedelta(minutes=n), caller=who, owner=who) for n in range(5)])
    shown = me.get("/usage?scope=me&limit=2").json()
    assert [one["id"][:2] for one in shown["records"]] == ["f0", "f1"]
    assert (shown["totalRequests"], shown["totalTokens"], shown["totalCost"]) == (5, 75, 75e-9)
    assert shown["costByProvider"] == {"openai": 75e-9}
    assert shown["costByModel"] == {"gpt-4o": 75e-9}


def test_csv(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(MESSAGES.whole)
    me = live.caller("anthropic/claude-haiku-4-5")
    sent = me.post(MESSAGES.path, json=MESSAGES.body())
    live.rows(me, 1)
    reply = me.get("/usage?scope=me&format=csv")
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert "usage.csv" in reply.headers["content-disposition"]
    header = reply.text.split("\n")[0]
    assert header == (
        "request_id,provider,model,timestamp,input_tokens,cache_write_input_tokens,cache_read_input_tokens,output_tokens,"
        "total_tokens,input_cost_usd,cache_write_cost_usd,cache_read_cost_usd,output_cost_usd,total_cost_usd"
    )
    [one] = csv.DictReader(io.StringIO(reply.text))
    assert one["request_id"] == sent.headers["x-request-id"]
    assert [one[name] for name in header.split(",")[4:9]] == ["60", "10", "30", "20", "120"]
    assert one["total_cost_usd"] == sent.headers["x-ekai-cost-usd"]
    # $1 in, $5 out, $0.10 read, $1.25 and $2 written, per million
    assert [one[name] for name in header.split(",")[9:]] == ["0.00006", "0.0000155", "0.000003", "0.0001", "0.0001785"]


# ── what a provider may say ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 2**63, "completion_tokens": 2**64 - 1, "total_tokens": 2**64 - 1},
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 1e30},
        {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 999}},
        {"prompt_tokens": "many", "completion_tokens": None},
        {"prompt_tokens": 1.5, "completion_tokens": True},
        [],
        None,
        "none",
    ],
    ids=lambda usage: str(usage)[:40],
)  # fmt: skip
@pytest.mark.parametrize("model", ["openai/gpt-4o", "openrouter/openai/gpt-4o"])
def test_whatever_a_provider_counts_there_is_a_row(live: Live, usage: object, model: str) -> None:
    live.provider.script = lambda asked: json_reply({**CHAT.whole, "usage": usage})
    client = live.caller(model)
    reply = client.post(CHAT.path, json=CHAT.body() | {"model": model})
    assert reply.status_code == 200
    [one] = live.rows(client, 1)
    assert one["outcome"] == "complete"
    counts = [one[name] for name in ("input_tokens", "cache_read_input_tokens", "output_tokens", "total_tokens")]
    assert min(counts) >= 0
    assert one["total_cost"] >= 0
    assert client.get("/usage?scope=me").status_code == 200


def test_every_request_leaves_exactly_one_row(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    sent = []
    for api in APIS:
        client = live.caller(api.model)
        sent += [client.post(api.path, content=content).headers["x-request-id"] for content in (b"{", b"[]")]
        sent.append(httpx.post(live.url + api.path, content=b"").headers["x-request-id"])
        sent.append(
            client.post(api.path, json=api.body(), headers={"authorization": "Bearer x"}).headers["x-request-id"]
        )
    with closing(sqlite3.connect(live.folder / "gateway.db")) as connection:
        for name in sent:
            assert connection.execute("SELECT count(*) FROM usage WHERE id = ?", (name,)).fetchone() == (1,)

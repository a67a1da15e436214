"""Who one is to a gateway: login, logout, preferences; over a socket."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.chain import checksum_address
from tests.gateway.live import Live, gateway, new_wallet
from tests.gateway.provider import json_reply
from tests.gateway.wire import APIS, CHAT

WEEK = 604_800


def login(live: Live, body: Any) -> httpx.Response:
    return httpx.post(f"{live.url}/auth/login", json=body)


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


# ── login and logout ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login(live: Live) -> None:
    wallet = new_wallet(live.folder)
    reply = login(live, wallet.login(23295, WEEK))
    assert reply.status_code == 200
    granted = reply.json()
    assert set(granted) == {"token", "address", "expiresAt", "expiresIn"}
    assert granted["address"] == checksum_address(wallet.address)
    assert granted["expiresIn"] == WEEK
    assert abs(granted["expiresAt"] - time.time() - WEEK) < 10
    assert reply.headers["cache-control"] == "no-store"
    with closing(sqlite3.connect(live.folder / "gateway.db")) as connection:
        [(kept,)] = connection.execute("SELECT hash FROM tokens WHERE address = ?", (wallet.address,)).fetchall()
    assert kept == sha256(granted["token"].encode()).digest()


def test_a_login_serves_once_even_at_the_same_moment(live: Live) -> None:
    body = new_wallet(live.folder).login(23295, WEEK)
    replies: list[int] = []
    barrier = threading.Barrier(8)

    def one() -> None:
        barrier.wait()
        replies.append(login(live, body).status_code)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(replies) == [200] + [401] * 7
    assert "used before" in login(live, body).json()["error"]["message"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, 400), (0, 400), (WEEK + 60, 400), (WEEK - 310, 400), (60, 400), (WEEK - 200, 200), (10**12, 400)],
)
def test_when(live: Live, seconds: int, expected: int) -> None:
    reply = login(live, new_wallet(live.folder).login(23295, seconds))
    assert reply.status_code == expected
    if expected == 400:
        assert reply.json()["error"]["code"] == "VALIDATION_ERROR"
        assert reply.json()["error"]["param"] == "expiration"


def test_a_login_for_another_chain_or_by_another_wallet(live: Live) -> None:
    mine, yours = new_wallet(live.folder), new_wallet(live.folder)
    assert code(login(live, mine.login(23294, WEEK))) == (401, "AUTHENTICATION_ERROR")
    assert code(login(live, mine.login(23295, WEEK) | {"address": yours.address})) == (401, "AUTHENTICATION_ERROR")
    high = mine.login(23295, WEEK)
    assert code(login(live, high | {"signature": str(high["signature"])[:-2] + "00"})) == (401, "AUTHENTICATION_ERROR")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"address": "0x"}', b"\xff"])
def test_what_is_no_login(live: Live, raw: bytes) -> None:
    assert code(httpx.post(f"{live.url}/auth/login", content=raw)) == (400, "VALIDATION_ERROR")


def test_a_body_too_large_for_a_login(live: Live) -> None:
    assert code(httpx.post(f"{live.url}/auth/login", content=b" " * 2_000_000)) == (413, "REQUEST_TOO_LARGE")


def test_logout_ends_that_token_alone(live: Live) -> None:
    wallet = new_wallet(live.folder)
    one, other = ({"x-api-key": login(live, wallet.login(23295, WEEK - extra)).json()["token"]} for extra in (0, 1))
    reply = httpx.post(f"{live.url}/auth/logout", headers=one)
    assert (reply.status_code, reply.content) == (204, b"")
    assert code(httpx.post(f"{live.url}/auth/logout", headers=one)) == (401, "AUTHENTICATION_ERROR")
    assert code(httpx.get(f"{live.url}/user/preferences", headers=one)) == (401, "AUTHENTICATION_ERROR")
    for api in APIS:
        reply = httpx.post(live.url + api.path, json=api.body(), headers=one)
        assert (reply.status_code, api.code(reply)) == (401, "AUTHENTICATION_ERROR")
    assert httpx.get(f"{live.url}/user/preferences", headers=other).status_code == 200


def test_only_those_on_the_list_may_log_in(tmp_path: Path) -> None:
    friend, stranger = new_wallet(tmp_path), new_wallet(tmp_path)
    listed = f"0x{'11' * 20}, {checksum_address(friend.address)}"
    with gateway(tmp_path, ALLOWED_ADDRESSES=listed) as live:
        assert login(live, friend.login(23295, WEEK)).status_code == 200
        reply = login(live, stranger.login(23295, WEEK))
        assert code(reply) == (401, "AUTHENTICATION_ERROR")
        assert "ALLOWED_ADDRESSES" in reply.json()["error"]["message"]


def test_lifetimes_are_the_settings(tmp_path: Path) -> None:
    with gateway(tmp_path, AUTH_TOKEN_TTL="2", AUTH_MAX_MESSAGE_AGE="1") as live:
        wallet = new_wallet(tmp_path)
        granted = login(live, wallet.login(23295, 2)).json()
        assert granted["expiresIn"] == 2
        shown = {"authorization": f"Bearer {granted['token']}"}
        assert httpx.get(f"{live.url}/user/preferences", headers=shown).status_code == 200
        time.sleep(max(granted["expiresAt"] - time.time(), 0) + 0.05)
        assert code(httpx.get(f"{live.url}/user/preferences", headers=shown)) == (401, "AUTHENTICATION_ERROR")


# ── preferences ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_set_at_first(live: Live) -> None:
    client = live.caller()
    shown = client.get("/user/preferences").json()
    assert set(shown) == {"address", "api_address", "model_preferences", "updated_at"}
    assert shown["address"] == shown["api_address"] == checksum_address(shown["address"])
    assert (shown["model_preferences"], shown["updated_at"]) == (None, None)


def test_names_are_kept_as_they_were_written(live: Live) -> None:
    wanted = ["gpt-4o", "Claude-Haiku-4.5", "openai/gpt-4o-mini", "claude-sonnet-4-20250514", "some-vendor/some-model:free", "grok-4", "ollama/llama3"]  # fmt: skip
    client = live.caller()
    reply = client.put("/user/preferences", json={"model_preferences": wanted})
    assert reply.status_code == 200, reply.text
    assert reply.json()["model_preferences"] == wanted
    assert reply.json()["updated_at"].endswith("Z")
    assert client.get("/user/preferences").json() == reply.json()


def test_what_is_left_out_stays_and_null_clears(live: Live) -> None:
    client = live.caller("gpt-4o")
    kept = client.put("/user/preferences", json={}).json()
    assert kept["model_preferences"] == ["gpt-4o"]
    assert client.put("/user/preferences", json={"api_address": None}).json()["model_preferences"] == ["gpt-4o"]
    own = client.put("/user/preferences", json={"api_address": kept["address"]}).json()
    assert own["api_address"] == kept["address"]
    cleared = client.put("/user/preferences", json={"model_preferences": None}).json()
    assert cleared["model_preferences"] is None
    reply = client.post(CHAT.path, json=CHAT.body())
    assert code(reply) == (400, "MODEL_PREFERENCES_REQUIRED")


def test_a_name_twice_counts_once(live: Live) -> None:
    client = live.caller()
    reply = client.put("/user/preferences", json={"model_preferences": ["gpt-4o", " gpt-4o ", "grok-4", "gpt-4o"]})
    assert reply.json()["model_preferences"] == ["gpt-4o", "grok-4"]


@pytest.mark.parametrize(
    ("body", "status", "expected", "named"),
    [
        ({"model_preferences": []}, 400, "VALIDATION_ERROR", "null clears"),
        ({"model_preferences": "gpt-4o"}, 400, "VALIDATION_ERROR", "list"),
        ({"model_preferences": [7]}, 400, "VALIDATION_ERROR", "list"),
        ({"model_preferences": [None]}, 400, "VALIDATION_ERROR", "list"),
        ({"model_preferences": ["  "]}, 400, "VALIDATION_ERROR", "list"),
        ({"model_preferences": {"0": "gpt-4o"}}, 400, "VALIDATION_ERROR", "list"),
        ({"model_preferences": [f"a/{n}" for n in range(201)]}, 400, "VALIDATION_ERROR", "200"),
        ({"model_preferences": ["gpt-4o", "gpt-nope", "other-nope"]}, 404, "MODEL_NOT_FOUND", "`gpt-nope`, `other-nope`"),
        ({"model_preferences": ["demo-1"]}, 404, "SECRET_NOT_FOUND", "`demo-1`"),
        ({"model_preferences": ["xai/gpt-4o-nope/x y"]}, 404, "MODEL_NOT_FOUND", "x y"),
        ({"models": ["gpt-4o"]}, 400, "VALIDATION_ERROR", "models"),
        ({"model_preferences": ["gpt-4o"], "modelPreferences": []}, 400, "VALIDATION_ERROR", "modelPreferences"),
        ({"api_address": "0x12"}, 400, "VALIDATION_ERROR", "api_address"),
        ({"api_address": 5}, 400, "VALIDATION_ERROR", "api_address"),
        ({"api_address": ""}, 400, "VALIDATION_ERROR", "api_address"),
        ({"api_address": "0x" + "11" * 20}, 403, "DELEGATE_NOT_PERMITTED", "KEYS=chain"),
        ({"api_address": "0x" + "11" * 20, "model_preferences": ["gpt-4o"]}, 403, "DELEGATE_NOT_PERMITTED", "KEYS"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_changes_that_are_refused_change_nothing(
    live: Live, body: dict[str, Any], status: int, expected: str, named: str
) -> None:
    client = live.caller("grok-4")
    before = client.get("/user/preferences").json()
    reply = client.put("/user/preferences", json=body)
    assert code(reply) == (status, expected), reply.text
    assert named in reply.json()["error"]["message"]
    assert client.get("/user/preferences").json() == before


def test_a_model_without_a_key_is_refused_by_name(tmp_path: Path) -> None:
    without = dict.fromkeys(("XAI_API_KEY", "OPENROUTER_API_KEY"), "")
    with gateway(tmp_path, **without, GROQ_API_KEY="your-key-here") as live:
        client = live.caller("gpt-4o")
        reply = client.put("/user/preferences", json={"model_preferences": ["gpt-4o", "grok-4"]})
        assert code(reply) == (404, "SECRET_NOT_FOUND")
        assert "`grok-4`" in reply.json()["error"]["message"]
        assert "XAI_API_KEY" in reply.json()["error"]["message"]
        assert (
            client.put("/user/preferences", json={"model_preferences": ["groq/openai/gpt-oss-120b"]}).status_code == 404
        )
        assert client.get("/user/preferences").json()["model_preferences"] == ["gpt-4o"]


def test_preferences_are_ones_own(live: Live) -> None:
    one, other = live.caller("gpt-4o"), live.caller("grok-4")
    assert one.get("/user/preferences").json()["model_preferences"] == ["gpt-4o"]
    assert other.get("/user/preferences").json()["model_preferences"] == ["grok-4"]
    assert code(httpx.get(f"{live.url}/user/preferences")) == (401, "AUTHENTICATION_ERROR")
    assert code(httpx.put(f"{live.url}/user/preferences", json={})) == (401, "AUTHENTICATION_ERROR")


# ── names in headers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wanted",
    ["nope\r\nx-injected: 1", "nope\n\nHTTP/1.1 200 OK", "nope\0", "gpt-4o\r\n", "ünï", "名前", "x" * 20_000, "tab\there"],
    ids=lambda name: ascii(name)[:20],
)  # fmt: skip
def test_a_name_from_a_client_never_breaks_a_header(live: Live, wanted: str) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("gpt-4o")
    reply = client.post(CHAT.path, json=CHAT.body() | {"model": wanted})
    assert reply.status_code == 200
    assert reply.json() == CHAT.whole
    assert "x-injected" not in reply.headers
    for name in ("x-ekai-model", "x-ekai-model-requested"):
        value = reply.headers.get(name, "")
        assert len(value) <= 300
        assert value.isprintable()
    assert len(live.rows(client, 1)[0]["model_requested"]) <= 300

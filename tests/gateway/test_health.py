"""Whether the gateway lives and is ready, and its key."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from shared.keys.envelope import public_key
from shared.store import sqlite_writer
from shared.version import VERSION
from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply
from tests.gateway.wire import CHAT

PRIVATE = "c03d5be0af20d8a326ed22b34757b0c7eee79854236ba13b382bf50997a6c04b"
PUBLIC = "ab99861d5847e01151798b269f56413d6e79e435272487a3b3e010c73f594a13"


def test_health(live: Live) -> None:
    reply = httpx.get(f"{live.url}/health")
    assert reply.status_code == 200
    assert set(reply.json()) == {"status", "timestamp", "version"}
    assert reply.json()["version"] == VERSION
    assert reply.json()["timestamp"].endswith("Z")
    assert httpx.get(f"{live.url}/health/ready").json()["status"] == "ready"


def test_greetings(live: Live) -> None:
    assert {"name", "version", "links"} <= set(httpx.get(live.url).json())
    assert httpx.head(live.url).status_code == 200
    assert httpx.head(f"{live.url}/api/hello").status_code == 200


def test_a_store_that_is_locked_is_not_ready_and_the_replies_still_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "BUSY_MS", 100)
    with gateway(tmp_path) as live:
        live.provider.script = lambda asked: json_reply(CHAT.whole)
        client = live.caller("gpt-4o")
        with closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            reply = httpx.get(f"{live.url}/health/ready")
            assert reply.status_code == 503
            assert reply.json()["status"] == "unavailable"
            assert reply.json()["problems"] == {"store": "OperationalError"}
            assert "gateway.db" not in reply.text
            assert httpx.get(f"{live.url}/health").status_code == 200
            served = client.post(CHAT.path, json=CHAT.body())
            assert (served.status_code, served.json()) == (200, CHAT.whole)
            refused = client.put("/user/preferences", json={"model_preferences": ["grok-4"]})
            assert refused.status_code == 500
            assert "locked" not in refused.text
            other.execute("ROLLBACK")
        assert httpx.get(f"{live.url}/health/ready").status_code == 200
        [row] = live.rows(client, 1)  # kept in memory, and written when it could be
        assert row["id"] == served.headers["x-request-id"]


def test_the_key(tmp_path: Path) -> None:
    assert public_key(bytes.fromhex(PRIVATE)).hex() == PUBLIC
    with gateway(tmp_path, ROFL_PRIVATE_KEY=PRIVATE, ROFL_SOCKET_PATH=str(tmp_path / "none.sock")) as live:
        reply = httpx.get(f"{live.url}/rofl/public-key")
        assert reply.status_code == 200
        shown = reply.json()
        assert set(shown) >= {"publicKey", "publicKeyBytes", "isInsideRofl", "isAvailable", "usage"}
        assert (shown["publicKey"], shown["isAvailable"], shown["isInsideRofl"]) == (f"0x{PUBLIC}", True, False)
        assert PRIVATE not in reply.text


@pytest.mark.parametrize("wrong", ["", "abc", "zz" * 32, "00" * 31])
def test_without_a_key_it_says_why(tmp_path: Path, wrong: str) -> None:
    with gateway(tmp_path, ROFL_PRIVATE_KEY=wrong, ROFL_SOCKET_PATH=str(tmp_path / "none.sock")) as live:
        reply = httpx.get(f"{live.url}/rofl/public-key")
        assert reply.status_code == 503
        assert set(reply.json()) >= {"error", "isInsideRofl", "lastError", "hint"}
        assert not wrong or wrong not in reply.text
        assert httpx.get(f"{live.url}/health/ready").status_code == 200  # KEYS=env needs none

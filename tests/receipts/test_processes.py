"""Several server processes over one outbox: each request's receipt goes out once, whoever served it, and whoever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx

from tests.gateway.live import KEYS, Live
from tests.gateway.provider import Provider, sse_reply
from tests.gateway.test_process import started
from tests.gateway.wire import CHAT
from tests.receipts.test_gateway_receipts import settings
from tests.receipts.world import World


def test_two_workers_share_an_outbox_and_one_of_them_is_killed(world: World, tmp_path: Path) -> None:
    world.careless()
    provider = Provider()
    provider.script = lambda asked: sse_reply(*CHAT.events)
    given = {
        **settings(world, WORKERS="2"),
        "OPENAI_API_KEY": KEYS["OPENAI_API_KEY"],
        "OPENAI_UPSTREAM_URL": provider.url,
    }
    hashes: list[str] = []
    try:
        with started(tmp_path, **given) as (_, url):
            live = Live(url, provider, tmp_path)
            client = live.caller("openai/gpt-4o")
            users = [threading.Thread(target=_use, args=(url, dict(client.headers), hashes)) for _ in range(4)]
            for user in users:
                user.start()
            time.sleep(1.5)
            os.kill(_holder(tmp_path), signal.SIGKILL)  # the supervisor starts another process
            for user in users:
                user.join(60)
            end = time.monotonic() + 45
            while _open(tmp_path) and time.monotonic() < end:
                time.sleep(0.2)
            live.rest()
    finally:
        provider.close()
    assert _open(tmp_path) == 0
    rows = _rows(tmp_path)
    assert set(hashes) <= set(rows)  # a stream that was killed may have left its row, and then its receipt
    assert sorted(world.logged()) == sorted(rows)
    assert len(hashes) > 40


def _use(url: str, headers: dict[str, str], hashes: list[str]) -> None:
    for _ in range(15):
        with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
            try:
                reply = client.post(CHAT.path, json=CHAT.body(stream=True))
            except httpx.HTTPError:
                continue
            if reply.content.endswith(b"[DONE]\n\n"):
                hashes.append(reply.headers["x-ekai-request-hash"])
        time.sleep(0.15)


def _holder(folder: Path) -> int:
    """The process that delivers: its id stands in the lease."""
    with closing(sqlite3.connect(folder / "gateway.db")) as connection:
        return int(str(connection.execute("SELECT holder FROM leases").fetchone()[0]).split(":")[1])


def _open(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "gateway.db")) as connection:
        statement = "SELECT count(*) FROM outbox WHERE state IN ('pending', 'sent')"
        return int(connection.execute(statement).fetchone()[0])


def _rows(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "gateway.db")) as connection:
        return [row[0] for row in connection.execute("SELECT request_hash FROM usage WHERE request_hash != ''")]

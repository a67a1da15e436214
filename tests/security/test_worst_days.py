"""Days on which the machine fails: no room on the disk, a database that somebody else holds, a stop under load, a clock that jumps."""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from emulator.app import found
from shared.context import build, close
from shared.settings import Settings
from shared.web import serve
from tests.gateway.live import KEYS, Live, running
from tests.gateway.provider import Piece, Provider, json_reply, sse_reply
from tests.gateway.test_process import started
from tests.gateway.wire import CHAT

_CHILDREN = "/proc/{0}/task/{0}/children"


@contextmanager
def process(
    folder: Path, script: Callable[[Any], Any], **settings: str
) -> Iterator[tuple[subprocess.Popen[str], Live, list[str]]]:
    """A gateway in a process of its own, its provider, and what it says on standard error."""
    provider = Provider()
    provider.script = script
    given = {
        "OPENAI_API_KEY": KEYS["OPENAI_API_KEY"],
        "OPENAI_UPSTREAM_URL": provider.url,
        "LOGIN_ATTEMPTS": "0",
        **settings,
    }
    lines: list[str] = []
    with closing(provider), started(folder, **given) as (running_process, url):
        reader = threading.Thread(target=_gather, args=(running_process, lines), daemon=True)
        reader.start()
        live = Live(url, provider, folder)
        yield running_process, live, lines
        live.rest()


def _gather(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stderr is not None
    try:
        lines.extend(process.stderr)
    except ValueError:  # closed with the process
        return


def rows(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / "gateway.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT id, outcome FROM usage").fetchall()


# ── disk full ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_disk_costs_no_reply_and_in_the_end_no_row(tmp_path: Path) -> None:
    """The file size limit of the process stands for a full disk: SQLite gets the same short write."""
    with process(tmp_path, lambda asked: json_reply(CHAT.whole), WORKERS="1") as (gateway, live, lines):
        client = live.caller("openai/gpt-4o")
        first = client.post(CHAT.path, json=CHAT.body())
        before = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (4_096, before[1]))
        replies = [client.post(CHAT.path, json=CHAT.body()) for _ in range(5)]
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, before)
        after = [client.post(CHAT.path, json=CHAT.body()) for _ in range(3)]
        ready = httpx.get(f"{live.url}/health/ready")
    assert {reply.status_code for reply in (first, *replies, *after)} == {200}
    assert ready.status_code == 200
    names = [reply.headers["x-request-id"] for reply in (first, *replies, *after)]
    assert sorted(rows(tmp_path)) == sorted((name, "complete") for name in names)
    log = "".join(lines)
    assert log.count("a usage row could not be written") == len(replies)
    assert KEYS["OPENAI_API_KEY"] not in log


# ── a database that somebody else holds ──────────────────────────────────────────────────────────────────────────


def test_a_database_that_is_locked_for_seconds_loses_nothing(tmp_path: Path) -> None:
    with process(tmp_path, lambda asked: json_reply(CHAT.whole), WORKERS="2") as (_, live, _lines):
        client = live.caller("openai/gpt-4o")
        with (
            closing(sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)) as other,
            ThreadPoolExecutor(8) as pool,
        ):
            other.execute("BEGIN IMMEDIATE")
            asked = [pool.submit(client.post, CHAT.path, json=CHAT.body()) for _ in range(40)]
            time.sleep(2.0)
            assert httpx.get(f"{live.url}/health").status_code == 200
            other.execute("COMMIT")
            replies = [one.result(30) for one in asked]
    assert {reply.status_code for reply in replies} == {200}
    assert {(reply.headers["x-request-id"], "complete") for reply in replies} == set(rows(tmp_path))


# ── a stop under load ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class User:
    """Streams until the gateway is gone."""

    url: str
    headers: dict[str, str]
    whole: list[str]
    torn: list[str]

    def __call__(self) -> None:
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=20) as client:
            while True:
                name = ""
                try:
                    with client.stream("POST", CHAT.path, json=CHAT.body(stream=True)) as reply:
                        name = reply.headers.get("x-request-id", "")
                        raw = b"".join(reply.iter_raw())
                except httpx.HTTPError:
                    if name:
                        self.torn.append(name)
                    return
                (self.whole if raw.endswith(b"data: [DONE]\n\n") else self.torn).append(name)


def test_a_stop_under_load_lets_every_stream_end(tmp_path: Path) -> None:
    slow: tuple[Piece, ...] = (*CHAT.events[:2], 0.4, *CHAT.events[2:])
    whole: list[str] = []
    torn: list[str] = []
    with process(tmp_path, lambda asked: sse_reply(*slow), WORKERS="2") as (gateway, live, lines):
        headers = dict(live.caller("openai/gpt-4o").headers)
        users = [threading.Thread(target=User(live.url, headers, whole, torn)) for _ in range(16)]
        for user in users:
            user.start()
        time.sleep(1.0)
        workers = Path(_CHILDREN.format(gateway.pid)).read_text().split()
        gateway.send_signal(signal.SIGTERM)
        for user in users:
            user.join(20)
        assert gateway.wait(20) == 0
    assert len(workers) >= 2
    assert torn == []
    assert len(whole) >= 32
    assert sorted(rows(tmp_path)) == sorted((name, "complete") for name in whole)
    assert "Traceback" not in "".join(lines)


# ── a clock that jumps ───────────────────────────────────────────────────────────────────────────────────────────


class Clock:
    """Wall time, with a shift."""

    def __init__(self) -> None:
        self.shift = 0.0

    def __call__(self) -> float:
        return time.time() + self.shift


@pytest.fixture
def jumpy(tmp_path: Path) -> Iterator[tuple[Live, Clock]]:
    clock, provider = Clock(), Provider()
    provider.script = lambda asked: sse_reply(*CHAT.events) if asked.json.get("stream") else json_reply(CHAT.whole)
    settings = {
        "OPENAI_API_KEY": KEYS["OPENAI_API_KEY"], "OPENAI_UPSTREAM_URL": provider.url, "OPERATOR_TOKEN": "operator",
        "DATABASE_PATH": str(tmp_path / "gateway.db"), "LOGIN_ATTEMPTS": "0", "RATE_LIMIT_REQUESTS": "100",
    }  # fmt: skip

    def make() -> Starlette:
        gateway = build(Settings(), clock)

        @asynccontextmanager
        async def lifespan(app: Starlette) -> Any:
            app.state.gateway = gateway
            yield
            await close(gateway)

        return serve(found(), lifespan)

    with closing(provider), running(make, settings, tmp_path) as url:
        live = Live(url, provider, tmp_path)
        yield live, clock
        live.rest()


DAY = 86_400.0


def test_a_clock_that_jumps(jumpy: tuple[Live, Clock], tmp_path: Path) -> None:
    live, clock = jumpy
    client = live.caller("openai/gpt-4o")
    operator = {"authorization": "Bearer operator"}
    client.put("/budget", json={"amountUsd": 1}, headers=operator).raise_for_status()
    done: list[str] = []
    for shift in (0.0, 3_600.0, -3_600.0, 6 * DAY, -40 * DAY, 0.0):
        clock.shift = shift
        for stream in (False, True):
            reply = client.post(CHAT.path, json=CHAT.body(stream=stream))
            assert reply.status_code == 200, (shift, reply.text)
            done.append(reply.headers["x-request-id"])
    assert len(set(done)) == len(done)
    assert sorted(rows(tmp_path)) == sorted((name, "complete") for name in done)
    clock.shift = 8 * DAY
    refused = client.post(CHAT.path, json=CHAT.body())
    assert (refused.status_code, CHAT.code(refused)) == (401, "AUTHENTICATION_ERROR")
    clock.shift = 0.0
    assert client.post(CHAT.path, json=CHAT.body()).status_code == 200  # a clock that was put right again
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("SELECT count(*) FROM holds").fetchone() == (0,)

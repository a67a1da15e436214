"""A function in a process of its own, run by our loop against a fake Runtime API, with a store that can be looked into."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from shared.callers import token_hash
from shared.store import Preferences, UsageQuery, UsageRow
from shared.store.sqlite import SqliteStore
from tests.gateway.live import KEYS
from tests.gateway.provider import Provider
from tests.serverless.events import rest
from tests.serverless.fake_runtime import FakeRuntime, Seen

ROOT = Path(__file__).parents[2]
CALLER = "0x" + "c0ffee" * 6 + "c0ff"
TOKEN = "ab" * 32


class Function:
    """A running function; `ask` invokes it with a REST event."""

    def __init__(
        self, process: subprocess.Popen[bytes], runtime: FakeRuntime, provider: Provider, database: Path
    ) -> None:
        self.process = process
        self.runtime = runtime
        self.provider = provider
        self._database = database

    def ask(self, path: str, body: Any, *, token: str = TOKEN, seconds: float = 60.0) -> Seen:
        return self.runtime.invoke(rest("POST", path, body, token), seconds).result(30)

    def rows(self) -> list[UsageRow]:
        """All rows, the newest first."""

        async def read() -> list[UsageRow]:
            store = SqliteStore(str(self._database))
            try:
                query = UsageQuery(0, int(time.time() * 1000) + 60_000, with_strangers=True)
                return list((await store.usage(query))[1])
            finally:
                await store.close()

        return asyncio.run(read())


async def _seed(database: Path) -> None:
    store = SqliteStore(str(database))
    try:
        await store.add_token(token_hash(TOKEN), CALLER, int(time.time()) + 3600)
        await store.put_preferences(Preferences(CALLER, None, ("gpt-4o", "claude-haiku-4-5"), int(time.time())))
    finally:
        await store.close()


def variables(name: str, runtime: str, provider: Provider, folder: Path) -> dict[str, str]:
    """The environment in which Lambda starts a function."""
    upstreams = {f"{key.removesuffix('_API_KEY')}_UPSTREAM_URL": provider.url for key in KEYS}
    return {
        **KEYS, **upstreams, "PATH": os.environ["PATH"], "DATABASE_PATH": str(folder / "gateway.db"),
        "AWS_LAMBDA_RUNTIME_API": runtime, "AWS_LAMBDA_FUNCTION_NAME": name, "_HANDLER": f"functions.{name}.app.handler",
        "LAMBDA_TASK_ROOT": str(ROOT), "ALLOWED_ADDRESSES": CALLER, "LOG_LEVEL": "warning", "COOLDOWN_SECONDS": "0",
    }  # fmt: skip


@contextmanager
def running(name: str, folder: Path, **settings: str) -> Iterator[Function]:
    """The function as its wrapper starts it. `settings` go over those of the test."""
    provider, runtime = Provider(), FakeRuntime()
    asyncio.run(_seed(folder / "gateway.db"))
    given = {**variables(name, runtime.address, provider, folder), **settings}
    # Lambda names its own interpreter and bootstrap.
    started = [str(ROOT / "serverless/stream"), sys.executable, "/var/runtime/bootstrap.py"]
    process = subprocess.Popen(started, env=given, cwd=folder)
    try:
        yield Function(process, runtime, provider, folder / "gateway.db")
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(10)
        with closing(provider):
            runtime.close()


@pytest.fixture(params=["chat_completions"])
def function(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Function]:
    with running(request.param, tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[str]:
    """A moto server, at this address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()

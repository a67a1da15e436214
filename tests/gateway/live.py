"""A whole gateway on a socket of its own, with providers that obey the test, and callers that are logged in."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from coincurve import PrivateKey

from cli.wallet import Wallet
from emulator.app import create
from emulator.server import bind
from tests.gateway.provider import Provider

KEYS = {
    "OPENAI_API_KEY": "sk-openai-canary-1", "ANTHROPIC_API_KEY": "sk-anthropic-canary-2", "GOOGLE_API_KEY": "google-canary-3",
    "XAI_API_KEY": "xai-canary-4", "OPENROUTER_API_KEY": "sk-or-canary-5", "GROQ_API_KEY": "gsk-canary-6",
    "ZAI_API_KEY": "zai-canary-7",
}  # fmt: skip


def new_wallet(folder: Path) -> Wallet:
    file = folder / f"{os.urandom(6).hex()}.key"
    file.write_text(PrivateKey().secret.hex())
    return Wallet.read(file)


class Live:
    """A running gateway; every provider of the catalog is `provider` under a path of its own (`/openai`, `/anthropic` …)."""

    def __init__(self, url: str, provider: Provider, folder: Path) -> None:
        self.url = url
        self.provider = provider
        self.folder = folder
        self._clients: list[httpx.Client] = []

    def rest(self) -> None:
        """Forgets what a test did."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self.provider.asked.clear()
        self.provider.gone = 0

    def caller(self, *models: str) -> httpx.Client:
        """A new wallet's client, logged in and with these preferences."""
        client = httpx.Client(base_url=self.url, timeout=30)
        self._clients.append(client)
        granted = (
            client.post("/auth/login", json=new_wallet(self.folder).login(23295, 604_800)).raise_for_status().json()
        )
        client.headers["authorization"] = f"Bearer {granted['token']}"
        if models:
            client.put("/user/preferences", json={"model_preferences": list(models)}).raise_for_status()
        return client

    def rows(self, client: httpx.Client, count: int | None = None) -> list[dict[str, Any]]:
        """The caller's rows, the newest first; waits until there are `count`."""
        end = time.monotonic() + 10
        while True:
            reply = client.get("/usage", params={"scope": "me", "limit": 10_000}).raise_for_status().json()
            rows: list[dict[str, Any]] = reply["records"]
            if count is None or len(rows) >= count or time.monotonic() > end:
                assert reply["totalRequests"] == len(rows)
                return rows
            time.sleep(0.02)


@contextmanager
def environment(settings: dict[str, str], folder: Path) -> Iterator[None]:
    """The process's environment for as long as a gateway starts: these settings and nothing of the developer's own."""
    before, place = dict(os.environ), Path.cwd()
    own = {name: value for name, value in before.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    os.environ.clear()
    os.environ.update({**own, **settings})
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def running(make: Callable[[], Any], settings: dict[str, str], folder: Path, http: Any = "auto") -> Iterator[str]:
    """A server in a thread, on a port of its own."""
    listener = bind("127.0.0.1", 0)
    with environment(settings, folder):
        config = uvicorn.Config(
            make(), http=http, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2
        )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@contextmanager
def gateway(folder: Path, **settings: str) -> Iterator[Live]:
    """A gateway with a provider behind it. Settings are those of the contract."""
    provider = Provider()
    upstreams = {
        f"{name.removesuffix('_API_KEY')}_UPSTREAM_URL": f"{provider.url}/{name.removesuffix('_API_KEY').lower()}"
        for name in KEYS
    }
    given = {
        **KEYS,
        **upstreams,
        "OLLAMA_BASE_URL": f"{provider.url}/ollama/v1",
        "DATABASE_PATH": str(folder / "gateway.db"),
        "LOGIN_ATTEMPTS": "0",
        **settings,
    }
    try:
        with running(create, given, folder) as url:
            live = Live(url, provider, folder)
            yield live
            live.rest()
    finally:
        provider.close()

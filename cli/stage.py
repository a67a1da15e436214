"""What a demonstration needs: a gateway of its own that is gone afterwards, calls to it, and lines that tell what happens."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from cli.client import CommandError
from cli.options import console
from cli.wallet import Wallet
from shared.settings import Settings

_START_SECONDS = 30
_STOP_SECONDS = 40


def tell(text: str) -> None:
    """Headline of a step."""
    console.print(f"\n{text}", style="bold", highlight=False)


def show(text: str) -> None:
    """What came of it."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def gateway(folder: Path, settings: Mapping[str, str]) -> Iterator[httpx.Client]:
    """`ekai serve` with these settings and none of the caller's own. `{url}` in a value stands for its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    own = {
        "HOST": "127.0.0.1", "PORT": str(port), "WORKERS": "1", "STORE": "sqlite", "LOG_LEVEL": "warning",
        "DATABASE_PATH": str(folder / "gateway.db"), "EKAI_CONFIG_DIR": str(folder / "config"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    environment = {**_inherited(), **own, **{name: value.format(url=url) for name, value in settings.items()}}
    command = [sys.executable, "-m", "cli.main", "serve"]
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as http:
            _await(http, server)
            show(f"It listens on {url}")
            yield http
    finally:
        server.terminate()
        try:
            server.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _inherited() -> dict[str, str]:
    """The environment without anything that is a setting of the gateway."""
    known = {name.upper() for name in Settings.model_fields}
    ends = ("_API_KEY", "_UPSTREAM_URL", "_BASE_URL")
    return {name: value for name, value in os.environ.items() if name not in known and not name.endswith(ends)}


def _await(http: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise CommandError(f"The gateway stopped with exit code {server.returncode}.")
        try:
            if http.get("/health").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise CommandError(f"The gateway did not start within {_START_SECONDS} seconds.")


def wallet(folder: Path, name: str, private_key: str) -> Wallet:
    """A wallet with a file of its own, as the commands want it."""
    file = folder / f"{name}.key"
    file.write_text(private_key)
    return Wallet.read(file)


def log_in(http: httpx.Client, wallet: Wallet, chain_id: int) -> str:
    """Logs a wallet in, for all further calls of this client; gives its address."""
    granted = ok(http.post("/auth/login", json=wallet.login(chain_id, 604_800)))
    http.headers["authorization"] = f"Bearer {granted['token']}"
    return str(granted["address"])


def ok(reply: httpx.Response) -> dict[str, Any]:
    """The JSON of a reply that must be a success."""
    if reply.is_error:
        raise CommandError(f"The gateway answered {reply.status_code}: {reply.text}")
    return dict(reply.json())


def refused(reply: httpx.Response, status: int, code: str) -> None:
    """Shows a refusal, which must be this one."""
    error = reply.json().get("error", {}) if reply.is_error else {}
    if (reply.status_code, error.get("code")) != (status, code):
        raise CommandError(f"Expected {status} {code}, but the gateway answered {reply.status_code}: {reply.text}")
    show(f"{status} {code}: {error['message']}")


def stream(http: httpx.Client, path: str, body: dict[str, object]) -> None:
    """Sends a streamed request, and shows the words as they come."""
    words = 0
    with http.stream("POST", path, json={"model": "demo-1", "stream": True, **body}) as reply:
        if reply.is_error:
            raise CommandError(f"The gateway answered {reply.status_code}: {reply.read().decode()}")
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                word = _word(json.loads(line[6:]))
                words += bool(word)
                console.print(word, end="", highlight=False, markup=False)
    console.print()
    if not words:
        raise CommandError(f"{path} streamed no text.")


def _word(event: dict[str, object]) -> str:
    match event:
        case {"choices": [{"delta": {"content": str(text)}}, *_]}:
            return text
        case {"type": "content_block_delta", "delta": {"text": str(text)}}:
            return text
        case {"type": "response.output_text.delta", "delta": str(text)}:
            return text
        case _:
            return ""

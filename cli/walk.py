"""`ekai demo`: the whole loop in a minute, with a gateway and a provider of its own, and nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import typer
from coincurve import PrivateKey

from cli.client import CommandError
from cli.options import console
from cli.wallet import Wallet

_START_SECONDS = 30


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(demo)


def demo() -> None:
    """Walk through the whole loop with the built-in demo provider: start, login, models, three APIs, usage. Then stop."""
    with tempfile.TemporaryDirectory(prefix="ekai-demo-") as folder:
        _tell("1. A gateway starts on this machine, with a database of its own and the demo provider.")
        with _gateway(Path(folder)) as http:
            _walk(http, Path(folder))
    console.print("\nThat was the whole loop. `make run` starts your own gateway.", style="bold green")


def _tell(text: str) -> None:
    console.print(f"\n{text}", style="bold", highlight=False)


@contextmanager
def _gateway(folder: Path) -> Iterator[httpx.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_UPSTREAM_URL"))}
    settings = {
        "HOST": "127.0.0.1", "PORT": str(port), "WORKERS": "1", "KEYS": "env", "STORE": "sqlite",
        "DATABASE_PATH": str(folder / "gateway.db"), "EKAI_CONFIG_DIR": str(folder / "config"), "LOG_LEVEL": "warning",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "serve"]
    server = subprocess.Popen(command, cwd=folder, env={**kept, **settings}, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            _await(http, server)
            console.print(f"It listens on http://127.0.0.1:{port}", highlight=False)
            yield http
    finally:
        server.terminate()
        server.wait(timeout=30)


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


def _walk(http: httpx.Client, folder: Path) -> None:
    _tell("2. A wallet logs in: it signs a message, and gets a token.")
    key_file = folder / "friend.key"
    key_file.write_text(PrivateKey().secret.hex())
    wallet = Wallet.read(key_file)
    granted = _ok(http.post("/auth/login", json=wallet.login(23295, 604_800)))
    http.headers["authorization"] = f"Bearer {granted['token']}"
    console.print(f"Logged in as {granted['address']}", highlight=False)

    _tell("3. It picks its models, in order.")
    chosen = _ok(http.put("/user/preferences", json={"model_preferences": ["demo-1", "demo-messages"]}))
    console.print(", ".join(chosen["model_preferences"]), highlight=False)

    _tell("4. OpenAI chat completions, streamed:")
    _stream(http, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello from the chat API."}]})
    _tell("5. Anthropic messages, streamed:")
    messages = [{"role": "user", "content": "Hello from the messages API."}]
    _stream(http, "/v1/messages", {"max_tokens": 200, "messages": messages})
    _tell("6. OpenAI responses, streamed:")
    _stream(http, "/v1/responses", {"input": "Hello from the responses API."})

    _tell("7. A model that isn't among its own: the first of them answers, and the headers say so.")
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Who answers?"}]}
    reply = http.post("/v1/chat/completions", json=asked)
    _ok(reply)
    console.print(f"asked for {reply.headers['x-ekai-model-requested']}, served by {reply.headers['x-ekai-model']}")

    _tell("8. Every call left a row, with its tokens and its cost.")
    used = _ok(http.get("/usage", params={"scope": "me"}))
    if used["totalRequests"] != 4:
        raise CommandError(f"Expected 4 rows, found {used['totalRequests']}.")
    console.print(
        f"{used['totalRequests']} requests, {used['totalTokens']} tokens, ${used['totalCost']}", highlight=False
    )

    _tell("9. It logs out, and the token is dead.")
    http.post("/auth/logout").raise_for_status()
    if http.get("/user/preferences").status_code != 401:
        raise CommandError("The token outlived the logout.")
    console.print("401, as it should be.", highlight=False)


def _ok(reply: httpx.Response) -> dict[str, Any]:
    if reply.is_error:
        raise CommandError(f"The gateway answered {reply.status_code}: {reply.text}")
    return dict(reply.json())


def _stream(http: httpx.Client, path: str, body: dict[str, object]) -> None:
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

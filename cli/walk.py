"""`ekai demo`: the whole loop in a minute, on this machine alone, and nothing left behind."""

from __future__ import annotations

import tempfile
from pathlib import Path

import httpx
import typer
from coincurve import PrivateKey

from cli.client import CommandError
from cli.options import console
from cli.stage import gateway, log_in, ok, show, stream, tell, wallet
from cli.walk_chain import chain_walk
from emulator.devchain import DevChainError

_CHAIN_ID = 23295


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(demo)


def demo() -> None:
    """Walk through the whole loop with the built-in demo provider: first with local keys, then with keys and receipts on a
    chain of its own. Then stop."""
    with tempfile.TemporaryDirectory(prefix="ekai-demo-") as folder:
        tell("1. A gateway starts on this machine, with a database of its own and the demo provider.")
        with gateway(_made(folder, "local"), {"KEYS": "env"}) as http:
            local_walk(http, Path(folder))
        try:
            chain_walk(_made(folder, "chain"))
        except DevChainError as error:
            raise CommandError(f"The part on the chain can't be shown: {error}.") from None
    console.print("\nThat was the whole loop. `make run` starts your own gateway.", style="bold green")


def _made(folder: str, name: str) -> Path:
    made = Path(folder) / name
    made.mkdir()
    return made


def local_walk(http: httpx.Client, folder: Path) -> None:
    """Login, models, three APIs, usage, logout."""
    tell("2. A wallet logs in: it signs a message, and gets a token. It picks its models, in order.")
    show(f"Logged in as {log_in(http, wallet(folder, 'caller', PrivateKey().secret.hex()), _CHAIN_ID)}")
    chosen = ok(http.put("/user/preferences", json={"model_preferences": ["demo-1", "demo-messages"]}))
    show(", ".join(chosen["model_preferences"]))

    tell("3. OpenAI chat completions, Anthropic messages, OpenAI responses, all streamed:")
    stream(http, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello from the chat API."}]})
    messages = [{"role": "user", "content": "Hello from the messages API."}]
    stream(http, "/v1/messages", {"max_tokens": 200, "messages": messages})
    stream(http, "/v1/responses", {"input": "Hello from the responses API."})

    tell("4. A model that isn't among its own: the first of them answers, and the headers say so.")
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Who answers?"}]}
    reply = http.post("/v1/chat/completions", json=asked)
    ok(reply)
    show(f"asked for {reply.headers['x-ekai-model-requested']}, served by {reply.headers['x-ekai-model']}")

    tell("5. Every call left a row, with its tokens and its cost. Then it logs out, and the token is dead.")
    used = ok(http.get("/usage", params={"scope": "me"}))
    if used["totalRequests"] != 4:
        raise CommandError(f"Expected 4 rows, found {used['totalRequests']}.")
    show(f"{used['totalRequests']} requests, {used['totalTokens']} tokens, ${used['totalCost']}")
    http.post("/auth/logout").raise_for_status()
    if http.get("/user/preferences").status_code != 401:
        raise CommandError("The token outlived the logout.")

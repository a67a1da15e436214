"""A whole gateway on a socket, the demo provider behind it on another, and the official SDKs as its clients."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
from starlette.applications import Starlette

from emulator.demo import demo_routes
from tests.gateway.live import gateway, running

MODELS = ("demo-chat", "demo-messages", "demo-responses", "demo-gemini")
"""One for each wire format of the upstream."""


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The gateway's address and the token of a caller who prefers the demo's models."""
    folder = tmp_path_factory.mktemp("judges")
    with (
        running(lambda: Starlette(routes=demo_routes(pause=0)), {}, folder) as upstream,
        gateway(folder, DEMO_UPSTREAM_URL=upstream, COOLDOWN_SECONDS="0", MAX_ATTEMPTS="1") as live,
    ):
        caller = live.caller(*MODELS)
        yield live.url, caller.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture(scope="session")
def chat(token: tuple[str, str]) -> Iterator[openai.OpenAI]:
    """For chat completions and responses."""
    with openai.OpenAI(api_key=token[1], base_url=f"{token[0]}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def claude(token: tuple[str, str]) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key=token[1], base_url=token[0], max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def http(token: tuple[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=token[0], headers={"authorization": f"Bearer {token[1]}"}, timeout=30) as client:
        yield client

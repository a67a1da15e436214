"""The demo provider on a real socket, and the official SDKs pointed at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import anthropic
import httpx
import openai
import pytest
import uvicorn
from google import genai
from google.genai import types as google
from starlette.applications import Starlette
from starlette.routing import Mount

from emulator.demo import demo_routes


@pytest.fixture(scope="session")
def demo_url() -> Iterator[str]:
    app = Starlette(routes=[Mount("/demo", routes=demo_routes(pause=0))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/demo"
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def http(demo_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo_url, headers={"anthropic-version": "2023-06-01"}) as client:
        yield client


@pytest.fixture
def chat(demo_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="key-o", base_url=f"{demo_url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def claude(demo_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="key-a", base_url=demo_url, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini(demo_url: str) -> Iterator[genai.Client]:
    client = genai.Client(api_key="key-g", http_options=google.HttpOptions(base_url=demo_url))
    yield client
    client.close()

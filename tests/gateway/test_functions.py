"""Every folder in `functions/` is a serverless function: it answers an API Gateway v2 event with no server around it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from starlette.routing import Route

import functions
from emulator.app import found
from shared.context import close
from tests.gateway.live import KEYS, environment, new_wallet
from tests.gateway.provider import Provider, json_reply
from tests.gateway.wire import CHAT, MESSAGES, RESPONSES

NAMES = sorted(module.name for module in iter_modules(functions.__path__) if module.ispkg)
COMPLETIONS = ("chat_completions", "messages", "responses")


def event(method: str, path: str, body: Any = None, token: str = "") -> dict[str, Any]:
    headers = {
        "content-type": "application/json",
        "host": "x",
        **({"authorization": f"Bearer {token}"} if token else {}),
    }
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"}
    context = {"http": http, "stage": "$default", "requestId": "id", "domainName": "x", "timeEpoch": 1}
    return {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "requestContext": context, "isBase64Encoded": False, "body": None if body is None else json.dumps(body),
    }  # fmt: skip


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """With an event loop of their own for the handlers, as Lambda has one: another test's `asyncio.run` takes the main one away."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    provider = Provider()
    folder = tmp_path_factory.mktemp("functions")
    upstreams = {f"{name.removesuffix('_API_KEY')}_UPSTREAM_URL": provider.url for name in KEYS}
    with environment(
        {**KEYS, **upstreams, "DATABASE_PATH": str(folder / "gateway.db"), "ROFL_PRIVATE_KEY": "11" * 32}, folder
    ):
        yield provider
    for name in NAMES:
        state = import_module(f"functions.{name}.app").app.state
        if hasattr(state, "gateway"):
            loop.run_until_complete(close(state.gateway))
            del state.gateway
    asyncio.set_event_loop(None)
    loop.close()
    provider.close()


def invoke(name: str, *asked: Any, **more: Any) -> tuple[int, Any]:
    reply = import_module(f"functions.{name}.app").handler(event(*asked, **more), object())
    body = reply["body"]
    return reply["statusCode"], json.loads(body) if body and body.startswith("{") else body


@pytest.fixture(scope="module")
def token(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> str:
    status, granted = invoke(
        "auth", "POST", "/auth/login", new_wallet(tmp_path_factory.mktemp("keys")).login(23295, 604_800)
    )
    assert status == 200
    models = {"model_preferences": ["gpt-4o", "claude-haiku-4-5"]}
    assert invoke("preferences", "PUT", "/user/preferences", models, token=granted["token"])[0] == 200
    return str(granted["token"])


def test_the_emulator_mounts_them_all() -> None:
    assert set(COMPLETIONS) < set(NAMES)
    ours = [route for name in NAMES for route in import_module(f"functions.{name}.app").routes]
    assert found() == ours
    places = [(method, route.path) for route in ours if isinstance(route, Route) for method in route.methods or ()]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("api", [CHAT, MESSAGES, RESPONSES], ids=lambda api: api.name)
def test_completions(provider: Provider, token: str, api: Any) -> None:
    provider.script = lambda asked: json_reply(api.whole)
    status, body = invoke(api.name, "POST", api.path, api.body(), token=token)
    assert (status, body) == (200, api.whole)
    status, body = invoke(api.name, "POST", api.path, api.body())
    assert (status, body["error"]["code"]) == (401, "AUTHENTICATION_ERROR")


def test_the_others(provider: Provider, token: str) -> None:
    answers = {
        "models": ("GET", "/v1/models"), "usage": ("GET", "/usage"), "health": ("GET", "/health/ready"),
        "rofl_pubkey": ("GET", "/rofl/public-key"), "openapi": ("GET", "/openapi.json"), "budget": ("GET", "/budget"), "preferences": ("GET", "/user/preferences"),
        "auth": ("POST", "/auth/logout"),
    }  # fmt: skip
    assert set(answers) | {"route", "grants"} | set(COMPLETIONS) == set(NAMES)
    assert invoke("grants", "GET", "/user/grants", token=token)[0] == 200
    assert invoke("route", "POST", "/v1/route", CHAT.body(), token=token)[0] == 200
    for name, asked in answers.items():
        status, body = invoke(name, *asked, token=token)
        assert status in (200, 204), (name, body)


@pytest.mark.parametrize("name", COMPLETIONS)
def test_importing_a_completion_function_touches_no_network_and_no_web3(name: str) -> None:
    code = f"""
import socket, sys
def refuse(*a, **k): raise AssertionError("network at import")
socket.socket.connect = socket.getaddrinfo = refuse
import functions.{name}.app
heavy = [m for m in ("web3", "eth_account", "boto3", "typer", "genai_prices", "openai", "anthropic") if m in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(functions.__path__[0]).parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

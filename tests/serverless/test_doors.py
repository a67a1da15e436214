"""Every function behind every front door, on DynamoDB; and no function calls what its policy in the template denies it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shared.context import close
from shared.keys.env import EnvKeys
from tests.gateway.live import KEYS, environment, new_wallet
from tests.gateway.provider import Provider, json_reply
from tests.gateway.wire import CHAT, MESSAGES, RESPONSES
from tests.serverless.aws import CREDENTIALS, Calls, create, watched
from tests.serverless.events import DOORS
from tests.serverless.template import FUNCTIONS, actions, folder_of, statements

TABLE = "ekai-doors"
WRITES = {"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"}
APIS = {api.name: api for api in (CHAT, MESSAGES, RESPONSES)}
_GRANTS = {"*": {"dailyUsd": 5, "requestsPerMinute": 100}}


class World:
    """Functions as Lambda runs them, each with a gateway of its own on the one table."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.calls: dict[str, Calls] = {}
        self.now = Calls()

    def invoke(self, door: str, name: str, *asked: Any, **more: Any) -> tuple[int, Any]:
        self.now = self.calls.setdefault(name, Calls())
        reply = import_module(f"functions.{name}.app").handler(DOORS[door](*asked, **more), object())
        assert set(reply) >= {"statusCode", "body", "isBase64Encoded"}
        assert not reply["isBase64Encoded"]
        body = reply["body"]
        return reply["statusCode"], json.loads(body) if body[:1] in ("{", "[") else body


@pytest.fixture(scope="module")
def world(dynamodb: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    create(dynamodb, TABLE)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    provider = Provider()
    upstreams = {f"{name.removesuffix('_API_KEY')}_UPSTREAM_URL": provider.url for name in KEYS}
    settings = {
        **KEYS, **upstreams, **CREDENTIALS, "STORE": "dynamodb", "DYNAMODB_TABLE": TABLE, "AWS_ENDPOINT_URL": dynamodb,
        "ROFL_PRIVATE_KEY": "11" * 32, "OPERATOR_TOKEN": "operator", "LOGIN_ATTEMPTS": "0",
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("doors")
    states = [import_module(f"functions.{folder_of(name)}.app").app.state for name in FUNCTIONS if _served(name)]
    with environment(settings, folder), pytest.MonkeyPatch.context() as patched:
        patched.setattr(EnvKeys, "admit", _anybody)  # as an owner's word on chain would
        world = World(provider)
        with watched(lambda: world.now):
            yield world
        for state in states:
            if hasattr(state, "gateway"):
                loop.run_until_complete(close(state.gateway))
                del state.gateway
    asyncio.set_event_loop(None)
    loop.close()
    provider.close()


async def _anybody(keys: EnvKeys, owner: str, caller: str) -> None: ...


def _served(name: str) -> bool:
    return str(FUNCTIONS[name]["Handler"]).startswith("functions.")


@pytest.fixture(scope="module")
def played(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """After the whole story was told at every door."""
    for door in DOORS:
        play(world, door, tmp_path_factory.mktemp(door))
    return world


def play(world: World, door: str, tmp_path: Path) -> None:
    """Every function, in the order in which a caller meets them."""

    def ask(name: str, *asked: Any, **more: Any) -> Any:
        status, body = world.invoke(door, name, *asked, **more)
        assert status in (200, 204), (name, body)
        return body

    token = ask("auth", "POST", "/auth/login", new_wallet(tmp_path).login(23295, 604_800))["token"]
    world.invoke(door, "preferences", "GET", "/user/preferences", token=token)
    chosen = {"model_preferences": ["gpt-4o", "claude-haiku-4-5"]}
    assert ask("preferences", "PUT", "/user/preferences", chosen, token=token)["model_preferences"] == [
        "gpt-4o",
        "claude-haiku-4-5",
    ]
    for _ in range(2):
        ask("budget", "PUT", "/budget", {"amountUsd": 100, "alertOnly": False}, token="operator")
    assert ask("budget", "GET", "/budget")["amountUsd"] == 100
    ask("grants", "PUT", "/user/grants", {"grants": _GRANTS}, token=token)
    assert ask("grants", "GET", "/user/grants", token=token)["grants"]
    for name, api in APIS.items():
        world.provider.script = lambda asked, api=api: json_reply(api.whole)
        assert ask(name, "POST", api.path, api.body(), token=token) == api.whole
    world.provider.script = lambda asked: json_reply({"input_tokens": 7})
    ask("messages", "POST", "/v1/messages/count_tokens", MESSAGES.body(), token=token)
    ask("route", "POST", "/v1/route", CHAT.body(), token=token)
    assert ask("models", "GET", "/v1/models?limit=1", token=token)["data"]
    ask("models", "GET", "/v1/models/gpt-4o", token=token)
    time.sleep(0.01)
    assert ask("usage", "GET", "/usage?scope=me&limit=2", token=token)["totalRequests"] == 3
    ask("usage", "GET", "/usage")
    ask("usage", "GET", "/usage?scope=all", token="operator")
    ask("health", "GET", "/health/ready")
    ask("health", "GET", "/")
    ask("rofl_pubkey", "GET", "/rofl/public-key")
    ask("openapi", "GET", "/openapi.json")
    _delegate(ask, token, tmp_path)
    ask("grants", "PUT", "/user/grants", {"grants": dict.fromkeys(_GRANTS)}, token=token)
    ask("auth", "POST", "/auth/logout", token=token)
    assert world.invoke(door, "usage", "GET", "/usage?scope=me", token=token)[0] == 401


def _delegate(ask: Any, token: str, tmp_path: Path) -> None:
    """Somebody who uses this owner's keys for a while."""
    owner = ask("preferences", "GET", "/user/preferences", token=token)["address"]
    login = ask("auth", "POST", "/auth/login", new_wallet(tmp_path).login(23295, 604_800))
    ask("preferences", "PUT", "/user/preferences", {"api_address": owner}, token=login["token"])
    given = {"grants": {"*": {"dailyUsd": 4}, login["address"]: {"requestsPerMinute": 9}}}
    ask("grants", "PUT", "/user/grants", given, token=token)
    assert ask("preferences", "GET", "/user/preferences", token=login["token"])["api_address"] == owner
    ask("preferences", "PUT", "/user/preferences", {"api_address": None}, token=login["token"])
    ask("grants", "PUT", "/user/grants", {"grants": {login["address"]: None}}, token=token)


def test_every_function_answers_at_every_door(played: World) -> None:
    assert set(played.calls) == {folder_of(name) for name in FUNCTIONS if _served(name)}


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if _served(name)])
def test_policies_allow_what_is_called_and_no_other_writes(played: World, name: str) -> None:
    calls = played.calls[folder_of(name)]
    allowed = actions(FUNCTIONS[name], "dynamodb")
    assert calls.actions <= allowed, f"{name} lacks {sorted(calls.actions - allowed)}"
    spare = (allowed & WRITES) - calls.actions
    assert not spare, f"{name} never needs {sorted(spare)}"
    everywhere = [resource for statement in statements(FUNCTIONS[name]) for resource in _listed(statement["Resource"])]
    assert ({"Fn::Sub": "${Table.Arn}/index/*"} in everywhere) == bool(calls.indexes)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

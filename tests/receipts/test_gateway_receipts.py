"""From a request to its receipt on chain: every way of being served leaves one, every refusal none."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.wallet import Wallet
from emulator.appd import FakeAppd, on_chain
from emulator.devchain import DevChain
from shared.chain import keccak256, model_ids, provider_id
from shared.keys.envelope import public_key, seal_for
from shared.receipts import hash_of
from shared.receipts.worker import worker_for
from tests.gateway.live import Live, gateway
from tests.gateway.provider import CUT, Asked, Piece, Reply, json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES, Api
from tests.receipts.world import FAST, World, values

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def settings(world: World, **more: str) -> dict[str, str]:
    return {
        "KEYS": "env",
        "RECEIPTS": "on",
        "PRIVATE_KEY": world.gateway.private_key,
        "SAPPHIRE_RPC_URL": world.chain.url,
        "EKAI_CONTROL_PLANE_ADDRESS": world.contract,
        "COOLDOWN_SECONDS": "0",
        "STREAM_IDLE_TIMEOUT": "0.6",
        "PING_INTERVAL": "0.2",
        "OPERATOR_TOKEN": "operator-canary-8",
        **more,
    }


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shared.receipts.worker.worker_for", partial(worker_for, pace=replace(FAST, lease=15)))
        yield


@pytest.fixture(scope="module")
def plane(chain: DevChain) -> World:
    return World(chain)


@pytest.fixture(scope="module")
def live(plane: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), **settings(plane)) as running:
        yield running


@pytest.fixture(autouse=True)
def _rested(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "live" in request.fixturenames:
        request.getfixturevalue("live").rest()


def settled(live: Live, client: httpx.Client, count: int = 1) -> list[dict[str, Any]]:
    """The caller's rows once no receipt of theirs is under way."""
    end = time.monotonic() + 20
    while True:
        rows = live.rows(client, count)
        if all(row["receipt"] in ("none", "logged", "dead") for row in rows) or time.monotonic() > end:
            return rows
        time.sleep(0.03)


def check(world: World, row: dict[str, Any]) -> None:
    """The receipt on chain says what the row says, once."""
    assert row["receipt"] == "logged", row
    assert row["receipt_error"] is None
    at = _milliseconds(row["timestamp"])
    hashed = hash_of(row["id"], row["owner"], row["caller"], row["provider"], row["model"], at)
    assert row["request_hash"] == f"0x{hashed.hex()}"
    [log] = [log for log in world.logs() if log["topics"][1] == row["request_hash"]]
    assert log["transactionHash"] == row["receipt_tx"]
    assert [topic[-40:] for topic in log["topics"][2:]] == [row[who][2:].lower() for who in ("owner", "caller")]
    prompt = row["input_tokens"] + row["cache_read_input_tokens"] + row["cache_write_input_tokens"]
    expected = (provider_id(row["provider"]), model_ids(row["model"])[2], prompt, row["output_tokens"])
    assert values(log) == expected


def _milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


def _answer(of: Api, stream: bool) -> Reply:
    return sse_reply(*of.events) if stream else json_reply(of.whole)


def _spoken(asked: Asked) -> Api:
    """The API in which a provider was asked."""
    return next(api for api in APIS if asked.path.endswith(api.path))


@each_api
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", ["through", "translated"])
def test_every_reply_has_its_receipt(live: Live, plane: World, api: Api, stream: bool, way: str) -> None:
    native = {
        "chat_completions": "openai/gpt-4o",
        "messages": "anthropic/claude-haiku-4-5",
        "responses": "openai/gpt-4o",
    }
    model = native[api.name]
    if way == "translated":
        model = native["chat_completions" if api is MESSAGES else "messages"]
    live.provider.script = lambda asked: _answer(_spoken(asked), stream)
    client = live.caller(model)
    reply = client.post(api.path, json=api.body(stream=stream, model=model))
    assert reply.status_code == 200, reply.text
    [row] = settled(live, client)
    assert reply.headers["x-ekai-request-hash"] == row["request_hash"]
    assert reply.headers["x-request-id"] == row["id"]
    assert row["total_tokens"] > 0
    assert live.provider.asked[0].path.endswith(api.path) == (way == "through")
    check(plane, row)


@each_api
@pytest.mark.parametrize("how", ["cut", "stalls", "hung up"])
def test_what_breaks_off_has_one_too(live: Live, plane: World, api: Api, how: str) -> None:
    ending: Piece = CUT if how == "cut" else 30.0
    live.provider.script = lambda asked: sse_reply(*api.events[:3], 0.05, ending)
    client = live.caller(f"{'anthropic' if api is MESSAGES else 'openai'}/{api.model}")
    with client.stream("POST", api.path, json=api.body(stream=True)) as reply:
        pieces = reply.iter_raw()
        next(pieces)
        if how != "hung up":
            list(pieces)
    [row] = settled(live, client)
    assert row["outcome"] == ("client_gone" if how == "hung up" else "broken")
    assert reply.headers["x-ekai-request-hash"] == row["request_hash"]
    assert row["total_tokens"] > 0
    check(plane, row)


@each_api
def test_where_nobody_answered_there_is_none(live: Live, api: Api) -> None:
    before = len(live.provider.asked)
    live.provider.script = lambda asked: json_reply({"error": {"message": "Slow down", "type": "x"}}, 429)
    client = live.caller(f"{'anthropic' if api is MESSAGES else 'openai'}/{api.model}")
    assert client.post(api.path, json=api.body()).status_code == 429
    live.provider.script = lambda asked: Reply([], 529)
    assert client.post(api.path, json=api.body(stream=True)).status_code == 529
    refused = client.post(api.path, json={"model": api.model})
    assert refused.status_code == 400
    assert "x-ekai-request-hash" not in refused.headers
    assert len(live.provider.asked) == before + 2
    rows = settled(live, client, 3)
    assert [row["receipt"] for row in rows] == ["none"] * 3
    assert {row["request_hash"] for row in rows} == {None}


def test_the_one_who_answered_is_named(live: Live, plane: World) -> None:
    def script(asked: Asked) -> Reply:
        return _answer(CHAT, False) if "openrouter" in asked.path else Reply([], 503)

    live.provider.script = script
    client = live.caller("gpt-4o")
    assert client.post(CHAT.path, json=CHAT.body()).status_code == 200
    [row] = settled(live, client)
    assert (row["provider"], row["attempts"]) == ("openrouter", 2)
    check(plane, row)


def test_a_reply_without_usage_is_estimated_on_chain_as_in_the_row(live: Live, plane: World) -> None:
    whole = {name: value for name, value in CHAT.whole.items() if name != "usage"}
    live.provider.script = lambda asked: json_reply(whole)
    client = live.caller("openai/gpt-4o")
    assert client.post(CHAT.path, json=CHAT.body()).status_code == 200
    [row] = settled(live, client)
    assert row["estimated"]
    check(plane, row)


def test_the_public_sees_no_receipts(live: Live) -> None:
    live.provider.script = lambda asked: _answer(CHAT, False)
    client = live.caller("openai/gpt-4o")
    client.post(CHAT.path, json=CHAT.body())
    settled(live, client)
    public = httpx.get(f"{live.url}/usage").json()["records"]
    assert public
    assert not {"receipt", "receipt_tx", "request_hash", "owner"} & set(public[0])
    operator = {"authorization": "Bearer operator-canary-8"}
    everybody = httpx.get(f"{live.url}/usage", params={"scope": "all"}, headers=operator).json()["records"]
    assert {"receipt", "receipt_tx", "receipt_error", "request_hash"} <= set(everybody[0])


def test_receipts_that_are_off(tmp_path: Path) -> None:
    with gateway(tmp_path) as live:
        live.provider.script = lambda asked: _answer(CHAT, False)
        client = live.caller("openai/gpt-4o")
        reply = client.post(CHAT.path, json=CHAT.body())
        assert "x-ekai-request-hash" not in reply.headers
        [row] = live.rows(client, 1)
        assert (row["receipt"], row["receipt_tx"], row["request_hash"]) == ("none", None, None)
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_a_stop_brings_the_last_receipts_onto_the_chain(world: World, tmp_path: Path) -> None:
    with gateway(tmp_path, **settings(world)) as live:
        live.provider.script = lambda asked: _answer(CHAT, False)
        client = live.caller("openai/gpt-4o")
        settled_first = client.post(CHAT.path, json=CHAT.body()).headers["x-ekai-request-hash"]
        settled(live, client)
        hashes = [settled_first]
        hashes += [client.post(CHAT.path, json=CHAT.body()).headers["x-ekai-request-hash"] for _ in range(10)]
    assert world.logged() == hashes


def test_while_the_chain_is_away_the_gateway_serves(world: World, tmp_path: Path) -> None:
    away = settings(world, SAPPHIRE_RPC_URL="http://127.0.0.1:9", SHUTDOWN_GRACE="1")
    with gateway(tmp_path, **away) as live:
        live.provider.script = lambda asked: _answer(CHAT, False)
        client = live.caller("openai/gpt-4o")
        hashes = [client.post(CHAT.path, json=CHAT.body()).headers["x-ekai-request-hash"] for _ in range(3)]
        end = time.monotonic() + 10
        while not all(row["receipt_error"] for row in live.rows(client, 3)) and time.monotonic() < end:
            time.sleep(0.05)
        shown = {(row["receipt"], row["receipt_error"]) for row in live.rows(client, 3)}
        assert shown == {("pending", "the node can't be reached (ConnectionRefusedError)")}
    assert world.logged() == []
    with gateway(tmp_path, **settings(world)) as live:
        end = time.monotonic() + 20
        while len(world.logged()) < 3 and time.monotonic() < end:
            time.sleep(0.03)
    assert world.logged() == hashes


@contextmanager
def appd_beside(fake: FakeAppd, socket: str) -> Iterator[None]:
    """The fake appd in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with fake.serve(socket):
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(10)
        loop.close()


def test_inside_rofl(world: World, tmp_path: Path) -> None:
    socket = str(tmp_path / "appd.sock")
    fake = FakeAppd(on_chain(world.chain.url, world.instance.address))
    with appd_beside(fake, socket), gateway(tmp_path, **settings(world, ROFL_SOCKET_PATH=socket)) as live:
        live.provider.script = lambda asked: _answer(CHAT, True)
        client = live.caller("openai/gpt-4o")
        for _ in range(12):
            client.post(CHAT.path, json=CHAT.body(stream=True))
        rows = settled(live, client, 12)
        for row in rows:
            check(world, row)
        assert len(fake.calls) < 8


def test_a_friends_call_with_an_owners_key(world: World, tmp_path: Path) -> None:
    """The whole loop with keys on chain: the receipt names both, and outlives the delegation."""
    private = keccak256(b"the gateway's own key")
    sealed = seal_for(world.owner.address, provider_id("openai"), "sk-of-the-owner", public_key(private))
    world.do(world.admin.address, "setRoflKey(bytes,bool)", public_key(private), True)
    world.do(world.admin.address, "addProvider(bytes32)", provider_id("openai"))
    world.do(world.owner.address, "setSecret(bytes32,bytes)", provider_id("openai"), sealed)
    world.do(world.owner.address, "addAllowedModel(bytes32,bytes32)", provider_id("openai"), model_ids("gpt-4o")[0])
    given = settings(world, KEYS="chain", RECEIPTS="", ROFL_PRIVATE_KEY=private.hex())
    with gateway(tmp_path, **given) as live:
        live.provider.script = lambda asked: _answer(CHAT, True)
        client = _logged_in(live, world.friend.private_key, tmp_path)
        wanted = {"api_address": world.owner.address, "model_preferences": ["openai/gpt-4o"]}
        client.put("/user/preferences", json=wanted).raise_for_status()
        reply = client.post(CHAT.path, json=CHAT.body(stream=True))
        world.do(world.owner.address, "removeDelegate(address)", world.friend.address)
        assert client.post(CHAT.path, json=CHAT.body()).status_code == 403
        denied, row = settled(live, client, 2)
        client.close()
        assert denied["receipt"] == "none"
        assert (row["owner"], row["caller"]) == (world.owner.address, world.friend.address)
        assert row["request_hash"] == reply.headers["x-ekai-request-hash"]
        assert live.provider.asked[0].headers["authorization"] == "Bearer sk-of-the-owner"
        check(world, row)


def _logged_in(live: Live, key: str, folder: Path) -> httpx.Client:
    file = folder / "friend.key"
    file.write_text(key)
    client = httpx.Client(base_url=live.url, timeout=30)
    granted = client.post("/auth/login", json=Wallet.read(file).login(23295, 604_800)).raise_for_status().json()
    client.headers["authorization"] = f"Bearer {granted['token']}"
    return client

"""A second judge beside moto: https://github.com/architect/dynalite, for what it can do (no transactions, no TTL)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.store import GLOBAL, CapReachedError, Grant, Hold, Preferences
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_items import write_grant, write_preferences
from shared.store.dynamo_table import TABLE
from tests.store import dynamo_tables

FOLDERS = (os.environ.get("DYNALITE", ""), str(Path(__file__).parents[2] / "node_modules" / "dynalite"))
"""Where it may have been installed: `npm install dynalite`, and DYNALITE names the folder of the package."""

ALICE, BOB = ("0x" + letter * 40 for letter in "ab")
HASH = bytes(range(32))
MONTH = "2026-11"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    script = next((path for folder in FOLDERS if folder and (path := Path(folder) / "cli.js").is_file()), None)
    if script is None or shutil.which("node") is None:
        pytest.skip("dynalite isn't installed (npm install dynalite; DYNALITE names its folder)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["node", str(script), "--port", str(port), "--host", "127.0.0.1", "--createTableMs", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
def stores(url: str, request: pytest.FixtureRequest) -> Iterator[list[DynamoStore]]:
    def client() -> Any:
        return dynamo_tables.client(endpoint_url=url)

    name, first = f"t-{abs(hash(request.node.name))}", client()
    first.create_table(TableName=name, **TABLE)
    first.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
    first.close()
    made = [DynamoStore(name, client()) for _ in range(4)]
    yield made
    for store in made:
        asyncio.run(store.close())


def test_sessions(stores: list[DynamoStore]) -> None:
    here, there, *_ = stores

    async def work() -> None:
        await there.add_token(HASH, ALICE, 100)
        grant = Grant(BOB, ALICE, daily=5, models=("gpt",))
        await there._table.put(write_grant(grant))  # what the store itself writes in transactions
        copies = {"grant_to_all": "null", "grant_to_me": '{"daily":5,"models":["gpt"]}'}
        for owner, more in ((None, {}), (BOB, copies), (BOB, {}), (None, {})):
            preferences = Preferences(ALICE, owner, ("gpt", "ünï"), 1)
            await there._table.put({**write_preferences(preferences), **more})
            for hint in (ALICE, BOB):
                session = await here.session(HASH, 1, hint)
                assert session is not None
                assert session.preferences == preferences
                assert session.grants == ((grant,) if owner else ())
        assert await here.session(HASH, 100) is None
        await there.end_token(HASH)
        assert await here.session(HASH, 1) is None
        answers = await asyncio.gather(*(store.use_signature(HASH, 100) for store in stores * 10))
        assert sum(answers) == 1
        await here.ready()

    asyncio.run(work())


def test_two_hundred_race_for_a_hundred(stores: list[DynamoStore]) -> None:
    async def work() -> None:
        wanted = (stores[number % 4].hold(f"{number}", [Hold(GLOBAL, MONTH, 1, 100)], 100, 0) for number in range(200))
        answers = await asyncio.gather(*wanted, return_exceptions=True)
        granted = [answer for answer in answers if isinstance(answer, list)]
        assert sorted(left for [left] in granted) == list(range(100))
        assert sum(isinstance(answer, CapReachedError) for answer in answers) == 100
        assert await stores[0].hold("after", [Hold(GLOBAL, MONTH, 100, 100)], 300, 100) == [
            0
        ]  # the time of all is over

    asyncio.run(work())


def test_one_lease(stores: list[DynamoStore]) -> None:
    async def work() -> None:
        got = await asyncio.gather(*(one.lease("x", f"{place}", 0, 100) for place, one in enumerate(stores * 8)))
        assert sum(got) == 1
        assert await stores[0].lease("x", "later", 100, 200)
        await stores[0].release("x", "somebody")
        assert not await stores[1].lease("x", "other", 150, 300)
        await stores[0].release("x", "later")
        assert await stores[1].lease("x", "other", 150, 300)

    asyncio.run(work())

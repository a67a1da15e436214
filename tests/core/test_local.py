"""A gateway on one's own machine: its wallet, its token, its first preferences, and what it says of itself. And its logs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from catalog.load import load
from catalog.serving import DEMO, served
from emulator.app import _keep_house
from emulator.local import Local, Place, mode_of, settle_in, welcome
from emulator.server import AddressError, bind, wants_demo
from shared.callers import token_hash
from shared.context import build, close
from shared.logs import configure
from shared.settings import Settings
from shared.store import Preferences
from shared.store.sqlite import SqliteStore

EVERYTHING = load()
DEMO_ON = {"DEMO_UPSTREAM_URL": "http://127.0.0.1:3001/demo"}


def place(folder: Path, variables: dict[str, str], **settings: str) -> Place:
    made = Settings(
        _env_file=None, **{"host": "127.0.0.1", "database_path": str(folder / "data" / "gateway.db"), **settings}
    )  # type: ignore[call-arg, arg-type]  # pydantic-settings' own
    return Place(made, 3001, served(EVERYTHING, variables), variables)


def settle(where: Place, saved: str | None = None) -> Local:
    return asyncio.run(settle_in(where, saved))


def test_the_first_start_makes_a_wallet_a_token_and_preferences(tmp_path: Path) -> None:
    where = place(tmp_path, DEMO_ON)
    local = settle(where)
    file = tmp_path / "data" / "wallet.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert local.models == ("demo-1",)
    assert local.token is not None
    assert len(bytes.fromhex(local.token)) == 32
    text = welcome(where, local)
    assert text.count(local.token) == 2  # by itself, and in the line to paste
    assert file.read_text().strip() not in text
    assert "curl" in text


def test_the_second_start_shows_no_token_while_the_first_one_lives(tmp_path: Path) -> None:
    where = place(tmp_path, DEMO_ON)
    first = settle(where)
    again = settle(where, first.token)
    assert (again.address, again.token) == (first.address, None)
    assert "ekai token" in welcome(where, again)
    for lost in (None, "f" * 64, ""):
        assert settle(where, lost).token not in (None, first.token)


def test_a_token_that_was_ended_is_replaced(tmp_path: Path) -> None:
    where = place(tmp_path, DEMO_ON)
    first = settle(where)

    async def end() -> None:
        store = SqliteStore(where.settings.database_path)
        await store.end_token(token_hash(first.token or ""))
        await store.close()

    asyncio.run(end())
    assert settle(where, first.token).token is not None


def test_keys_that_came_later_bring_real_models(tmp_path: Path) -> None:
    assert settle(place(tmp_path, DEMO_ON)).models == ("demo-1",)
    local = settle(place(tmp_path, {"OPENAI_API_KEY": "sk-x", "XAI_API_KEY": "x"}))
    assert local.models
    assert "demo-1" not in local.models
    assert any(name.startswith("grok") for name in local.models)


def test_preferences_of_ones_own_stay(tmp_path: Path) -> None:
    where = place(tmp_path, {"OPENAI_API_KEY": "sk-x"})
    first = settle(where)

    async def choose() -> None:
        store = SqliteStore(where.settings.database_path)
        await store.put_preferences(Preferences(first.address, None, ("gone-1", "gpt-4o"), 1))
        await store.close()

    asyncio.run(choose())
    assert settle(where, first.token).models == ("gone-1", "gpt-4o")


@pytest.mark.parametrize(
    ("variables", "settings", "expected"),
    [
        (DEMO_ON, {}, "demo"),
        ({}, {}, "nothing can be served"),
        ({"OPENAI_API_KEY": "sk-x"}, {}, "openai; usable by whoever can reach this machine"),
        ({"OPENAI_API_KEY": "sk-x"}, {"host": "0.0.0.0", "allowed_addresses": "0x" + "11" * 20}, "ALLOWED_ADDRESSES"),
        ({"OPENAI_API_KEY": "sk-x"}, {"keys": "chain"}, "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268"),
    ],
)
def test_it_says_in_which_mode_it_is(
    tmp_path: Path, variables: dict[str, str], settings: dict[str, str], expected: str
) -> None:
    told = mode_of(place(tmp_path, variables, **settings))
    assert expected in told
    assert "sk-x" not in told


def test_the_demo_stands_in_only_where_nothing_else_is(tmp_path: Path) -> None:
    def wanted(variables: dict[str, str], **settings: str) -> bool:
        return wants_demo(place(tmp_path, variables, **settings).settings, EVERYTHING, variables)

    assert wanted({})
    assert not wanted({"OPENAI_API_KEY": "x"})
    assert not wanted({"OLLAMA_BASE_URL": "http://127.0.0.1:11434"})
    assert not wanted({}, keys="chain")
    assert not wanted({}, host="0.0.0.0", allowed_addresses="0x" + "11" * 20)


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({"OLLAMA_BASE_URL": "http://h:1/v1"}, "http://h:1"),
        ({"OLLAMA_BASE_URL": "http://h:1/v1/"}, "http://h:1"),
        ({"OLLAMA_BASE_URL": "http://h:1"}, "http://h:1"),
        ({"OLLAMA_UPSTREAM_URL": "http://h:2/x/", "OLLAMA_BASE_URL": "http://h:1"}, "http://h:2/x"),
    ],
)
def test_where_ollama_is(variables: dict[str, str], root: str) -> None:
    assert served(EVERYTHING, variables).providers["ollama"].root == root
    assert "ollama" not in served(EVERYTHING, {}).providers


def test_clients_variables_do_not_send_the_gateway_to_itself() -> None:
    misled = {"OPENAI_BASE_URL": "http://127.0.0.1:3001/v1", "ANTHROPIC_BASE_URL": "http://127.0.0.1:3001"}
    roots = {name: provider.root for name, provider in served(EVERYTHING, misled).providers.items()}
    assert (roots["openai"], roots["anthropic"]) == ("https://api.openai.com", "https://api.anthropic.com")
    assert DEMO not in roots


def test_a_taken_address_is_one_line() -> None:
    taken = bind("127.0.0.1", 0)
    taken.listen()
    try:
        with pytest.raises(AddressError, match="PORT chooses another"):
            bind("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()


def test_what_is_held_for_a_request_outlives_the_slowest_one(tmp_path: Path) -> None:
    gateway = build(place(tmp_path, {}, max_attempts="4", upstream_timeout="100", stream_idle_timeout="7").settings)
    assert gateway.budgets.longest >= 4 * 100 + 7
    asyncio.run(close(gateway))


@pytest.mark.parametrize("days", [None, 30])
def test_the_house_is_kept_every_hour_whatever_happens(days: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, int]] = []

    async def expire(now: int) -> None:
        done.append(("expire", now))
        if len(done) == 1:
            raise OSError("the disk is full")

    async def prune(before: int) -> None:
        done.append(("prune", before))

    async def run() -> None:
        keeping = asyncio.create_task(_keep_house(gateway))
        await asyncio.sleep(0.2)
        keeping.cancel()

    gateway: Any = SimpleNamespace(
        clock=lambda: 10_000_000.5, settings=SimpleNamespace(usage_retention_days=days), store=SimpleNamespace(expire=expire, prune=prune)
    )  # fmt: skip
    monkeypatch.setattr("emulator.app._HOUR", 0.001)
    asyncio.run(run())
    assert done[:2] == [("expire", 10_000_000), ("expire", 10_000_000)]
    assert ("prune", round((10_000_000.5 - 30 * 86_400) * 1000)) in done or days is None
    assert days is not None or all(what == "expire" for what, _ in done)


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def _quiet_again() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ekai")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)


@pytest.mark.usefixtures("_quiet_again")
def test_logs_are_json_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(place(tmp_path, {}, log_level="INFO").settings)
    ours, other = logging.getLogger("ekai.test"), logging.getLogger("other")
    ours.info("hello %s", "you\nthere", extra={"request_id": "r1", "odd": {1, 2}})
    ours.debug("not this")
    other.info("nor this")
    other.warning("but this")
    try:
        raise ValueError("broken")
    except ValueError:
        ours.exception("it failed")
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["hello you\nthere", "but this", "it failed"]
    assert (lines[0]["level"], lines[0]["logger"], lines[0]["request_id"]) == ("info", "ekai.test", "r1")
    assert lines[0]["time"].endswith("Z")
    assert "ValueError: broken" in lines[2]["exception"]


@pytest.mark.usefixtures("_quiet_again")
def test_a_log_file_may_be_moved_away(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "gateway.log"
    configure(place(tmp_path, {}, log_file=str(file)).settings)
    logging.getLogger("ekai.test").info("one")
    file.rename(tmp_path / "logs" / "old.log")
    logging.getLogger("ekai.test").info("two")
    logging.getLogger().handlers[0].close()
    assert orjson.loads(file.read_bytes())["message"] == "two"
    assert os.path.exists(tmp_path / "logs" / "old.log")
    assert sys.stderr is not None

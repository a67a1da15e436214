"""One chain for all tests of the command; each gets a contract of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.devchain import PY_EVM, DevChain
from shared.chain import provider_id
from tests.cli.world import ADMIN, PUBLIC, Told, World, stand_in


@pytest.fixture(scope="session")
def chain() -> Iterator[DevChain]:
    with DevChain(engine=PY_EVM) as chain:
        yield chain


@pytest.fixture
def bare(chain: DevChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A contract on which nothing was done yet."""
    monkeypatch.chdir(tmp_path)
    told = Told()
    with stand_in(told) as url:
        yield World(chain, tmp_path, url, told)


@pytest.fixture
def world(bare: World) -> World:
    """The gateway's key and two providers are registered."""
    bare.do(ADMIN, "setRoflKey", PUBLIC, True)
    for provider in ("openai", "demo"):
        bare.do(ADMIN, "addProvider", provider_id(provider))
    return bare

"""The stores that must keep the contract: each opens as often as a test likes on the same data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shared.store import Store
from shared.store.sqlite import SqliteStore
from tests.store import dynamo_tables
from tests.store.dynamo_world import World

T = TypeVar("T")
Open = Callable[[], Store]
"""Another process's view of the same data."""


def _sqlite(folder: Path) -> Open:
    return lambda: SqliteStore(str(folder / "store.db"))


def _dynamo(folder: Path) -> Open:
    return dynamo_tables.opener()


STORES: dict[str, Callable[[Path], Open]] = {"sqlite": _sqlite, "dynamo": _dynamo}


class Bench:
    """One event loop for a test, and stores that are closed at its end."""

    def __init__(self, open_store: Open) -> None:
        self._open = open_store
        self._stores: list[Store] = []
        self._runner = asyncio.Runner()

    def open(self) -> Store:
        self._stores.append(self._open())
        return self._stores[-1]

    def run(self, work: Awaitable[T]) -> T:
        async def waited() -> T:
            return await work

        return self._runner.run(waited())

    def together(self, *works: Awaitable[Any]) -> list[Any]:
        async def gathered() -> list[Any]:
            return list(await asyncio.gather(*works, return_exceptions=True))

        return self._runner.run(gathered())

    def close(self) -> None:
        for store in self._stores:
            self.run(store.close())
        self._runner.close()


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(STORES[request.param](tmp_path))
    yield made
    made.close()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for store in made.stores:
        asyncio.run(store.close())

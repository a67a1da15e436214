"""A DynamoDB table, and processes that use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared.store import GLOBAL
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_items import counter_key
from tests.store import dynamo_tables
from tests.store.faulty import Faulty


class World:
    """Each process has a client of its own, which counts and can fail."""

    def __init__(self) -> None:
        self.name = dynamo_tables.new_table()
        self.stores: list[DynamoStore] = []

    def open(self) -> tuple[DynamoStore, Faulty]:
        client = Faulty(dynamo_tables.client())
        store = DynamoStore(self.name, client)
        self.stores.append(store)
        return store, client

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(work())

    async def counter(self, spender: str = GLOBAL, period: str = "2026-11") -> dict[str, Any]:
        return dict(await self.stores[0]._table.get(*counter_key(spender, period)) or {})

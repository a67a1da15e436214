"""The gateway with one thing changed, to see what that costs: python -m bench.changed unrecorded|cold serve"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from cli.main import run
from shared.keys.vault import Slot, Vault
from shared.store import Settlement, UsageRow
from shared.store.outbox import Receipt
from shared.store.sqlite import SqliteStore


def unrecorded() -> None:
    """Rows are made and thrown away."""

    async def record(self: SqliteStore, row: UsageRow, settlement: Settlement, receipt: Receipt | None = None) -> None:
        return None

    SqliteStore.record = record  # type: ignore[method-assign]  # this is what the module is for


def cold() -> None:
    """No key is remembered: each request opens the envelope."""
    warm = Vault.open

    async def open_(self: Vault, slot: Slot, ciphertext: bytes, private_keys: tuple[bytes, ...]) -> str:
        self.forget(slot)
        return await warm(self, slot, ciphertext, private_keys)

    Vault.open = open_  # type: ignore[method-assign]  # this is what the module is for


CHANGES: Mapping[str, Callable[[], None]] = {"unrecorded": unrecorded, "cold": cold}

if __name__ == "__main__":
    CHANGES[sys.argv.pop(1)]()
    run()

"""The store in one SQLite file (WAL): reads on the event loop's thread, writes batched by a thread of their own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime

import orjson

from shared.store import (
    Budget,
    Grant,
    Hold,
    Preferences,
    Session,
    Settlement,
    Totals,
    UsageQuery,
    UsageRow,
)
from shared.store import sqlite_caps as caps_sql
from shared.store import sqlite_outbox as outbox_sql
from shared.store import sqlite_usage as usage_sql
from shared.store.outbox import Entry, Receipt, ReceiptState
from shared.store.sqlite_file import connect, prepare
from shared.store.sqlite_writer import Writer

READ_BUSY_MS = 250

_SESSION = (
    "SELECT tokens.address, expires_at, api_address, models, updated_at, amount, alert_only, owner, delegate, limits"
    " FROM tokens LEFT JOIN preferences USING (address) LEFT JOIN budget"
    " LEFT JOIN grants ON owner = coalesce(api_address, tokens.address) AND delegate IN (tokens.address, '*')"
    " WHERE hash = ? AND expires_at > ?"
)
_PUT_PREFERENCES = (
    "INSERT INTO preferences (address, api_address, models, updated_at) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (address) DO UPDATE SET api_address = excluded.api_address, models = excluded.models,"
    " updated_at = excluded.updated_at"
)
_MINUTE = "____-__-__T__:__"
"""Periods of a minute are forgotten with what has expired."""


class SqliteStore:
    """See `shared.store.Store`. Several processes may share the file."""

    def __init__(self, path: str) -> None:
        prepare(path)
        self._path = path
        self._reads = connect(path, READ_BUSY_MS)
        self._reads.execute("PRAGMA query_only = 1")
        # Holds before rows: of a request whose client hung up both may wait at once, and its row ends its hold.
        self._writer = Writer(path, caps_sql.hold, usage_sql.add)

    async def session(self, token_hash: bytes, now: int, hint: str = "") -> Session | None:
        rows = self._reads.execute(_SESSION, (token_hash, now)).fetchall()
        if not rows:
            return None
        address, expires_at, api_address, models, updated_at, amount, alert_only, *_ = rows[0]
        preferences = _preferences(address, api_address, models, updated_at)
        grants = tuple(caps_sql.read_grant(*row[-3:]) for row in rows if row[-1] is not None)
        return Session(address, expires_at, preferences, grants, Budget(amount, bool(alert_only)))

    async def add_token(self, token_hash: bytes, address: str, expires_at: int) -> None:
        await self._write("INSERT OR REPLACE INTO tokens VALUES (?, ?, ?)", token_hash, address, expires_at)

    async def end_token(self, token_hash: bytes) -> None:
        await self._write("DELETE FROM tokens WHERE hash = ?", token_hash)

    async def use_signature(self, digest: bytes, expires_at: int) -> bool:
        return await self._write("INSERT OR IGNORE INTO signatures VALUES (?, ?)", digest, expires_at) == 1

    async def preferences(self, address: str) -> Preferences:
        query = "SELECT api_address, models, updated_at FROM preferences WHERE address = ?"
        row = self._reads.execute(query, (address,)).fetchone()
        return _preferences(address, *(row or (None, None, 0)))

    async def put_preferences(self, preferences: Preferences) -> None:
        models = None if preferences.models is None else orjson.dumps(preferences.models).decode()
        row = (preferences.address, preferences.api_address, models, preferences.updated_at)
        await self._write(_PUT_PREFERENCES, *row)

    async def record(self, row: UsageRow, settlement: Settlement, receipt: Receipt | None = None) -> None:
        await self._writer.add(usage_sql.add, (row, settlement, receipt), keep=True)

    async def usage(self, query: UsageQuery) -> tuple[Totals, Sequence[UsageRow]]:
        return await asyncio.to_thread(self._apart, query)

    def _apart(self, query: UsageQuery) -> tuple[Totals, Sequence[UsageRow]]:
        with closing(connect(self._path, READ_BUSY_MS)) as connection:
            connection.execute("BEGIN")  # one snapshot for both
            return usage_sql.totals(connection, query), usage_sql.rows(connection, query)

    async def prune(self, before: int) -> int:
        return await self._writer.run(lambda connection: usage_sql.prune(connection, before))

    async def expire(self, now: int) -> None:
        await self._writer.run(lambda connection: _expire(connection, now))

    async def budget(self) -> Budget:
        row = self._reads.execute("SELECT amount, alert_only FROM budget").fetchone()
        return Budget(row[0], bool(row[1])) if row else Budget()

    async def put_budget(self, budget: Budget) -> None:
        await self._write("INSERT OR REPLACE INTO budget VALUES (1, ?, ?)", budget.amount, budget.alert_only)

    async def spent(self, spender: str, period: str) -> int:
        return caps_sql.spent(self._reads, spender, period)

    async def hold(self, request_id: str, holds: Sequence[Hold], expires_at: int, now: int) -> Sequence[int]:
        left: Sequence[int] = await self._writer.add(caps_sql.hold, (request_id, holds, expires_at, now))
        return left

    async def grants(self, owner: str) -> Sequence[Grant]:
        return caps_sql.grants(self._reads, owner)

    async def put_grants(
        self, owner: str, grants: Mapping[str, Grant | None], since: Mapping[str, tuple[str, int]]
    ) -> None:
        await self._writer.run(lambda connection: caps_sql.put_grants(connection, owner, grants, since))

    async def lease(self, name: str, holder: str, now: int, until: int) -> bool:
        return await self._writer.run(lambda connection: outbox_sql.lease(connection, name, holder, now, until))

    async def release(self, name: str, holder: str) -> None:
        await self._write("DELETE FROM leases WHERE name = ? AND holder = ?", name, holder)

    async def open_receipts(self, now: int, limit: int) -> Sequence[Entry]:
        return outbox_sql.due(self._reads, now, limit)

    async def put_receipts(self, entries: Sequence[Entry], lease: str, holder: str) -> bool:
        return await self._writer.run(lambda connection: outbox_sql.put(connection, entries, lease, holder))

    async def requeue_dead(self, request_ids: Sequence[str] | None = None) -> int:
        return await self._writer.run(lambda connection: outbox_sql.requeue(connection, request_ids))

    async def receipt_counts(self) -> Mapping[ReceiptState, int]:
        return outbox_sql.counts(self._reads)

    async def ready(self) -> None:
        await self._writer.run(
            lambda connection: connection.execute("DELETE FROM holds WHERE request_id = ''").rowcount
        )

    async def close(self) -> None:
        lost = await asyncio.to_thread(self._writer.close)
        self._reads.close()
        if lost:
            raise OSError(f"{lost} records could not be written to the database")

    async def _write(self, statement: str, *values: object) -> int:
        return await self._writer.run(lambda connection: connection.execute(statement, values).rowcount)


def _preferences(address: str, api_address: str | None, models: str | None, updated_at: int | None) -> Preferences:
    listed = None if models is None else tuple(orjson.loads(models))
    return Preferences(address, api_address, listed, updated_at or 0)


def _expire(connection: sqlite3.Connection, now: int) -> None:
    for table in ("tokens", "signatures", "holds"):
        connection.execute(f"DELETE FROM {table} WHERE expires_at <= ?", (now,))  # noqa: S608 (constant names)
    minute = datetime.fromtimestamp(now - 120, UTC).strftime("%Y-%m-%dT%H:%M")
    connection.execute("DELETE FROM spending WHERE period LIKE ? AND period < ?", (_MINUTE, minute))

"""The SQLite store as source and target of a copy: its tables as they are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

from shared.store.copying import MINUTE, TABLES, Cells, CopyError, Mark, Page, Rows, Sums, add_up
from shared.store.sqlite_file import connect, prepare

_PAGE = 500
_BUSY_MS = 10_000
_ONCE = frozenset({"usage", "outbox"})
"""Tables whose rows never change by being copied again."""

_MARKS = "CREATE TABLE IF NOT EXISTS copying (source TEXT PRIMARY KEY, after TEXT NOT NULL, done INTEGER NOT NULL)"


class SqliteSide:
    """See `shared.store.copying.Side`."""

    def __init__(self, path: str, now: int, *, new: bool) -> None:
        if not new and not Path(path).is_file():
            raise CopyError(f"there is no file {path}")
        prepare(path)
        self.name = f"sqlite:{path}"
        self._now = now
        self._connection = connect(path, _BUSY_MS)
        self._connection.row_factory = sqlite3.Row

    async def sums(self) -> Sums:
        sums: dict[str, tuple[int, int, int]] = {}
        for table in TABLES:
            for row in self._connection.execute(self._select(table)):
                add_up(sums, table, dict(row))
        return sums

    def _select(self, table: str) -> str:
        """What of a table is moved: nothing that has expired, and nothing that was never spent."""
        where = "1"
        if table in ("tokens", "signatures"):
            where = f"expires_at > {self._now:d}"
        elif table == "spending":
            where = f"spent != 0 AND length(period) != {MINUTE:d}"
        return f"SELECT * FROM {table} WHERE {where}"  # noqa: S608 (constant names and numbers)

    async def pages(self, after: str) -> AsyncIterator[Page]:
        """`after` is a table's name and the key of its last row."""
        first, last = json.loads(after) if after else (TABLES[0], None)
        for table in TABLES[TABLES.index(first) :]:
            keys = self._keys(table)
            names = ", ".join(keys)
            bound = f" AND ({names}) > ({', '.join('?' * len(keys))})"
            while True:
                statement = f"{self._select(table)}{bound if last else ''} ORDER BY {names} LIMIT {_PAGE}"
                values = [bytes.fromhex(one[2:]) if _is_blob(one) else one for one in last or ()]
                rows = [dict(row) for row in self._connection.execute(statement, values)]
                if not rows:
                    break
                last = [f"b:{one.hex()}" if isinstance(one := rows[-1][key], bytes) else one for key in keys]
                yield Page({table: rows}, json.dumps([table, last]))
            last = None

    def _keys(self, table: str) -> list[str]:
        columns = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        return [column["name"] for column in sorted(columns, key=lambda one: one["pk"]) if column["pk"]]

    async def write(self, rows: Rows) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for table, some in rows.items():
            for row in some:
                self._add(table, row)
        self._connection.execute("COMMIT")

    def _add(self, table: str, row: Cells) -> None:
        cells = {name: value for name, value in row.items() if name != "seq"}
        how = "IGNORE" if table in _ONCE else "REPLACE"
        names, places = ", ".join(cells), ", ".join("?" * len(cells))
        self._connection.execute(
            f"INSERT OR {how} INTO {table} ({names}) VALUES ({places})",  # noqa: S608 (names of columns)
            tuple(cells.values()),
        )

    async def mark(self, source: str) -> Mark | None:
        self._connection.execute(_MARKS)
        found = self._connection.execute("SELECT source, after, done FROM copying").fetchone()
        if found is not None and found["source"] == source:
            return Mark(found["after"], found["done"])
        if found is not None:
            raise CopyError(f"{self.name} holds an unfinished copy of {found['source']}")
        if any(counts[0] for counts in (await self.sums()).values()):
            raise CopyError(f"{self.name} isn't empty")
        return None

    async def put_mark(self, source: str, mark: Mark | None) -> None:
        if mark is None:
            self._connection.execute("DROP TABLE copying")
        else:
            self._connection.execute("INSERT OR REPLACE INTO copying VALUES (?, ?, ?)", (source, mark.after, mark.done))

    async def close(self) -> None:
        self._connection.close()


def _is_blob(value: object) -> bool:
    return isinstance(value, str) and value.startswith("b:")

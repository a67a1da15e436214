"""A whole store moved into another one: page by page, resumable, compared at the end. See `copying_sqlite` and `copying_dynamo`.

What is moved are the SQLite store's tables, a dict of its columns for each row; the other store translates from and to them. Holds
and leases stay behind: no gateway may run on either store meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Cells = dict[str, Any]
Rows = dict[str, list[Cells]]
"""Rows by their tables."""

TABLES = ("tokens", "signatures", "preferences", "grants", "budget", "spending", "pruned", "usage", "outbox")

TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
COSTS = ("input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "fees")

MINUTE = len("2026-11-24T22:50")
"""The length of a minute's name: what was spent in one is forgotten soon, and isn't moved."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a copy has come: where the source goes on, and how many rows that took."""

    after: str
    done: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and where the source goes on after them."""

    rows: Rows
    after: str


_NOTHING = (0, 0, 0)

Sums = Mapping[str, tuple[int, int, int]]
"""For each table, how many rows it has and what their amounts add up to."""


class Side(Protocol):
    """A store as a copy sees it."""

    name: str

    async def sums(self) -> Sums:
        """What is there that a copy would move."""

    def pages(self, after: str) -> AsyncIterator[Page]:
        """Everything from there on ("": from the beginning)."""

    async def write(self, rows: Rows) -> None:
        """Adds them; those that are there already stay as they are, or are overwritten with the same."""

    async def mark(self, source: str) -> Mark | None:
        """How far an unfinished copy from that source has come. Raises CopyError where a target is in use otherwise."""

    async def put_mark(self, source: str, mark: Mark | None) -> None:
        """Remembers it; None: the copy is finished."""

    async def close(self) -> None:
        """Lets go."""


class CopyError(Exception):
    """A copy that can't be made, or that isn't the same as its source; the message says why."""


def add_up(sums: dict[str, tuple[int, int, int]], table: str, row: Cells) -> None:
    """Counts a row of a table."""
    count, one, other = sums.get(table, _NOTHING)
    more = _amounts(table, row)
    sums[table] = (count + 1, one + more[0], other + more[1])


def _amounts(table: str, row: Cells) -> tuple[int, int]:
    match table:
        case "spending":
            return row["spent"], 0
        case "pruned":
            return row["requests"] + row["tokens"], row["cost"]
        case "usage":
            return sum(row[name] for name in TOKENS), sum(row[name] or 0 for name in COSTS)
        case "outbox":
            return ("pending", "sent", "logged", "dead").index(row["state"]), row["attempts"]
        case _:
            return 0, 0


async def copy(source: Side, target: Side, tell: Callable[[int, int], None]) -> Sums:
    """Moves everything that `target` hasn't got yet; `tell` is told how many rows are done, and of how many. Raises CopyError."""
    mark = await target.mark(source.name)
    there = await source.sums()
    total = sum(counts[0] for counts in there.values())
    done = mark.done if mark else 0
    tell(done, total)
    async for page in source.pages(mark.after if mark else ""):
        await target.write(page.rows)
        done += sum(map(len, page.rows.values()))
        await target.put_mark(source.name, Mark(page.after, done))
        tell(done, total)
    arrived = await target.sums()
    if wrong := differences(there, arrived):
        raise CopyError(
            f"the copy differs from its source: {'; '.join(wrong)}. Does a gateway still run on one of them?"
        )
    await target.put_mark(source.name, None)
    return arrived


def differences(one: Sums, other: Sums) -> Sequence[str]:
    """The tables that aren't the same, in words."""
    return [
        f"{table}: {one.get(table, _NOTHING)} became {other.get(table, _NOTHING)}"
        for table in TABLES
        if one.get(table, _NOTHING) != other.get(table, _NOTHING)
    ]

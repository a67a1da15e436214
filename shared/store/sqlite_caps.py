"""The statements about caps: holds, spending, and the grants of owners."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import orjson

from shared.store import CapReachedError, Grant, Hold
from shared.store.sqlite_usage import COST

_IN_USE = (
    "SELECT coalesce((SELECT spent FROM spending WHERE spender = ?1 AND period = ?2), 0)"
    " + coalesce((SELECT sum(amount) FROM holds WHERE spender = ?1 AND period = ?2 AND expires_at > ?3), 0)"
)
_SPENT = "SELECT coalesce((SELECT spent FROM spending WHERE spender = ? AND period = ?), 0)"
_GRANTS = "SELECT owner, delegate, limits FROM grants WHERE owner = ?"
_LISTS = frozenset({"models", "providers"})
_LIMITS = tuple(field.name for field in fields(Grant) if field.name not in ("owner", "delegate"))


def spent(connection: sqlite3.Connection, spender: str, period: str) -> int:
    """What was used so far, without what is held."""
    return int(connection.execute(_SPENT, (spender, period)).fetchone()[0])


def hold(
    connection: sqlite3.Connection, requests: Sequence[tuple[str, Sequence[Hold], int, int]]
) -> Sequence[list[int] | CapReachedError]:
    """(id, holds, when they end, now) of each; all of a request's holds or none."""
    used: dict[tuple[str, str], int] = {}  # what is spent and held, read once and then kept up to date
    answers: list[list[int] | CapReachedError] = []
    rows: list[tuple[str, str, str, int, int]] = []
    for request_id, holds, expires_at, now in requests:
        left: list[int] = []
        for wanted in holds:
            who = (wanted.spender, wanted.period)
            if who not in used:
                used[who] = connection.execute(_IN_USE, (*who, now)).fetchone()[0]
            left.append(wanted.cap - used[who] - wanted.amount)
        refused = next((place for place, room in enumerate(left) if room < 0), None)
        if refused is not None:
            answers.append(CapReachedError(holds[refused], left[refused] + holds[refused].amount))
            continue
        for wanted in holds:
            used[wanted.spender, wanted.period] += wanted.amount
            rows.append((request_id, wanted.spender, wanted.period, wanted.amount, expires_at))
        answers.append(left)
    connection.executemany("INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?, ?)", rows)
    return answers


def grants(connection: sqlite3.Connection, owner: str) -> tuple[Grant, ...]:
    """All grants of an owner."""
    return tuple(read_grant(*row) for row in connection.execute(_GRANTS, (owner,)))


def read_grant(owner: str, delegate: str, limits: str) -> Grant:
    """A row of the table."""
    stored: dict[str, Any] = orjson.loads(limits)
    lists: dict[str, Any] = {name: tuple(stored.pop(name)) for name in _LISTS & stored.keys()}
    return Grant(owner, delegate, **stored, **lists)


def put_grants(
    connection: sqlite3.Connection, owner: str, wanted: Mapping[str, Grant | None], since: Mapping[str, tuple[str, int]]
) -> None:
    """Each grant whole; what its windows have seen so far is counted from the rows."""
    for delegate, grant in wanted.items():
        if grant is None:
            connection.execute("DELETE FROM grants WHERE owner = ? AND delegate = ?", (owner, delegate))
            continue
        limits = {name: value for name in _LIMITS if (value := getattr(grant, name)) is not None}
        connection.execute(
            "INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", (owner, delegate, orjson.dumps(limits).decode())
        )
        for field, (period, begun) in since.items():
            if getattr(grant, field) is not None:
                _count(connection, owner, delegate, period, begun)


def _count(connection: sqlite3.Connection, owner: str, delegate: str, period: str, begun: int) -> None:
    callers, values = ("", ()) if delegate == "*" else (" AND caller = ?", (delegate,))
    statement = f"SELECT coalesce(sum({COST}), 0) FROM usage WHERE owner = ? AND at >= ?{callers}"  # noqa: S608
    seen = connection.execute(statement, (owner, begun, *values)).fetchone()[0]
    connection.execute("INSERT OR REPLACE INTO spending VALUES (?, ?, ?)", (f"{owner}:{delegate}", period, seen))

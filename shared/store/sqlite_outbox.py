"""The statements about receipts: enqueue, lease, take out, put back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from shared.store.outbox import Delivery, Entry, Receipt, ReceiptState

_RECEIPT = "request_id, request_hash, owner, delegate, provider_id, model_id, prompt_tokens, completion_tokens"
_PROGRESS = "state, attempts, due, since, sent_at, nonce, tx_hash, error"
_ADD = f"INSERT INTO outbox ({_RECEIPT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING"  # noqa: S608
_PUT = (
    "UPDATE outbox SET state = ?, attempts = ?, due = ?, since = ?, sent_at = ?, nonce = ?, tx_hash = ?, error = ?"
    " WHERE request_id = ? AND state != 'logged'"
)
_SENT = f"SELECT {_RECEIPT}, {_PROGRESS} FROM outbox WHERE state = 'sent' ORDER BY seq LIMIT ?"  # noqa: S608
_DUE = f"SELECT {_RECEIPT}, {_PROGRESS} FROM outbox WHERE state = 'pending' AND due <= ? ORDER BY seq LIMIT ?"  # noqa: S608
_LEASE = (
    "INSERT INTO leases VALUES (?1, ?2, ?4) ON CONFLICT (name) DO UPDATE SET holder = ?2, until = ?4"
    " WHERE holder = ?2 OR until <= ?3"
)
_HELD = "SELECT 1 FROM leases WHERE name = ? AND holder = ?"
_REQUEUE = "UPDATE outbox SET state = 'pending', attempts = 0, due = 0, nonce = NULL WHERE state = 'dead'"


def add(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Enqueues a receipt, in the transaction of its usage row."""
    ids = (receipt.request_id, receipt.request_hash, receipt.owner, receipt.delegate)
    counts = (receipt.prompt_tokens, receipt.completion_tokens)
    connection.execute(_ADD, (*ids, receipt.provider_id, receipt.model_id, *counts))


def lease(connection: sqlite3.Connection, name: str, holder: str, now: int, until: int) -> bool:
    """Takes, keeps or takes over."""
    return connection.execute(_LEASE, (name, holder, now, until)).rowcount == 1


def due(connection: sqlite3.Connection, now: int, limit: int) -> list[Entry]:
    """Those that were sent, then those that are due."""
    sent = connection.execute(_SENT, (limit,)).fetchall()
    pending = connection.execute(_DUE, (now, limit - len(sent))).fetchall()
    return [Entry(Receipt(*row[:8]), *row[8:]) for row in (*sent, *pending)]


def put(connection: sqlite3.Connection, entries: Sequence[Entry], name: str, holder: str) -> bool:
    """All or none; what stands on chain isn't changed any more."""
    if connection.execute(_HELD, (name, holder)).fetchone() is None:
        return False
    connection.executemany(_PUT, [_values(entry) for entry in entries])
    return True


def _values(entry: Entry) -> tuple[object, ...]:
    progress = (entry.state, entry.attempts, entry.due, entry.since, entry.sent_at, entry.nonce)
    return (*progress, entry.tx_hash, entry.error, entry.receipt.request_id)


def requeue(connection: sqlite3.Connection, request_ids: Sequence[str] | None) -> int:
    """From dead to pending; the block of the first sending stays, so each is looked for on chain before it is sent."""
    if request_ids is None:
        return connection.execute(_REQUEUE).rowcount
    return connection.executemany(f"{_REQUEUE} AND request_id = ?", [(one,) for one in request_ids]).rowcount


def counts(connection: sqlite3.Connection) -> Mapping[ReceiptState, int]:
    """By state; a state without receipts is 0."""
    found: dict[ReceiptState, int] = {"pending": 0, "sent": 0, "logged": 0, "dead": 0}
    found.update(connection.execute("SELECT state, count(*) FROM outbox GROUP BY state").fetchall())
    return found


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Forgets receipts that stand on chain and whose rows (older than `before`) are about to go."""
    connection.execute(
        "DELETE FROM outbox WHERE state = 'logged' AND request_id IN (SELECT id FROM usage WHERE at < ?)", (before,)
    )


def delivery(state: ReceiptState | None, tx_hash: str, error: str) -> Delivery | None:
    """What a usage row shows of its receipt."""
    return None if state is None else Delivery(state, tx_hash, error)

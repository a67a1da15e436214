"""The SQLite database's shape, as numbered migrations."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database, Migrations

from shared.store.sqlite_file import SCHEMA

_migrations = Migrations(SCHEMA)


_M001 = """
CREATE TABLE tokens (hash BLOB PRIMARY KEY, address TEXT NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE signatures (digest BLOB PRIMARY KEY, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE preferences (
    address TEXT PRIMARY KEY, api_address TEXT, models TEXT, updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE usage (
    id TEXT PRIMARY KEY, at INTEGER NOT NULL, api TEXT NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL,
    caller TEXT NOT NULL, owner TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    model_requested TEXT NOT NULL, stream INTEGER NOT NULL,
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL, output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    input_cost INTEGER, cache_read_cost INTEGER, cache_write_cost INTEGER, output_cost INTEGER, fees INTEGER,
    provider_cost INTEGER, estimated INTEGER NOT NULL, duration_ms INTEGER NOT NULL, first_byte_ms INTEGER,
    attempts INTEGER NOT NULL, error TEXT NOT NULL, request_hash TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX usage_at ON usage (at);
CREATE INDEX usage_caller ON usage (caller, at);
CREATE INDEX usage_owner ON usage (owner, at);
CREATE TABLE pruned (
    day TEXT NOT NULL, caller TEXT NOT NULL, owner TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL,
    requests INTEGER NOT NULL, tokens INTEGER NOT NULL, cost INTEGER NOT NULL,
    PRIMARY KEY (day, caller, owner, provider, model)
) WITHOUT ROWID;
CREATE TABLE budget (only INTEGER PRIMARY KEY CHECK (only = 1), amount INTEGER, alert_only INTEGER NOT NULL);
CREATE TABLE spending (
    spender TEXT NOT NULL, period TEXT NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (spender, period)
) WITHOUT ROWID;
CREATE TABLE holds (
    request_id TEXT NOT NULL, spender TEXT NOT NULL, period TEXT NOT NULL, amount INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, PRIMARY KEY (request_id, spender, period)
) WITHOUT ROWID;
CREATE INDEX holds_spender ON holds (spender, period);
"""


_M002 = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, request_hash BLOB NOT NULL, owner TEXT NOT NULL,
    delegate TEXT NOT NULL, provider_id BLOB NOT NULL, model_id BLOB NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'pending', attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL DEFAULT 0, since INTEGER, sent_at INTEGER NOT NULL DEFAULT 0, nonce INTEGER,
    tx_hash TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX outbox_sent ON outbox (seq) WHERE state = 'sent';
CREATE INDEX outbox_pending ON outbox (seq) WHERE state = 'pending';
CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
"""


_M003 = """
CREATE TABLE grants (
    owner TEXT NOT NULL, delegate TEXT NOT NULL, limits TEXT NOT NULL, PRIMARY KEY (owner, delegate)
) WITHOUT ROWID;
"""


@_migrations()
def m001_initial(db: Database) -> None:
    """Tokens, preferences, usage and spending."""
    _execute(db, _M001)


@_migrations()
def m002_receipts(db: Database) -> None:
    """Receipts on their way to the chain, and who may deliver them."""
    _execute(db, _M002)


@_migrations()
def m003_grants(db: Database) -> None:
    """What owners allow their delegates."""
    _execute(db, _M003)


def _execute(db: Database, statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            db.execute(statement)


def migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema up to date."""
    _migrations.apply(Database(connection))

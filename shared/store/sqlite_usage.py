"""The statements about usage: add a row, list rows, sum them up, and fold old ones into totals."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from shared.store import Cost, Settlement, Tokens, Totals, UsageQuery, UsageRow, sqlite_outbox
from shared.store.outbox import Receipt

_COLUMNS = (
    "id, at, api, outcome, status, caller, owner, provider, model, model_requested, stream,"
    " input, cache_read, cache_write_5m, cache_write_1h, output, reasoning,"
    " input_cost, cache_read_cost, cache_write_cost, output_cost, fees,"
    " provider_cost, estimated, duration_ms, first_byte_ms, attempts, error, request_hash"
)
_QUALIFIED = ", ".join(f"usage.{name.strip()}" for name in _COLUMNS.split(","))
_ADD = (
    f"INSERT INTO usage ({_COLUMNS}) VALUES ({', '.join('?' * (_COLUMNS.count(',') + 1))})"  # noqa: S608
    " ON CONFLICT (id) DO NOTHING"
)
_SPEND = (
    "INSERT INTO spending VALUES (?, ?, ?) ON CONFLICT (spender, period) DO UPDATE SET spent = spent + excluded.spent"
)
_TOKENS = "input + cache_read + cache_write_5m + cache_write_1h + output"
COST = "coalesce(input_cost + cache_read_cost + cache_write_cost + output_cost + fees, 0)"
_QUARTER = 15 * 60_000
_DAY = "strftime('%Y-%m-%d', at / 1000, 'unixepoch')"


def add(
    connection: sqlite3.Connection, records: Sequence[tuple[UsageRow, Settlement, Receipt | None]]
) -> Sequence[None]:
    """Rows, each once; with them the spending, the end of their holds, and their receipts."""
    spent: dict[tuple[str, str], int] = {}
    held: list[tuple[str]] = []
    for row, settlement, receipt in records:
        if connection.execute(_ADD, _values(row)).rowcount == 0:
            continue
        cost = 0 if row.cost is None else row.cost.total
        for spender, period, amount in (*((*who, cost) for who in settlement.spenders), *settlement.counted):
            spent[spender, period] = spent.get((spender, period), 0) + amount
        if settlement.held:
            held.append((row.id,))
        if receipt is not None:
            sqlite_outbox.add(connection, receipt)
    connection.executemany(_SPEND, [(*who, amount) for who, amount in spent.items() if amount])
    connection.executemany("DELETE FROM holds WHERE request_id = ?", held)
    return [None] * len(records)


def _values(row: UsageRow) -> tuple[object, ...]:
    tokens, cost = row.tokens, row.cost
    costs = (None,) * 5 if cost is None else (cost.input, cost.cache_read, cost.cache_write, cost.output, cost.fees)
    return (
        *(row.id, row.at, row.api, row.outcome, row.status, row.caller, row.owner, row.provider, row.model),
        *(row.model_requested, row.stream, tokens.input, tokens.cache_read, tokens.cache_write_5m),
        *(tokens.cache_write_1h, tokens.output, tokens.reasoning, *costs, row.provider_cost, row.estimated),
        *(row.duration_ms, row.first_byte_ms, row.attempts, row.error, row.request_hash),
    )


def rows(connection: sqlite3.Connection, query: UsageQuery) -> Sequence[UsageRow]:
    """The newest rows first."""
    where, values = _where(query)
    statement = (
        f"SELECT {_QUALIFIED}, outbox.state, outbox.tx_hash, outbox.error FROM usage"  # noqa: S608
        f" LEFT JOIN outbox ON outbox.request_id = usage.id WHERE {where} ORDER BY at DESC, id DESC LIMIT ?"
    )
    return [_row(found) for found in connection.execute(statement, (*values, query.limit))]


def _row(found: tuple[object, ...]) -> UsageRow:
    (
        *(head),
        stream, fresh, read, write_5m, write_1h, output, reasoning,
        input_cost, read_cost, write_cost, output_cost, fees,
        provider_cost, estimated, duration, first_byte, attempts, error, request_hash,
        receipt, tx_hash, receipt_error,
    ) = found  # fmt: skip
    row_id, at, api, outcome, status, caller, owner, provider, model, requested = head
    cost = None if input_cost is None else Cost(input_cost, read_cost, write_cost, output_cost, fees)  # type: ignore[arg-type]
    return UsageRow(  # columns are untyped; the schema says what they hold
        row_id, at, api, outcome, status, caller, owner, provider, model, requested, bool(stream),  # type: ignore[arg-type]
        Tokens(fresh, read, write_5m, write_1h, output, reasoning), cost, provider_cost, bool(estimated),  # type: ignore[arg-type]
        duration, first_byte, attempts, error, request_hash,  # type: ignore[arg-type]
        sqlite_outbox.delivery(receipt, tx_hash, receipt_error),  # type: ignore[arg-type]
    )  # fmt: skip


def totals(connection: sqlite3.Connection, query: UsageQuery) -> Totals:
    """Sums over the rows and, for days that were pruned, over what is left of them."""
    where, values = _where(query)
    day_where, day_values = _pruned_where(query)
    statement = (
        f"SELECT provider, model, caller, at / {_QUARTER} * {_QUARTER}, count(*), sum({_TOKENS}), sum({COST}) FROM usage"  # noqa: S608
        f" WHERE {where} GROUP BY 1, 2, 3, 4"
        " UNION ALL SELECT provider, model, caller, unixepoch(day) * 1000, sum(requests), sum(tokens), sum(cost) FROM pruned"
        f" WHERE {day_where} GROUP BY 1, 2, 3, 4"
    )
    requests = tokens = cost = 0
    sums: tuple[dict[Any, int], ...] = ({}, {}, {}, {})  # by provider, model, caller, time
    for *groups, count, some_tokens, some_cost in connection.execute(statement, (*values, *day_values)):
        requests, tokens, cost = requests + count, tokens + some_tokens, cost + some_cost
        for group, by_group in zip(groups, sums, strict=True):
            if groups[0]:  # a provider was asked
                by_group[group] = by_group.get(group, 0) + some_cost
    return Totals(requests, tokens, cost, *sums)


def _where(query: UsageQuery) -> tuple[str, tuple[object, ...]]:
    where, values = "at >= ? AND at < ?", [query.start, query.end]
    if query.who is not None:
        return where + " AND (caller = ? OR usage.owner = ?)", (*values, query.who, query.who)
    return where if query.with_strangers else where + " AND caller != ''", tuple(values)


def _pruned_where(query: UsageQuery) -> tuple[str, tuple[object, ...]]:
    day = "strftime('%Y-%m-%d', ? / 1000, 'unixepoch')"
    where, values = f"day >= {day} AND day < {day}", [query.start, query.end]
    if query.who is not None:
        return where + " AND (caller = ? OR owner = ?)", (*values, query.who, query.who)
    return where if query.with_strangers else where + " AND caller != ''", tuple(values)


def prune(connection: sqlite3.Connection, before: int) -> int:
    """Folds the rows older than `before` into daily totals, in the caller's transaction."""
    sqlite_outbox.prune(connection, before)
    connection.execute(
        f"INSERT INTO pruned SELECT {_DAY}, caller, owner, provider, model, count(*), sum({_TOKENS}), sum({COST})"  # noqa: S608
        " FROM usage WHERE at < ? GROUP BY 1, 2, 3, 4, 5"
        " ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens,"
        " cost = cost + excluded.cost",
        (before,),
    )
    return connection.execute("DELETE FROM usage WHERE at < ?", (before,)).rowcount

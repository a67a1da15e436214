"""The soak's audit: rows in the database against what clients saw and what the provider's ledger says."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from bench.soak_provider import Ledger, Used, used
from bench.soak_traffic import Log, Seen
from catalog.load import load

_NANO_PER_TOKEN = 1_000_000
"""The catalog's rates are for a million tokens; the soak's models cost whole nano-dollars a token."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table."""

    name: str
    found: str
    expected: str
    holds: bool


def answers(log: Log) -> list[Check]:
    """What clients saw was what their request had to lead to."""
    return [Check("answers that were wrong", str(len(log.wrong)), "0", not log.wrong)]


def books(database: str, log: Log, ledger: Ledger) -> list[Check]:
    """One row for each request; tokens and money as the provider has them; nothing left on hold."""
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {row["id"]: row for row in connection.execute("SELECT * FROM usage")}
        held = connection.execute("SELECT count(*) FROM holds").fetchone()[0]
        spent = connection.execute("SELECT coalesce(sum(spent), 0) FROM spending").fetchone()[0]
    named = [seen for seen in log.seen if seen.id]
    missing = sum(seen.id not in rows for seen in named)
    twice = len(named) - len({seen.id for seen in named})
    total = sum(map(_cost, rows.values()))
    return [
        _equal("rows", len(rows), len(log.seen)),
        _equal("answers without a row, rows of two answers", missing + twice, 0),
        *_complete(rows, [seen for seen in named if seen.complete], ledger),
        *_refused(rows, named),
        *_cut(rows, log.seen),
        _equal("held and never settled", held, 0),
        _equal("spent (nano-dollars) by the budget's count", spent, total),
    ]


def _equal(name: str, found: int, expected: int) -> Check:
    return Check(name, f"{found:,}", f"{expected:,}", found == expected)


def _complete(rows: Mapping[str, sqlite3.Row], seen: Sequence[Seen], ledger: Ledger) -> list[Check]:
    """Replies that came whole: each row says what the provider says of that very reply, and so do the sums."""
    mine = [rows[one.id] for one in seen if one.id in rows]
    theirs = [ledger.whole[one.request.number] for one in seen if one.request.number in ledger.whole]
    pairs = zip(mine, theirs, strict=False)
    other = sum(_tokens(row) != _their_tokens(one) or row["outcome"] != "complete" for row, one in pairs)
    return [
        _equal("whole replies that only one side knows", abs(len(seen) - len(mine)) + abs(len(seen) - len(theirs)), 0),
        _equal("whole replies with other tokens", other, 0),
        _equal("tokens of whole replies", sum(map(sum, map(_tokens, mine))), sum(map(sum, map(_their_tokens, theirs)))),
        _equal("nano-dollars of whole replies", sum(map(_cost, mine)), sum(map(priced(theirs), theirs))),
    ]


def _refused(rows: Mapping[str, sqlite3.Row], seen: Iterable[Seen]) -> list[Check]:
    """A request that no provider answered costs nothing, and its row shows the client's status."""
    mine = [(rows[one.id], one) for one in seen if one.status != 200 and one.id in rows]
    wrong = sum(bool(sum(_tokens(row)) or _cost(row) or row["status"] != one.status) for row, one in mine)
    return [_equal("refused requests with a cost or another status", wrong, 0)]


def _cut(rows: Mapping[str, sqlite3.Row], seen: Sequence[Seen]) -> list[Check]:
    """Streams that ended early, on either side: estimated, or what had been reported of the prompt. A client that left before the
    reply's head can't name its row: that row must be that of one of those who left."""
    known = {one.id for one in seen if one.id}
    wrong = 0
    for one in seen:
        if one.id in rows and one.status == 200 and not one.complete:
            row = rows[one.id]
            asked = used(one.request.number, row["provider"], row["model"], one.request.model.startswith("anthropic"))
            wrong += not (row["estimated"] or _tokens(row)[:3] == _their_tokens(asked)[:3])
    gone = [row for name, row in rows.items() if name not in known]
    left = sum(not one.id for one in seen)
    outcomes = Counter(row["outcome"] for row in gone)
    odd = len(gone) - outcomes["client_gone"] - outcomes["complete"]
    return [
        _equal("cut streams with other tokens", wrong, 0),
        _equal("rows of clients that left early", len(gone) - odd, left),
    ]


def _tokens(row: sqlite3.Row) -> tuple[int, int, int, int]:
    return row["input"], row["cache_read"], row["cache_write_5m"] + row["cache_write_1h"], row["output"]


def _their_tokens(one: Used) -> tuple[int, int, int, int]:
    return one.fresh, one.cache_read, one.cache_write, one.output


def _cost(row: sqlite3.Row) -> int:
    return sum(row[f"{part}_cost"] or 0 for part in ("input", "cache_read", "cache_write", "output")) + (
        row["fees"] or 0
    )


def priced(all_used: Iterable[Used]) -> _Bill:
    """The provider's own bill: tokens times its published rate, class by class."""
    now, catalog, sheet = datetime.now(UTC), load(), {}
    offers = {(offer.provider, offer.id): offer for model in catalog.models.values() for offer in model.offers}
    for provider, model in {(one.provider, one.model) for one in all_used}:
        price = offers[provider, model].price(now)
        assert price is not None
        rates = price.rates
        read = rates.input if rates.cache_read is None else rates.cache_read
        write = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
        sheet[provider, model] = (rates.input, read, write, rates.output)
    return _Bill(sheet)


@dataclass(frozen=True, slots=True)
class _Bill:
    sheet: Mapping[tuple[str, str], tuple[int, int, int, int]]

    def __call__(self, one: Used) -> int:
        rates = self.sheet[one.provider, one.model]
        nano, rest = divmod(sum(r * t for r, t in zip(rates, _their_tokens(one), strict=True)), _NANO_PER_TOKEN)
        assert rest == 0, "a rate of less than a nano-dollar a token: sums would depend on rounding"
        return nano

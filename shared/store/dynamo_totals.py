"""Totals in DynamoDB: sums over any span, from hourly items and the rows at its ends; what was pruned is still in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from shared.store import Totals, UsageQuery
from shared.store.dynamo_client import Table
from shared.store.dynamo_items import DAYS, END, HOUR, QUARTER, Item, day_of, midnight, partitions, read_row, stamp

Group = tuple[str, str, str, int]
"""Provider, model, caller, and the beginning of a quarter of an hour in milliseconds."""

Wanted = Callable[[str, str], bool]
"""(caller, owner) -> whether such rows are meant."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows are summed up: `[start, end)` in milliseconds, and whose."""

    start: int
    end: int
    wanted: Wanted
    with_strangers: bool = False


def span_of(query: UsageQuery) -> Span:
    """What a query sums up."""
    who = query.who
    wanted: Wanted = (lambda _caller, _owner: True) if who is None else (lambda caller, owner: who in (caller, owner))
    return Span(query.start, query.end, wanted, query.with_strangers and who is None)


async def days_in(table: Table, start: int, end: int) -> list[str]:
    """The days of `[start, end)` that have rows or totals, the oldest first."""
    if start >= end:
        return []
    found = await table.items(DAYS, (day_of(min(start, END)), day_of(min(end - 1, END))))
    return [str(item["sk"]) for item in found]


async def totals(table: Table, query: UsageQuery) -> Totals:
    """Sums over the rows that are there and those that were pruned."""
    requests = tokens = cost = 0
    sums: tuple[dict[Any, int], ...] = ({}, {}, {}, {})  # by provider, model, caller, time
    for group, (count, some_tokens, some_cost) in (await groups(table, span_of(query))).items():
        requests, tokens, cost = requests + count, tokens + some_tokens, cost + some_cost
        for name, by_name in zip(group, sums, strict=True):
            if group[0]:  # a provider was asked
                by_name[name] = by_name.get(name, 0) + some_cost
    return Totals(requests, tokens, cost, *sums)


async def groups(table: Table, span: Span) -> dict[Group, tuple[int, int, int]]:
    """Requests, tokens and nano-dollars by group.

    Whole quarters are added up, and the rows at both ends that lie outside are taken away again; of quarters whose rows were
    pruned nothing can be taken away.
    """
    first, last = span.start // QUARTER * QUARTER, -(-span.end // QUARTER) * QUARTER
    sums: dict[Group, tuple[int, int, int]] = {}
    days = await days_in(table, first, last)
    homes = [(day, pk) for day in days for pk in partitions("SUM", day, span.with_strangers)]
    for (day, _), items in zip(homes, await asyncio.gather(*(table.items(pk) for _, pk in homes)), strict=True):
        for item in items:
            for group, counts in _quarters(day, item, span):
                if first <= group[3] < last:
                    sums[group] = _plus(sums.get(group), counts)
    for begin, end in ((first, span.start), (span.end, last)):
        async for item in _rows_between(table, begin, end, span.with_strangers):
            row = read_row(item)
            if span.wanted(row.caller, row.owner):
                group = (row.provider, row.model, row.caller, row.at // QUARTER * QUARTER)
                counts = (-1, -row.tokens.total, -(row.cost.total if row.cost else 0))
                sums[group] = _plus(sums.get(group), counts)
    return {group: counts for group, counts in sums.items() if counts[0] > 0}


def _plus(some: tuple[int, int, int] | None, more: tuple[int, int, int]) -> tuple[int, int, int]:
    return more if some is None else (some[0] + more[0], some[1] + more[1], some[2] + more[2])


FOLDED = "p"
"""Stands before the hour of totals that another store had folded into days."""


def total_key(hour: str, caller: str, owner: str, provider: str, model: str) -> str:
    """The sort key of totals; a model's name, which comes last, may hold any character."""
    return "#".join((hour, caller, owner, provider, model))


def read_total_key(key: str) -> tuple[int, str, str, str, str]:
    """Hour, caller, owner, provider, model."""
    hour, caller, owner, provider, model = key.split("#", 4)
    return int(hour.removeprefix(FOLDED)), caller, owner, provider, model


def _quarters(day: str, item: Item, span: Span) -> Iterable[tuple[Group, tuple[int, int, int]]]:
    hour, caller, owner, provider, model = read_total_key(item["sk"])
    if not span.wanted(caller, owner):
        return
    begun = midnight(day) + hour * HOUR
    for quarter in range(4):
        if count := item.get(f"r{quarter}"):
            yield (
                (provider, model, caller, begun + quarter * QUARTER),
                (count, item[f"t{quarter}"], item[f"c{quarter}"]),
            )


async def _rows_between(table: Table, begin: int, end: int, with_strangers: bool) -> AsyncIterator[Item]:
    for day in await days_in(table, begin, end):
        reads = [
            table.items(pk, (stamp(begin), stamp(end))) for pk in partitions("USE", day, with_strangers)
        ]  # a key is longer than its stamp: the end itself isn't among them
        for found in await asyncio.gather(*reads):
            for item in found:
                yield item

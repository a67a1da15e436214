"""The DynamoDB store as source and target of a copy: its items as rows of the SQLite store's tables, and back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import fields
from typing import Any

import orjson

from shared.store import GLOBAL, Cost, Grant, Preferences, Settlement, Tokens, UsageRow
from shared.store.copying import COSTS, MINUTE, TOKENS, Cells, CopyError, Mark, Page, Rows, Sums, add_up
from shared.store.dynamo_client import THREADS, Table
from shared.store.dynamo_grants import put_grant, put_preferences
from shared.store.dynamo_items import (
    COPIES,
    DAYS,
    LIMITS,
    Item,
    budget_key,
    counter_key,
    day_of,
    read_entry,
    read_row,
    shard_of,
    token_key,
    write_entry,
)
from shared.store.dynamo_totals import FOLDED, read_total_key, total_key
from shared.store.dynamo_usage import record
from shared.store.outbox import Entry, Receipt

Put = Callable[[dict[str, Any]], Any]

_COPY = "COPY"
_PLAIN = tuple(field.name for field in fields(UsageRow) if field.name not in ("tokens", "cost", "receipt"))
_TIED = frozenset({"preferences", "grants"})
"""Tables whose rows are written one after the other, since the items of many are written together."""

_RECEIPT = tuple(field.name for field in fields(Receipt))
_PROGRESS = tuple(field.name for field in fields(Entry) if field.name != "receipt")


class DynamoSide:
    """See `shared.store.copying.Side`."""

    def __init__(self, table: Table, now: int) -> None:
        self.name = f"dynamodb:{table.name}"
        self._table = table
        self._now = now
        self._spent: dict[tuple[str, str], int] = {}
        self._pruned: dict[tuple[str, ...], list[int]] = {}

    # ── reading

    async def sums(self) -> Sums:
        sums: dict[str, tuple[int, int, int]] = {}
        self._spent, self._pruned = {}, {}
        async for items, _ in self._scanned(""):
            for item in items:
                self._survey(item)
                for table, row in self._cells(item):
                    add_up(sums, table, row)
        for table, rows in self._added_up().items():
            for row in rows:
                add_up(sums, table, row)
        return sums

    async def _scanned(self, after: str) -> AsyncIterator[tuple[list[Item], str]]:
        begin = json.loads(after) if after else None
        while True:
            items, begin = await self._table.scan(begin)
            yield items, json.dumps(begin) if begin else ""
            if not begin:
                return

    def _survey(self, item: Item) -> None:
        """What several items tell together: spending from its shards, and what totals hold beyond the rows."""
        kind, _, rest = item["pk"].partition("#")
        if kind == "BUD" and len(period := item["sk"].split("#")[0]) != MINUTE:
            spender = GLOBAL if rest.startswith(f"{GLOBAL}#") else rest
            self._spent[spender, period] = self._spent.get((spender, period), 0) + item.get("spent", 0)
        elif kind == "SUM":
            group = (rest.split("#")[0], *read_total_key(item["sk"])[1:])
            for quarter in range(4):
                self._fold(group, *(item.get(f"{unit}{quarter}", 0) for unit in "rtc"))
        elif kind == "USE":
            row = read_row(item)
            group = (day_of(row.at), row.caller, row.owner, row.provider, row.model)
            self._fold(group, -1, -row.tokens.total, -(row.cost.total if row.cost else 0))

    def _fold(self, group: tuple[str, ...], *amounts: int) -> None:
        sums = self._pruned.setdefault(group, [0, 0, 0])
        for place, amount in enumerate(amounts):
            sums[place] += amount

    def _added_up(self) -> Rows:
        spending = [
            {"spender": spender, "period": period, "spent": spent}
            for (spender, period), spent in self._spent.items()
            if spent
        ]
        names = ("day", "caller", "owner", "provider", "model", "requests", "tokens", "cost")
        pruned = [
            dict(zip(names, (*group, *amounts), strict=True)) for group, amounts in self._pruned.items() if amounts[0]
        ]
        return {"spending": spending, "pruned": pruned}

    async def pages(self, after: str) -> AsyncIterator[Page]:
        """`after` is DynamoDB's own mark. What is added up comes first, once `sums` has seen the whole table."""
        if not after:
            yield Page(self._added_up(), "")
        async for items, mark in self._scanned(after):
            rows: Rows = {}
            for item in items:
                for table, row in self._cells(item):
                    rows.setdefault(table, []).append(row)
            yield Page(rows, mark)

    def _cells(self, item: Item) -> Iterable[tuple[str, Cells]]:
        """The row that an item is by itself, if it is one."""
        kind, _, rest = item["pk"].partition("#")
        match kind:
            case "TOK" if item["expires_at"] > self._now:
                address, expires_at = item["address"], item["expires_at"]
                yield "tokens", {"hash": bytes.fromhex(rest), "address": address, "expires_at": expires_at}
            case "SIG" if item["ttl"] > self._now:
                yield "signatures", {"digest": bytes.fromhex(rest), "expires_at": item["ttl"]}
            case "PREF":
                models = orjson.dumps(item["models"]).decode() if "models" in item else None
                cells = {"address": rest, "api_address": item.get("api_address"), "models": models}
                yield "preferences", {**cells, "updated_at": item["updated_at"]}
            case "GRANT":
                limits = orjson.dumps({name: item[name] for name in LIMITS if name in item}).decode()
                yield "grants", {"owner": rest, "delegate": item["sk"], "limits": limits}
            case "BUDGET" if rest == "0":
                yield "budget", {"only": 1, "amount": item.get("amount"), "alert_only": int(item["alert_only"])}
            case "USE":
                yield "usage", _write_usage(read_row(item))
            case "OUT":
                entry = read_entry(item)
                receipt = {name: getattr(entry.receipt, name) for name in _RECEIPT}
                yield "outbox", {**receipt, **{name: getattr(entry, name) for name in _PROGRESS}}

    # ── writing

    async def write(self, rows: Rows) -> None:
        gate = asyncio.Semaphore(THREADS)

        async def one(table: str, row: Cells) -> None:
            async with gate:
                await self._add(table, row)

        await self._name_days(rows)
        for table, some in rows.items():
            if table in _TIED:
                for row in some:
                    await self._add(table, row)
            else:
                await asyncio.gather(*(one(table, row) for row in some))

    async def _name_days(self, rows: Rows) -> None:
        days = {day_of(row["at"]) for row in rows.get("usage", ())} | {row["day"] for row in rows.get("pruned", ())}
        await asyncio.gather(*(self._table.put({"pk": DAYS, "sk": day}) for day in days))

    async def _add(self, table: str, row: Cells) -> None:
        match table:
            case "usage":
                await record(self._table, _read_usage(row), Settlement(), {})
            case "preferences":
                models = None if row["models"] is None else tuple(orjson.loads(row["models"]))
                await put_preferences(
                    self._table, Preferences(row["address"], row["api_address"], models, row["updated_at"])
                )
            case "grants":
                grant = Grant(row["owner"], row["delegate"], **orjson.loads(row["limits"]))
                await put_grant(self._table, grant.owner, grant.delegate, grant)
            case _:
                for item in _items(table, row):
                    await self._table.put(item)

    async def mark(self, source: str) -> Mark | None:
        found = await self._table.get(_COPY, _COPY)
        if found is not None and found["source"] == source:
            return Mark(found["after"], found["done"])
        if found is not None:
            raise CopyError(f"{self.name} holds an unfinished copy of {found['source']}")
        items, more = await self._table.scan(None)
        if items or more:
            raise CopyError(f"{self.name} isn't empty")
        return None

    async def put_mark(self, source: str, mark: Mark | None) -> None:
        if mark is None:
            await self._table.delete(_COPY, _COPY)
        else:
            item = {"pk": _COPY, "sk": _COPY, "source": source, "after": mark.after, "done": mark.done}
            await self._table.put(item)

    async def close(self) -> None:
        await asyncio.to_thread(self._table.close)


def _items(table: str, row: Cells) -> list[dict[str, Any]]:
    """The items that a row becomes."""
    match table:
        case "tokens":
            pk, sk = token_key(row["hash"])
            address, expires_at = row["address"], row["expires_at"]
            return [{"pk": pk, "sk": sk, "address": address, "expires_at": expires_at, "ttl": expires_at}]
        case "signatures":
            return [{"pk": f"SIG#{row['digest'].hex()}", "sk": "SIG", "ttl": row["expires_at"]}]
        case "budget":
            cap = {"amount": row["amount"], "alert_only": bool(row["alert_only"])}
            return [{**dict(zip(("pk", "sk"), budget_key(copy), strict=True)), **cap} for copy in range(COPIES)]
        case "spending":
            pk, sk = counter_key(row["spender"], f"{row['period']}#copied")
            return [{"pk": pk, "sk": sk, "spent": row["spent"]}]
        case "pruned":
            shard = f"{'' if row['caller'] else 'x'}{shard_of(row['caller'])}"
            sk = total_key(f"{FOLDED}00", row["caller"], row["owner"], row["provider"], row["model"])
            sums = {"r0": row["requests"], "t0": row["tokens"], "c0": row["cost"]}
            return [{"pk": f"SUM#{row['day']}#{shard}", "sk": sk, **sums}]
        case "outbox":
            receipt = Receipt(**{name: row[name] for name in _RECEIPT})
            return [write_entry(Entry(receipt, **{name: row[name] for name in _PROGRESS}))]
        case _:
            raise CopyError(f"a table {table} is unknown")


def _read_usage(row: Cells) -> UsageRow:
    plain = {name: row[name] for name in _PLAIN}
    plain |= {"stream": bool(row["stream"]), "estimated": bool(row["estimated"])}
    tokens = Tokens(**{name: row[name] for name in (*TOKENS, "reasoning")})
    cost = None if row[COSTS[0]] is None else Cost(*(row[name] for name in COSTS))
    return UsageRow(**plain, tokens=tokens, cost=cost)


def _write_usage(row: UsageRow) -> Cells:
    cells = {name: getattr(row, name) for name in _PLAIN}
    cells |= {"stream": int(row.stream), "estimated": int(row.estimated), "reasoning": row.tokens.reasoning}
    cells |= {name: getattr(row.tokens, name) for name in TOKENS}
    return cells | {name: None if row.cost is None else getattr(row.cost, name.removesuffix("_cost")) for name in COSTS}

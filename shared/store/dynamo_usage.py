"""Usage in DynamoDB: rows, the totals beside them, and the one transaction that a finished request leaves.

Totals are kept by hour in items of their own (`r0`-`r3` requests, `t0`-`t3` tokens, `c0`-`c3` nano-dollars, one for each quarter), so that
they cost little to read and stay when rows go (see `dynamo_totals`). A caller's totals have one home; who meets another transaction there
moves to another shard, so busy callers spread by themselves.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.errors import Code, GatewayError
from shared.store import Settlement, UsageQuery, UsageRow
from shared.store.dynamo_caps import Holding, release, settle, taken_by
from shared.store.dynamo_client import TRIES, CanceledError, ConditionFailedError, ConflictError, Table, pause
from shared.store.dynamo_items import (
    DAY,
    DAYS,
    END,
    HOUR,
    QUARTER,
    SHARDS,
    STRANGER,
    Item,
    change,
    day_of,
    midnight,
    outbox_key,
    partitions,
    read_row,
    receipt_key,
    shard_of,
    stamp,
    write_entry,
    write_item,
    write_row,
)
from shared.store.dynamo_table import CALLERS, OWNERS
from shared.store.dynamo_totals import days_in, total_key
from shared.store.outbox import Delivery, Entry, Receipt

_NEW = "attribute_not_exists(pk)"


# ── the transaction ──────────────────────────────────────────────────────────────────────────────────────────────


async def record(
    table: Table, row: UsageRow, settlement: Settlement, holding: Holding, receipt: Receipt | None = None
) -> None:
    """The row, once; with it the totals, the spending, and its receipt. Then what was held for it ends, whoever wrote it."""
    item = {**write_row(row), **({"receipted": True} if receipt or row.request_hash else {})}
    took = taken_by(settlement, row.cost.total if row.cost else 0)
    for attempt in range(TRIES):
        works = [{"Put": {"Item": write_item(item), "ConditionExpression": _NEW}}, _adding(row, moved=attempt > 0)]
        works += [{"Update": slot} for slot in settle(took)]
        if receipt is not None:
            works.append({"Put": {"Item": write_item(write_entry(Entry(receipt)))}})
        try:
            await table.transact(works)
        except ConflictError:
            await asyncio.sleep(pause(attempt))
        except CanceledError:  # the row is there
            break
        else:
            break
    else:
        raise GatewayError(Code.OVERLOADED, "The gateway's store is too busy for this row.")
    await release(table, holding, took)


def _adding(row: UsageRow, *, moved: bool) -> dict[str, Any]:
    shard = f"{random.randrange(SHARDS):02d}" if moved else shard_of(row.caller)  # noqa: S311
    pk = f"SUM#{day_of(row.at)}#{'' if row.caller else STRANGER}{shard}"
    sk = total_key(f"{row.at % DAY // HOUR:02d}", row.caller, row.owner, row.provider, row.model)
    quarter = row.at % HOUR // QUARTER
    cost = row.cost.total if row.cost else 0
    return {
        "Update": change((pk, sk), add={f"r{quarter}": 1, f"t{quarter}": row.tokens.total, f"c{quarter}": cost}),
    }


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def rows(table: Table, query: UsageQuery) -> Sequence[UsageRow]:
    """The newest rows first, with their receipts. Those of one address come from an index, which may lag by a moment."""
    between = (stamp(query.start), stamp(min(query.end, END)))
    found: list[Item] = []
    if query.who is not None:
        pages = [
            table.pages(query.who, between, index=(name, attribute, "sk"), newest_first=True, size=query.limit)
            for name, attribute in ((CALLERS, "by_caller"), (OWNERS, "by_owner"))
        ]
        found = await _newest(pages, query.limit)
    else:
        for day in reversed(await days_in(table, query.start, query.end)):
            names = partitions("USE", day, query.with_strangers)
            size = max(25, 2 * query.limit // SHARDS)
            pages = [table.pages(pk, between, newest_first=True, size=size) for pk in names]
            found += await _newest(pages, query.limit - len(found))
            if len(found) >= query.limit:
                break
    return await _with_receipts(table, found)


async def _newest(pages: Sequence[AsyncIterator[list[Item]]], limit: int) -> list[Item]:
    """The first `limit` of several lists that are sorted already (newest first), reading no more pages than that takes."""
    first = await asyncio.gather(*map(_next_page, pages))
    heads: list[tuple[_Newest, int, list[Item]]] = []
    for place, page in enumerate(first):
        if page:
            heapq.heappush(heads, (_Newest(page[0]["sk"]), place, page))
    found: list[Item] = []
    while heads and len(found) < limit:
        _, place, page = heapq.heappop(heads)
        found.append(page.pop(0))
        page = page or await _next_page(pages[place])
        if page:
            heapq.heappush(heads, (_Newest(page[0]["sk"]), place, page))
    return found


@dataclass(frozen=True, slots=True)
class _Newest:
    """Sorts the newest key first."""

    key: str

    def __lt__(self, other: _Newest) -> bool:
        return self.key > other.key


async def _next_page(pages: AsyncIterator[list[Item]]) -> list[Item]:
    """The next page that isn't empty; an empty one at the end."""
    async for page in pages:
        if page:
            return page
    return []


async def _with_receipts(table: Table, found: Sequence[Item]) -> list[UsageRow]:
    keys = [receipt_key(item["id"]) for item in found if "receipted" in item]
    receipts = await table.get_all(keys) if keys else {}
    made = []
    for item in found:
        row, told = read_row(item), receipts.get(receipt_key(item["id"]))
        made.append(replace(row, receipt=Delivery(told["state"], told["tx_hash"], told["error"])) if told else row)
    return made


# ── retention ────────────────────────────────────────────────────────────────────────────────────────────────────


async def prune(table: Table, before: int) -> int:
    """Deletes the rows older than `before`, and the receipts of those that stand on chain; the totals are there already."""
    gone = 0
    for item in await table.items(DAYS, ("0", day_of(before))):
        day = item["sk"]
        if item.get("pruned"):
            continue
        for pk in partitions("USE", day, with_strangers=True):
            async for page in table.pages(pk, (stamp(0), stamp(before)), only="pk, sk, id, receipted"):
                await asyncio.gather(*(_forget_receipt(table, row["id"]) for row in page if "receipted" in row))
                await table.delete_all([(row["pk"], row["sk"]) for row in page])
                gone += len(page)
        if before >= midnight(day) + DAY:
            await table.put({"pk": DAYS, "sk": day, "pruned": True})
    return gone


async def _forget_receipt(table: Table, request_id: str) -> None:
    try:
        await table.delete(*receipt_key(request_id), "ob = :done", done=outbox_key("logged", request_id))
    except ConditionFailedError:
        return  # it is still under way

"""The outbox in DynamoDB: receipts as items, found by a sparse index, moved only under the lease.

The index lags behind by a moment, so it only names candidates: what a receipt is like is read from the item itself, and what this
process has just put is looked at again whatever the index says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from shared.store.dynamo_client import TRIES, CanceledError, ConditionFailedError, ConflictError, Table, pause
from shared.store.dynamo_items import (
    OUTBOX_SHARDS,
    Key,
    change,
    lease_key,
    outbox_key,
    read_entry,
    receipt_key,
    write_key,
    write_progress,
)
from shared.store.dynamo_table import OUTBOX
from shared.store.outbox import Entry, ReceiptState

STATES: tuple[ReceiptState, ...] = ("pending", "sent", "logged", "dead")

_AT_ONCE = 99
"""Receipts in a transaction, beside the lease; the API takes a hundred works."""

_OPEN = "(attribute_exists(pk) AND #ob <> :logged)"


async def lease(table: Table, name: str, holder: str, now: int, until: int) -> bool:
    """Takes, keeps or takes over."""
    try:
        await table.update(
            change(
                lease_key(name),
                put={"holder": holder, "until": until},
                when="attribute_not_exists(pk) OR #holder = :holder OR #until <= :now",
                names={"#holder": "holder", "#until": "until"},
                values={":holder": holder, ":now": now},
            )
        )
    except ConditionFailedError:
        return False
    return True


async def release(table: Table, name: str, holder: str) -> None:
    """Gives the lease back, if it is still this holder's."""
    try:
        await table.delete(*lease_key(name), "holder = :holder", holder=holder)
    except ConditionFailedError:
        return  # another has it by now


async def due(table: Table, now: int, limit: int, recent: Iterable[str] = ()) -> list[Entry]:
    """Those that were sent, then those that are due; the oldest first in both. `recent`: ids that are looked at in any case."""
    if limit <= 0:
        return []
    keys = {receipt_key(request_id): None for request_id in recent}
    keys |= dict.fromkeys(await _candidates(table, "sent", limit))
    sent = sorted(await _read(table, keys, "sent"), key=_age)[:limit]
    pending: list[Entry] = []
    if len(sent) < limit:
        keys |= dict.fromkeys(await _due_candidates(table, now, limit))
        pending = [entry for entry in await _read(table, keys, "pending") if entry.due <= now]
    return [*sent, *sorted(pending, key=_age)[: limit - len(sent)]]


def _age(entry: Entry) -> str:
    return entry.receipt.request_id


async def _read(table: Table, keys: Mapping[Key, None], state: ReceiptState) -> list[Entry]:
    found = map(read_entry, (await table.get_all(list(keys))).values())
    return [entry for entry in found if entry.state == state]


async def _candidates(table: Table, state: ReceiptState, limit: int) -> list[Key]:
    """The oldest `limit` of each shard."""
    return [key for keys in await asyncio.gather(*_shards(table, state, limit)) for key in keys]


async def _due_candidates(table: Table, now: int, limit: int) -> list[Key]:
    """As `_candidates`; where those are put off, the ones behind them as well, until enough are due."""
    wanted = limit
    while True:
        keys = await _candidates(table, "pending", wanted)
        found = await _read(table, dict.fromkeys(keys), "pending")
        if sum(entry.due <= now for entry in found) >= limit or len(keys) < wanted:
            return keys
        wanted *= 4


def _shards(table: Table, state: ReceiptState, limit: int) -> Iterable[asyncio.Future[list[Key]]]:
    async def oldest(shard: int) -> list[Key]:
        found: list[Key] = []
        index = (OUTBOX, "ob", "ob_id")
        async for page in table.pages(f"{state}#{shard:02d}", index=index, size=limit):
            found += [(item["pk"], item["sk"]) for item in page]
            if len(found) >= limit:
                break
        return found

    return [asyncio.ensure_future(oldest(shard)) for shard in range(OUTBOX_SHARDS)]


async def put(table: Table, entries: Sequence[Entry], name: str, holder: str) -> bool:
    """All or none (of each ninety-nine); what stands on chain isn't changed any more. False without the lease."""
    parts = [entries[first : first + _AT_ONCE] for first in range(0, len(entries), _AT_ONCE)]
    for part in parts or [()]:
        if not await _put_part(table, part, name, holder):
            return False
    return True


async def _put_part(table: Table, entries: Sequence[Entry], name: str, holder: str) -> bool:
    held = {
        "ConditionCheck": {
            "Key": write_key(lease_key(name)),
            "ConditionExpression": "holder = :holder",
            "ExpressionAttributeValues": {":holder": {"S": holder}},
        }
    }
    for attempt in range(TRIES):
        try:
            await table.transact([held, *({"Update": _moving(entry)} for entry in entries)])
        except ConflictError:
            await asyncio.sleep(pause(attempt))
        except CanceledError as canceled:
            if 0 in canceled.failed:
                return False
            entries = [entry for place, entry in enumerate(entries, 1) if place not in canceled.failed]
        else:
            return True
    raise TimeoutError("other transactions are always faster")


def _moving(entry: Entry) -> dict[str, object]:
    progress = write_progress(entry)
    return change(
        receipt_key(entry.receipt.request_id),
        put={name: value for name, value in progress.items() if value is not None},
        remove=[name for name, value in progress.items() if value is None],
        when=_OPEN,
        names={"#ob": "ob"},
        values={":logged": outbox_key("logged", entry.receipt.request_id)},
    )


async def requeue(table: Table, request_ids: Sequence[str] | None) -> int:
    """From dead to pending; the block of the first sending stays, so each is looked for on chain before it is sent."""
    if request_ids is None:
        keys: list[Key] = await _candidates(table, "dead", 1_000_000)
        request_ids = [pk.removeprefix("OUT#") for pk, _ in keys]
    return sum(await asyncio.gather(*(_revive(table, request_id) for request_id in request_ids)))


async def _revive(table: Table, request_id: str) -> bool:
    try:
        await table.update(
            change(
                receipt_key(request_id),
                put={"state": "pending", "ob": outbox_key("pending", request_id), "attempts": 0, "due": 0},
                remove=["nonce"],
                when="#ob = :dead",
                names={"#ob": "ob"},
                values={":dead": outbox_key("dead", request_id)},
            )
        )
    except ConditionFailedError:
        return False
    return True


async def counts(table: Table) -> Mapping[ReceiptState, int]:
    """By state, as the index has it; a state without receipts is 0."""

    async def of(state: ReceiptState) -> int:
        found = (table.count(f"{state}#{shard:02d}", (OUTBOX, "ob")) for shard in range(OUTBOX_SHARDS))
        return sum(await asyncio.gather(*found))

    return dict(zip(STATES, await asyncio.gather(*map(of, STATES)), strict=True))

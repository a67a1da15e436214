"""Caps in DynamoDB: what was spent, and what is held on top of it, per spender and period.

What was spent lies in slots that finished requests add to, a random one each, so that their transactions rarely meet. What is held
lies in one counter: `used`, and for each second in which holds end an attribute `h<second>` with their sum. Taking a hold reads the
slots and adds to the counter under the condition that both fit into the cap; once the row is written, what it took replaces its hold
there (`paid`, a part of `used`), so that nobody misses it who has read the slots a moment before. No transaction touches a counter:
it takes as many holds a second as an item takes writes. When a cap seems to be reached, seconds that are over are taken off
first: what a dead process held counts no longer than its holds live.

Several holds of one request are taken side by side, and given back if one of them doesn't fit: for that moment they count. The same
goes for the moment between a row and the end of its hold. Both err on the side of the cap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.store import CapReachedError, Grant, Hold, Settlement
from shared.store.dynamo_client import ConditionFailedError, Table, pause
from shared.store.dynamo_items import (
    Item,
    change,
    counter_key,
    grant_key,
    read_grant,
    slot_key,
    spending_partitions,
    write_grant,
)

MINUTE_TTL = 3_600
"""Seconds for which the counter of a minute is kept."""

_MINUTE = len("2026-11-24T22:50")
_TIDY = 24
"""Seconds without holds that a counter may list before they are struck out."""

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that was taken: so much, until then (seconds since 1970)."""

    amount: int
    expires_at: int


Holding = Mapping[tuple[str, str], Held]
"""(spender, period) -> what one request holds there."""


async def spent(table: Table, spender: str, period: str) -> int:
    """What was settled so far."""
    reads = (table.items(pk, (f"{period}#", f"{period}#~")) for pk in spending_partitions(spender))
    return sum(int(item["spent"]) for items in await asyncio.gather(*reads) for item in items)


async def _counter(table: Table, spender: str, period: str) -> Item:
    return await table.get(*counter_key(spender, period)) or {}


async def hold(table: Table, holds: Sequence[Hold], expires_at: int, now: int) -> tuple[list[int], Holding]:
    """What is left of each cap, and what was taken. Raises CapReachedError; then nothing was."""
    answers = await asyncio.gather(*(_take(table, wanted, expires_at, now) for wanted in holds), return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    taken = [wanted for wanted, answer in zip(holds, answers, strict=True) if not isinstance(answer, BaseException)]
    if failures:
        await release(table, {(one.spender, one.period): Held(one.amount, expires_at) for one in taken})
        raise next((one for one in failures if not isinstance(one, CapReachedError)), failures[0])
    left = [answer for answer in answers if isinstance(answer, int)]
    return left, {(one.spender, one.period): Held(one.amount, expires_at) for one in holds}


async def _take(table: Table, wanted: Hold, expires_at: int, now: int) -> int:
    who = (wanted.spender, wanted.period)
    for attempt in range(_TRIES):
        counter = await _counter(table, *who)  # before the slots: what is paid here is in them already
        paid: int = counter.get("paid", 0)
        free = wanted.cap - (await spent(table, *who) - paid)
        if wanted.amount <= free:
            try:
                counter = await table.update(_taking(wanted, free, expires_at, now))
            except ConditionFailedError:
                counter = await _counter(table, *who)
            else:
                await _tidy(table, wanted, counter, now)
                return free - _in_use(counter, now)
        left = free - _in_use(counter, now)
        if wanted.amount > left and counter.get("paid", 0) == paid:
            raise CapReachedError(wanted, left)
        await _take_off(table, wanted, counter, now)
        await asyncio.sleep(pause(attempt))
    raise CapReachedError(wanted, 0)


def _taking(wanted: Hold, free: int, expires_at: int, now: int) -> dict[str, Any]:
    return change(
        counter_key(wanted.spender, wanted.period),
        add={"used": wanted.amount, f"h{expires_at}": wanted.amount},
        put=_ttl(wanted.period),
        when="attribute_not_exists(#used) OR #used <= :room",
        names={"#used": "used"},
        values={":room": free - wanted.amount},
    )


def _over(counter: Item, now: int) -> dict[str, int]:
    """The sums of the holds whose time is over, by their attributes."""
    return {name: held for name, held in counter.items() if name[0] == "h" and int(name[1:]) <= now}


def _in_use(counter: Item, now: int) -> int:
    used: int = counter.get("used", 0)
    return used - sum(_over(counter, now).values())


async def _take_off(table: Table, wanted: Hold, counter: Item, now: int) -> None:
    """Frees what dead processes held; somebody else may be faster."""
    over = _over(counter, now)
    if over:
        await _strike(table, wanted, over)


async def _tidy(table: Table, wanted: Hold, counter: Item, now: int) -> None:
    """Strikes out the seconds in which nothing is held any more, once there are many."""
    empty = {name: held for name, held in counter.items() if name[0] == "h" and held == 0}
    if len(empty) > _TIDY:
        await _strike(table, wanted, {**empty, **_over(counter, now)})


async def _strike(table: Table, wanted: Hold, seconds: Mapping[str, int]) -> None:
    """Removes these seconds and what is held in them, unless one of them has changed meanwhile."""
    names = {f"#h{place}": name for place, name in enumerate(seconds)}
    values = {f":h{place}": held for place, held in enumerate(seconds.values())}
    unchanged = " AND ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    key = counter_key(wanted.spender, wanted.period)
    try:
        await table.update(
            change(
                key, add={"used": -sum(seconds.values())}, remove=seconds, when=unchanged, names=names, values=values
            )
        )
    except ConditionFailedError:
        return  # the next one who needs the room looks again


async def release(table: Table, holding: Holding, took: Mapping[tuple[str, str], int] | None = None) -> None:
    """Puts what a request took in the place of what it held; nothing, if it came to nothing."""
    await asyncio.gather(*(_release(table, who, held, (took or {}).get(who, 0)) for who, held in holding.items()))


async def _release(table: Table, who: tuple[str, str], held: Held, took: int) -> None:
    second = f"h{held.expires_at}"
    less = change(
        counter_key(*who),
        add={"used": took - held.amount, "paid": took, second: -held.amount},
        when="#h >= :held",
        names={"#h": second},
        values={":held": held.amount},
    )
    try:
        await table.update(less)
    except ConditionFailedError:
        return  # its time was over, and it was taken off


def taken_by(settlement: Settlement, cost: int) -> dict[tuple[str, str], int]:
    """What a finished request takes of each (spender, period)."""
    took = dict.fromkeys(settlement.spenders, cost)
    for spender, period, amount in settlement.counted:
        took[spender, period] = took.get((spender, period), 0) + amount
    return took


def settle(took: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """The changes that a finished request makes to what was spent, each in a slot at random."""
    return [change(slot_key(*who), add={"spent": amount}, put=_ttl(who[1])) for who, amount in took.items() if amount]


def _ttl(period: str) -> dict[str, int]:
    """When DynamoDB may forget a minute; longer periods are kept."""
    if len(period) != _MINUTE:
        return {}
    begun = datetime.strptime(period, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    return {"ttl": int(begun.timestamp()) + MINUTE_TTL}


# ── grants ───────────────────────────────────────────────────────────────────────────────────────────────────────

Count = Callable[[str, int], Awaitable[int]]
"""(delegate, milliseconds) -> what calls of that delegate (`*`: of anybody) have cost the owner since then."""


async def grants(table: Table, owner: str) -> tuple[Grant, ...]:
    """All grants of an owner."""
    return tuple(read_grant(item) for item in await table.items(f"GRANT#{owner}"))


async def put_grants(
    table: Table,
    owner: str,
    wanted: Mapping[str, Grant | None],
    since: Mapping[str, tuple[str, int]],
    count: Count,
) -> None:
    """Each grant whole; what its windows have seen so far is counted before it binds."""
    for delegate, grant in wanted.items():
        if grant is None:
            await table.delete(*grant_key(owner, delegate))
            continue
        for field, (period, begun) in since.items():
            if getattr(grant, field) is not None:
                await _begin_with(table, f"{owner}:{delegate}", period, lambda who=delegate, at=begun: count(who, at))  # type: ignore[misc]  # mypy infers no lambda with defaults
        await table.put(write_grant(grant))


async def _begin_with(table: Table, spender: str, period: str, count: Callable[[], Awaitable[int]]) -> None:
    """Makes what was spent what the rows say. Who settles meanwhile adds to both, so it is counted again until nobody did."""
    key = counter_key(spender, f"{period}#begun")
    for attempt in range(_TRIES):
        before = await spent(table, spender, period)
        corrected = (await table.get(*key) or {}).get("spent")
        more = await count() - before
        same = "attribute_not_exists(#spent)" if corrected is None else "#spent = :corrected"
        more_spent = change(
            key, add={"spent": more}, when=same, names={"#spent": "spent"}, values={":corrected": corrected}
        )
        try:
            if await spent(table, spender, period) == before:
                await table.update(more_spent)
                return
        except ConditionFailedError:
            pass  # the same owner sets grants elsewhere
        await asyncio.sleep(pause(attempt))
    raise TimeoutError(f"the spending of {period} changes all the time")

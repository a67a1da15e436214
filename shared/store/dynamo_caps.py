"""Caps in DynamoDB: a counter per spender and period, added to under a condition; holds that run out by themselves.

A counter has `spent` (settled), `used` (settled and held), and for each second in which holds end an attribute `h<second>` with their
sum. Taking a hold adds to `used` and to its second in one conditional update; settling it takes it away from there again. When a
cap seems to be reached, seconds that are over are taken off `used` before anybody is refused: what a dead process held counts
no longer than its holds live. Several holds of one request are taken side by side, and given back if one of them doesn't fit: until
then they count, and where a process dies in between, until they run out.

What is spent without a hold (no cap is set) goes to shards, since every request of the gateway adds to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.store import GLOBAL, CapReachedError, Grant, Hold, Settlement
from shared.store.dynamo_client import ConditionFailedError, Table, pause
from shared.store.dynamo_items import Item, change, counter_key, grant_key, read_grant, spending_keys, write_grant

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
    """What was settled so far, with and without a hold."""
    keys = [counter_key(spender, period), *(spending_keys(spender, period) if spender == GLOBAL else ())]
    found = await table.get_all(keys)
    return sum(item.get("spent", 0) for item in found.values())


async def _in_shards(table: Table, spender: str, period: str) -> int:
    if spender != GLOBAL:
        return 0
    found = await table.get_all(spending_keys(spender, period))
    return sum(item["spent"] for item in found.values())


async def hold(table: Table, holds: Sequence[Hold], expires_at: int, now: int) -> tuple[list[int], Holding]:
    """What is left of each cap, and what was taken. Raises CapReachedError; then nothing was."""
    answers = await asyncio.gather(*(_take(table, wanted, expires_at, now) for wanted in holds), return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    taken = [wanted for wanted, answer in zip(holds, answers, strict=True) if not isinstance(answer, BaseException)]
    if failures:
        await asyncio.gather(*(release(table, one.spender, one.period, Held(one.amount, expires_at)) for one in taken))
        raise next((one for one in failures if not isinstance(one, CapReachedError)), failures[0])
    left = [answer for answer in answers if isinstance(answer, int)]
    return left, {(one.spender, one.period): Held(one.amount, expires_at) for one in holds}


async def _take(table: Table, wanted: Hold, expires_at: int, now: int) -> int:
    for attempt in range(_TRIES):
        free = wanted.cap - await _in_shards(table, wanted.spender, wanted.period)
        if wanted.amount <= free:
            try:
                counter = await table.update(_taking(wanted, free, expires_at, now))
            except ConditionFailedError:
                pass  # what stands there is looked at below
            else:
                await _tidy(table, wanted, counter, now)
                return free - _in_use(counter, now)
        counter = await table.get(*counter_key(wanted.spender, wanted.period)) or {}
        left = free - _in_use(counter, now)
        if wanted.amount > left:
            raise CapReachedError(wanted, left)
        await _take_off(table, wanted, counter, now)
        await asyncio.sleep(pause(attempt))
    raise CapReachedError(wanted, 0)


def _taking(wanted: Hold, free: int, expires_at: int, now: int) -> dict[str, Any]:
    return change(
        counter_key(wanted.spender, wanted.period),
        add={"used": wanted.amount, f"h{expires_at}": wanted.amount},
        put={"ttl": now + MINUTE_TTL} if len(wanted.period) == _MINUTE else None,
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


async def release(table: Table, spender: str, period: str, held: Held) -> None:
    """Gives a hold back without spending anything."""
    try:
        await table.update(_settling(spender, period, 0, held))
    except ConditionFailedError:
        return  # its time was over, and it was taken off


def _settling(spender: str, period: str, took: int, held: Held | None) -> dict[str, Any]:
    """The change of a counter when `took` is known; with a hold, as long as that is still there."""
    key = counter_key(spender, period)
    if held is None:
        return change(key, add={"spent": took, "used": took})
    second = f"h{held.expires_at}"
    return change(
        key,
        add={"spent": took, "used": took - held.amount, second: -held.amount},
        when="#h >= :held",
        names={"#h": second},
        values={":held": held.amount},
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """A part of a finished request's transaction: what it changes, and whose hold it ends."""

    work: dict[str, Any]
    ends: tuple[str, str] | None = None


def settle(settlement: Settlement, cost: int, holding: Holding, shard: int) -> list[Settled]:
    """The changes of all counters that a request leaves behind."""
    took: dict[tuple[str, str], int] = dict.fromkeys(holding, 0)
    for who in settlement.spenders:
        took[who] = took.get(who, 0) + cost
    for spender, period, amount in settlement.counted:
        took[spender, period] = took.get((spender, period), 0) + amount
    works = []
    for (spender, period), amount in took.items():
        held = holding.get((spender, period))
        if held is not None:
            works.append(Settled(_settling(spender, period, amount, held), (spender, period)))
        elif amount and spender == GLOBAL:
            key = spending_keys(spender, period)[shard]
            works.append(Settled(change(key, add={"spent": amount})))
        elif amount:
            works.append(Settled(_settling(spender, period, amount, None)))
    return works


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
    """Sets what was spent to what the rows say, unless somebody settles meanwhile: then it is counted again."""
    key = counter_key(spender, period)
    for attempt in range(_TRIES):
        before = (await table.get(*key) or {}).get("spent")
        seen = await count()
        same = "attribute_not_exists(#spent)" if before is None else "#spent = :before"
        try:
            await table.update(
                change(
                    key,
                    add={"used": seen - (before or 0)},
                    put={"spent": seen},
                    when=same,
                    names={"#spent": "spent"},
                    values={":before": before},
                )
            )
        except ConditionFailedError:
            await asyncio.sleep(pause(attempt))
        else:
            return
    raise TimeoutError(f"the spending of {period} changes all the time")

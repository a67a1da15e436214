"""Caps in DynamoDB: what was spent, and what is held on top of it, per spender and period.

What was spent lies in slots that finished requests add to, a random one each, so that their transactions rarely meet. A counter says
how much of the cap is taken: `used` is what is held, an attribute `h<second>` for each second in which holds end, and `paid`, what was
spent. A hold is one update of the counter, on condition that it fits. Once the row is written, what it took replaces its hold there.
No transaction touches a counter: it takes as many holds a second as an item takes writes.

Only slots are exact: a process may die between a row and the end of its hold, and the gateway's own spending is written down without
a cap too. So the slots are looked at, and what they hold beyond `paid` is added to it, whenever that may be more than nothing: in a
counter that is new, after holds were taken off whose time was over (what a dead process held counts no longer than they live), before
a request is refused, and while calls may end that began before the gateway had its cap. `seen` is when that was done last. A row that
is written but still held is then counted twice until the next look, as several holds of one request, taken side by side, are for the
moment until one that doesn't fit gives the others back: both err on the side of the cap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from shared.store import GLOBAL, CapReachedError, Grant, Hold, Settlement
from shared.store.dynamo_client import ConditionFailedError, Table, pause
from shared.store.dynamo_items import (
    Item,
    change,
    counter_key,
    slot_key,
    spending_partitions,
)

MINUTE_TTL = 3_600
"""Seconds for which the counter of a minute is kept."""

_MINUTE = len("2026-11-24T22:50")
LOOK_AGAIN = 600
"""Seconds after which the slots are looked at again in any case: what a request took that outlived its hold, and whose process died
between its row and its counter, is missing there until then."""

_TIDY = 24
"""Seconds without holds that a counter may list before they are struck out."""

_TRIES = 20


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that was taken: so much, from when until when (seconds since 1970)."""

    amount: int
    taken_at: int
    expires_at: int


Holding = Mapping[tuple[str, str], Held]
"""(spender, period) -> what one request holds there."""


async def spent(table: Table, spender: str, period: str) -> int:
    """What was settled so far."""
    reads = (table.items(pk, (f"{period}#", f"{period}#~")) for pk in spending_partitions(spender))
    return sum(int(item["spent"]) for items in await asyncio.gather(*reads) for item in items)


async def _counter(table: Table, spender: str, period: str) -> Item:
    return await table.get(*counter_key(spender, period)) or {}


async def hold(
    table: Table, holds: Sequence[Hold], expires_at: int, now: int, unheld: int | None = None
) -> tuple[list[int], Holding]:
    """What is left of each cap, and what was taken. Raises CapReachedError; then nothing was.

    `unheld`: the second after which nothing ends any more that the gateway's own cap doesn't know of; None if that isn't known."""

    def take(wanted: Hold) -> Awaitable[int]:
        oldest = now - LOOK_AGAIN
        if wanted.spender == GLOBAL:
            oldest = max(oldest, now + 1 if unheld is None else unheld)
        return _take(table, wanted, expires_at, now, oldest)

    answers = await asyncio.gather(*map(take, holds), return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, BaseException)]
    taken = [wanted for wanted, answer in zip(holds, answers, strict=True) if not isinstance(answer, BaseException)]
    if failures:
        await release(table, {(one.spender, one.period): Held(one.amount, now, expires_at) for one in taken})
        raise next((one for one in failures if not isinstance(one, CapReachedError)), failures[0])
    left = [answer for answer in answers if isinstance(answer, int)]
    return left, {(one.spender, one.period): Held(one.amount, now, expires_at) for one in holds}


async def _take(table: Table, wanted: Hold, expires_at: int, now: int, oldest: int) -> int:
    """`oldest`: when the slots must have been looked at last."""
    for attempt in range(_TRIES):
        counter, more = None, 0
        if oldest <= now and wanted.amount <= wanted.cap:
            counter = await _changed(table, _taking(wanted, expires_at, now, oldest))
        if counter is None:
            counter, more = await _look(table, wanted, expires_at, now, oldest)
        if counter is not None:
            return wanted.cap - more - _in_use(counter, now)
        await asyncio.sleep(pause(attempt))
    raise CapReachedError(wanted, 0)


async def _changed(table: Table, wish: Mapping[str, Any]) -> Item | None:
    """The counter after a change; None if its condition doesn't hold."""
    try:
        return await table.update(wish)
    except ConditionFailedError:
        return None


def _taking(wanted: Hold, expires_at: int, now: int, oldest: int) -> dict[str, Any]:
    """What fits by the counter alone. Nothing was ever taken of a minute that has none: all that is taken of one was held before."""
    minute = len(wanted.period) == _MINUTE
    fits = "#used <= :room AND #seen >= :oldest"
    return change(
        counter_key(wanted.spender, wanted.period),
        add={"used": wanted.amount, f"h{expires_at}": wanted.amount},
        put={**_ttl(wanted.period), **({"seen": now} if minute else {})},
        when=f"attribute_not_exists(pk) OR ({fits})" if minute else fits,
        names={"#used": "used", "#seen": "seen"},
        values={":room": wanted.cap - wanted.amount, ":oldest": oldest},
    )


async def _look(table: Table, wanted: Hold, expires_at: int, now: int, oldest: int) -> tuple[Item | None, int]:
    """Compares the counter with the slots and takes what fits: the counter as it is then (None: it has to be done again), and what the
    slots hold beyond it. Raises CapReachedError."""
    who = (wanted.spender, wanted.period)
    counter = await _counter(table, *who)  # before the slots: what is paid here is in them already
    more = await spent(table, *who) - counter.get("paid", 0)
    left = wanted.cap - more - _in_use(counter, now)
    if wanted.amount > left:
        if (await _counter(table, *who)).get("paid", 0) == counter.get("paid", 0):
            raise CapReachedError(wanted, left)
        return None, more  # somebody has settled meanwhile, and may be counted twice
    if wanted.amount > wanted.cap - more - counter.get("used", 0):
        await _strike(table, who, _over(counter, now))
        return None, more
    if oldest <= now:
        seen = await _changed(table, _looking(wanted, expires_at, now, more, counter.get("looks")))
        if seen is not None:
            return seen, min(more, 0)
    return await _changed(table, _looking(wanted, expires_at, None, more)), more


def _looking(wanted: Hold, expires_at: int, now: int | None, more: int, looks: int | None = None) -> dict[str, Any]:
    """What fits, when the slots hold so much more than was paid. With `now`, that is added to the counter; `looks` lets only one of those
    do it who look at once. What they hold less is never taken away: those who looked a moment before still count on it."""
    fits = "(attribute_not_exists(#used) OR #used <= :room)"
    names, values = {"#used": "used"}, {":room": wanted.cap - wanted.amount - more, ":looks": looks}
    add, put = {"used": wanted.amount, f"h{expires_at}": wanted.amount}, _ttl(wanted.period)
    if now is not None:
        fits += f" AND {'attribute_not_exists(#looks)' if looks is None else '#looks = :looks'}"
        names["#looks"] = "looks"
        unpaid = max(more, 0)
        add |= {"used": wanted.amount + unpaid, "paid": unpaid, "looks": 1}
        put |= {"seen": now}
    key = counter_key(wanted.spender, wanted.period)
    return change(key, add=add, put=put, when=fits, names=names, values=values)


def _over(counter: Item, now: int) -> dict[str, int]:
    """The sums of the holds whose time is over, by their attributes."""
    return {name: held for name, held in counter.items() if name[0] == "h" and int(name[1:]) <= now}


def _in_use(counter: Item, now: int) -> int:
    used: int = counter.get("used", 0)
    return used - sum(_over(counter, now).values())


async def _tidy(table: Table, who: tuple[str, str], counter: Item, now: int) -> None:
    """Strikes out the seconds in which nothing is held any more, once there are many."""
    empty = {name: held for name, held in counter.items() if name[0] == "h" and held == 0}
    if len(empty) > _TIDY:
        await _strike(table, who, {**empty, **_over(counter, now)})


async def _strike(table: Table, who: tuple[str, str], seconds: Mapping[str, int]) -> None:
    """Removes these seconds and what is held in them, unless one of them has changed meanwhile."""
    if not seconds:
        return
    names = {f"#h{place}": name for place, name in enumerate(seconds)}
    values = {f":h{place}": held for place, held in enumerate(seconds.values())}
    unchanged = " AND ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
    held = sum(seconds.values())
    add, remove = {"used": -held}, list(seconds)
    if held:  # what they held may be in the slots: whoever looks now must look again
        add["looks"], remove = 1, [*remove, "seen"]
    try:
        await table.update(
            change(counter_key(*who), add=add, remove=remove, when=unchanged, names=names, values=values)
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
        counter = await table.update(less)
    except ConditionFailedError:  # its time was over, and it was taken off
        if took:
            await table.update(change(counter_key(*who), add={"used": took, "paid": took}, put=_ttl(who[1])))
    else:
        await _tidy(table, who, counter, held.taken_at)


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


Count = Callable[[str, int], Awaitable[int]]
"""(delegate, milliseconds) -> what calls of that delegate (`*`: of anybody) have cost the owner since then."""


async def begin(table: Table, grant: Grant, since: Mapping[str, tuple[str, int]], count: Count) -> None:
    """Counts what a grant's windows have seen so far, before it binds."""
    for field, (period, begun) in since.items():
        if getattr(grant, field) is not None:
            await _begin_with(table, f"{grant.owner}:{grant.delegate}", period, partial(count, grant.delegate, begun))


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
                await table.update(change(counter_key(spender, period), add={"looks": 1}, remove=["seen"]))
                return
        except ConditionFailedError:
            pass  # the same owner sets grants elsewhere
        await asyncio.sleep(pause(attempt))
    raise TimeoutError(f"the spending of {period} changes all the time")

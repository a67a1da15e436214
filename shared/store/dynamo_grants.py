"""Preferences and grants in DynamoDB: what binds a caller stands in one item, however many owners and delegates there are.

Preferences that name another owner carry copies of that owner's two grants: the one to this caller, and the one to everybody (`*`).
So a caller's address alone leads to all that binds. A copy is what its grant is, or it is missing, and then the grant itself is read;
it is never something that the grant was before:

- whoever chooses an owner writes the copies on condition that the grants are as he has read them;
- an owner writes the grant to a delegate and the delegate's copy together;
- before the grant to everybody changes, its copies are taken away; afterwards they are written anew, a few callers at a time, on
  condition that the grant is still the same. Who writes copies of it counts up `copied` beside the list of the owner's callers; it
  changes only while that number stands where it stood when the callers were listed.

A process that dies in the middle leaves copies missing: a round trip more until the owner repeats it. Transactions:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from shared.errors import Code, GatewayError
from shared.store import Grant, Preferences
from shared.store.dynamo_client import CanceledError, ConditionFailedError, ConflictError, Table, pause
from shared.store.dynamo_items import (
    LIMITS,
    Item,
    Key,
    Value,
    caller_key,
    change,
    grant_key,
    preferences_key,
    read_grant,
    write_grant,
    write_item,
    write_key,
    write_preferences,
    write_values,
)

T = TypeVar("T")

EVERYBODY = "*"

_TRIES = 20
_AT_ONCE = 25
"""Copies written in one transaction: it may hold a hundred works, but the more it holds, the more it meets others."""

_COPIES = {EVERYBODY: "grant_to_all", "": "grant_to_me"}
"""The attributes of the copies: JSON of the limits, `null` for no grant."""


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def keys_of(address: str) -> list[Key]:
    """All that tells what binds a caller: the preferences, and the grants of one who calls with keys of his own."""
    return [preferences_key(address), *grant_keys(address, address)]


def grant_keys(owner: str, caller: str) -> list[Key]:
    """The grants that bind a caller who uses an owner's keys."""
    return [grant_key(owner, EVERYBODY), grant_key(owner, caller)]


def owner_in(found: Mapping[Key, Item], caller: str) -> str:
    """Whose keys a caller uses."""
    return found.get(preferences_key(caller), {}).get("api_address") or caller


def grants_in(found: Mapping[Key, Item], caller: str) -> tuple[Grant, ...] | None:
    """The grants that bind a caller, once what `keys_of` names was read; None where copies of them are missing."""
    item, owner = found.get(preferences_key(caller), {}), owner_in(found, caller)
    if owner == caller:
        return _read_all(found, grant_keys(owner, caller))
    if not item.keys() >= set(_COPIES.values()):
        return None
    copies = ((delegate or caller, orjson.loads(item[name])) for delegate, name in _COPIES.items())
    return tuple(_read_limits(owner, delegate, limits) for delegate, limits in copies if limits is not None)


def _read_limits(owner: str, delegate: str, limits: Mapping[str, Any]) -> Grant:
    given: dict[str, Any] = {name: tuple(of) if isinstance(of, list) else of for name, of in limits.items()}
    return Grant(owner, delegate, **given)


def _read_all(found: Mapping[Key, Item], keys: Sequence[Key]) -> tuple[Grant, ...]:
    return tuple(read_grant(found[key]) for key in keys if key in found)


async def grants_between(table: Table, owner: str, caller: str) -> tuple[Grant, ...]:
    """The grants themselves that bind a caller who uses an owner's keys."""
    keys = grant_keys(owner, caller)
    return _read_all(await table.get_all(keys), keys)


async def grants(table: Table, owner: str) -> tuple[Grant, ...]:
    """All grants of an owner."""
    return tuple(read_grant(item) for item in await table.items(f"GRANT#{owner}"))


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_preferences(table: Table, preferences: Preferences) -> None:
    """Replaces them whole, with copies of the grants that bind from now on."""
    await _until_nobody_meets(lambda: _choose(table, preferences))


async def put_grant(table: Table, owner: str, delegate: str, grant: Grant | None) -> None:
    """Sets a grant or (None) takes it away."""
    if delegate == EVERYBODY:
        callers = await _until_nobody_meets(lambda: _put_for_all(table, owner, grant))
        for first in range(0, len(callers), _AT_ONCE):
            await _copy(table, owner, grant, callers[first : first + _AT_ONCE])
    else:
        await _until_nobody_meets(lambda: _put_for_one(table, owner, delegate, grant))


async def _until_nobody_meets(work: Callable[[], Awaitable[T]]) -> T:
    """Reads and writes anew as long as somebody changes meanwhile what was read."""
    for attempt in range(_TRIES):
        try:
            return await work()
        except (CanceledError, ConflictError):
            await asyncio.sleep(pause(attempt))
    raise GatewayError(Code.OVERLOADED, "Too many change these grants at once; try again.")


async def _choose(table: Table, preferences: Preferences) -> None:
    caller, owner = preferences.address, preferences.api_address or preferences.address
    keys = grant_keys(owner, caller)
    found = await table.get_all([preferences_key(caller), *keys])
    before, item, works = owner_in(found, caller), dict(write_preferences(preferences)), []
    if owner != caller:
        item |= {name: _limits(found.get(key)) for name, key in zip(_COPIES.values(), keys, strict=True)}
        works = [_unchanged(key, found.get(key)) for key in keys] + _listed(owner, caller)
    if before not in (owner, caller):
        works.append({"Delete": {"Key": write_key(caller_key(before, caller))}})
    await table.transact([{"Put": {"Item": write_item(item)}}, *works])


def _listed(owner: str, caller: str) -> list[dict[str, Any]]:
    pk, sk = caller_key(owner, caller)
    return [{"Put": {"Item": write_item({"pk": pk, "sk": sk})}}, _counted(owner)]


def _counted(owner: str) -> dict[str, Any]:
    return {"Update": change(caller_key(owner, EVERYBODY), add={"copied": 1})}


def _limits(item: Item | None) -> str:
    given = None if item is None else {name: item[name] for name in LIMITS if item.get(name) is not None}
    return orjson.dumps(given).decode()


def _unchanged(key: Key, item: Item | None) -> dict[str, Any]:
    """The demand that a grant is as it was read."""
    if item is None:
        return {"ConditionCheck": {"Key": write_key(key), "ConditionExpression": "attribute_not_exists(pk)"}}
    return {"ConditionCheck": {"Key": write_key(key), **_same({name: item.get(name) for name in ("pk", *LIMITS)})}}


def _same(attributes: Mapping[str, Value]) -> dict[str, Any]:
    """The condition that an item has these attributes, and lacks those that are None."""
    names = {f"#c{place}": name for place, name in enumerate(attributes)}
    demands = [
        f"attribute_not_exists({name})" if attributes[named] is None else f"{name} = :{name[1:]}"
        for name, named in names.items()
    ]
    values = write_values({f":{name[1:]}": attributes[named] for name, named in names.items()})
    return {
        "ConditionExpression": " AND ".join(demands),
        "ExpressionAttributeNames": names,
        **({"ExpressionAttributeValues": values} if values else {}),
    }


async def _put_for_one(table: Table, owner: str, delegate: str, grant: Grant | None) -> None:
    key = preferences_key(delegate)
    theirs = await table.get(*key) or {}
    if delegate == owner:
        works = []  # he calls with keys of his own: the grant itself is read
    elif theirs.get("api_address") == owner:
        works = [_copying(owner, delegate, _COPIES[""], _text(grant))]
    else:
        elsewhere = {
            "Key": write_key(key),
            "ConditionExpression": "attribute_not_exists(api_address) OR api_address <> :o",
        }
        works = [{"ConditionCheck": {**elsewhere, "ExpressionAttributeValues": write_values({":o": owner})}}]
    await table.transact([_writing(owner, delegate, grant), *works])


def _writing(owner: str, delegate: str, grant: Grant | None) -> dict[str, Any]:
    if grant is None:
        return {"Delete": {"Key": write_key(grant_key(owner, delegate))}}
    return {"Put": {"Item": write_item(write_grant(grant))}}


def _text(grant: Grant | None) -> str:
    return _limits(None if grant is None else write_grant(grant))


def _copying(owner: str, caller: str, name: str, text: str) -> dict[str, Any]:
    theirs = change(preferences_key(caller), put={name: text}, when="api_address = :owner", values={":owner": owner})
    return {"Update": theirs}


async def _put_for_all(table: Table, owner: str, grant: Grant | None) -> list[str]:
    """Writes the grant while nobody has a copy; the callers whose copies were taken away."""
    counted = await table.get(*caller_key(owner, EVERYBODY)) or {}  # before the callers
    listed = await table.items(caller_key(owner, EVERYBODY)[0])
    callers = [item["sk"] for item in listed if item["sk"] != EVERYBODY]
    await asyncio.gather(*(_take_away(table, owner, caller) for caller in callers))
    nobody_copied = {"Key": write_key(caller_key(owner, EVERYBODY)), **_same({"copied": counted.get("copied")})}
    await table.transact([_writing(owner, EVERYBODY, grant), {"ConditionCheck": nobody_copied}])
    return callers


async def _take_away(table: Table, owner: str, caller: str) -> None:
    less = change(
        preferences_key(caller), remove=[_COPIES[EVERYBODY]], when="api_address = :owner", values={":owner": owner}
    )
    try:
        await table.update(less)
    except ConditionFailedError:
        return  # he has chosen another owner


async def _copy(table: Table, owner: str, grant: Grant | None, callers: Sequence[str]) -> None:
    """Writes the grant to everybody into the preferences of some callers."""
    key, left = grant_key(owner, EVERYBODY), list(callers)
    truth = None if grant is None else {"pk": key[0], **{name: getattr(grant, name) for name in LIMITS}}

    async def write() -> None:
        name, text = _COPIES[EVERYBODY], _text(grant)
        copies = [_copying(owner, caller, name, text) for caller in left]
        try:
            await table.transact([_unchanged(key, truth), _counted(owner), *copies])
        except CanceledError as canceled:
            if 0 in canceled.failed:
                return  # the grant has changed again: whoever did that goes on from here
            left[:] = [caller for place, caller in enumerate(left, start=2) if place not in canceled.failed]
            raise

    await _until_nobody_meets(write)

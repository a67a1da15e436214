"""Records as items of the one table: keys, shards, attribute values, and how each record is written and read.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from shared.store import GLOBAL, Cost, Grant, Preferences, Tokens, UsageRow
from shared.store.outbox import Entry, Receipt

Value = str | int | bool | bytes | Iterable[str] | None
Item = Mapping[str, Any]
Key = tuple[str, str]

SHARDS = 16
"""Partitions that a day's rows and totals, and the gateway's own spending, are spread over: a partition takes 1,000 write units a second."""

SPREAD, SLOTS = 8, 32
"""Partitions of the gateway's own spending, and slots in each. Two transactions at one item at once make DynamoDB call off one of them."""

OUTBOX_SHARDS = 4
"""Of the index of receipts, which is asked every second; no chain takes as many receipts as one of them."""

COPIES = 8
"""Of the budget, which every request reads: a partition gives 3,000 read units a second."""

QUARTER = 15 * 60_000
HOUR = 4 * QUARTER
DAY = 24 * HOUR

END = 253_402_300_799_999
"""The last millisecond that a date can name."""

DAYS = "DAYS"
"""The partition that names the days with rows or totals."""

STRANGER = "x"
"""Stands before the shards of requests that no known caller made: whoever lists usage passes over them unread."""


# ── attribute values ─────────────────────────────────────────────────────────────────────────────────────────────


def write_values(values: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    """Plain values in the API's typed form; None is left out."""
    return {name: _typed(value) for name, value in values.items() if value is not None}


write_item = write_values


def _typed(value: Value) -> dict[str, Any]:
    match value:
        case bool():
            return {"BOOL": value}
        case int():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case None:
            return {"NULL": True}
        case _:
            return {"L": [{"S": one} for one in value]}


def read_item(wire: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The plain values of an item."""
    return {name: _plain(value) for name, value in wire.items()}


def _plain(value: Mapping[str, Any]) -> Any:
    [(kind, inner)] = value.items()
    match kind:
        case "N":
            return int(inner)
        case "L":
            return tuple(_plain(one) for one in inner)
        case "NULL":
            return None
        case _:
            return inner


def write_key(key: Key) -> dict[str, dict[str, str]]:
    """A key in the API's form."""
    return {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def change(
    key: Key,
    *,
    add: Mapping[str, int] | None = None,
    put: Mapping[str, Value] | None = None,
    remove: Iterable[str] = (),
    when: str = "",
    names: Mapping[str, str] | None = None,
    values: Mapping[str, Value] | None = None,
) -> dict[str, Any]:
    """An update's parameters: numbers to add, attributes to set and to remove, `when` they may be (with its own names and values)."""
    added, set_to, removed = list((add or {}).items()), list((put or {}).items()), list(remove)
    parts = (
        ("ADD", [f"#a{place} :a{place}" for place in range(len(added))]),
        ("SET", [f"#s{place} = :s{place}" for place in range(len(set_to))]),
        ("REMOVE", [f"#r{place}" for place in range(len(removed))]),
    )
    named = {f"#a{place}": name for place, (name, _) in enumerate(added)}
    named |= {f"#s{place}": name for place, (name, _) in enumerate(set_to)}
    named |= {f"#r{place}": name for place, name in enumerate(removed)}
    given: dict[str, Value] = {f":a{place}": value for place, (_, value) in enumerate(added)}
    given |= {f":s{place}": value for place, (_, value) in enumerate(set_to)}
    given |= values or {}
    return {
        "Key": write_key(key),
        "UpdateExpression": " ".join(f"{word} {', '.join(some)}" for word, some in parts if some),
        "ExpressionAttributeNames": {**named, **(names or {})},
        **({"ExpressionAttributeValues": write_values(given)} if given else {}),
        **({"ConditionExpression": when} if when else {}),
    }


# ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def day_of(at: int) -> str:
    """The UTC day of a moment in milliseconds."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d")


def midnight(day: str) -> int:
    """The beginning of a UTC day in milliseconds."""
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


def shard_of(text: str, shards: int = SHARDS) -> str:
    """Always the same shard for the same text."""
    return f"{crc32(text.encode()) % shards:02d}"


def outbox_key(state: str, request_id: str) -> str:
    """Where the index of receipts lists one in that state."""
    return f"{state}#{shard_of(request_id, OUTBOX_SHARDS)}"


def stamp(at: int) -> str:
    """Milliseconds as text that sorts by time."""
    return f"{at:015d}"


def row_key(row: UsageRow) -> Key:
    """Where a usage row stands."""
    stranger = "" if row.caller else STRANGER
    return f"USE#{day_of(row.at)}#{stranger}{shard_of(row.id)}", f"{stamp(row.at)}#{row.id}"


def partitions(kind: str, day: str, with_strangers: bool) -> list[str]:
    """The partitions of a day's rows (`USE`) or totals (`SUM`)."""
    kinds = ("", STRANGER) if with_strangers else ("",)
    return [f"{kind}#{day}#{stranger}{shard:02d}" for stranger in kinds for shard in range(SHARDS)]


def token_key(token_hash: bytes) -> Key:
    return f"TOK#{token_hash.hex()}", "TOK"


def preferences_key(address: str) -> Key:
    return f"PREF#{address}", "PREF"


def grant_key(owner: str, delegate: str) -> Key:
    return f"GRANT#{owner}", delegate


def caller_key(owner: str, caller: str) -> Key:
    """Where the callers are listed that use an owner's keys."""
    return f"CALLERS#{owner}", caller


def budget_key(copy: int) -> Key:
    return f"BUDGET#{copy}", "BUDGET"


def counter_key(spender: str, period: str) -> Key:
    """What a spender holds in a period."""
    return f"BUD#{spender}", period


def spending_partitions(spender: str) -> list[str]:
    """Where the slots of what was spent are; the gateway's own, which every request adds to, are spread."""
    spread = [f"BUD#{spender}#{number}" for number in range(SPREAD)] if spender == GLOBAL else []
    return [f"BUD#{spender}", *spread]


def slot_key(spender: str, period: str) -> Key:
    """One of the slots, at random."""
    slot = f"{period}#{random.randrange(SLOTS):02d}"  # noqa: S311 (no secret)
    return random.choice(spending_partitions(spender)), slot  # noqa: S311


def receipt_key(request_id: str) -> Key:
    return f"OUT#{request_id}", "OUT"


def lease_key(name: str) -> Key:
    return f"LEASE#{name}", "LEASE"


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────

_ROW = tuple(field for field in fields(UsageRow) if field.name not in ("tokens", "cost", "receipt"))
_TOKENS = tuple(field.name for field in fields(Tokens))
_COST = tuple(field.name for field in fields(Cost))

LIMITS = tuple(field.name for field in fields(Grant) if field.name not in ("owner", "delegate"))
"""What a grant may limit."""


def write_row(row: UsageRow) -> dict[str, Any]:
    """The row without what is as always, so that most fit into one write unit."""
    item: dict[str, Any] = dict(zip(("pk", "sk"), row_key(row), strict=True))
    for field in _ROW:
        value = getattr(row, field.name)
        if field.default is MISSING or value != field.default:
            item[field.name] = value
    item |= {f"t_{name}": count for name in _TOKENS if (count := getattr(row.tokens, name))}
    if row.cost is not None:
        item |= {"priced": True, **{f"c_{name}": nano for name in _COST if (nano := getattr(row.cost, name))}}
    if row.caller:
        item["by_caller"] = row.caller
    if row.owner and row.owner != row.caller:
        item["by_owner"] = row.owner
    return item


def read_row(item: Item) -> UsageRow:
    """The row, without its receipt."""
    plain = {field.name: item[field.name] for field in _ROW if field.name in item}
    tokens = Tokens(**{name: item[f"t_{name}"] for name in _TOKENS if f"t_{name}" in item})
    cost = Cost(**{name: item[f"c_{name}"] for name in _COST if f"c_{name}" in item}) if "priced" in item else None
    return UsageRow(**plain, tokens=tokens, cost=cost)


def write_preferences(preferences: Preferences) -> Item:
    pk, sk = preferences_key(preferences.address)
    given = {"api_address": preferences.api_address, "models": preferences.models, "updated_at": preferences.updated_at}
    return {"pk": pk, "sk": sk, **given}


def read_preferences(address: str, item: Item | None) -> Preferences:
    if item is None:
        return Preferences(address)
    return Preferences(address, item.get("api_address"), item.get("models"), item["updated_at"])


def write_grant(grant: Grant) -> Item:
    pk, sk = grant_key(grant.owner, grant.delegate)
    return {"pk": pk, "sk": sk, **{name: getattr(grant, name) for name in LIMITS}}


def read_grant(item: Item) -> Grant:
    limits = {name: item[name] for name in LIMITS if name in item}
    return Grant(item["pk"].removeprefix("GRANT#"), item["sk"], **limits)


_RECEIPT = tuple(field.name for field in fields(Receipt))
_PROGRESS = tuple(field.name for field in fields(Entry) if field.name != "receipt")


def write_entry(entry: Entry) -> dict[str, Any]:
    """A receipt with how far it has come."""
    pk, sk = receipt_key(entry.receipt.request_id)
    receipt = {name: getattr(entry.receipt, name) for name in _RECEIPT}
    return {"pk": pk, "sk": sk, "ob_id": entry.receipt.request_id, **receipt, **write_progress(entry)}


def write_progress(entry: Entry) -> dict[str, Any]:
    """The part of a receipt's item that changes."""
    progress = {name: getattr(entry, name) for name in _PROGRESS}
    return {**progress, "ob": outbox_key(entry.state, entry.receipt.request_id)}


def read_entry(item: Item) -> Entry:
    receipt = Receipt(**{name: item[name] for name in _RECEIPT})
    return Entry(receipt, **{name: item[name] for name in _PROGRESS if name in item})

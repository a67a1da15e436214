"""What an owner allows a delegate on top of what the chain permits, and never beyond it: money, pace, models, providers, time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache

from catalog.types import Catalog
from shared.canonical import Json
from shared.chain import checksum_address
from shared.choosing import Choice
from shared.errors import Code, GatewayError, invalid
from shared.metering import dollars
from shared.store import Grant, Spending

EVERYBODY = "*"
"""In place of a delegate: all calls that are billed to the owner's keys, the owner's own too."""

MOST_DOLLARS = 1_000_000_000
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_MONEY = {"dailyUsd": "daily", "weeklyUsd": "weekly", "monthlyUsd": "monthly"}
_KNOWN = frozenset((*_MONEY, "requestsPerMinute", "models", "providers", "expiresAt"))


@dataclass(frozen=True, slots=True)
class Window:
    """A day, an ISO week or a month (UTC): its name, and when it began and ends."""

    name: str
    begun: datetime
    ends: datetime


def windows_at(moment: datetime) -> Mapping[str, Window]:
    """The windows that a moment (UTC) lies in, by the names of a grant's money fields."""
    return _windows_of(moment.date())


@lru_cache(maxsize=8)
def _windows_of(today: date) -> Mapping[str, Window]:
    day = datetime.combine(today, time(), UTC)
    week = day - timedelta(days=day.weekday())
    month = day.replace(day=1)
    after = (month + timedelta(days=32)).replace(day=1)
    year, number, _ = day.isocalendar()
    return {
        "daily": Window(day.strftime("%Y-%m-%d"), day, day + timedelta(days=1)),
        "weekly": Window(f"{year}-W{number:02d}", week, week + timedelta(days=7)),
        "monthly": Window(day.strftime("%Y-%m"), month, after),
    }


def spender_of(grant: Grant) -> str:
    """The name under which a grant's spending is counted."""
    return f"{grant.owner}:{grant.delegate}"


def check(grants: Iterable[Grant], choice: Choice, catalog: Catalog, now: float) -> None:
    """Raises DELEGATE_NOT_PERMITTED for a grant whose time is over, MODEL_NOT_ALLOWED for a model that it doesn't list."""
    for grant in grants:
        if grant.expires_at is not None and grant.expires_at <= now:
            raise GatewayError(Code.DELEGATE_NOT_PERMITTED, "The owner's grant to you has expired.")
        if grant.models is None:
            continue
        allowed = {match.model.id for name in grant.models if (match := catalog.find(name)) is not None}
        if choice.match.model.id not in allowed:
            raise GatewayError(
                Code.MODEL_NOT_ALLOWED, f"The owner's grant does not allow `{choice.name}`.", param="model"
            )


def allowed_providers(grants: Iterable[Grant], offered: Collection[str]) -> Collection[str]:
    """Those of `offered` that every grant allows."""
    limits = [grant.providers for grant in grants if grant.providers is not None]
    return [provider for provider in offered if all(provider in allowed for allowed in limits)] if limits else offered


def read_grants(body: Mapping[str, object], owner: str, catalog: Catalog) -> dict[str, Grant | None]:
    """`{grants: {delegate: {...} or null}}`: those that are set, and those that are taken away. Raises VALIDATION_ERROR."""
    given = body.get("grants")
    if not isinstance(given, dict) or not given:
        raise invalid("Send {grants: {<delegate's address, or * for everybody>: {…} or null}}.", "grants")
    grants: dict[str, Grant | None] = {}
    for delegate, wish in given.items():
        if delegate != EVERYBODY and not _ADDRESS.fullmatch(delegate):
            raise invalid(f"`{delegate[:80]}` is neither an address nor `*`.", "grants")
        name = delegate.lower()
        grants[name] = None if wish is None else _read_grant(wish, owner, name, catalog)
    return grants


def _read_grant(wish: object, owner: str, delegate: str, catalog: Catalog) -> Grant:
    if not isinstance(wish, dict) or not wish.keys() <= _KNOWN:
        raise invalid(f"A grant may hold {', '.join(sorted(_KNOWN))}.", "grants")
    pace = wish.get("requestsPerMinute")
    if pace is not None and (not isinstance(pace, int) or isinstance(pace, bool) or pace < 0):
        raise invalid("`requestsPerMinute` must be a whole number.", "grants")
    models, providers = _names(wish, "models"), _names(wish, "providers")
    if unknown := [name for name in models or () if catalog.find(name) is None]:
        raise GatewayError(Code.MODEL_NOT_FOUND, f"Unknown: {', '.join(unknown)}.", param="grants")
    if unknown := [name for name in providers or () if name not in catalog.providers]:
        raise invalid(f"No provider here is called {', '.join(unknown)}.", "grants")
    money = {field: _nano(wish, name) for name, field in _MONEY.items()}
    expires = _time(wish.get("expiresAt"))
    return Grant(
        owner, delegate, **money, requests_per_minute=pace, models=models, providers=providers, expires_at=expires
    )


def _names(wish: Mapping[str, object], field: str) -> tuple[str, ...] | None:
    value = wish.get(field)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise invalid(f"`{field}` must be a list of names, or null for all.", "grants")
    return tuple(dict.fromkeys(value))


def _nano(wish: Mapping[str, object], field: str) -> int | None:
    value = wish.get(field)
    return None if value is None else read_dollars(value, field)


def read_dollars(value: object, field: str) -> int:
    """Dollars as whole nano-dollars. Raises VALIDATION_ERROR."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise invalid(f"`{field}` must be a number of dollars, or null.", field)
    try:
        nano = Decimal(str(value)) * 1_000_000_000
    except ArithmeticError:  # no number, or one beyond all bounds
        raise invalid(f"`{field}` must be a number of dollars, or null.", field) from None
    if not nano.is_finite() or not 0 <= nano <= MOST_DOLLARS * 1_000_000_000:
        raise invalid(f"`{field}` must be between 0 and {MOST_DOLLARS}.", field)
    return int(nano)


def _time(value: object) -> int | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise invalid("`expiresAt` must be a time in RFC 3339 with its offset, or null.", "grants")
    return int(moment.timestamp())


def write_grants(owner: str, grants: Iterable[Grant], spending: Spending) -> Json:
    """The contract's form: dollars, and what was spent of each cap in the present windows."""
    return {
        "address": checksum_address(owner),
        "grants": {_shown(grant.delegate): _write_grant(grant, spending) for grant in grants},
    }


def _shown(delegate: str) -> str:
    return delegate if delegate == EVERYBODY else checksum_address(delegate)


def _write_grant(grant: Grant, spending: Spending) -> Json:
    expires = datetime.fromtimestamp(grant.expires_at, UTC) if grant.expires_at is not None else None
    money = {name: dollars(getattr(grant, field)) for name, field in _MONEY.items()}
    spent = {
        name.removesuffix("Usd"): dollars(spending.get((spender_of(grant), field), 0))
        for name, field in _MONEY.items()
        if getattr(grant, field) is not None
    }
    return {
        **money,
        "requestsPerMinute": grant.requests_per_minute,
        "models": list(grant.models) if grant.models is not None else None,
        "providers": list(grant.providers) if grant.providers is not None else None,
        "expiresAt": expires.isoformat().replace("+00:00", "Z") if expires else None,
        "spentUsd": spent,
    }

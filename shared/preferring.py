"""A caller's preferences: how they are shown, and which changes are accepted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex

from shared.callers import Caller
from shared.canonical import Json
from shared.chain import checksum_address
from shared.context import Gateway
from shared.errors import Code, GatewayError, invalid
from shared.keys import Want
from shared.store import Preferences

MOST_MODELS = 200
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_TRIES = 5
_LEASE, _WAIT = 5.0, 0.02  # seconds: a look and a write take milliseconds
_KNOWN = ("api_address", "model_preferences")


def shown(preferences: Preferences) -> Json:
    """The contract's form: checksummed addresses, the time of the last change in RFC 3339 (null: never)."""
    changed_at = datetime.fromtimestamp(preferences.updated_at, UTC) if preferences.updated_at else None
    return {
        "address": checksum_address(preferences.address),
        "api_address": checksum_address(preferences.api_address or preferences.address),
        "model_preferences": list(preferences.models) if preferences.models is not None else None,
        "updated_at": changed_at.isoformat().replace("+00:00", "Z") if changed_at else None,
    }


async def change(gateway: Gateway, caller: Caller, body: Mapping[str, object]) -> Preferences:
    """Carries out a PUT; raises what `changed` raises. Of two at once neither is lost: the second is made again on top of the first.

    The checks ask the chain and may take seconds, so they come before the lease; under it is only looked whether they still hold.
    """
    for _ in range(_TRIES):
        wanted = await changed(gateway, caller, body)
        async with _alone(gateway, caller.address):
            found = await gateway.store.preferences(caller.address)
            if found == caller.preferences:
                await gateway.store.put_preferences(wanted)
                return wanted
        caller = replace(caller, preferences=found)
    raise GatewayError(Code.OVERLOADED, "Your preferences are being changed by several clients at once; try again.")


@asynccontextmanager
async def _alone(gateway: Gateway, address: str) -> AsyncIterator[None]:
    """One at a time for each caller, across all processes. Raises OVERLOADED where another one doesn't come to its end."""
    store, name, holder = gateway.store, f"preferences:{address}", token_hex(8)
    give_up = gateway.clock() + 2 * _LEASE
    while True:
        now = gateway.clock()
        if await store.lease(name, holder, int(now * 1000), int((now + _LEASE) * 1000)):
            break
        if now > give_up:
            raise GatewayError(Code.OVERLOADED, "Your preferences are being changed by another client; try again.")
        await asyncio.sleep(_WAIT)
    try:
        yield
    finally:
        await store.release(name, holder)


async def changed(gateway: Gateway, caller: Caller, body: Mapping[str, object]) -> Preferences:
    """The caller's preferences after a PUT. Raises VALIDATION_ERROR, MODEL_NOT_FOUND, and what the keys say: an owner whose
    delegation doesn't hold, a model that no provider of the owner serves."""
    if unknown := sorted(set(body) - set(_KNOWN)):
        raise invalid(f"Unknown: {', '.join(unknown)}. Known are {' and '.join(_KNOWN)}.", unknown[0])
    preferences = replace(caller.preferences, address=caller.address, updated_at=int(gateway.clock()))
    if "api_address" in body:
        preferences = replace(preferences, api_address=_owner(body["api_address"], caller.address))
    if "model_preferences" in body:
        preferences = replace(preferences, models=_names(body["model_preferences"]))
    if preferences.models is not None:
        await _check(gateway, Caller(caller.address, preferences), preferences.models)
    elif preferences.api_address is not None:
        await gateway.keys.admit(preferences.api_address, caller.address)
    return preferences


def _owner(value: object, address: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise invalid("`api_address` must be an address (0x and 40 hex digits), or null for your own.", "api_address")
    return value.lower() if value.lower() != address else None


def _names(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise invalid("`model_preferences` must be a list of model names, or null to clear it.", "model_preferences")
    if not value:
        raise invalid("`model_preferences` must not be empty; null clears it.", "model_preferences")
    if len(value) > MOST_MODELS:
        raise invalid(f"`model_preferences` may hold {MOST_MODELS} names at most.", "model_preferences")
    return tuple(dict.fromkeys(name.strip() for name in value))


async def _check(gateway: Gateway, caller: Caller, names: tuple[str, ...]) -> None:
    """Every name is known and can be served with the owner's keys."""
    await gateway.keys.admit(caller.owner, caller.address)
    matches = [(name, gateway.catalog.find(name)) for name in names]
    if missing := [name for name, match in matches if match is None]:
        listed = ", ".join(f"`{name}`" for name in missing)
        raise GatewayError(
            Code.MODEL_NOT_FOUND, f"Unknown: {listed}. GET /v1/models lists all names.", param="model_preferences"
        )
    for name, match in matches:
        if match is None:
            continue
        usable = set(match.pinned or gateway.catalog.providers)
        offers = [offer for offer in match.model.offers if offer.provider in usable & gateway.catalog.providers.keys()]
        known = (match.model.id, name, *match.model.aliases)
        wants = [Want(offer.provider, tuple(dict.fromkeys((*known, offer.id)))) for offer in offers]
        try:
            await gateway.keys.open(caller.owner, caller.address, wants)
        except GatewayError as error:
            raise GatewayError(error.code, f"`{name}`: {error.message}", param="model_preferences") from error

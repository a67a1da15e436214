"""Why a request would go where it goes: every offer of the model, in order, taken or dropped and for what reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from shared.attempts import pair
from shared.callers import Caller
from shared.canonical import Json
from shared.choosing import Choice, choose
from shared.context import Gateway
from shared.dialects import Api, dialect
from shared.errors import GatewayError, invalid
from shared.keys import Opened
from shared.metering import dollars
from shared.plan import Ask, plan
from shared.routing import Route, with_keys
from shared.selection import home_of, ordered, possible_routes, wants_of

_CLIENT_APIS = ("chat_completions", "messages", "responses")


def api_of(body: Json, named: str, headers: Mapping[str, str]) -> Api:
    """Which client API a body is meant for: the one named, else the one that it looks like. Raises VALIDATION_ERROR."""
    api = named.strip("/").removeprefix("v1/").replace("/", "_")
    if api:
        if api not in _CLIENT_APIS:
            raise invalid(f"`endpoint` may be {', '.join(_CLIENT_APIS)}.", "endpoint")
        return cast(Api, api)
    if "input" in body:
        return "responses"
    looks_anthropic = (
        "anthropic-version" in headers or "system" in body or "stop_sequences" in body or "thinking" in body
    )
    return "messages" if looks_anthropic else "chat_completions"


async def explain(gateway: Gateway, caller: Caller, raw: bytes, api: Api, headers: Mapping[str, str]) -> Json:
    """All offers in order, with what this request may cost there. Raises what a completion would raise before it chooses."""
    ask = Ask(raw, dialect(api), headers)
    choice = choose(caller.preferences, ask.model, gateway.catalog)
    routes = possible_routes(gateway, caller, ask, choice)
    try:
        opened = await gateway.keys.open(caller.owner, caller.address, wants_of(routes, choice))
    except GatewayError as error:
        opened = Opened({}, {route.provider.id: error for route in routes})
    usable = with_keys(routes, choice.match, opened.keys)
    usable = ordered(gateway, caller, ask, usable, opened) if usable else []
    rows = _considered(gateway, caller, ask, usable, opened)
    rows += [_row(route, False, _denied(route, opened)) for route in routes if route not in usable]
    rows += _elsewhere(gateway, choice, routes)
    return {
        "model": choice.name,
        "requested": ask.model,
        "substituted": choice.substituted,
        "endpoint": api,
        "routes": rows,
    }


def _considered(gateway: Gateway, caller: Caller, ask: Ask, usable: list[Route], opened: Opened) -> list[Json]:
    """The first that can serve the request is taken; those after it stand by."""
    rows: list[Json] = []
    home, now, taken = home_of(gateway, caller, ask), gateway.ticks(), False
    for route in usable:
        try:
            planned = plan(ask, route, opened.keys[route.provider.id])
        except GatewayError as error:
            rows.append(_row(route, False, f"refused before sending: {error.message}"))
            continue
        failing = gateway.health.out(pair(route, opened), now)
        if taken:
            reason = "stands by" + (", failed lately" if failing else "")
        else:
            reason = _why(route, usable, home, failing)
        rows.append({**_row(route, not taken, reason), "dropped": list(planned.dropped)})
        taken = True
    return rows


def _why(route: Route, usable: list[Route], home: str | None, failing: bool) -> str:
    if failing:
        return "all have failed lately"
    if len(usable) == 1:
        return "the only one"
    return "the conversation is at home there" if route.provider.id == home else "the cheapest that can serve it"


def _denied(route: Route, opened: Opened) -> str:
    error = opened.denied.get(route.provider.id)
    return error.message if error is not None else "no key"


def _elsewhere(gateway: Gateway, choice: Choice, routes: list[Route]) -> list[Json]:
    """Offers that no route came of."""
    known = {route.provider.id for route in routes}
    rows: list[Json] = []
    for offer in choice.match.model.offers:
        if offer.provider in known:
            continue
        off = offer.provider not in gateway.catalog.providers
        reason = "the provider is off here" if off else f"pinned to {', '.join(choice.match.pinned)}"
        rows.append({"provider": offer.provider, "id": offer.id, "taken": False, "reason": reason})
    return rows


def _row(route: Route, taken: bool, reason: str) -> Json:
    return {
        "provider": route.provider.id,
        "id": route.offer.id,
        "endpoint": route.endpoint.api,
        "native": route.native,
        "first_party": route.first_party,
        "estimated_cost_usd": dollars(route.estimate),
        "taken": taken,
        "reason": reason,
    }

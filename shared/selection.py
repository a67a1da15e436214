"""From a chosen model to the routes that a caller may use, the best first: prices, keys, health, and where the conversation is at home."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from shared.attempts import Attempt, pair
from shared.callers import Caller
from shared.choosing import Choice
from shared.context import Gateway
from shared.conversations import key_of, maker_in
from shared.errors import Code, GatewayError, unsupported
from shared.grants import allowed_providers
from shared.keys import Opened, Want
from shared.plan import Ask
from shared.routing import Route, candidates, shape_of, with_keys


async def usable_routes(gateway: Gateway, caller: Caller, ask: Ask, choice: Choice) -> tuple[list[Route], Opened]:
    """The routes whose keys the caller may use. Raises UNSUPPORTED_BY_MODEL, SECRET_NOT_FOUND, and what the keys say."""
    routes = possible_routes(gateway, caller, ask, choice)
    opened = await gateway.keys.open(caller.owner, caller.address, wants_of(routes, choice))
    return ordered(gateway, caller, ask, with_keys(routes, choice.match, opened.keys), opened), opened


def possible_routes(gateway: Gateway, caller: Caller, ask: Ask, choice: Choice) -> list[Route]:
    """All routes to the model, the cheapest first, whoever has a key. Raises UNSUPPORTED_BY_MODEL when there is none."""
    moment = datetime.fromtimestamp(gateway.clock(), UTC)
    key, habit = key_of(caller.address, ask), gateway.habits.output(choice.match.model.id)
    warm = gateway.conversations.provider(key, gateway.ticks()) is not None
    shape = shape_of(ask.body, len(ask.raw), habit, warm, marked=warm and b'"cache_control"' in ask.raw)
    goes_on = shape.tools or key is not None
    offered, api = allowed_providers(caller.grants, gateway.catalog.providers), ask.client.api
    routes = candidates(choice.match, gateway.catalog, offered, api, shape, moment, goes_on)
    if not routes:
        raise unsupported(f"No provider here serves `{choice.name}` over this API or a translation of it.", "model")
    return routes


def wants_of(routes: Sequence[Route], choice: Choice) -> list[Want]:
    """What the keys are asked for."""
    return [Want(route.provider.id, (*route.names, choice.name)) for route in routes]


def ordered(gateway: Gateway, caller: Caller, ask: Ask, routes: list[Route], opened: Opened) -> list[Route]:
    """Failing ones last, the conversation's own provider first. Raises SECRET_NOT_FOUND where nothing is left."""
    if not routes:
        raise GatewayError(Code.SECRET_NOT_FOUND, "The owner has no key for a provider that serves this model.")
    if len(routes) == 1:
        return routes
    now = gateway.ticks()
    home = home_of(gateway, caller, ask)
    return sorted(routes, key=lambda route: (gateway.health.out(pair(route, opened), now), route.provider.id != home))


def home_of(gateway: Gateway, caller: Caller, ask: Ask) -> str | None:
    """The provider at which the conversation has a warm cache, or whose state it carries."""
    return gateway.conversations.provider(key_of(caller.address, ask), gateway.ticks()) or maker_in(ask.raw)


def remember(gateway: Gateway, caller: Caller, ask: Ask, attempt: Attempt) -> None:
    """Where this conversation was served, and how long the reply was."""
    route, usage = attempt.plan.route, attempt.relay.usage
    gateway.conversations.keep(key_of(caller.address, ask), route.provider.id, ask.raw, gateway.ticks())
    if usage is not None and attempt.relay.ended:
        gateway.habits.learn(route.model.id, usage.output)

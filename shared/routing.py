"""Which offers can serve a request, in which order, and why: pure functions."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog.types import Catalog, Endpoint, Match, Model, Offer, Provider
from shared.canonical import Json, Target, Usage
from shared.dialects import Api
from shared.metering import estimated_tokens, rates_at

_WAYS: Mapping[Api, tuple[Api, ...]] = {
    "chat_completions": ("chat_completions", "responses", "messages", "gemini"),
    "messages": ("messages", "gemini", "responses", "chat_completions"),
    "responses": ("responses", "gemini", "messages", "chat_completions"),
    "gemini": ("gemini",),
}
"""Client API -> provider APIs, the least lossy first (Google's chat form loses signatures and PDFs: native comes before it)."""

_PREFERRED: Mapping[str, str] = {"xai": "xai"}
"""Vendors whose models go to one provider first, whatever they cost elsewhere (contract, Routing 1)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a request's size before it is sent, in tokens."""

    input: int
    cached: int
    output: int
    tools: bool = False
    reasoning: bool = True  # nothing in the request turns it off

    @property
    def usage(self) -> Usage:
        """As if it were over."""
        return Usage(input=self.input, cache_read=self.cached, output=self.output)


HABITUAL_OUTPUT = 1_000
"""Tokens that a reply takes when nobody limits it, for comparing prices."""
_CACHED_PERCENT, _MARKED_PERCENT = 75, 90
"""Share of a running conversation's prompt that a warm cache holds; the second where the client marked what may be cached."""


_STEADY = (100_000, 20_000, 250_000)
"""Prompts up to the first count as the second when providers are compared for a conversation, longer ones as the third."""


def steady(shape: Shape) -> Shape:
    """A shape that stays the same from turn to turn, so that a growing conversation isn't moved by a comparison of prices."""
    short, usual, long = _STEADY
    size = usual if shape.input <= short else long
    return replace(shape, input=size, cached=size * _CACHED_PERCENT // 100, output=HABITUAL_OUTPUT)


def shape_of(
    body: Json, size: int, habit: int = HABITUAL_OUTPUT, warm: bool | None = None, marked: bool = False
) -> Shape:
    """The size of a request in any client API, from its parsed body and its length in bytes. `habit` is what the model's replies
    usually take; `warm` whether the last call of this conversation was a moment ago (None: nobody knows, so a conversation counts as
    warm); `marked` whether the client says what may be cached."""
    tokens = estimated_tokens(size)
    limits = (body.get("max_completion_tokens"), body.get("max_output_tokens"), body.get("max_tokens"))
    limit = next((value for value in limits if isinstance(value, int) and value > 0), habit)
    turns = body.get("messages", body.get("input"))
    if warm is None:
        warm = isinstance(turns, list) and len(turns) > 2
    share = _MARKED_PERCENT if marked else _CACHED_PERCENT
    return Shape(
        input=tokens,
        cached=tokens * share // 100 if warm else 0,
        output=min(limit, habit),
        tools=bool(body.get("tools") or body.get("functions")),
        reasoning=not _reasoning_is_off(body),
    )


def _reasoning_is_off(body: Json) -> bool:
    match body:
        case {"reasoning_effort": "none"} | {"reasoning": {"effort": "none"}} | {"thinking": {"type": "disabled"}}:
            return True
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Route:
    """One way to serve a request. `estimate` is what it may cost in nano-dollars, None where no price is known; `rank` is the figure
    by which it is compared with others."""

    model: Model
    offer: Offer
    provider: Provider
    endpoint: Endpoint
    native: bool
    estimate: int | None = None
    rank: int = 0
    retired: bool = False  # the maker has turned the model off; others may still serve it

    @property
    def first_party(self) -> bool:
        """Whether the provider made the model."""
        return _makes(self.provider, self.model)

    @property
    def target(self) -> Target:
        """Whom the request is written for."""
        return self.offer.target(self.endpoint)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which an owner may have allowed the model."""
        return tuple(dict.fromkeys((self.model.id, self.offer.id, *self.model.aliases)))


def _makes(provider: Provider, model: Model) -> bool:
    return model.vendor in provider.vendor_of


def candidates(
    match: Match,
    catalog: Catalog,
    offered: Container[str],
    client: Api,
    shape: Shape,
    at: datetime,
    goes_on: bool = False,
) -> list[Route]:
    """All routes over the providers in `offered`, one for each offer, the best first. `goes_on`: this is a conversation, whose
    turns are compared by what doesn't change between them."""
    compared = steady(shape) if goes_on else shape
    usable = match.pinned or offered
    routes: list[Route] = []
    for offer in match.model.offers:
        provider = catalog.providers.get(offer.provider)
        if provider is None or offer.provider not in usable or offer.provider not in offered:
            continue
        api = _way(offer, provider, client, shape)
        if api is None:
            continue
        estimate = estimate_of(offer, provider, shape, at)
        retired = match.model.retires is not None and match.model.retires <= at.date() and _makes(provider, match.model)
        rank = estimate if compared is shape else estimate_of(offer, provider, compared, at)
        endpoint = provider.endpoints[api]
        routes.append(Route(match.model, offer, provider, endpoint, api == client, estimate, rank or 0, retired))
    return ranked(routes, match.pinned)


def with_keys(routes: Sequence[Route], match: Match, keyed: Container[str]) -> list[Route]:
    """The routes whose provider the owner has a key for. Of pinned providers only the first that has one is left."""
    usable = [route for route in routes if route.provider.id in keyed]
    if match.pinned and usable:
        return [route for route in usable if route.provider.id == usable[0].provider.id]
    return usable


def _way(offer: Offer, provider: Provider, client: Api, shape: Shape) -> Api | None:
    apis = [api for api in _WAYS[client] if api in offer.apis and api in provider.endpoints]
    if "responses" in apis and client != "responses" and offer.flags.tools_need_responses and shape.tools:
        return "responses" if shape.reasoning else apis[0]
    return apis[0] if apis else None


def estimate_of(offer: Offer, provider: Provider, shape: Shape, at: datetime) -> int | None:
    """What this request would cost there, in nano-dollars: `metering.cost_of` without its classes and their rounding."""
    price = offer.price(at)
    if price is None:
        return None
    rates = price.rates if not (price.tiers or price.windows) else rates_at(price, shape.usage, at)
    read = rates.input if rates.cache_read is None else rates.cache_read
    part = (shape.input - shape.cached) * rates.input + shape.cached * read + shape.output * rates.output
    return part * (1_000_000 + provider.surcharge_ppm) // 1_000_000_000_000


def ranked(routes: Sequence[Route], pinned: tuple[str, ...] = ()) -> list[Route]:
    """Pins in their order, the vendor's preferred provider, then the cheapest; ties to the native dialect, then to the first
    party. What has no price comes last."""

    def order(route: Route) -> tuple[object, ...]:
        preferred = _PREFERRED.get(route.model.vendor)
        return (
            pinned.index(route.provider.id) if pinned else 0,
            route.retired,
            preferred is not None and route.provider.id != preferred,
            route.estimate is None,
            route.rank,
            not route.native,
            not route.first_party,
            route.provider.id,
        )

    return sorted(routes, key=order)

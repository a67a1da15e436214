"""The catalog in memory: providers, models, offers and prices. Values only; `catalog.load` makes them from the YAML files.

Money is whole nano-dollars (1e-9 USD). A rate is nano-dollars per MILLION tokens, so $2.50 per million tokens is
2_500_000_000, and the fractions of a nano-dollar that one token may cost are not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from catalog.names import is_id, is_slug, normal, stripped
from shared.canonical import EFFORTS, Flags, Limits, Modality, Target
from shared.dialects import Api

# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Auth:
    """How a key is shown: `header: scheme key`, or the bare key where `scheme` is empty."""

    header: str
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One API of a provider. `path` follows the provider's root and may hold `{model}` and `{method}`; `query` is for streams of
    the Gemini API ("alt=sse"); `count` is the path that counts a prompt's tokens, where there is one."""

    api: Api
    path: str
    auth: Auth | None
    quirks: frozenset[str] = frozenset()
    query: str = ""
    count: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """Someone who serves models over HTTP.

    `vendor_of` names the vendors whose models it makes itself (first party). `env` are the variables that may hold its key.
    `forward_headers` are client headers that pass untouched. `surcharge_ppm`: parts per million on top of its prices.
    `base_url_env` names the variable without which the provider is off. `dynamic`: it serves ids that the catalog doesn't list.
    """

    id: str
    title: str
    root: str
    endpoints: Mapping[Api, Endpoint]
    vendor_of: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    forward_headers: tuple[str, ...] = ()
    free: bool = False
    surcharge_ppm: int = 0
    base_url_env: str = ""
    no_key: bool = False
    body_defaults: Mapping[str, object] = field(default_factory=dict)
    dynamic: bool = False


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Rates:
    """Nano-dollars per million tokens of each class; `web_search` is nano-dollars per call.

    None: the provider publishes no rate of its own for the class, and its tokens cost what the wider class costs (cache and
    audio input: `input`; audio output: `output`; a cache write for 1 h: one for 5 min).
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    web_search: int | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """Rates for the whole request once its input (cached part included) exceeds `over` tokens."""

    over: int
    rates: Rates
    service_tiers: Mapping[str, Rates] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Window:
    """Rates for a part of the day: minutes after midnight UTC, `start` included, `end` not; `end` < `start` spans midnight."""

    start: int
    end: int
    rates: Rates

    def holds(self, minute: int) -> bool:
        """Whether that minute of the day lies inside."""
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class Price:
    """What an offer costs from the day `since` (00:00 UTC) on, and who says so. `tiers` ascend by `over`."""

    since: date
    rates: Rates
    tiers: tuple[Tier, ...] = ()
    windows: tuple[Window, ...] = ()
    service_tiers: Mapping[str, Rates] = field(default_factory=dict)
    source: str = ""


FREE = Price(since=date.min, rates=Rates(input=0, output=0, web_search=0), source="free")


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider that serves a model, under its own `id`. Limits, flags and modalities are the model's where the offer has
    none of its own. `prices` ascend by `since`; empty: no price is known."""

    provider: str
    id: str
    apis: tuple[Api, ...]
    prices: tuple[Price, ...] = ()
    limits: Limits = field(default_factory=Limits)
    flags: Flags = field(default_factory=Flags)
    input: frozenset[Modality] = frozenset({"text"})
    output: frozenset[Modality] = frozenset({"text"})
    quirks: frozenset[str] = frozenset()

    @property
    def price_source(self) -> str:
        """Who published the newest price, or nothing."""
        return self.prices[-1].source if self.prices else ""

    def price(self, at: datetime) -> Price | None:
        """The price that holds at a moment (aware datetime in UTC); the oldest one for moments before it."""
        today = at.date()
        for price in reversed(self.prices):
            if price.since <= today:
                return price
        return self.prices[0] if self.prices else None

    def target(self, endpoint: Endpoint) -> Target:
        """Whom a request is written for when it goes to this offer at that endpoint of its provider."""
        return Target(
            provider=self.provider,
            model=self.id,
            limits=self.limits,
            flags=self.flags,
            input=self.input,
            output=self.output,
            quirks=endpoint.quirks | self.quirks,
        )


@dataclass(frozen=True, slots=True)
class Model:
    """A model under its canonical name, whoever serves it. `retires`: the day on which its maker turns it off."""

    id: str
    vendor: str
    display_name: str
    aliases: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    input: frozenset[Modality] = frozenset({"text"})
    output: frozenset[Modality] = frozenset({"text"})
    flags: Flags = field(default_factory=Flags)
    released: date | None = None
    retires: date | None = None
    successor: str | None = None
    offers: tuple[Offer, ...] = ()
    listed: bool = True  # False: made up for an id that the catalog doesn't hold


@dataclass(frozen=True, slots=True)
class Match:
    """A name that was understood. `pinned`: only these providers may serve it, the first that has a key; empty: any."""

    model: Model
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that is served. `names` maps every name in its `normal` form, canonical ids included, to a model's id.
    `prefixes` are the ids of all providers there are: one that isn't served here still is no vendor of OpenRouter's."""

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    names: Mapping[str, str]
    prefixes: frozenset[str] = frozenset()

    def find(self, name: str) -> Match | None:
        """The model that a name means, in a few dict look-ups.

        `provider/name` pins to that provider; where the same text is an OpenRouter slug, OpenRouter stands second. A slug that
        isn't listed, and any id at a provider that serves more than is listed, gives a model made for the occasion.
        """
        key = normal(name)
        prefix, _, rest = key.partition("/")
        provider = self.providers.get(prefix) if rest else None
        if provider is not None and (pinned := self._pinned(provider, key, rest)) is not None:
            return pinned
        if (listed := self.names.get(key)) is not None:
            return Match(self.models[listed])
        if provider is None and prefix in self.prefixes:
            return None
        return self._unlisted(stripped(name), provider)

    def _pinned(self, provider: Provider, key: str, rest: str) -> Match | None:
        listed = self.names.get(rest) or self.names.get(key)
        if listed is None:
            return None
        model = self.models[listed]
        ids = {offer.provider: offer.id.lower() for offer in model.offers}
        if provider.id not in ids:
            return None
        also = provider.id != "openrouter" and ids.get("openrouter") == key
        return Match(model, (provider.id, "openrouter") if also else (provider.id,))

    def _unlisted(self, name: str, provider: Provider | None) -> Match | None:
        rest = name.partition("/")[2]
        if provider is not None and provider.dynamic and provider.id != "openrouter":
            return _made_up(provider, rest, f"{provider.id}/{rest}") if is_id(rest) else None
        router = self.providers.get("openrouter")
        slug = rest if provider is router and "/" in rest else name  # "openrouter/auto" is itself a slug
        if router is None or not is_slug(slug):
            return None
        base, _, variant = slug.partition(":")
        match = _made_up(router, slug, slug, free=variant == "free")
        listed = self.find(f"openrouter/{base}") if variant else None
        return _variant(match, listed.model) if listed is not None and listed.model.listed else match


_ANYTHING = Flags(thinking="effort", effort=EFFORTS, prefill=True, json_schema=True, mid_system=True)


def _made_up(provider: Provider, offered: str, name: str, *, free: bool = False) -> Match:
    """A model of which nothing is known: everything is let through, and no price is claimed unless it costs nothing."""
    reads: frozenset[Modality] = frozenset({"text", "image", "pdf"})
    prices = (FREE,) if provider.free or free else ()
    offer = Offer(provider.id, offered, tuple(provider.endpoints), prices, flags=_ANYTHING, input=reads)
    vendor = offered.partition("/")[0] if "/" in offered else provider.id
    model = Model(name, vendor, offered, flags=_ANYTHING, input=reads, offers=(offer,), listed=False)
    return Match(model, (provider.id,))


def _variant(match: Match, base: Model) -> Match:
    """A `:variant` of a listed slug can what the slug can; what it costs is its own affair.
    https://openrouter.ai/docs/guides/routing/model-variants/free"""
    known = next(offer for offer in base.offers if offer.provider == "openrouter")
    made = match.model
    offer = replace(known, id=made.offers[0].id, prices=made.offers[0].prices)
    model = replace(base, id=made.id, display_name=made.display_name, aliases=(), offers=(offer,), listed=False)
    return Match(model, match.pinned)

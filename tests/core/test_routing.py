"""Which offers can serve a request, in which order, and what a caller gets for a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.load import load
from catalog.names import normal
from catalog.types import Catalog, Endpoint, Match, Model, Offer, Price, Provider, Rates
from shared.canonical import Flags
from shared.choosing import choose
from shared.dialects import Api
from shared.errors import Code, GatewayError
from shared.routing import Route, Shape, candidates, ranked, shape_of, with_keys
from shared.store import Preferences

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PLAIN = Flags()
SHAPE = Shape(input=1_000, cached=0, output=100)
ALL: tuple[Api, ...] = ("chat_completions", "messages", "responses", "gemini")


def provider(name: str, *apis: Api, **more: Any) -> Provider:
    return Provider(
        name, name.title(), f"https://{name}", {api: Endpoint(api, f"/{api}", None) for api in apis or ALL}, **more
    )


def offer(name: str, price: float | None = 1.0, *apis: Api, **more: Any) -> Offer:
    prices = (
        () if price is None else (Price(date(2026, 1, 1), Rates(round(price * 10**9), round(price * 10**9), **more)),)
    )
    return Offer(name, f"{name}-id", apis or ALL, prices)


def catalog(*offers: Offer, vendor: str = "maker", providers: tuple[Provider, ...] = ()) -> tuple[Match, Catalog]:
    model = Model("m", vendor, "M", ("m-latest",), offers=offers)
    known = {one.provider: provider(one.provider) for one in offers} | {one.id: one for one in providers}
    made = Catalog(known, {"m": model}, {normal(name): "m" for name in ("m", "m-latest")}, frozenset(known))
    return Match(model), made


def order(match: Match, made: Catalog, client: Api = "chat_completions", shape: Shape = SHAPE) -> list[str]:
    return [route.provider.id for route in candidates(match, made, made.providers, client, shape, NOON)]


# ── the order ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_cheapest_first_and_no_price_last() -> None:
    assert order(*catalog(offer("a", 3), offer("b", None), offer("c", 1), offer("d", 0))) == ["d", "c", "a", "b"]


def test_a_tie_goes_to_the_native_dialect_then_to_the_first_party_then_to_the_name() -> None:
    native = catalog(offer("a", 1, "messages"), offer("b", 1, "chat_completions"))
    assert order(*native) == ["b", "a"]
    assert order(*native, "messages") == ["a", "b"]
    made = catalog(offer("a"), offer("z"), offer("b"), providers=(provider("z", vendor_of=("maker",)),))
    assert order(*made) == ["z", "a", "b"]
    both = catalog(
        offer("first", 1, "messages"), offer("native", 1), providers=(provider("first", vendor_of=("maker",)),)
    )
    assert order(*both) == ["native", "first"]


def test_cheaper_beats_native_and_first_party() -> None:
    made = catalog(offer("z", 1.01), offer("a", 1, "messages"), providers=(provider("z", vendor_of=("maker",)),))
    assert order(*made) == ["a", "z"]


def test_the_estimate_is_of_this_very_request() -> None:
    """Lower list prices lose where the other provider's cache reads are cheaper (platform facts: gpt-oss-120b)."""
    groq = Offer("groq", "g", ALL, (Price(date(2026, 1, 1), Rates(150_000_000, 600_000_000, cache_read=75_000_000)),))
    router = Offer("router", "r", ALL, (Price(date(2026, 1, 1), Rates(110_000_000, 300_000_000)),))
    match, made = catalog(groq, router)
    assert order(match, made, shape=Shape(20_000, 15_000, 1_000)) == ["groq", "router"]
    assert order(match, made, shape=Shape(20_000, 0, 1_000)) == ["router", "groq"]
    [first, second] = candidates(match, made, made.providers, "messages", Shape(20_000, 15_000, 1_000), NOON)
    assert (first.estimate, second.estimate) == (2_475_000, 2_500_000)


def test_a_surcharge_counts() -> None:
    made = catalog(offer("a", 1), offer("b", 1.02), providers=(provider("a", surcharge_ppm=55_000),))
    assert order(*made) == ["b", "a"]


def test_grok_goes_to_xai_whatever_it_costs() -> None:
    made = catalog(offer("xai", 9), offer("openrouter", 1), offer("other", 2), vendor="xai")
    assert order(*made) == ["xai", "openrouter", "other"]
    assert order(*catalog(offer("xai", 9), offer("openrouter", 1))) == ["openrouter", "xai"]
    without = catalog(offer("openrouter", 3), offer("other", 2), vendor="xai")
    assert order(*without) == ["other", "openrouter"]


@pytest.mark.parametrize("name", ["grok-4", "grok-3", "grok-code-fast-1"])
def test_grok_in_the_real_catalog(name: str) -> None:
    real = load()
    match = real.find(name)
    assert match is not None
    routes = candidates(match, real, real.providers, "chat_completions", SHAPE, NOON)
    assert routes[0].provider.id == "xai"
    keyed = with_keys(routes, match, {"openrouter"})
    assert {route.provider.id for route in keyed} <= {"openrouter"}


@given(st.permutations([offer("a", 1), offer("b", 1), offer("c", 2), offer("d", None), offer("e", 0)]))
def test_the_order_never_depends_on_the_catalogs(offers: list[Offer]) -> None:
    assert order(*catalog(*offers)) == ["e", "a", "b", "c", "d"]


def test_ranking_keeps_every_route() -> None:
    match, made = catalog(offer("a"), offer("b"))
    routes = candidates(match, made, made.providers, "messages", SHAPE, NOON)
    assert sorted(ranked(routes[::-1]), key=id) == sorted(routes, key=id)


# ── pins and keys ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pin_limits_to_its_providers_in_their_order() -> None:
    match, made = catalog(offer("a", 1), offer("b", 2), offer("c", 3))
    pinned = replace(match, pinned=("c", "a"))
    assert order(pinned, made) == ["c", "a"]
    routes = candidates(pinned, made, made.providers, "messages", SHAPE, NOON)
    assert [route.provider.id for route in with_keys(routes, pinned, {"a", "b", "c"})] == ["c"]
    assert [route.provider.id for route in with_keys(routes, pinned, {"a", "b"})] == ["a"]
    assert with_keys(routes, pinned, {"b"}) == []
    assert [route.provider.id for route in with_keys(routes, match, {"a", "c"})] == ["c", "a"]


def test_providers_that_are_not_served_are_no_candidates() -> None:
    match, made = catalog(offer("a", 1), offer("b", 2))
    assert [route.provider.id for route in candidates(match, made, ["b"], "messages", SHAPE, NOON)] == ["b"]
    assert candidates(match, made, [], "messages", SHAPE, NOON) == []
    without = replace(made, providers={"b": made.providers["b"]})
    assert [route.provider.id for route in candidates(match, without, without.providers, "messages", SHAPE, NOON)] == [
        "b"
    ]


# ── the way ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _way(client: Api, *apis: Api, flags: Flags = PLAIN, shape: Shape = SHAPE) -> Route | None:
    match, made = catalog(replace(offer("a", 1, *apis), flags=flags))
    return next(iter(candidates(match, made, made.providers, client, shape, NOON)), None)


@pytest.mark.parametrize(
    ("client", "spoken", "expected"),
    [
        ("chat_completions", ALL, "chat_completions"),
        ("chat_completions", ("responses", "messages", "gemini"), "responses"),
        ("chat_completions", ("messages", "gemini"), "messages"),
        ("messages", ALL, "messages"),
        ("messages", ("chat_completions", "responses", "gemini"), "gemini"),
        ("messages", ("chat_completions", "responses"), "responses"),
        ("messages", ("chat_completions",), "chat_completions"),
        ("responses", ALL, "responses"),
        ("responses", ("chat_completions", "messages"), "messages"),
        ("responses", ("gemini", "chat_completions"), "gemini"),
    ],
)
def test_native_first_then_the_least_lossy_translation(client: Api, spoken: tuple[Api, ...], expected: Api) -> None:
    route = _way(client, *spoken)
    assert route is not None
    assert (route.endpoint.api, route.native) == (expected, client == expected)


def test_an_endpoint_that_the_provider_lacks_is_no_way() -> None:
    match, made = catalog(offer("a", 1, "messages", "responses"), providers=(provider("a", "responses"),))
    [route] = candidates(match, made, made.providers, "messages", SHAPE, NOON)
    assert route.endpoint.api == "responses"
    match, made = catalog(offer("a", 1, "messages"), providers=(provider("a", "responses"),))
    assert candidates(match, made, made.providers, "messages", SHAPE, NOON) == []


@pytest.mark.parametrize(
    ("client", "tools", "reasoning", "expected"),
    [
        ("chat_completions", False, True, "chat_completions"),
        ("chat_completions", True, True, "responses"),
        ("chat_completions", True, False, "chat_completions"),
        ("responses", True, True, "responses"),
        ("messages", True, True, "responses"),
    ],
)
def test_tools_with_reasoning_need_responses(client: Api, tools: bool, reasoning: bool, expected: Api) -> None:
    shape = replace(SHAPE, tools=tools, reasoning=reasoning)
    route = _way(client, "chat_completions", "responses", flags=Flags(tools_need_responses=True), shape=shape)
    assert route is not None
    assert route.endpoint.api == expected
    assert route.native == (client == expected)


def test_tools_stay_in_chat_where_there_is_nothing_else() -> None:
    route = _way(
        "chat_completions", "chat_completions", flags=Flags(tools_need_responses=True), shape=replace(SHAPE, tools=True)
    )
    assert route is not None
    assert route.endpoint.api == "chat_completions"


# ── the size ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, Shape(1_000, 0, 1_000)),
        ({"max_tokens": 20}, Shape(1_000, 0, 20)),
        ({"max_completion_tokens": 30, "max_tokens": 20}, Shape(1_000, 0, 30)),
        ({"max_output_tokens": 10**9}, Shape(1_000, 0, 1_000)),
        ({"max_tokens": 0}, Shape(1_000, 0, 1_000)),
        ({"max_tokens": "20"}, Shape(1_000, 0, 1_000)),
        ({"max_tokens": None}, Shape(1_000, 0, 1_000)),
        ({"messages": [1, 2]}, Shape(1_000, 0, 1_000)),
        ({"messages": [1, 2, 3]}, Shape(1_000, 750, 1_000)),
        ({"input": [1, 2, 3]}, Shape(1_000, 750, 1_000)),
        ({"input": "a long text"}, Shape(1_000, 0, 1_000)),
        ({"tools": [{}]}, Shape(1_000, 0, 1_000, tools=True)),
        ({"functions": [{}]}, Shape(1_000, 0, 1_000, tools=True)),
        ({"tools": []}, Shape(1_000, 0, 1_000)),
        ({"reasoning_effort": "none"}, Shape(1_000, 0, 1_000, reasoning=False)),
        ({"reasoning": {"effort": "none"}}, Shape(1_000, 0, 1_000, reasoning=False)),
        ({"thinking": {"type": "disabled"}}, Shape(1_000, 0, 1_000, reasoning=False)),
        ({"reasoning": "none"}, Shape(1_000, 0, 1_000)),
    ],
)
def test_shapes(body: dict[str, Any], expected: Shape) -> None:
    assert shape_of(body, 4_000) == expected


# ── which model ──────────────────────────────────────────────────────────────────────────────────────────────────


REAL = load()


@pytest.mark.parametrize(
    ("preferred", "wanted", "model", "name", "pinned", "substituted"),
    [
        (["gpt-4o"], "gpt-4o", "gpt-4o", "gpt-4o", (), False),
        (["gpt-4o"], "GPT-4o", "gpt-4o", "GPT-4o", (), False),
        (["gpt-4o"], "claude-ekai-gpt-4o", "gpt-4o", "gpt-4o", (), False),
        (["gpt-4o"], "gpt-4o-mini", "gpt-4o", "gpt-4o", (), True),
        (["gpt-4o"], "no such thing", "gpt-4o", "gpt-4o", (), True),
        (["gpt-4o-mini", "gpt-4o"], "gpt-4o", "gpt-4o", "gpt-4o", (), False),
        (["openai/gpt-4o-mini", "gpt-4o"], "nope", "gpt-4o-mini", "openai/gpt-4o-mini", ("openai", "openrouter"), True),
        (["gpt-4o"], "xai/grok-4", "gpt-4o", "gpt-4o", (), True),
        (["grok-4"], "xai/grok-4", "grok-4", "xai/grok-4", ("xai",), False),
        (["xai/grok-4"], "grok-4", "grok-4", "grok-4", ("xai",), False),
    ],
)
def test_choices(
    preferred: list[str], wanted: str, model: str, name: str, pinned: tuple[str, ...], substituted: bool
) -> None:
    choice = choose(Preferences("0x", models=tuple(preferred)), wanted, REAL)
    assert (choice.name, choice.match.pinned, choice.substituted) == (name, pinned, substituted)
    found = REAL.find(model)
    assert found is not None
    assert choice.match.model is found.model


def test_no_preferences() -> None:
    for empty in (None, ()):
        with pytest.raises(GatewayError) as caught:
            choose(Preferences("0x", models=empty), "gpt-4o", REAL)
        assert (caught.value.code, caught.value.status) == (Code.MODEL_PREFERENCES_REQUIRED, 400)
        assert "ekai prefs set" in caught.value.message


def test_a_preferred_model_that_left_the_catalog() -> None:
    with pytest.raises(GatewayError) as caught:
        choose(Preferences("0x", models=("gone-1", "gpt-4o")), "claude-haiku-4-5", REAL)
    assert (caught.value.code, "gone-1" in caught.value.message) == (Code.MODEL_NOT_FOUND, True)
    assert not choose(Preferences("0x", models=("gone-1", "gpt-4o")), "gpt-4o", REAL).substituted


def test_a_pin_that_contradicts_a_pinned_preference_is_not_what_was_asked_for() -> None:
    choice = choose(Preferences("0x", models=("openrouter/x-ai/grok-4",)), "xai/grok-4", REAL)
    assert (choice.substituted, choice.match.pinned) == (True, ("openrouter",))


def test_what_a_warm_cache_holds() -> None:
    """A conversation whose last call was a moment ago; more of it where the client marked what may be cached."""
    body = {"messages": [{"role": "user", "content": "x"}] * 3}
    shares = [
        shape_of(body, 4_000, 100, warm, marked).cached for warm in (False, True, None) for marked in (False, True)
    ]
    assert shares == [0, 0, 750, 900, 750, 900]

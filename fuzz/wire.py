"""Harnesses of the wire formats: requests to every kind of route in the catalog, replies and streams to every client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import orjson

from catalog.load import load
from fuzz.recordings import CLIENTS, bodies, seals, streams, tool_names, words
from fuzz.source import Source, dumped
from shared.canonical import CustomTool, Event, FunctionTool, Json, Request, Target
from shared.conversations import key_of, maker_in
from shared.counting import estimate
from shared.dialects import Api, Reading, Writing, dialect
from shared.dialects.failures import read_error
from shared.dialects.toolnames import ToolNames
from shared.errors import Code, GatewayError
from shared.keys import ProviderKey
from shared.plan import Ask, plan
from shared.relay import Passthrough, Relay, Translated
from shared.routing import Route, shape_of
from shared.sse import SSE, Parser
from shared.streams import well_formed

KEY = ProviderKey("sk-fuzz")
WAY = 16
"""Bytes of an input that choose routes, status and tools; what is sent is made of the others."""
_ID, _NOW = "0123456789abcdef" * 2, 1_795_550_400
_TRIES = 6  # routes of each body: one after the other would be too slow
_SLACK, _TIMES = 200_000, 100  # bytes that may come out, and how many for each that goes in


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def routes(client: Api) -> tuple[Route, ...]:
    """One route of each kind: routes that differ in nothing that a dialect reads are the same here."""
    catalog = load()
    found: dict[object, Route] = {}
    for model in catalog.models.values():
        for offer in model.offers:
            provider = catalog.providers[offer.provider]
            for api in offer.apis:
                if api in provider.endpoints:
                    endpoint = provider.endpoints[api]
                    route = Route(model, offer, provider, endpoint, api == client)
                    target = route.target
                    kind = (api, target.flags, target.input, target.output, target.quirks)
                    found.setdefault(kind, route)
    return tuple(found.values())


def requests(client: Api) -> Callable[[bytes], None]:
    """A client's body, on its way to providers."""

    def run(data: bytes) -> None:
        way, source = Source(data[:WAY]), Source(data[WAY:])
        tried = [way.pick(routes(client)) for _ in range(_TRIES)]
        raw = body_of(source, client, "requests", "clients")
        try:
            ask = Ask(raw, dialect(client), {})
        except GatewayError as error:
            told(error)
            return
        key_of("0xa", ask)
        maker_in(raw)
        shape_of(ask.body, len(raw))
        with suppress(GatewayError):
            estimate(ask.request)
        for route in tried:
            send(ask, route)

    return run


def send(ask: Ask, route: Route) -> None:
    """The request goes out as JSON of a sensible size, or is refused in words."""
    try:
        call = plan(ask, route, KEY).call
    except GatewayError as error:
        told(error)
        return
    assert isinstance(orjson.loads(call.body), dict)
    assert len(call.body) <= _SLACK + _TIMES * len(ask.raw)
    with suppress(GatewayError):
        ask.client.repair(ask.body, route.target)


def told(error: GatewayError) -> None:
    """Every client can be told of it."""
    for api in CLIENTS:
        orjson.dumps(dialect(api).write_error(error, "r"))


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def readings() -> tuple[Reading, ...]:
    """A reply to a request without tools, with free-text tools, and with tools in a namespace."""
    target = Target("maker", "model-1")
    custom = ToolNames.of(CustomTool(name) for name in tool_names())
    spaced = ToolNames(
        {name: ref for tool in tool_names() for name, ref in ToolNames.of([FunctionTool(tool)]).by_wire.items()},
        {},
    )
    return Reading(target), Reading(target, custom), Reading(target, spaced)


def writing(body: Json) -> Writing:
    return Writing(Request("m", (), stream=True, stream_usage=True), body, "m", _ID, _NOW)


@cache
def repaired(client: Api) -> tuple[Target, ...]:
    """The targets whose replies are mended on their way."""
    found = {route.target.quirks: route.target for route in routes(client) if route.native}
    return tuple(found.values())


def relays(api: Api, way: Source) -> list[tuple[Api, Relay]]:
    """The reply's ways to all clients."""
    reading = way.pick(readings())
    ways: list[tuple[Api, Relay]] = [
        (client, Translated(dialect(client), dialect(api), reading, writing({"model": "m"}))) for client in CLIENTS
    ]
    if api in CLIENTS:
        mended = dialect(api).repair({"model": "m", "stream": True}, way.pick(repaired(api)))
        ways += [(api, Passthrough(dialect(api), None)), (api, Passthrough(dialect(api), mended))]
    return ways


def replies(api: Api) -> Callable[[bytes], None]:
    """A provider's whole reply, good or bad."""

    def run(data: bytes) -> None:
        way, source = Source(data[:WAY]), Source(data[WAY:])
        status, ways = way.pick((200, 302, 400, 401, 404, 429, 500, 529)), relays(api, way)
        raw = body_of(source, api, "replies", "errors")
        told(read_error(status, raw))
        meter = dialect(api).meter()
        with suppress(orjson.JSONDecodeError):
            body = orjson.loads(raw)
            if isinstance(body, dict):
                meter.whole(body)
        for _, relay in ways:
            try:
                out = relay.whole(raw)
            except GatewayError as error:
                told(error)
                continue
            assert isinstance(orjson.loads(out), dict)
            assert len(out) <= _SLACK + _TIMES * len(raw)

    return run


def events_of(api: Api) -> Callable[[bytes], None]:
    """A provider's stream, in pieces."""

    def run(data: bytes) -> None:
        way, source = Source(data[:WAY]), Source(data[WAY:])
        ways = relays(api, way)
        pieces = stream_of(source, api)
        size = sum(map(len, pieces))
        meter = dialect(api).meter()
        for event in Parser().feed(b"".join(pieces)):
            meter.see(event)
        meter.break_off(GatewayError(Code.PROVIDER_ERROR, "It broke."))
        for client, relay in ways:
            out = b"".join(map(relay.feed, pieces)) + relay.close()
            assert relay.ended or relay.failed
            assert len(out) <= _SLACK + _TIMES * size
            if isinstance(relay, Translated):
                assert well_formed(read(client, out))
            if relay.usage is not None:
                assert relay.usage.input >= 0
                assert relay.usage.output >= 0
        if api in CLIENTS:
            in_any_pieces(api, pieces)

    return run


def in_any_pieces(api: Api, pieces: list[bytes]) -> None:
    """What passes through is the same, and counted the same, however it was cut."""
    whole = b"".join(pieces)
    seen = []
    step = 1 if len(whole) < 600 else 23
    for cut in (pieces, [whole], [whole[at : at + step] for at in range(0, len(whole), step)]):
        relay = Passthrough(dialect(api), None)
        out = b"".join(map(relay.feed, cut))
        assert whole.startswith(out)
        seen.append((Parser().feed(out), relay.usage, relay.ended, relay.failed is None))
    assert seen[0] == seen[1] == seen[2]


def read(api: Api, raw: bytes) -> list[Event]:
    """What a client of this format makes of the bytes."""
    reader = dialect(api).stream_reader(readings()[0])
    return [event for sse in Parser().feed(raw) for event in reader.feed(sse)] + reader.close()


# ── material ─────────────────────────────────────────────────────────────────────────────────────────────────────


def body_of(source: Source, api: Api, *kinds: str) -> bytes:
    """Bytes as they are, JSON in the format's words, or a recording with something wrong."""
    how = source.below(4)
    if how == 0:
        return source.rest()
    vocabulary = words(api)
    body: Any = orjson.loads(source.pick(bodies(api, *kinds)))
    if how == 1:
        body = source.object(list(body) if isinstance(body, dict) else ["error"], vocabulary)
    else:
        for _ in range(source.below(5) + 1):
            body = source.bend(body, vocabulary, seals())
    return dumped(body)


def stream_of(source: Source, api: Api) -> list[bytes]:
    """Bytes as they are, or a recorded stream with something wrong; cut anywhere."""
    if source.below(8) == 0:
        raw = source.rest()
        return [raw[at : at + 7] for at in range(0, len(raw), 7)]
    stream = list(source.pick(streams(api)))
    for _ in range(source.below(5) + 1):
        _bend_stream(source, stream, words(api))
    raw = b"".join(event.encode() for event in stream)
    size = source.pick((len(raw) or 1, 1_000, 61))
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def _bend_stream(source: Source, stream: list[SSE], vocabulary: tuple[str, ...]) -> None:
    if not stream:
        return
    at, other = source.below(len(stream)), source.below(len(stream))
    event = stream[at]
    match source.below(8):
        case 0:
            del stream[at]
        case 1:
            stream.insert(other, event)
        case 2:
            stream[at], stream[other] = stream[other], event
        case 3:
            stream[at] = SSE(source.raw(40), event.event)
        case 4:
            stream[at] = SSE(event.data, source.pick(stream).event)
        case _ if event.data.startswith(b"{"):
            with suppress(orjson.JSONDecodeError):  # bytes that an earlier change put there
                stream[at] = SSE(dumped(source.bend(orjson.loads(event.data), vocabulary)), event.event)

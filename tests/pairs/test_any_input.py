"""Whatever comes: every reader of every wire format answers with a value or with the gateway's own error."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.canonical import Json
from shared.dialects import Api, dialect
from shared.errors import GatewayError
from shared.relay import Passthrough, Relay, Translated
from shared.sse import SSE
from shared.streams import well_formed
from tests.pairs.recorded import APIS, CLIENTS, MAKER, READING, REPLIES, parse, read, writing
from tests.pairs.test_client_requests import ASKED
from tests.pairs.upstreams import target

quick = settings(
    max_examples=120,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
every_api = pytest.mark.parametrize("api", APIS)

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["user", "assistant", "text", "function", "tool", "auto", "gw1.a.W10", "https://x.example", "{}", "[", "\ud7ff"]),
)  # fmt: skip
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key, below in value.items() for place in places(below, (*path, key))]
    elif isinstance(value, list):
        found += [place for index, below in enumerate(value) for place in places(below, (*path, index))]
    return found


def bent(body: Any, path: tuple[Any, ...], how: str, value: Any) -> Any:
    """The body with one place of it changed."""
    body = orjson.loads(orjson.dumps(body))
    holder = body
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    match how:
        case "replace":
            holder[key] = value
        case "remove":
            del holder[key]
        case "twice" if isinstance(holder, list):
            holder.append(holder[key])
        case "add" if isinstance(holder, dict):
            holder["x_new"] = value
        case _:
            holder[key] = [holder[key]]
    return body


HOW = st.sampled_from(["replace", "replace", "remove", "twice", "add", "wrap"])


def changed(data: st.DataObject, body: Any) -> Any:
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(body)
        if not found:
            return body
        body = bent(body, data.draw(st.sampled_from(found)), data.draw(HOW), data.draw(JSON))
    return body


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("client", CLIENTS)
@quick
@given(data=st.data())
def test_a_clients_body_with_something_wrong(client: Api, data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from([one for one in ASKED if one.api == client]))
    body = changed(data, asked.body)
    if not isinstance(body, dict):
        return
    with suppress(GatewayError):
        request = dialect(client).read_request(body)
        for api in APIS:
            with suppress(GatewayError):
                orjson.dumps(dialect(api).write_request(request, target(api)).body)
    with suppress(GatewayError):
        orjson.dumps(dialect(client).adapt(body, MAKER)[0])
    with suppress(GatewayError):
        dialect(client).repair(body, MAKER)


@pytest.mark.parametrize("client", CLIENTS)
@quick
@given(body=st.dictionaries(st.sampled_from(["model", "messages", "input", "tools", "system", "stream", "x"]), JSON))
def test_a_clients_body_of_anything(client: Api, body: Json) -> None:
    with suppress(GatewayError):
        dialect(client).read_request(body)
    with suppress(GatewayError):
        dialect(client).adapt(body, MAKER)


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────


@every_api
@quick
@given(data=st.data())
def test_a_whole_reply_with_something_wrong(api: Api, data: st.DataObject) -> None:
    reply = data.draw(st.sampled_from([one for one in REPLIES if one.api == api]))
    body = changed(data, reply.body)
    if not isinstance(body, dict):
        return
    dialect(api).meter().whole(body)
    with suppress(GatewayError):
        response = dialect(api).read_response(body, READING)
        for client in CLIENTS:
            orjson.dumps(dialect(client).write_response(response, writing()))


@every_api
@quick
@given(data=st.data())
def test_a_stream_with_something_wrong(api: Api, data: st.DataObject) -> None:
    reply = data.draw(st.sampled_from([one for one in REPLIES if one.api == api]))
    stream = parse(reply.stream)
    whole = {sse.data for sse in stream if sse.data.startswith(b"{")}
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(stream) - 1))
        match data.draw(st.sampled_from(["event", "remove", "twice", "swap", "bytes"])):
            case "event" if stream[at].data in whole:
                value = orjson.loads(stream[at].data)
                stream[at] = SSE(orjson.dumps(changed(data, value)), stream[at].event)
            case "twice":
                stream.insert(at, stream[at])
            case "swap":
                other = data.draw(st.integers(0, len(stream) - 1))
                stream[at], stream[other] = stream[other], stream[at]
            case "bytes":
                stream[at] = SSE(data.draw(st.binary(max_size=12)), stream[at].event)
            case _ if len(stream) > 1:
                del stream[at]
            case _:
                pass
    events = read(api, stream)
    assert well_formed(events)
    meter = dialect(api).meter()
    for sse in stream:
        meter.see(sse)
    for client in CLIENTS:
        relay = Translated(dialect(client), dialect(api), READING, writing())
        sent = b"".join(relay.feed(sse.encode()) for sse in stream) + relay.close()
        assert relay.ended or relay.failed
        assert well_formed(read(client, parse(sent)))


@every_api
@quick
@given(pieces=st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\n\n", b"event: error\n", b"data: {}\n\n", b"data: [DONE]\n\n"]), max_size=8))  # fmt: skip
def test_bytes_of_any_kind(api: Api, pieces: list[bytes]) -> None:
    relays: list[Relay] = [Translated(dialect(client), dialect(api), READING, writing()) for client in CLIENTS]
    if api in CLIENTS:
        relays.append(Passthrough(dialect(api), None))
    for relay in relays:
        for piece in pieces:
            relay.feed(piece)
        relay.close()
        assert relay.ended or relay.failed
    with suppress(GatewayError):
        relays[0].whole(b"".join(pieces))
    dialect(api).read_error(500, b"".join(pieces))


# ── deep and large ───────────────────────────────────────────────────────────────────────────────────────────────


def nested(depth: int, value: Any = "x") -> Any:
    for _ in range(depth):
        value = {"properties": {"a": value}, "items": [value]} if depth < 60 else [value]
    return value


DEEP: dict[str, Callable[[Any], Json]] = {
    "chat_completions": lambda deep: {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "x": deep}}}],
        "metadata": {},
    },
    "messages": lambda deep: {
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "x": deep}}],
    },
    "responses": lambda deep: {
        "input": "hi",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "x": deep}}],
    },
}


@pytest.mark.parametrize("upstream", APIS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("depth", [10, 200, 900])
def test_deep_schemas(client: Api, upstream: Api, depth: int) -> None:
    """JSON parsers take a thousand levels; whatever a schema holds, it is written or refused."""
    body = {"model": "m", **DEEP[client](nested(depth))}
    with suppress(GatewayError):
        request = dialect(client).read_request(body)
        dialect(upstream).write_request(request, target(upstream))

"""A reply on its way: cut anywhere, broken anywhere, passed through or translated, and never half an event."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import Target
from shared.dialects import Reading, Writing, dialect
from shared.errors import Code, GatewayError
from shared.relay import Passthrough, Relay, Translated
from shared.sse import SSE, Parser
from tests.gateway.wire import APIS, CHAT, MESSAGES, RESPONSES, Api

TARGET = Target("openai", "gpt-4o")
REQUESTS: dict[str, dict[str, Any]] = {api.name: api.body(stream=True) for api in APIS}
PAIRS = [(client, provider) for client in APIS for provider in APIS if client is not provider]
cuts = st.lists(st.integers(0, 10_000), max_size=15)
clients = st.sampled_from(APIS)
pairs = st.sampled_from(PAIRS)


def passing(api: Api) -> Relay:
    return Passthrough(dialect(api.name), None)  # type: ignore[arg-type]  # the names are those of the three client APIs


def translating(client: Api, provider: Api) -> Relay:
    spoken = dialect(client.name)  # type: ignore[arg-type]  # as above
    request = spoken.read_request(REQUESTS[client.name])
    writing = Writing(request, REQUESTS[client.name], "gpt-4o", "0" * 32, 1)
    return Translated(spoken, dialect(provider.name), Reading(TARGET), writing)  # type: ignore[arg-type]  # as above


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


def whole_events(raw: bytes) -> list[SSE]:
    parser = Parser()
    events = parser.feed(raw)
    assert parser.at_boundary, raw[-80:]
    return events


def is_error(api: Api, event: SSE) -> bool:
    body = orjson.loads(event.data)
    return {
        "chat_completions": "error" in body,
        "messages": event.event == "error" and body["type"] == "error",
        "responses": event.event in ("response.failed", "error"),
    }[api.name]


# ── passed through ───────────────────────────────────────────────────────────────────────────────────────────────


@given(clients, cuts)
def test_bytes_that_pass_are_the_providers_own(api: Api, places: list[int]) -> None:
    raw, relay, out = b"".join(api.events), passing(api), b""
    for piece in cut(raw, places):
        out += relay.feed(piece)
        whole_events(out)
    assert out + relay.close() == raw
    assert relay.ended
    assert relay.failed is None
    assert relay.usage is not None
    assert relay.usage.output == 20


@given(clients, cuts, st.integers(0, 10_000))
def test_a_stream_that_is_cut_ends_with_one_error_and_no_half_event(api: Api, places: list[int], end: int) -> None:
    raw = b"".join(api.events)
    short = raw[: end % (len(raw) - len(api.events[-1]))]
    if api is CHAT:  # `[DONE]` and the usage may be missing: the reply is complete with its finish_reason
        short = raw[: end % len(b"".join(api.events[:3]))]
    relay, out = passing(api), b""
    for piece in cut(short, places):
        out += relay.feed(piece)
    out += relay.close()
    *events, last = whole_events(out)
    assert is_error(api, last)
    assert not any(is_error(api, event) for event in events)
    seen = [event.data for event in Parser().feed(short)]
    assert [event.data for event in events][: len(seen)] == seen
    assert len(events) == len(seen) or (api is RESPONSES and not seen)  # a failed response must have been created
    assert relay.failed is not None
    assert relay.failed.code is Code.PROVIDER_ERROR
    assert not relay.ended
    assert relay.close() == b""
    assert relay.break_off(GatewayError(Code.PROVIDER_ERROR, "twice")) == b""


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_a_stream_that_stalls_in_mid_event_is_broken_off_between_two(api: Api) -> None:
    relay = passing(api)
    out = relay.feed(b"".join(api.events[:2]) + api.events[2][:-7])
    out += relay.break_off(GatewayError(Code.PROVIDER_ERROR, "The provider's stream stalled.", status=504))
    *events, last = whole_events(out)
    assert len(events) == 2
    assert is_error(api, last)
    assert b"stalled" in last.data


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_comments_of_the_provider_pass_at_once(api: Api) -> None:
    relay = passing(api)
    assert relay.feed(b": PROCESSING\n\n") == b": PROCESSING\n\n"
    assert not relay.progress
    assert relay.feed(api.events[0][:10]) == b""
    assert not relay.progress
    assert relay.feed(api.events[0][10:]) == api.events[0]
    assert relay.progress


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_a_whole_reply_passes_as_the_very_bytes(api: Api) -> None:
    raw = orjson.dumps(api.whole, option=orjson.OPT_INDENT_2)
    relay = passing(api)
    assert relay.whole(raw) is raw
    assert relay.usage is not None
    assert (relay.usage.output, relay.ended) == (20, True)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b"null", b'"x"', b"{", b'{"error": {"message": "no"}}', b"\xff"]
)
@pytest.mark.parametrize("translated", [False, True])
def test_what_is_no_reply(api: Api, raw: bytes, translated: bool) -> None:
    relay = translating(RESPONSES if api is not RESPONSES else CHAT, api) if translated else passing(api)
    with pytest.raises(GatewayError) as caught:
        relay.whole(raw)
    assert caught.value.code is Code.PROVIDER_ERROR
    assert caught.value.status >= 500


# ── translated ───────────────────────────────────────────────────────────────────────────────────────────────────


@given(pairs, cuts)
def test_cuts_change_nothing_in_a_translation(pair: tuple[Api, Api], places: list[int]) -> None:
    client, provider = pair
    raw = b"".join(provider.events)
    at_once, piecewise = translating(client, provider), translating(client, provider)
    expected = at_once.feed(raw) + at_once.close()
    out = b""
    for piece in cut(raw, places):
        out += piecewise.feed(piece)
        whole_events(out)
    assert out + piecewise.close() == expected
    assert (piecewise.ended, piecewise.failed) == (True, None)
    assert piecewise.usage == at_once.usage


@given(pairs, cuts, st.integers(0, 10_000))
def test_a_translation_that_is_cut_ends_with_one_error(pair: tuple[Api, Api], places: list[int], end: int) -> None:
    client, provider = pair
    raw = b"".join(provider.events[:3])
    relay, out = translating(client, provider), b""
    for piece in cut(raw[: end % (len(raw) + 1)], places):
        out += relay.feed(piece)
    out += relay.close()
    *events, last = whole_events(out)
    assert is_error(client, last)
    assert not any(is_error(client, event) for event in events)
    assert relay.failed is not None
    assert relay.close() == b""


@given(pairs, st.lists(st.binary(max_size=200), max_size=8))
def test_nonsense_is_an_error_of_the_providers_and_never_a_crash(pair: tuple[Api, Api], nonsense: list[bytes]) -> None:
    client, provider = pair
    relay = translating(client, provider)
    out = b"".join(
        relay.feed(b"data: " + piece.replace(b"\n", b"").replace(b"\r", b"") + b"\n\n") for piece in nonsense
    )
    whole_events(out + relay.close())
    assert relay.failed is not None or relay.ended


@pytest.mark.parametrize(("client", "provider"), PAIRS, ids=lambda api: api.name)
def test_streams_and_wholes_tell_the_same_tokens(client: Api, provider: Api) -> None:
    streamed, whole = translating(client, provider), translating(client, provider)
    streamed.feed(b"".join(provider.events))
    streamed.close()
    reply = orjson.loads(whole.whole(orjson.dumps(provider.whole)))
    assert streamed.usage == whole.usage
    assert "Hello there" in str(reply)


def test_a_messages_stream_tells_its_prompt_before_it_breaks() -> None:
    relay = translating(CHAT, MESSAGES)
    relay.feed(MESSAGES.events[0])
    relay.close()
    assert relay.usage is not None
    assert relay.usage.input == 100

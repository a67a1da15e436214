"""Every recording of every wire format: cut anywhere, torn anywhere, whole against streamed, readers against meters."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import Failed, Finish
from shared.dialects import Api, dialect
from shared.errors import Code, GatewayError
from shared.relay import Passthrough, Relay, Translated
from shared.sse import Parser
from shared.streams import fold, well_formed
from tests.pairs.recorded import APIS, CLIENTS, READING, REPLIES, Recorded, parse, read, writing

ENDINGS = (b"\n", b"\r\n", b"\r")
every_reply = pytest.mark.parametrize("reply", REPLIES, ids=str)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    return [stream[one:other] for one, other in pairwise([0, *sorted(places), len(stream)])]


def test_there_is_something_of_every_format() -> None:
    for api in APIS:
        assert len([reply for reply in REPLIES if reply.api == api]) > 10


@every_reply
def test_streamed_equals_whole(reply: Recorded) -> None:
    events = read(reply.api, parse(reply.stream))
    assert well_formed(events)
    assert fold(events) == reply.response()


@every_reply
def test_meters_agree_with_readers(reply: Recorded) -> None:
    usage = reply.response().finish.usage
    whole, streamed = reply.dialect.meter(), reply.dialect.meter()
    whole.whole(reply.body)
    for sse in parse(reply.stream):
        streamed.see(sse)
    assert whole.usage == streamed.usage == (usage if usage.reported else None)
    assert streamed.ended
    assert not streamed.failed
    assert whole.model == streamed.model == reply.response().model


# ── cut anywhere ─────────────────────────────────────────────────────────────────────────────────────────────────


@every_reply
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_one_size(reply: Recorded, size: int) -> None:
    for ending in ENDINGS:
        stream = reply.stream.replace(b"\n", ending)
        parser = Parser()
        found = [sse for at in range(0, len(stream), size) for sse in parser.feed(stream[at : at + size])]
        assert found == parse(reply.stream)


@pytest.mark.parametrize("api", APIS)
def test_cut_in_two_at_every_byte(api: Api) -> None:
    reply = min((one for one in REPLIES if one.api == api and "tool" in one.name), key=lambda one: len(one.stream))
    expected = parse(reply.stream)
    for at in range(len(reply.stream)):
        parser = Parser()
        assert parser.feed(reply.stream[:at]) + parser.feed(reply.stream[at:]) == expected


def relays(reply: Recorded) -> list[Relay]:
    translated = [Translated(dialect(client), reply.dialect, READING, writing()) for client in CLIENTS]
    return [Passthrough(reply.dialect, None), *translated] if reply.api in CLIENTS else [*translated]


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(REPLIES), st.data())
def test_what_the_client_gets_does_not_depend_on_the_cuts(reply: Recorded, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(reply.stream)), max_size=12))
    for whole, pieces in zip(relays(reply), relays(reply), strict=True):
        expected = whole.feed(reply.stream) + whole.close()
        assert b"".join(map(pieces.feed, cut(reply.stream, places))) + pieces.close() == expected
        assert (pieces.usage, pieces.output_chars, pieces.ended) == (whole.usage, whole.output_chars, True)


# ── torn anywhere ────────────────────────────────────────────────────────────────────────────────────────────────


@every_reply
def test_a_stream_that_stops_before_its_end_has_failed(reply: Recorded) -> None:
    """After every event; whether the reply may end there is what the meter says too.

    An empty finish reason after calls is an end to the reader; the meter waits for `[DONE]`, which always follows it.
    """
    blank = b'"finish_reason":""' in reply.stream
    meter = reply.dialect.meter()
    stream = parse(reply.stream)
    for number, sse in enumerate([None, *stream]):
        if sse is not None:
            meter.see(sse)
        events = read(reply.api, stream[:number])
        assert well_formed(events)
        assert isinstance(events[-1], Finish if meter.ended else Failed) or (blank and number > 1)


@pytest.mark.parametrize("client", CLIENTS)
@every_reply
def test_the_client_is_told_of_a_torn_stream(reply: Recorded, client: Api) -> None:
    """Wherever it tears, what the client got is well-formed in its own API, and its last event is an error."""
    stream = parse(reply.stream)
    for number in range(len(stream)):
        relay = Translated(dialect(client), reply.dialect, READING, writing())
        sent = b"".join(relay.feed(sse.encode()) for sse in stream[:number])
        sent += relay.close()
        if relay.ended:
            continue
        assert relay.failed is not None
        seen = dialect(client).meter()
        for sse in parse(sent):
            seen.see(sse)
        assert seen.failed
        events = read(client, parse(sent))
        assert well_formed(events)
        with pytest.raises(GatewayError, match="ended before"):
            fold(events)


@pytest.mark.parametrize("reply", [one for one in REPLIES if one.api in CLIENTS], ids=str)
def test_a_pass_through_can_be_broken_off_anywhere(reply: Recorded) -> None:
    stream = parse(reply.stream)
    error = GatewayError(Code.PROVIDER_ERROR, "The provider went silent.")
    for number in range(len(stream)):
        relay = Passthrough(reply.dialect, None)
        sent = b"".join(relay.feed(sse.encode()) for sse in stream[:number])
        if relay.ended:
            continue
        events = read(reply.api, parse(sent + relay.break_off(error)))
        assert well_formed(events)
        with pytest.raises(GatewayError, match="went silent"):
            fold(events)

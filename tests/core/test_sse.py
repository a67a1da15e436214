"""Server-sent events: cut anywhere, ended by any line end (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.sse
from shared.errors import GatewayError
from shared.sse import SSE, Gate, Parser, comment

ENDS = (b"\n", b"\r\n", b"\r")
LINES = (
    b"data: one", b"data:two", b"data:  indented", b"data", b"data:", b": a comment", b":", b"id: 7", b"retry: 5", b"event: named",
    b"event:other", b"event", b"unknown: field", b"data: caf\xc3\xa9", b"data: {\"a\": 1}", b"",
)  # fmt: skip


def plain(raw: bytes) -> list[SSE]:
    """The specification's algorithm, read off line by line, over bytes that came whole."""
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    lines = re.split(rb"\r\n|\n|\r", raw)[:-1]  # what follows the last line end is no line yet
    events, data, name = [], [], ""
    for line in lines:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append(SSE(b"\n".join(data), name))
            data, name = [], ""
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode()
    return events


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


streams = st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from(ENDS)), max_size=40).map(
    lambda lines: b"".join(line + end for line, end in lines)
)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


@given(streams, cuts, st.booleans())
def test_cuts_never_matter(raw: bytes, places: list[int], bom: bool) -> None:
    raw = b"\xef\xbb\xbf" + raw if bom else raw
    parser = Parser()
    assert [event for piece in cut(raw, places) for event in parser.feed(piece)] == plain(raw)


@given(streams, cuts)
def test_the_gate_passes_whole_events_only_and_every_byte(raw: bytes, places: list[int]) -> None:
    raw += b"\n\n"  # a line may still be open, then its event
    parser, gate, out = Parser(), Gate(), b""
    for piece in cut(raw, places):
        parser.feed(piece)
        out += gate.feed(piece, parser.at_boundary)
        assert raw.startswith(out)
        slipped = plain(out + comment("ping") + raw[len(out) :])
        assert slipped == plain(raw), "a ping of ours fell into an event"
    assert out == raw


@given(st.lists(st.sampled_from([b"data: a\n\n", b"event: x\ndata: b\n\n", b": ping\n\n"]), max_size=20), cuts)
def test_the_gate_holds_back_no_more_than_the_open_event(events: list[bytes], places: list[int]) -> None:
    raw = b"".join(events)
    parser, gate, fed, out = Parser(), Gate(), 0, b""
    for piece in cut(raw, places):
        parser.feed(piece)
        fed += len(piece)
        out += gate.feed(piece, parser.at_boundary)
        assert plain(out) == plain(raw[:fed])


@given(st.binary(max_size=300), cuts)
def test_any_bytes_at_all(raw: bytes, places: list[int]) -> None:
    parser, other = Parser(), Parser()
    assert [event for piece in cut(raw, places) for event in parser.feed(piece)] == other.feed(raw)


@given(st.text(max_size=60).filter(lambda text: "\r" not in text), st.text("ab.c_", max_size=8))
def test_what_is_written_is_what_is_read(text: str, name: str) -> None:
    event = SSE(text.encode(), name)
    assert Parser().feed(event.encode()) == [event]


def test_an_open_event_is_no_event() -> None:
    assert Parser().feed(b"data: x\n") == []
    assert Parser().feed(b"data: x") == []
    assert Parser().feed(b"") == []


def test_a_byte_order_mark_only_at_the_very_beginning() -> None:
    parser = Parser()
    pieces = (b"\xef", b"\xbb", b"\xbfdata: x\n\n", b"\xef\xbb\xbfdata: y\n\n")
    assert [event.data for piece in pieces for event in parser.feed(piece)] == [b"x"]


@pytest.mark.parametrize("end", ENDS)
def test_boundaries(end: bytes) -> None:
    parser = Parser()
    assert parser.at_boundary
    parser.feed(b"data: x" + end)
    assert not parser.at_boundary
    parser.feed(end)
    assert parser.at_boundary
    parser.feed(b"event: e" + end)
    assert not parser.at_boundary


def test_an_event_that_comes_in_pieces_may_be_as_large_as_one_that_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.sse, "MAX_EVENT", 10_000)
    for step in (1, 100, 9_000, 20_000):
        parser, raw = Parser(), b"data: " + b"x" * 9_900 + b"\n\n"
        events = [event for start in range(0, len(raw), step) for event in parser.feed(raw[start : start + step])]
        assert [len(event.data) for event in events] == [9_900], step


@pytest.mark.parametrize("line", [b"data: " + b"x" * 100 + b"\n", b"data: x\n", b"data:\n"])
def test_an_event_that_never_ends_is_refused(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.sse, "MAX_EVENT", 10_000)
    parser = Parser()
    with pytest.raises(GatewayError, match="larger than"):
        [parser.feed(line) for _ in range(10_100)]


def test_a_line_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.sse, "MAX_EVENT", 10_000)
    for start in (b"data: ", b": "):
        parser = Parser()
        parser.feed(start)
        with pytest.raises(GatewayError, match="larger than"):
            [parser.feed(b"x" * 100) for _ in range(1_000)]


def test_comments_without_end_are_no_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared.sse, "MAX_EVENT", 10_000)
    parser = Parser()
    for _ in range(5_000):  # a provider that keeps the line open for an hour
        assert parser.feed(b": still ") == []
        assert parser.feed(b"there\n") == []


def _seconds(size: int) -> float:
    parser, gate, raw = Parser(), Gate(), b"data: " + b"x" * size + b"\n\n"
    begun = time.process_time()
    for start in range(0, len(raw), 1024):
        parser.feed(raw[start : start + 1024])
        gate.feed(raw[start : start + 1024], parser.at_boundary)
    return time.process_time() - begun


def test_a_large_event_in_small_chunks_takes_linear_time() -> None:
    small, large = min(_seconds(1 << 20) for _ in range(3)), min(_seconds(1 << 23) for _ in range(3))
    assert large < 24 * small + 0.05  # 8 times the bytes; quadratic would be 64 times the work

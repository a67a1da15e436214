"""Replies that hypothesis makes up from the canonical grammar, in every client API: whole, streamed, and sent back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Block,
    BlockEnd,
    BlockStart,
    Citation,
    Delta,
    Event,
    Finish,
    Image,
    Opaque,
    Response,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Api, dialect
from shared.streams import fold, unfold, well_formed
from tests.pairs.recorded import CLIENTS, READING, parse, read, shown, written
from tests.pairs.test_replies import arranged, calls, carried, own, said, sent_back, states, words

often = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
PICTURE = "[an image, which this API can't carry]"
every_client = pytest.mark.parametrize("client", CLIENTS)

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)
STATES = st.none() | st.builds(
    Opaque,
    st.sampled_from(["anthropic", "google", "x.ai-2"]),
    st.sampled_from(["signature", "thought_signature", "responses.reasoning", "k"]),
    st.text(min_size=1, max_size=30),
)
SOURCES = st.lists(st.builds(Citation, st.just("https://x.example/a"), WORDS), max_size=2).map(tuple)
ARGUMENTS = st.dictionaries(WORDS, st.integers(-9, 9) | WORDS | st.none(), max_size=3).map(
    lambda value: orjson.dumps(value).decode()
)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Text, WORDS, citations=SOURCES),
    st.builds(Text, WORDS, opaque=STATES),
    st.builds(Thinking, WORDS, STATES),
    st.builds(lambda opaque: Thinking("", opaque, redacted=True), STATES.filter(bool)),
    st.builds(ToolCall, st.uuids().map(str), st.sampled_from(["f", "g_2"]), ARGUMENTS, opaque=STATES),
    st.builds(ToolCall, st.uuids().map(str), st.just("patch"), WORDS, st.just("custom")),
    st.builds(ToolCall, st.uuids().map(str), st.just("f"), ARGUMENTS, namespace=st.just("space")),
    st.just(Image("image/png", "AAAA")),
)
USAGE = st.builds(
    lambda read, wrote, fresh, thought, spoken: Usage(read + wrote + fresh, read, wrote, 0, thought + spoken, thought),
    *(st.integers(0, 99) for _ in range(5)),
)


def reply_of(blocks: list[Block], reason: str, usage: Usage) -> Response:
    called = any(isinstance(block, ToolCall) for block in blocks)
    return Response("id", "m", tuple(blocks), Finish("tool_call" if called else reason, usage))  # type: ignore[arg-type]  # a literal


REPLIES = st.builds(reply_of, st.lists(BLOCKS, min_size=1, max_size=6), st.sampled_from(["end", "length"]), USAGE)


def pieces(response: Response, size: int) -> list[Event]:
    """The reply as a stream whose deltas hold `size` characters each."""
    events: list[Event] = [Start(response.id, response.model)]
    for event in unfold(response):
        match event:
            case Delta(text=text):
                events += [Delta(text[at : at + size]) for at in range(0, len(text), size)]
            case BlockStart() | BlockEnd() | Finish():
                events.append(event)
            case _:
                pass
    return events


@every_client
@often
@given(response=REPLIES, size=st.integers(1, 30))
def test_streamed_equals_whole(client: Api, response: Response, size: int) -> None:
    whole = dialect(client).read_response(shown(client, response), READING)
    events = read(client, parse(written(client, pieces(response, size))))
    assert well_formed(events)
    streamed = fold(events)
    if client == "chat_completions":  # its messages have no order among thoughts, words and calls
        for kind in (Text, Thinking):
            assert words(streamed.blocks, kind) == words(whole.blocks, kind)
        assert calls(client, streamed.blocks) == calls(client, whole.blocks)
        assert arranged(streamed.blocks)[0] == arranged(whole.blocks)[0]
        streamed = replace(streamed, blocks=whole.blocks)
    assert streamed == whole
    assert words(whole.blocks, Thinking) == words(response.blocks, Thinking)
    assert words(whole.blocks, Text).replace(PICTURE, "") == said(client, response)
    assert calls(client, whole.blocks) == calls(client, response.blocks)
    assert replace(whole.finish.usage, service_tier="") == response.finish.usage
    assert whole.finish.reason == response.finish.reason


@every_client
@often
@given(response=REPLIES)
def test_it_comes_back_with_all_its_state(client: Api, response: Response) -> None:
    back = own(sent_back(client, response))
    assert words(back, Thinking) == words(response.blocks, Thinking)
    assert calls(client, back) == calls(client, response.blocks)
    kept = Counter(carried(client, response.blocks))
    assert kept <= Counter(states(back))

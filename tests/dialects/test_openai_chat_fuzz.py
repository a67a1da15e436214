"""Chat completions against odd input: whatever JSON comes, the answer is a value or a GatewayError."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import (
    BlockEnd,
    BlockStart,
    CustomTool,
    Delta,
    Event,
    Failed,
    Finish,
    Flags,
    FunctionTool,
    Opaque,
    Request,
    Response,
    Start,
    Target,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Reading, Writing
from shared.dialects.openai_chat import DIALECT
from shared.dialects.toolnames import ToolNames
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser
from shared.streams import fold, unfold, well_formed

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def sparse(**fields: Any) -> st.SearchStrategy[Any]:
    """An object with some of the fields, each right or anything at all."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()}) | JSON


TEXT = st.text(max_size=6)
FUNCTION = sparse(name=TEXT, arguments=TEXT, parameters=JSON, strict=st.booleans(), description=TEXT)
CUSTOM = sparse(name=TEXT, input=TEXT, format=sparse(type=st.just("grammar"), grammar=JSON))
CALL = sparse(
    id=TEXT,
    type=st.sampled_from(["function", "custom"]),
    function=FUNCTION,
    custom=CUSTOM,
    index=st.integers(0, 3),
    extra_content=JSON,
)
PART = sparse(
    type=st.sampled_from(["text", "image_url", "file", "input_audio", "refusal"]),
    text=TEXT,
    image_url=sparse(url=st.sampled_from(["https://x", "data:image/png;base64,aGk=", "data:,"])),
    file=sparse(file_data=TEXT, file_id=TEXT, filename=TEXT),
    input_audio=sparse(data=TEXT, format=TEXT),
    cache_control=sparse(ttl=TEXT),
)
MESSAGE = sparse(
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"]),
    content=TEXT | st.lists(PART, max_size=2),
    name=TEXT,
    tool_calls=st.lists(CALL, max_size=2),
    tool_call_id=TEXT,
    function_call=FUNCTION,
    reasoning_content=TEXT,
    reasoning_details=st.lists(
        sparse(data=st.sampled_from(["gw1.a.W10", "gw1.", "x"]), length=st.integers(-2, 9)), max_size=2
    ),
    audio=sparse(id=TEXT),
    refusal=TEXT,
)
BODY = sparse(
    model=st.just("m"),
    messages=st.lists(MESSAGE, min_size=1, max_size=3),
    tools=st.lists(
        sparse(type=st.sampled_from(["function", "custom", "x"]), function=FUNCTION, custom=CUSTOM), max_size=2
    ),
    functions=st.lists(FUNCTION, max_size=1),
    tool_choice=st.sampled_from(["auto", "none"]) | sparse(type=st.just("allowed_tools"), allowed_tools=JSON),
    function_call=FUNCTION,
    response_format=sparse(type=st.sampled_from(["json_schema", "json_object"]), json_schema=JSON),
    stop=TEXT | st.lists(TEXT),
    reasoning=JSON,
    thinking=JSON,
    stream_options=JSON,
    logit_bias=JSON,
    metadata=JSON,
    max_tokens=st.integers(),
    prompt_cache_options=JSON,
    web_search_options=JSON,
    n=st.integers(0, 2),
)
TARGETS = [
    Target("a", "m1"),
    Target(
        "a",
        "m1",
        flags=Flags(prefill=True, json_schema=True, effort=("low",)),
        input=frozenset({"text", "image", "pdf", "audio"}),
    ),
    Target("b", "m2", quirks=frozenset({"schema_required_list", "no_strict", "no_null_fields", "custom_tools"})),
]


@given(BODY, st.sampled_from(TARGETS))
def test_any_request(body: Any, target: Target) -> None:
    try:
        request = DIALECT.read_request(body)
        written = DIALECT.write_request(request, target)
    except GatewayError:
        return
    orjson.dumps(written.body)


def test_deep_nesting() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}, "items": [deep]}
    tool = {"type": "function", "function": {"name": "f", "parameters": deep}}
    request = DIALECT.read_request(
        {"model": "m", "messages": [{"role": "user", "content": "a"}], "tools": [tool], "x": deep}
    )
    DIALECT.write_request(request, TARGETS[2])
    DIALECT.adapt({"model": "m", "tools": [tool], "messages": [deep]}, TARGETS[2])
    with pytest.raises(GatewayError):
        DIALECT.read_request({"model": "m", "messages": [{"role": "user", "content": [deep]}]})


DELTA = sparse(
    content=TEXT,
    reasoning_content=TEXT,
    reasoning=TEXT,
    refusal=TEXT,
    tool_calls=st.lists(CALL, max_size=2),
    function_call=FUNCTION,
    reasoning_details=st.lists(sparse(index=st.integers(0, 1), text=TEXT, type=TEXT, id=TEXT), max_size=2),
    annotations=st.lists(sparse(url_citation=sparse(url=TEXT)), max_size=2),
    images=st.lists(sparse(image_url=sparse(url=TEXT)), max_size=1),
    audio=sparse(data=TEXT, id=TEXT),
    extra_content=sparse(google=sparse(thought_signature=TEXT)),
)
CHOICE = sparse(
    delta=DELTA,
    index=st.just(0),
    finish_reason=st.sampled_from(["stop", "", "length", "error", "tool_calls"]),
    logprobs=JSON,
)
CHUNK = sparse(id=TEXT, model=TEXT, choices=st.lists(CHOICE, max_size=2), usage=JSON, x_groq=JSON, error=JSON)


@given(st.lists(CHUNK, max_size=6))
def test_any_stream(chunks: list[Any]) -> None:
    names = ToolNames.of([CustomTool("exec"), FunctionTool("f")])
    reader = DIALECT.stream_reader(Reading(TARGETS[0], names))
    repair = DIALECT.repair({"stream": True}, Target("a", "m", quirks=frozenset({"tool_call_index_missing"})))
    assert repair is not None
    events: list[Event] = []
    for chunk in chunks:
        sse = SSE(orjson.dumps(chunk))
        repair.event(sse)
        events += reader.feed(sse)
    events += reader.close()
    assert well_formed(events)


@given(
    sparse(id=TEXT, choices=st.lists(sparse(message=DELTA, finish_reason=TEXT, logprobs=JSON), max_size=1), usage=JSON)
)
def test_any_reply(body: Any) -> None:
    if not isinstance(body, dict):
        return
    with suppress(GatewayError):
        DIALECT.read_response(body, Reading(TARGETS[0]))


# ── the other way: whatever the canonical grammar can say, comes back as it was ──────────────────────────────────

WORDS = st.text(min_size=1, max_size=12)
OPAQUE = st.builds(Opaque, st.sampled_from(["anthropic", "google"]), st.sampled_from(["signature", "k"]), TEXT)
ARGUMENTS = st.dictionaries(TEXT, st.integers() | TEXT, max_size=2).map(
    lambda value: (
        orjson.dumps(value).decode()
        if all(not isinstance(v, int) or -(2**63) <= v < 2**63 for v in value.values())
        else "{}"
    )
)
CALLS = st.lists(st.builds(ToolCall, st.uuids().map(str), st.sampled_from(["f", "g"]), ARGUMENTS), max_size=3)
REPLY = st.builds(
    lambda thoughts, text, refusal, calls, reason, usage: Response(
        "x",
        "m",
        (*thoughts, *text, *refusal, *calls),
        Finish("tool_call" if calls else "refusal" if refusal else reason, usage),
    ),
    st.lists(st.builds(Thinking, WORDS), max_size=1),
    st.lists(st.builds(Text, WORDS), max_size=1),
    st.lists(st.builds(Text, WORDS, refusal=st.just(True)), max_size=1),
    CALLS,
    st.sampled_from(["end", "length"]),
    st.builds(Usage, input=st.integers(1, 9), output=st.integers(1, 9), cache_read=st.integers(0, 1)),
)
WRITING = Writing(Request("m", (), stream_usage=True), {}, "m", "0" * 32, 1)


@given(REPLY, st.integers(1, 40))
def test_replies_there_and_back(reply: Response, size: int) -> None:
    writer = DIALECT.stream_writer(WRITING)
    raw = b"".join(writer.feed(event) for event in unfold(reply))
    parser, reader = Parser(), DIALECT.stream_reader(Reading(TARGETS[0]))
    events: list[Event] = []
    for at in range(0, len(raw), size):
        for sse in parser.feed(raw[at : at + size]):
            events += reader.feed(sse)
    events += reader.close()
    streamed = fold(events)
    assert (streamed.blocks, streamed.finish) == (reply.blocks, reply.finish)
    whole = DIALECT.read_response(DIALECT.write_response(reply, WRITING), Reading(TARGETS[0]))
    assert (whole.blocks, whole.finish) == (reply.blocks, reply.finish)


@given(REPLY, st.lists(OPAQUE, max_size=3))
def test_signed_replies_come_back_in_the_next_request(reply: Response, opaques: list[Opaque]) -> None:
    thoughts = tuple(Thinking(f"thought {index}", opaque) for index, opaque in enumerate(opaques))
    blocks = (*thoughts, *(block for block in reply.blocks if not isinstance(block, Thinking)))
    message = DIALECT.write_response(Response("x", "m", blocks, reply.finish), WRITING)["choices"][0]["message"]
    request = DIALECT.read_request({"model": "m", "messages": [{"role": "user", "content": "?"}, message]})
    assert request.turns[1].blocks == blocks


INTERLEAVED = st.lists(st.tuples(ARGUMENTS, st.integers(1, 4)), min_size=1, max_size=4)


@given(INTERLEAVED, st.randoms(use_true_random=False))
def test_interleaved_calls_become_well_formed(calls: list[tuple[str, int]], random: Any) -> None:
    queues = []
    for index, (arguments, size) in enumerate(calls):
        first = {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": ""}}
        pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
        queues.append([first, *({"index": index, "function": {"arguments": piece}} for piece in pieces)])
    reader = DIALECT.stream_reader(Reading(TARGETS[0]))
    events: list[Event] = []
    while queues:
        queue = random.choice(queues)
        choice = {"index": 0, "delta": {"tool_calls": [queue.pop(0)]}}
        events += reader.feed(SSE(orjson.dumps({"id": "r", "choices": [choice]})))
        queues = [one for one in queues if one]
    events += reader.feed(SSE(b'{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}'))
    events += reader.close()
    assert well_formed(events)
    found = fold(events).blocks
    assert {block.id: block.arguments for block in found if isinstance(block, ToolCall)} == {
        f"c{index}": arguments for index, (arguments, _) in enumerate(calls)
    }


EVENTS = st.lists(
    st.sampled_from(
        [Start("x", "m"), BlockStart(Text("")), BlockStart(Thinking()), BlockStart(ToolCall("t", "f")), BlockEnd()]
    )
    | st.builds(Delta, TEXT, st.none() | OPAQUE)
    | st.builds(Finish, st.sampled_from(["end", "tool_call", "paused"]))
    | st.just(Failed(GatewayError(Code.PROVIDER_ERROR, "x"))),
    max_size=8,
)


@given(EVENTS)
def test_a_writer_takes_any_order(events: list[Event]) -> None:
    writer = DIALECT.stream_writer(WRITING)
    for sse in Parser().feed(b"".join(writer.feed(event) for event in events)):
        assert sse.data == b"[DONE]" or orjson.loads(sse.data)


# ── recordings with one thing in them turned into anything ───────────────────────────────────────────────────────

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_chat"
JUNK = JSON | st.sampled_from(["", "none", "gw1.acme.W10", 0, -1, True, [], {}, [{}], [[]], "data:image/png;base64,"])


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, part in inner for place in places(part, (*way, key)))][0 if way else 1 :]


def mutated(body: Any, way: tuple[Any, ...], junk: Any) -> Any:
    copy: Any = orjson.loads(orjson.dumps(body))
    holder = copy
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = junk
    return copy


def recordings(kind: str) -> st.SearchStrategy[Any]:
    bodies = [orjson.loads(path.read_bytes()) for path in sorted((RECORDINGS / kind).glob("*.json"))]
    spots = [(body, way) for body in bodies for way in places(body)]
    return st.tuples(st.sampled_from(spots), JUNK).map(lambda drawn: mutated(*drawn[0], drawn[1]))


@given(recordings("requests"), st.sampled_from(TARGETS))
def test_requests_with_a_fault(body: Any, target: Target) -> None:
    if isinstance(body, dict):
        DIALECT.adapt(body, target)
        DIALECT.repair(body, target)
    with suppress(GatewayError):
        written = DIALECT.write_request(DIALECT.read_request(body), target)
        assert set(written.body) >= {"model", "messages"}


@given(recordings("replies"))
def test_replies_with_a_fault(body: Any) -> None:
    meter = DIALECT.meter()
    meter.whole(body)
    with suppress(GatewayError):
        reply = DIALECT.read_response(body, Reading(TARGETS[0]))
        DIALECT.write_response(reply, WRITING)


STREAMS = [
    [event.data for event in Parser().feed(path.read_bytes())]
    for path in sorted((RECORDINGS / "replies").glob("*.sse"))
]


@given(st.sampled_from(STREAMS), st.data())
def test_streams_with_a_fault(stream: list[bytes], data: st.DataObject) -> None:
    chunks = [one for one in stream if one != b"[DONE]"]
    at = data.draw(st.integers(0, len(chunks) - 1))
    body = orjson.loads(chunks[at])
    way = data.draw(st.sampled_from(places(body)))
    chunks[at] = orjson.dumps(mutated(body, way, data.draw(JUNK)))
    reader, meter, events = DIALECT.stream_reader(Reading(TARGETS[0])), DIALECT.meter(), []
    repair = DIALECT.repair({"stream": True}, Target("a", "m", quirks=frozenset({"tool_call_index_missing"})))
    assert repair is not None
    for chunk in chunks:
        repair.event(SSE(chunk))
        meter.see(SSE(chunk))
        events += reader.feed(SSE(chunk))
    events += reader.close()
    assert well_formed(events)
    writer = DIALECT.stream_writer(WRITING)
    assert b"".join(writer.feed(event) for event in events)

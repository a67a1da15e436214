"""Replies of the Messages API, whole and streamed, read into the canonical form."""

from __future__ import annotations

import orjson
import pytest
from anthropic_streams import MESSAGES, NAMES, READING, REPLIES, TARGET, block, call, end, read, sse, start, whole
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import (
    CustomTool,
    Event,
    Failed,
    FunctionTool,
    HostedCall,
    Json,
    Opaque,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Usage,
)
from shared.dialects import Reading
from shared.dialects.toolnames import ToolNames, wrap
from shared.errors import Code, GatewayError
from shared.sse import SSE
from shared.streams import fold, well_formed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_streamed_equals_whole(name: str, size: int) -> None:
    events = read((REPLIES / f"{name}.sse").read_bytes(), size=size)
    assert well_formed(events)
    assert fold(events) == whole(name)


def test_usage_counts_every_token_once() -> None:
    usage = whole("cached").finish.usage
    assert usage == Usage(
        input=12 + 18432 + 640 + 2048,
        cache_read=18432,
        cache_write_5m=640,
        cache_write_1h=2048,
        output=9,
        service_tier="standard",
    )
    assert whole("reasoning").finish.usage.reasoning == 151
    assert whole("web_search").finish.usage.web_searches == 1
    assert whole("openrouter_cost").finish.usage.provider_cost == 213_000


def test_cache_writes_without_their_split_count_as_five_minutes() -> None:
    body = {"content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "cache_creation_input_tokens": 5}}
    assert MESSAGES.read_response(body, READING).finish.usage == Usage(input=6, cache_write_5m=5)
    assert not MESSAGES.read_response({"content": []}, READING).finish.usage.reported


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "end"),
        ("tool_call", "tool_call"),
        ("length", "length"),
        ("context_full", "context_full"),
        ("refusal", "refusal"),
        ("paused", "paused"),
        ("stop_sequence", "stop_sequence"),
    ],
)
def test_reasons(name: str, reason: str) -> None:
    assert whole(name).finish.reason == reason


def test_refusal_and_sequence_tell_why() -> None:
    assert whole("refusal").finish.detail == "The request asks for an attack on a system."
    assert whole("stop_sequence").finish.sequence == "three"


@pytest.mark.parametrize(("word", "reason"), [("end_turn", "tool_call"), ("max_tokens", "length"), (None, "tool_call")])
def test_a_seen_call_decides_the_reason(word: str | None, reason: str) -> None:
    events = read(sse(start(), *call(0, "f", "{}"), *end(word)))
    assert fold(events).finish.reason == reason


def test_a_reason_that_is_a_failure() -> None:
    # https://docs.z.ai/api-reference/llm/chat-completion
    events = read(sse(start(), *end("network_error")))
    assert isinstance(events[-1], Failed)
    assert well_formed(events)
    with pytest.raises(GatewayError):
        MESSAGES.read_response({"content": [], "stop_reason": "network_error"}, READING)


def test_opaque_state_is_its_makers() -> None:
    first, _, second, _ = whole("reasoning").blocks
    assert first == Thinking(
        "Two harbours are named.\nThe later one decides.",
        Opaque("anthropic", "signature", "ErUBCkYIBxgCKkDq3Zl0nT4yHn+8bXlq/2c9Vw=="),
    )
    assert second == Thinking("", Opaque("anthropic", "signature", "ErUBCkYIBxgCIkAomitted9Xw=="))
    assert whole("unsigned_thinking").blocks[0] == Thinking("Short question.")
    zai = Reading(Target("zai", "glm", quirks=frozenset({"unsigned_thinking"})))
    assert whole("unsigned_thinking", zai).blocks[0] == Thinking("Short question.", Opaque("zai", "signature", ""))
    assert fold(read((REPLIES / "unsigned_thinking.sse").read_bytes(), zai)) == whole("unsigned_thinking", zai)


def test_hosted_calls_join_with_their_results() -> None:
    hosted = whole("web_search").blocks[1]
    assert isinstance(hosted, HostedCall)
    assert (hosted.name, hosted.input["query"]) == ("web_search", "north sea storm surge friday")
    assert [source.url for source in hosted.results] == ["https://weather.example/north-sea"]
    assert [raw["type"] for raw in hosted.raw] == ["server_tool_use", "web_search_tool_result"]


def test_calls_get_back_their_clients_names() -> None:
    tools: list[Tool] = [
        CustomTool("apply_patch", namespace="fs"),
        FunctionTool("x" * 80),
        FunctionTool("tool_search", kind="tool_search"),
    ]
    names = ToolNames.of(tools)
    reading = Reading(TARGET, names)
    text = '*** Begin Patch\n+"é"\n'
    packed = wrap(text)
    streamed = sse(
        start(),
        *call(0, names.wire("apply_patch", "fs"), packed[:5], packed[5:20], packed[20:]),
        *call(1, names.wire("x" * 80), "{}"),
        *call(2, names.wire("tool_search"), '{"query":"q"}'),
        *end("tool_use"),
    )
    events = read(streamed, reading)
    assert well_formed(events)
    assert fold(events).blocks == (
        ToolCall("t0", "apply_patch", text, "custom", "fs"),
        ToolCall("t1", "x" * 80, "{}"),
        ToolCall("t2", "tool_search", '{"query":"q"}', "tool_search"),
    )
    body = {"type": "tool_use", "id": "t0", "name": names.wire("apply_patch", "fs"), "input": {"input": text}}
    assert MESSAGES.read_response({"content": [body]}, reading).blocks[0] == fold(events).blocks[0]


def test_free_text_that_is_cut_is_no_failure_but_a_wrong_form_is() -> None:
    reading = Reading(TARGET, ToolNames.of([CustomTool("patch")]))
    cut = read(sse(start(), *call(0, "patch", '{"input":"abc'), *end("max_tokens")), reading)
    assert fold(cut).blocks == (ToolCall("t0", "patch", "abc", "custom"),)
    assert isinstance(read(sse(start(), *call(0, "patch", '{"input":"abc'), *end("tool_use")), reading)[-1], Failed)
    wrong = read(sse(start(), *call(0, "patch"), *end("tool_use")), reading)
    assert isinstance(wrong[-1], Failed)
    assert well_formed(wrong)


def test_interleaved_blocks_become_one_after_another() -> None:
    a, b, c = call(0, "a", '{"x":', "1}"), call(1, "b", '{"y":', "2}"), call(2, "c", "{}")
    mixed = [a[0], b[0], a[1], b[1], c[0], c[1], a[2], c[2], b[2], a[3], b[3]]
    events = read(sse(start(), *mixed, *end("tool_use")))
    assert well_formed(events)
    assert fold(events).blocks == (
        ToolCall("t0", "a", '{"x":1}'),
        ToolCall("t1", "b", '{"y":2}'),
        ToolCall("t2", "c", "{}"),
    )


def test_whole_arguments_in_the_start() -> None:
    body = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    events = read(sse(start(), *block(0, body), *end("tool_use")))
    assert fold(events).blocks == (ToolCall("t", "f", '{"a":1}'),)


def test_blocks_without_an_end_and_starts_with_content() -> None:
    # not the grammar, but clear: some who speak this API are terse
    events = read(
        sse(
            start(),
            start(),
            *block(0, {"type": "thinking", "thinking": "t", "signature": "s"}),
            *block(1, {"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"})[:2],
            *call(2, "f", "{}"),
            *end("tool_use"),
        )
    )
    assert well_formed(events)
    assert fold(events).blocks == (
        Thinking("t", Opaque("anthropic", "signature", "s")),
        Text("ab"),
        ToolCall("t2", "f", "{}"),
    )


def test_a_hosted_call_with_torn_input() -> None:
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    torn = read(sse(start(), *block(0, use, {"type": "input_json_delta", "partial_json": "{"}), *end("end_turn")))
    assert isinstance(torn[-1], Failed)
    bare = fold(read(sse(start(), *block(0, use), *end("pause_turn"))))
    assert bare.blocks == (HostedCall("s", "web_search", {}, (), "messages", (use,)),)
    alone = {"type": "web_fetch_tool_result", "tool_use_id": "w", "content": {"type": "web_fetch_result"}}
    orphan = MESSAGES.read_response({"content": [alone]}, READING).blocks
    assert orphan == (HostedCall("w", "web_fetch", {}, (), "messages", (alone,)),)


def test_what_is_new_in_a_whole_reply() -> None:
    content = [{"type": "aside", "text": "kept"}, {"type": "hologram"}, "odd", {"type": "text", "text": None}]
    assert MESSAGES.read_response({"content": content}, READING).blocks == (Text("kept"), Text(""))


def test_what_is_new_is_passed_over() -> None:
    events = read(
        sse(
            {"type": "ping"},
            start(),
            {"type": "news", "x": 1},
            *block(0, {"type": "hologram", "size": 3}, {"type": "hologram_delta"}, {"type": "text_delta", "text": "?"}),
            *block(1, {"type": "aside", "text": "kept"}),
            *block(2, {"type": "text", "text": ""}, {"type": "shimmer_delta"}, {"type": "text_delta", "text": "ok"}),
            *end("a_reason_of_the_future"),
        )
    )
    assert fold(events).blocks == (Text("kept"), Text("ok"))
    assert fold(events).finish.reason == "end"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        sse(start()),
        sse(start(), *block(0, {"type": "text", "text": ""})),
        sse(start(), *end("end_turn")[:1]),
        sse({"type": "message_stop"}),
        sse(*block(0, {"type": "text", "text": ""})),
        sse(start(), {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}),
        sse(start(), *call(0, "f")[:1], *call(0, "f")),
        sse(start(), *block(0, {"type": "text", "text": ""}, {"type": "input_json_delta", "partial_json": "1"})),
        sse(start(), {"type": "content_block_start", "index": 0}),
        b"event: message_start\ndata: {nonsense\n\n",
        b"data: [1]\n\n",
    ],
)
def test_a_stream_that_breaks_or_makes_no_sense_fails(stream: bytes) -> None:
    events = read(stream)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.code is Code.PROVIDER_ERROR
    assert well_formed(events)


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529, "overloaded_error"),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, 429, "rate_limit_error"),
        ({"error": {"code": 502, "message": "upstream"}}, 502, None),
    ],
)
def test_an_error_in_the_stream(value: Json, status: int, code: str) -> None:
    events = read(sse(start()) + SSE(orjson.dumps(value), "error").encode() + sse(*end("end_turn")))
    assert isinstance(failed := events[-1], Failed)
    assert (failed.error.status, failed.error.provider_code) == (status, code)
    assert len(events) == 2


def test_a_reply_that_is_an_error() -> None:
    with pytest.raises(GatewayError, match="Overloaded") as raised:
        MESSAGES.read_response(
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, READING
        )
    assert raised.value.status == 529


PARTS = st.sampled_from(
    [
        start(input_tokens=1),
        *block(0, {"type": "text", "text": "a"}, {"type": "text_delta", "text": "b"}),
        *block(
            1,
            {"type": "thinking"},
            {"type": "thinking_delta", "thinking": "c"},
            {"type": "signature_delta", "signature": "s"},
        ),
        *call(2, "f", '{"a"', ":1}"),
        *call(0, "patch", '{"input"', ':"x"}'),
        *block(
            3,
            {"type": "server_tool_use", "id": "s", "name": "web_search"},
            {"type": "input_json_delta", "partial_json": "{"},
        ),
        *block(4, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
        *block(5, {"type": "new"}),
        *end("tool_use", output_tokens=3),
        *end("max_tokens"),
        {"type": "error", "error": {"type": "api_error", "message": "m"}},
        {"type": None, "index": [], "delta": 5},
        {"type": "content_block_stop", "index": [], "delta": 5},
        {"type": "message_start", "message": {"id": 5, "model": None, "usage": {"input_tokens": "x"}}},
        {"type": "message_delta", "delta": {"stop_reason": 7, "stop_details": []}, "usage": {"cache_creation": 3}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": ["x"]}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": None}},
    ]
)


@given(st.lists(PARTS, max_size=14))
def test_events_in_any_order_keep_the_grammar(values: list[Json]) -> None:
    reading = Reading(TARGET, ToolNames.of([CustomTool("patch")]))
    reader = MESSAGES.stream_reader(reading)
    events: list[Event] = []
    for value in [start(), *values]:
        events += reader.feed(SSE(orjson.dumps(value)))
    assert well_formed(events + reader.close())

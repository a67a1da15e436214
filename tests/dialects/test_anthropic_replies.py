"""Replies of the Messages API: whole and streamed, read, written, metered, and judged by the official SDK."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.canonical import (
    Audio,
    BlockEnd,
    BlockStart,
    Citation,
    CustomTool,
    Delta,
    Event,
    Failed,
    Finish,
    FunctionTool,
    HostedCall,
    Image,
    Json,
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
from shared.dialects import Reading, Writing, dialect
from shared.dialects.anthropic import ping
from shared.dialects.seal import seal, unseal
from shared.dialects.toolnames import ToolNames, wrap
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser
from shared.streams import fold, unfold, well_formed

MESSAGES = dialect("messages")
REPLIES = Path(__file__).parent.parent / "recordings" / "anthropic" / "replies"
NAMES = sorted(path.stem for path in REPLIES.glob("*.json"))
TARGET = Target("anthropic", "claude-sonnet-5-5")
READING = Reading(TARGET)
WRITING = Writing(Request("claude", ()), {}, "claude-as-asked", "0123456789abcdef0123456789abcdef", 1763990000)


def whole(name: str, reading: Reading = READING) -> Response:
    return MESSAGES.read_response(orjson.loads((REPLIES / f"{name}.json").read_bytes()), reading)


def sse(*values: Json) -> bytes:
    return b"".join(SSE(orjson.dumps(value), str(value["type"])).encode() for value in values)


def read(stream: bytes, reading: Reading = READING, size: int = 1 << 20) -> list[Event]:
    reader, parser, events = MESSAGES.stream_reader(reading), Parser(), list[Event]()
    for i in range(0, len(stream), size):
        for event in parser.feed(stream[i : i + size]):
            events += reader.feed(event)
    return events + reader.close()


def write(events: Iterable[Event]) -> bytes:
    writer = MESSAGES.stream_writer(WRITING)
    return b"".join(map(writer.feed, events))


def start(**usage: int) -> Json:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": usage}}


def block(index: int, body: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": body},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def end(reason: str | None, **usage: int) -> list[Json]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


def call(index: int, name: str, *pieces: str) -> list[Json]:
    body = {"type": "tool_use", "id": f"t{index}", "name": name, "input": {}}
    return block(index, body, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    tools = [
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
        ({"error": {"code": 502, "message": "upstream"}}, 502, "502"),
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


# ── write: the SDK is the judge ──────────────────────────────────────────────────────────────────────────────────


def sdk(body: bytes, kind: str) -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    return anthropic.Anthropic(
        api_key="none",
        base_url="http://gateway.test",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


ASK: Any = {"model": "claude", "max_tokens": 10, "messages": [{"role": "user", "content": "?"}]}


def by_stream(stream: bytes) -> Json:
    with sdk(stream, "text/event-stream").messages.stream(**ASK) as got:
        return got.get_final_message().to_dict()


def by_whole(body: Json) -> Json:
    Message.model_validate(body)
    return sdk(orjson.dumps(body), "application/json").messages.create(**ASK).to_dict()


def validate(stream: bytes) -> None:
    judge: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for event in Parser().feed(stream):
        value = orjson.loads(event.data)
        assert event.event == value["type"]
        judge.validate_python(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_reads_what_is_written(name: str) -> None:
    reply = whole(name)
    stream = write(read((REPLIES / f"{name}.sse").read_bytes()))
    validate(stream)
    streamed, complete = by_stream(stream), by_whole(MESSAGES.write_response(reply, WRITING))
    sent = orjson.loads((REPLIES / f"{name}.json").read_bytes())
    assert streamed["content"] == complete["content"]
    assert streamed["id"] == complete["id"] == f"msg_{WRITING.id}"
    assert streamed["model"] == "claude-as-asked"
    assert streamed["stop_reason"] == complete["stop_reason"] == sent["stop_reason"]
    assert streamed.get("stop_sequence") == sent["stop_sequence"]
    for key in ("input_tokens", "output_tokens"):
        assert streamed["usage"][key] == complete["usage"][key] == sent["usage"][key]
    for key in ("cache_read_input_tokens", "cache_creation_input_tokens"):
        assert streamed["usage"][key] == complete["usage"][key] == sent["usage"].get(key, 0)
    assert [part["type"] for part in streamed["content"]] == [part["type"] for part in sent["content"]] or not sent[
        "content"
    ]


def test_what_the_sdk_gets_of_a_reply_with_everything() -> None:
    state = Opaque("openai", "encrypted_content", "gAAAA==")
    mine = Opaque("google", "thought_signature", "c2ln")
    reply = Response(
        "resp_1",
        "gpt",
        (
            Thinking("Summed up.", state),
            Thinking(opaque=state),
            Thinking(opaque=state, redacted=True),
            Text("See ", citations=(Citation(url="https://a.example", title="A", text="cited"),)),
            HostedCall(
                "ws_1", "web_search", {"query": "q"}, (Citation(url="https://a.example", title="A"),), "responses"
            ),
            Image(url="https://a.example/i.png"),
            ToolCall("call_1", "f", '{"a":1}', opaque=mine),
            ToolCall("", "g", ""),
        ),
        Finish("tool_call", Usage(input=100, cache_read=60, output=30, reasoning=10, web_searches=1)),
    )
    stream = write(unfold(reply))
    validate(stream)
    streamed, complete = by_stream(stream), by_whole(MESSAGES.write_response(reply, WRITING))
    ids = {part.pop("id") for got in (streamed, complete) for part in got["content"] if part.get("name") == "g"}
    assert all(str(made).startswith("toolu_") for made in ids)
    assert streamed["content"] == complete["content"]
    assert [part["type"] for part in streamed["content"]] == [
        *("thinking", "thinking", "redacted_thinking", "text", "server_tool_use", "web_search_tool_result"),
        *("text", "thinking", "tool_use", "tool_use"),
    ]
    assert unseal(streamed["content"][0]["signature"]) == state
    assert streamed["content"][-2] == {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}
    assert streamed["usage"]["input_tokens"] == 40
    assert streamed["usage"]["output_tokens_details"] == {"thinking_tokens": 10}
    # and what the client sends back is what there was
    content = streamed["content"][:-1]
    back = MESSAGES.read_request({"model": "m", "messages": [{"role": "assistant", "content": content}]})
    kept = back.turns[0].blocks
    assert kept[0] == Thinking("Summed up.", state)
    assert kept[2] == Thinking(opaque=state, redacted=True)
    assert ToolCall("call_1", "f", '{"a":1}', opaque=mine) in kept
    searches = [part for part in kept if isinstance(part, HostedCall)]
    assert [(search.dialect, search.raw, search.results[0].url) for search in searches] == [
        ("", (), "https://a.example")
    ]


def test_state_that_comes_after_its_owner() -> None:
    mine = Opaque("google", "thought_signature", "c2ln")
    text = [BlockStart(Text("")), Delta("a"), Delta(opaque=mine), BlockEnd()]
    called = [BlockStart(ToolCall("c", "f")), Delta("{}"), Delta(opaque=mine), BlockEnd()]
    stream = write([Start("i", "m"), *text, *called, Finish("tool_call")])
    validate(stream)
    content = by_stream(stream)["content"]
    assert [part["type"] for part in content] == ["text", "thinking", "tool_use", "thinking"]
    back = MESSAGES.read_request({"model": "m", "messages": [{"role": "assistant", "content": content}]})
    assert back.turns[0].blocks == (Text("a", opaque=mine), ToolCall("c", "f", "{}", opaque=mine))


def test_the_last_block_stays_the_answer() -> None:
    mine = Opaque("google", "thought_signature", "c2ln")
    last = Response("i", "m", (Text("a", opaque=mine),), Finish("end"))
    more = Response("i", "m", (Text("a", opaque=mine), Text("b")), Finish("end"))
    for reply, kinds in ((last, ["text"]), (more, ["text", "thinking", "text"])):
        content = MESSAGES.write_response(reply, WRITING)["content"]
        assert [part["type"] for part in content] == kinds
        assert by_stream(write(unfold(reply)))["content"] == content


def test_free_text_and_namespaces_fit_into_this_api() -> None:
    reply = Response("i", "m", (ToolCall("c", "exec", '"a"\n\u00e9', "custom", "fs"),), Finish("tool_call"))
    content = by_stream(write(unfold(reply)))["content"]
    assert content == MESSAGES.write_response(reply, WRITING)["content"]
    assert content == [{"type": "tool_use", "id": "c", "name": "fs__exec", "input": {"input": '"a"\n\u00e9'}}]


def test_what_this_api_can_only_tell_in_words() -> None:
    reply = Response(
        "i",
        "m",
        (Audio(transcript="spoken"), Image(data="aGk=", media_type="image/png"), HostedCall("c", "code_execution")),
        Finish("end"),
    )
    content = by_stream(write(unfold(reply)))["content"]
    assert content == MESSAGES.write_response(reply, WRITING)["content"]
    assert [part["text"] for part in content] == ["spoken", "[an image, which this API can't carry]"]


def test_thinking_without_state_ends_with_an_empty_signature() -> None:
    stream = write([Start("i", "m"), BlockStart(Thinking()), Delta("hm"), BlockEnd(), Finish("end")])
    assert b'"signature_delta","signature":""' in stream
    assert by_stream(stream)["content"] == [{"type": "thinking", "thinking": "hm", "signature": ""}]


def test_nothing_produced_is_one_empty_text() -> None:
    assert by_stream(write([Start("i", "m"), Finish("end")]))["content"] == [{"type": "text", "text": ""}]
    assert MESSAGES.write_response(Response("i", "m", (), Finish("end")), WRITING)["content"] == [
        {"type": "text", "text": ""}
    ]


def test_a_text_by_which_the_model_declined_stops_as_refusal() -> None:
    reply = Response("i", "m", (Text("No.", refusal=True),), Finish("end"))
    assert by_stream(write(unfold(reply)))["stop_reason"] == "refusal"
    assert MESSAGES.write_response(reply, WRITING)["stop_reason"] == "refusal"


def test_an_unknown_stop_sequence_is_a_plain_end() -> None:
    assert by_stream(write([Start("i", "m"), Finish("stop_sequence")]))["stop_reason"] == "end_turn"


def test_arguments_that_are_no_object() -> None:
    cut = Response("i", "m", (ToolCall("c", "f", '{"a'),), Finish("length"))
    assert MESSAGES.write_response(cut, WRITING)["content"][0]["input"] == {}
    with pytest.raises(GatewayError) as raised:
        MESSAGES.write_response(Response("i", "m", (ToolCall("c", "f", "[1]"),), Finish("tool_call")), WRITING)
    assert raised.value.code is Code.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GatewayError(Code.OVERLOADED, "full"), "overloaded_error"),
        (GatewayError(Code.PROVIDER_ERROR, "full", status=529), "overloaded_error"),
        (
            GatewayError(Code.PROVIDER_ERROR, "slow", status=429, provider_code="rate_limit_exceeded"),
            "rate_limit_error",
        ),
        (GatewayError(Code.PROVIDER_ERROR, "broke"), "api_error"),
    ],
)
def test_the_sdk_raises_a_failure(error: GatewayError, kind: str) -> None:
    stream = write([Start("i", "m"), BlockStart(Text("")), Delta("a"), Failed(error)])
    with pytest.raises(anthropic.APIStatusError) as raised:
        by_stream(stream)
    assert isinstance(body := raised.value.body, dict)
    assert body["error"]["type"] == kind
    assert body["error"]["code"] == error.code.value
    assert body["error"].get("provider_code") == error.provider_code


def test_ping_is_an_event_that_the_sdk_passes_over() -> None:
    stream = write([Start("i", "m")]) + ping() + write([Finish("end")])
    assert by_stream(stream)["stop_reason"] == "end_turn"


@given(
    st.lists(
        st.tuples(st.sampled_from(["text", "thinking", "tool"]), st.lists(st.text(max_size=9), max_size=4)), max_size=5
    )
)
def test_what_is_written_is_read_back(parts: list[tuple[str, list[str]]]) -> None:
    events: list[Event] = [Start("i", "m")]
    for i, (kind, pieces) in enumerate(parts):
        if kind == "tool":
            events += [BlockStart(ToolCall(f"c{i}", "f")), Delta('{"a":'), Delta(f"{i}}}"), BlockEnd()]
            continue
        events += [BlockStart(Text("") if kind == "text" else Thinking()), *map(Delta, pieces)]
        if kind == "thinking":
            events.append(Delta(opaque=Opaque("p", "signature", "x")))
        events.append(BlockEnd())
    events.append(Finish("tool_call" if any(kind == "tool" for kind, _ in parts) else "end", Usage(3, output=4)))
    got = fold(read(write(events)))
    sealed = [block if not isinstance(block, Thinking) else Thinking(block.text) for block in got.blocks]
    plain = [block if not isinstance(block, Thinking) else Thinking(block.text) for block in fold(events).blocks]
    assert sealed == (plain or [Text("")])
    assert (got.finish.reason, got.finish.usage) == (fold(events).finish.reason, Usage(3, output=4))
    for block in got.blocks:
        if isinstance(block, Thinking):
            assert block.opaque
            assert block.opaque.data == seal(Opaque("p", "signature", "x"))


# ── the meter ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_the_meter_counts_as_the_reader_does(name: str) -> None:
    body = orjson.loads((REPLIES / f"{name}.json").read_bytes())
    streaming, at_once = MESSAGES.meter(), MESSAGES.meter()
    for event in Parser().feed((REPLIES / f"{name}.sse").read_bytes()):
        streaming.see(event)
    at_once.whole(body)
    for meter in (streaming, at_once):
        assert meter.usage == whole(name).finish.usage
        assert (meter.model, meter.ended, meter.failed) == (body["model"], True, False)
        assert meter.break_off(GatewayError(Code.PROVIDER_ERROR, "late")) == b""


def test_the_meter_measures_text() -> None:
    meter = MESSAGES.meter()
    for event in Parser().feed((REPLIES / "text.sse").read_bytes()):
        meter.see(event)
    length = len(orjson.loads((REPLIES / "text.json").read_bytes())["content"][0]["text"])
    assert length <= meter.output_chars <= length * 1.3


def test_the_meter_breaks_off_with_an_error_event() -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(orjson.dumps(start(input_tokens=4)), "message_start"))
    assert meter.usage == Usage(input=4)
    assert not meter.ended
    stream = sse(start()) + meter.break_off(GatewayError(Code.PROVIDER_ERROR, "The stream broke."))
    with pytest.raises(anthropic.APIStatusError, match="The stream broke"):
        by_stream(stream)


def test_the_meter_sees_errors() -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "error"))
    assert meter.failed


@given(st.binary(max_size=80), st.sampled_from(["", "message_delta", "error", "content_block_delta"]))
def test_the_meter_never_raises(data: bytes, name: str) -> None:
    meter = MESSAGES.meter()
    meter.see(SSE(data, name))
    meter.see(SSE(b'{"usage":' + data, name))

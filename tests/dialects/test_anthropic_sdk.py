"""Replies written for Messages clients, judged by the official SDK."""

from __future__ import annotations

import anthropic
import orjson
import pytest
from anthropic_streams import (
    MESSAGES,
    NAMES,
    REPLIES,
    WRITING,
    by_stream,
    by_whole,
    read,
    validate,
    whole,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import (
    Audio,
    BlockEnd,
    BlockStart,
    Citation,
    Delta,
    Event,
    Failed,
    Finish,
    HostedCall,
    Image,
    Opaque,
    Response,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects.anthropic import ping
from shared.dialects.seal import seal, unseal
from shared.errors import Code, GatewayError
from shared.streams import fold, unfold


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
    text: list[Event] = [BlockStart(Text("")), Delta("a"), Delta(opaque=mine), BlockEnd()]
    called: list[Event] = [BlockStart(ToolCall("c", "f")), Delta("{}"), Delta(opaque=mine), BlockEnd()]
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

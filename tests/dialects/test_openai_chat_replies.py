"""Chat completions replies: whole and streamed, read from a provider and written for a client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.canonical import (
    BlockEnd,
    BlockStart,
    Citation,
    CustomTool,
    Delta,
    Event,
    Failed,
    Finish,
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
from shared.dialects.seal import unseal
from shared.dialects.toolnames import ToolNames, wrap
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser
from shared.streams import fold, unfold, well_formed

REPLIES = Path(__file__).parents[1] / "recordings" / "openai_chat" / "replies"
NAMES = sorted(path.stem for path in REPLIES.glob("*.json"))
READING = Reading(Target("acme", "m1"))
ID = "0123456789abcdef0123456789abcdef"


def whole(name: str) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((REPLIES / f"{name}.json").read_bytes())
    return body


def sse(name: str) -> list[SSE]:
    return Parser().feed((REPLIES / f"{name}.sse").read_bytes())


def read_stream(events: list[SSE], reading: Reading = READING) -> list[Event]:
    reader = DIALECT.stream_reader(reading)
    out = [event for one in events for event in reader.feed(one)]
    return out + reader.close()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> SSE:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return SSE(
        orjson.dumps({"id": "c1", "object": "chat.completion.chunk", "model": "m1", "choices": [choice], **more})
    )


def call(index: int | None, arguments: str, id_: str = "", name: str = "") -> dict[str, Any]:
    fragment: dict[str, Any] = {"function": {"arguments": arguments}}
    if index is not None:
        fragment["index"] = index
    if id_:
        fragment["id"] = id_
    if name:
        fragment["function"]["name"] = name
    return {"tool_calls": [fragment]}


def writing(body: dict[str, Any] | None = None, *, usage: bool = True) -> Writing:
    request = Request("m1", (), stream=True, stream_usage=usage)
    return Writing(request, body or {}, "gpt-shown", ID, 1_795_000_000)


def write_stream(events: list[Event], to: Writing) -> list[dict[str, Any]]:
    writer = DIALECT.stream_writer(to)
    raw = b"".join(writer.feed(event) for event in events)
    sent = Parser().feed(raw)
    assert b"".join(event.encode() for event in sent) == raw
    assert sent[-1].data == b"[DONE]"
    return [orjson.loads(event.data) for event in sent[:-1]]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_streamed_equals_whole(name: str) -> None:
    events = read_stream(sse(name))
    assert well_formed(events)
    assert fold(events) == DIALECT.read_response(whole(name), READING)


EXPECTED: dict[str, tuple[tuple[Any, ...], str]] = {
    "text": ((Text('The tide turns twice a day: é, 漢, 😀,\n"quoted" \\ and done.'),), "end"),
    "length": ((Text("Once upon a"),), "length"),
    "content_filter": ((Text("The recipe begins with"),), "refusal"),
    "empty": ((), "end"),
    "refusal": ((Text("I'm sorry, I can't help with that.", refusal=True),), "refusal"),
    "tool_call": (
        (Text("Let me look."), ToolCall("call_b8Rk2VhXq0nT5sLw", "read_file", '{"path":"notes/tide \\"1\\".txt"}')),
        "tool_call",
    ),
    "interleaved_tools": (
        (
            ToolCall("call_one0A1b2C3d", "weather", '{"city":"Oslo"}'),
            ToolCall("call_two4E5f6G7h", "clock", '{"zone":"CET"}'),
        ),
        "tool_call",
    ),
    "custom_tool": (
        (
            ToolCall(
                "call_cust2M3n4O5p",
                "apply_patch",
                '*** Begin Patch\n*** Update File: a "b".txt\n-old\n+new\n*** End Patch',
                "custom",
            ),
        ),
        "tool_call",
    ),
    "reasoning_content": (
        (
            Thinking("The user wants the file."),
            Text("Reading it."),
            ToolCall("call_-7421", "read_file", '{"path":"a.txt"}'),
        ),
        "tool_call",
    ),
    "thought_signature": (
        (
            ToolCall(
                "function-call-1180",
                "weather",
                '{"city":"Oslo"}',
                opaque=Opaque("acme", "thought_signature", "CiQB0e2Kb6m1kq3vT8sYx0F1aW5kZXg="),
            ),
            ToolCall("function-call-1181", "weather", '{"city":"Lima"}'),
        ),
        "tool_call",
    ),
    "signed_text": (
        (Text("Forty-two.", opaque=Opaque("acme", "thought_signature", "CiQB0e2Kb6m1kq3vT8sYx0F1aW5kZXg=")),),
        "end",
    ),
    "reasoning_outside": ((ToolCall("call_81723", "clock", '{"zone":"CET"}'),), "tool_call"),
    "reasoning_field": ((Thinking("Short answer."), Text("Yes.")), "end"),
    "annotations": (
        (
            Text(
                "High tide at 5 pm.",
                citations=(Citation("https://tides.example/oslo", "Tides in Oslo", start=0, end=14),),
            ),
        ),
        "end",
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_recording_says(name: str) -> None:
    reply = DIALECT.read_response(whole(name), READING)
    assert (reply.blocks, reply.finish.reason) == EXPECTED[name]
    assert (reply.id, reply.model) == (whole(name)["id"], whole(name)["model"])


USAGES = {
    "text": Usage(19, output=10, service_tier="default"),
    "cached_usage": Usage(14210, cache_read=12800, cache_write_5m=1024, output=3, service_tier="default"),
    # https://openrouter.ai/docs/use-cases/usage-accounting: dollars
    "reasoning_details": Usage(25, output=14, reasoning=6, provider_cost=285_000),
    # https://docs.x.ai/docs/guides/reasoning: outside of completion_tokens; 10^10 ticks a dollar
    "reasoning_outside": Usage(120, cache_read=96, output=240, reasoning=210, provider_cost=483_750),
    # Google's OpenAI layer gives no figure for thoughts, but counts them in the total
    "thought_signature": Usage(81, output=113, reasoning=81),
    "reasoning_field": Usage(78, output=15, reasoning=7, service_tier="on_demand"),
}


@pytest.mark.parametrize("name", USAGES)
def test_usage(name: str) -> None:
    finish = read_stream(sse(name))[-1]
    assert isinstance(finish, Finish)
    assert finish.usage == USAGES[name]


def test_the_last_usage_wins_and_none_is_marked() -> None:
    first = chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1})
    last = chunk({}, "stop", usage={"prompt_tokens": 3, "completion_tokens": 9})
    assert read_stream([first, last])[-1] == Finish("end", Usage(3, output=9))
    assert read_stream([chunk({"content": "a"}, "stop")])[-1] == Finish("end", Usage(reported=False))


@pytest.mark.parametrize("junk", [True, -4, "7", [1], {"a": 1}, 1e300, None, 2.5])
def test_odd_usage_counts_as_nothing(junk: Any) -> None:
    usage = {"prompt_tokens": junk, "prompt_tokens_details": junk, "cost": junk, "cost_in_usd_ticks": junk}
    finish = read_stream([chunk({"content": "a"}, "stop", usage=usage)])[-1]
    assert isinstance(finish, Finish)
    assert (finish.usage.input, finish.usage.output) == (0, 0)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "end"),
        ("length", "length"),
        ("content_filter", "refusal"),
        ("sensitive", "refusal"),
        ("model_context_window_exceeded", "context_full"),
        ("something_new", "end"),
        ("tool_calls", "end"),
    ],
)
def test_finish_reasons(word: str, reason: str) -> None:
    finish = read_stream([chunk({"content": "a"}, word)])[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == reason


@pytest.mark.parametrize("word", ["stop", "", "tool_calls"])
def test_tool_calls_are_the_reason_whatever_the_provider_says(word: str) -> None:
    # Google: https://github.com/googleapis/python-genai/issues/2868, xAI sends an empty one
    finish = read_stream([chunk(call(0, "{}", "c1", "f"), word)])[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_call"


def test_a_call_streams_at_once_and_the_next_as_soon_as_it_is_whole() -> None:
    reader = DIALECT.stream_reader(READING)
    assert reader.feed(chunk(call(0, '{"a":', "c1", "f"))) == [
        Start("c1", "m1"),
        BlockStart(ToolCall("c1", "f")),
        Delta('{"a":'),
    ]
    assert reader.feed(chunk(call(0, "1}"))) == [Delta("1}")]
    assert reader.feed(chunk(call(1, "", "c2", "g"))) == [BlockEnd(), BlockStart(ToolCall("c2", "g"))]
    assert reader.feed(chunk(call(1, "{}"))) == [Delta("{}")]


def test_what_is_said_while_a_call_is_open_comes_after_it() -> None:
    events = read_stream([chunk(call(0, "{", "c1", "f")), chunk({"content": "hm"}), chunk(call(0, "}"), "tool_calls")])
    assert well_formed(events)
    assert fold(events).blocks == (ToolCall("c1", "f", "{}"), Text("hm"))


def test_indexes_that_are_all_zero_and_calls_without_ids() -> None:
    # https://github.com/openai/openai-python/issues/2806
    zeros = [chunk(call(0, "{}", "c1", "f")), chunk(call(0, '{"a":1}', "c2", "f"), "stop")]
    assert fold(read_stream(zeros)).blocks == (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", '{"a":1}'))
    nameless = [chunk(call(None, "{", "", "f")), chunk(call(None, "}"), "stop")]
    [made_up] = fold(read_stream(nameless)).blocks
    assert isinstance(made_up, ToolCall)
    assert made_up.id.startswith("call_")
    assert made_up.arguments == "{}"


def test_a_signature_alone_after_a_call_is_the_calls() -> None:
    # https://github.com/open-webui/computer/issues/224
    alone = {"role": "assistant", "extra_content": {"google": {"thought_signature": "Zw=="}}}
    events = read_stream([chunk(call(None, "{", "c1", "f")), chunk(call(None, "}")), chunk(alone, "stop")])
    assert well_formed(events)
    state = Opaque("acme", "thought_signature", "Zw==")
    assert fold(events).blocks == (ToolCall("c1", "f", "{}", opaque=state),)


def test_names_kinds_and_free_text_come_back() -> None:
    long = "n" * 90
    tools = ToolNames.of([FunctionTool(long), CustomTool("exec", namespace="functions")])
    reading = Reading(READING.target, tools)
    wrapped = wrap('print("é")\n')
    pieces = [chunk(call(0, "", "c1", tools.wire("exec", "functions")))]
    pieces += [chunk(call(0, wrapped[at : at + 3])) for at in range(0, len(wrapped), 3)]
    pieces += [chunk(call(1, "{}", "c2", tools.wire(long)), "tool_calls")]
    expected = (
        ToolCall("c1", "exec", 'print("é")\n', "custom", "functions"),
        ToolCall("c2", long, "{}"),
    )
    assert fold(read_stream(pieces, reading)).blocks == expected
    message = {
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "functions__exec", "arguments": wrapped}},
            {"id": "c2", "type": "function", "function": {"name": tools.wire(long), "arguments": {}}},
        ]
    }
    body = {"id": "c1", "model": "m1", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    assert DIALECT.read_response(body, reading).blocks == expected


def test_a_cut_call_of_a_wrapped_tool_keeps_what_there_is() -> None:
    reading = Reading(READING.target, ToolNames.of([CustomTool("exec")]))
    events = read_stream([chunk(call(0, '{"input":"ab', "c1", "exec")), chunk({}, "length")], reading)
    assert fold(events).blocks == (ToolCall("c1", "exec", "ab", "custom"),)
    wrong = read_stream([chunk(call(0, '{"text":"ab"}', "c1", "exec")), chunk({}, "tool_calls")], reading)
    assert isinstance(wrong[-1], Failed)


def test_encrypted_details_of_a_call_stay_with_it() -> None:
    detail = {"type": "reasoning.encrypted", "data": "QUJD", "id": "c1", "format": "google-gemini-v1", "index": 0}
    delta = {**call(0, "{}", "c1", "f"), "reasoning_details": [detail]}
    streamed = fold(read_stream([chunk(delta), chunk({}, "tool_calls")]))
    entry = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"tool_calls": [entry], "reasoning_details": [detail]}
    body = {"id": "c1", "model": "m1", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    assert streamed == DIALECT.read_response(body, READING)
    [block] = streamed.blocks
    assert isinstance(block, ToolCall)
    assert block.opaque is not None
    assert orjson.loads(block.opaque.data) == [detail]


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "events",
    [
        [],
        [SSE(b"[DONE]")],
        [chunk({"content": "a"})],
        [chunk({"content": "a"}), SSE(b"[DONE]")],
        [chunk({"content": "a"}), SSE(b"{oops")],
        [chunk({"content": "a"}), SSE(b"7")],
        [chunk(call(0, "{}", "c1")), chunk({}, "tool_calls")],
        [chunk({"content": "a"}, "network_error")],
        [chunk(call(0, "{}", "c1", "f")), chunk(call(1, "{}", "c2", "g")), chunk(call(0, "{}")), chunk({}, "stop")],
    ],
)
def test_a_stream_without_its_end_is_a_failure(events: list[SSE]) -> None:
    out = read_stream(events)
    assert well_formed(out)
    assert isinstance(out[-1], Failed)
    assert out[-1].error.code is Code.PROVIDER_ERROR


def test_an_error_in_the_stream_is_the_providers() -> None:
    # https://openrouter.ai/docs/api-reference/errors
    error = {"code": 429, "message": "Rate limited upstream"}
    out = read_stream([chunk({"content": "a"}), chunk({}, "error", error=error), chunk({"content": "b"}, "stop")])
    assert isinstance(failed := out[-1], Failed)
    assert (failed.error.message, failed.error.status) == ("Rate limited upstream", 429)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": "x"}]},
        {"error": {"code": 502, "message": "Provider returned error"}},
        {"choices": [{"message": {"content": "a"}, "finish_reason": "error", "error": {"message": "x", "code": 502}}]},
        {"choices": [{"message": {"tool_calls": [{"id": "c"}]}}]},
        {"choices": [{"message": {"tool_calls": [7]}}]},
    ],
)
def test_what_is_no_reply_is_a_provider_error(body: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read_response(body, READING)
    assert caught.value.code is Code.PROVIDER_ERROR
    assert caught.value.status == 502


def test_unknown_things_are_passed_over() -> None:
    odd = {"content": "a", "hologram": {"x": 1}, "tool_calls": None, "reasoning_details": 5, "annotations": [3]}
    events = read_stream([SSE(b'{"object":"new.thing"}'), chunk(odd), chunk({"content": 5}), chunk({}, "stop")])
    assert fold(events).blocks == (Text("a"),)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

SIGNED = Opaque("anthropic", "signature", "c2ln")


def sample() -> Response:
    return Response(
        "x",
        "m",
        (
            Thinking("Because.", SIGNED),
            Thinking("", Opaque("anthropic", "redacted", "cmVk"), redacted=True),
            Text("It is "),
            Text("so.", citations=(Citation("https://a.example", "A", start=0, end=2),)),
            ToolCall("t1", "f", '{"a":1}', opaque=Opaque("google", "thought_signature", "Zw==")),
            ToolCall("t2", "patch", "raw text", "custom"),
            ToolCall("t3", "g", ""),
        ),
        Finish("tool_call", Usage(10, cache_read=4, output=7, reasoning=2)),
    )


def accumulate(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """What clients put together from deltas: strings append, entries of lists meet by index."""

    def join(old: Any, new: Any) -> Any:
        match old, new:
            case None, _:
                return new
            case str(), str():
                return old + new
            case dict(), dict():
                return {**old, **{k: new[k] if k in ("index", "type") else join(old.get(k), new[k]) for k in new}}
            case list(), list():
                merged = {entry["index"]: entry for entry in old}
                for entry in new:
                    merged[entry["index"]] = join(merged.get(entry["index"]), entry)
                return [merged[index] for index in sorted(merged)]
            case _, None:
                return old
        raise AssertionError((old, new))

    message: Any = None
    for one in chunks:
        for choice in one["choices"]:
            message = join(message, choice["delta"])
    assert isinstance(message, dict)
    return message


def without_index(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_index(inner) for key, inner in value.items() if key != "index" and inner is not None}
        case list():
            return [without_index(inner) for inner in value]
    return value


def test_a_written_stream_amounts_to_the_written_whole() -> None:
    chunks = write_stream(list(unfold(sample())), writing())
    message = DIALECT.write_response(sample(), writing())["choices"][0]["message"]
    assert without_index(accumulate(chunks)) == without_index(message)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == DIALECT.write_response(sample(), writing())["usage"]
    assert [one["usage"] for one in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert {(one["id"], one["model"], one["created"]) for one in chunks} == {
        (f"chatcmpl-{ID}", "gpt-shown", 1795000000)
    }
    assert [c["finish_reason"] for one in chunks for c in one["choices"] if c["finish_reason"]] == ["tool_calls"]


def test_a_written_reply() -> None:
    body = DIALECT.write_response(sample(), writing())
    message = body["choices"][0]["message"]
    assert message["content"] == "It is so."
    assert message["reasoning_content"] == "Because."
    assert [unseal(detail["data"]) for detail in message["reasoning_details"]] == [
        SIGNED,
        Opaque("anthropic", "redacted", "cmVk"),
    ]
    signature = message["tool_calls"][0]["extra_content"]["google"]["thought_signature"]
    assert unseal(signature) == Opaque("google", "thought_signature", "Zw==")
    assert message["tool_calls"][1] == {"id": "t2", "type": "custom", "custom": {"name": "patch", "input": "raw text"}}
    assert message["tool_calls"][2]["function"]["arguments"] == "{}"
    assert message["annotations"][0]["url_citation"]["start_index"] == len("It is ")
    assert body["usage"]["total_tokens"] == 17
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 4


def test_a_client_who_did_not_ask_sees_no_usage() -> None:
    chunks = write_stream(list(unfold(sample())), writing(usage=False))
    assert all("usage" not in one for one in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_an_echoed_reply_is_read_back_whole() -> None:
    message = DIALECT.write_response(sample(), writing())["choices"][0]["message"]
    request = DIALECT.read_request({"model": "m", "messages": [{"role": "user", "content": "?"}, message]})
    assert request.dropped == ()
    thinking, redacted, text, first, second, third = request.turns[1].blocks
    assert thinking == Thinking("Because.", SIGNED)
    assert redacted == Thinking("", Opaque("anthropic", "redacted", "cmVk"), redacted=True)
    assert text == Text("It is so.")
    assert (first, second) == sample().blocks[4:6]
    assert third == ToolCall("t3", "g", "{}")


def test_several_signed_thoughts_are_told_apart_when_they_come_back() -> None:
    other = Opaque("anthropic", "signature", "b3RoZXI=")
    reply = Response("x", "m", (Thinking("One.", SIGNED), Thinking("Two two.", other), Text("a")), Finish("end"))
    message = DIALECT.write_response(reply, writing())["choices"][0]["message"]
    request = DIALECT.read_request({"model": "m", "messages": [{"role": "user", "content": "?"}, message]})
    assert request.turns[1].blocks == reply.blocks


@pytest.mark.parametrize(
    ("finish", "blocks", "word", "refusal"),
    [
        (Finish("end"), (Text("a"),), "stop", None),
        (Finish("stop_sequence", sequence="x"), (Text("a"),), "stop", None),
        (Finish("length"), (Text("a"),), "length", None),
        (Finish("context_full"), (), "length", None),
        (Finish("paused"), (), "length", None),
        (Finish("refusal"), (), "content_filter", None),
        (Finish("refusal", detail="Unsafe."), (), "content_filter", "Unsafe."),
        (Finish("refusal"), (Text("No.", refusal=True),), "stop", "No."),
    ],
)
def test_written_finish_reasons(finish: Finish, blocks: tuple[Any, ...], word: str, refusal: str | None) -> None:
    reply = Response("x", "m", blocks, finish)
    choice = DIALECT.write_response(reply, writing())["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == (word, refusal)
    chunks = write_stream(list(unfold(reply)), writing(usage=False))
    assert chunks[-1]["choices"][0]["finish_reason"] == word
    assert accumulate(chunks).get("refusal") == refusal


def test_a_client_of_the_old_functions_gets_a_function_call() -> None:
    reply = Response("x", "m", (ToolCall("t", "f", '{"a":1}'),), Finish("tool_call"))
    to = writing({"functions": [{"name": "f"}]}, usage=False)
    choice = DIALECT.write_response(reply, to)["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert choice["finish_reason"] == "function_call"
    chunks = write_stream(list(unfold(reply)), to)
    assert accumulate(chunks)["function_call"] == {"name": "f", "arguments": '{"a":1}'}


def test_a_failure_ends_the_stream_without_done() -> None:
    writer = DIALECT.stream_writer(writing())
    writer.feed(Start("x", "m"))
    error = GatewayError(Code.PROVIDER_ERROR, "Overloaded.", status=529, provider_code="overloaded_error")
    raw = writer.feed(Failed(error))
    assert orjson.loads(raw.removeprefix(b"data: ")) == {
        "error": {
            "message": "Overloaded.",
            "type": "server_error",
            "param": None,
            "code": "PROVIDER_ERROR",
            "provider_code": "overloaded_error",
        }
    }
    assert writer.feed(Finish("end")) == b""


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name: str) -> None:
    """What is read survives being written and read again (a reply made for a client of our own)."""
    reply = DIALECT.read_response(whole(name), READING)
    again = DIALECT.read_response(DIALECT.write_response(reply, writing()), READING)
    assert [(type(b), getattr(b, "text", "")) for b in again.blocks if not isinstance(b, ToolCall)] == [
        (type(b), getattr(b, "text", "")) for b in reply.blocks if not isinstance(b, ToolCall)
    ]
    assert [(b.id, b.name, b.kind) for b in again.blocks if isinstance(b, ToolCall)] == [
        (b.id, b.name, b.kind) for b in reply.blocks if isinstance(b, ToolCall)
    ]
    assert again.finish.reason == reply.finish.reason
    assert again.logprobs == reply.logprobs
    assert (again.finish.usage.input, again.finish.usage.output) == (
        reply.finish.usage.input,
        reply.finish.usage.output,
    )
    streamed = DIALECT.stream_writer(writing())
    events = Parser().feed(b"".join(streamed.feed(event) for event in unfold(reply)))
    assert fold(read_stream(events)) == again


def test_one_delta_may_bring_text_and_its_source() -> None:
    source = Citation("https://a.example", "A")
    events: list[Event] = [
        Start("x", "m"),
        BlockStart(Text("")),
        Delta("So.", citation=source),
        BlockEnd(),
        Finish("end"),
    ]
    message = accumulate(write_stream(events, writing()))
    assert message["content"] == "So."
    assert message["annotations"][0]["url_citation"]["url"] == "https://a.example"


def test_state_that_comes_after_the_thought_goes_out_once() -> None:
    events: list[Event] = [Start("x", "m"), BlockStart(Thinking()), Delta("Hm."), Delta(opaque=SIGNED), BlockEnd()]
    message = accumulate(write_stream([*events, Finish("end")], writing()))
    [detail] = message["reasoning_details"]
    assert (unseal(detail["data"]), detail["length"], message["reasoning_content"]) == (SIGNED, 3, "Hm.")


def test_empty_events_are_no_chunks() -> None:
    events = read_stream([SSE(b""), chunk({"content": "a"}), SSE(b" "), chunk({}, "stop"), SSE(b"[DONE] ")])
    assert fold(events).blocks == (Text("a"),)

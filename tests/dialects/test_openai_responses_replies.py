"""Replies of the Responses API, whole and streamed, read and written."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import (
    BlockEnd,
    BlockStart,
    Citation,
    Delta,
    Event,
    Failed,
    Finish,
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
from shared.dialects import Reading, Writing
from shared.dialects.openai_responses import DIALECT
from shared.dialects.seal import unseal
from shared.dialects.toolnames import ToolNames, ToolRef
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser
from shared.streams import fold, unfold, well_formed

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_responses"
REPLIES = sorted(path.stem for path in (RECORDINGS / "replies").glob("*.json"))
TARGET = Target("acme", "model-1")
READING = Reading(TARGET)
WRITING = Writing(Request("m", ()), {"model": "m", "input": "hi"}, "shown-model", "0123456789abcdef" * 2, 1795550400)


def whole(name: str) -> Json:
    parsed: Json = orjson.loads((RECORDINGS / "replies" / f"{name}.json").read_bytes())
    return parsed


def sse(data: bytes) -> list[SSE]:
    return Parser().feed(data)


def streamed(name: str, folder: str = "replies") -> list[SSE]:
    return sse((RECORDINGS / folder / f"{name}.sse").read_bytes())


def read(events: list[SSE], reading: Reading = READING) -> list[Event]:
    reader = DIALECT.stream_reader(reading)
    found = [event for raw in events for event in reader.feed(raw)]
    return found + reader.close()


def event(kind: str, **fields: object) -> SSE:
    return SSE(orjson.dumps({"type": kind, **fields}), kind)


def written(events: list[Event], writing: Writing = WRITING) -> list[Json]:
    writer = DIALECT.stream_writer(writing)
    return [orjson.loads(raw.data) for raw in sse(b"".join(map(writer.feed, events)))]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", REPLIES)
def test_a_stream_amounts_to_the_whole_reply(name: str) -> None:
    events = read(streamed(name))
    assert well_formed(events)
    assert fold(events) == DIALECT.read_response(whole(name), READING)


def test_text_and_its_end() -> None:
    response = DIALECT.read_response(whole("text"), READING)
    assert response.id == "resp_0a41c7d2e9b3"
    assert response.model == "gpt-5.5-2026-04-14"
    text = "Zürich lies on the Limmat — and it is 18 °C there.\nBring a jacket 🧥."
    assert response.blocks == (Text(text, phase="final_answer"),)
    assert response.finish == Finish("end", Usage(input=57, output=21, service_tier="default"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *(("text", "end"), ("tool_call", "tool_call"), ("custom_tool", "tool_call"), ("tool_search", "tool_call")),
        *(("refusal", "refusal"), ("filter", "refusal"), ("length", "length"), ("empty", "end")),
    ],
)
def test_why_it_ended(name: str, reason: str) -> None:
    assert DIALECT.read_response(whole(name), READING).finish.reason == reason


def test_every_class_of_tokens_is_counted_once() -> None:
    usage = DIALECT.read_response(whole("cached"), READING).finish.usage
    assert usage == Usage(4210, 3840, 192, 64, 18, service_tier="priority")
    assert usage.cache_write == 256


def test_cost_in_ticks_and_in_dollars() -> None:
    assert DIALECT.read_response(whole("cost"), READING).finish.usage.provider_cost == 123457
    body = whole("text")
    body["usage"]["cost"] = 0.00014125
    assert DIALECT.read_response(body, READING).finish.usage.provider_cost == 141250


def test_no_usage_is_no_figure() -> None:
    body = whole("text")
    body["usage"] = None
    assert not DIALECT.read_response(body, READING).finish.usage.reported


def test_calls_that_interleave_become_one_after_the_other() -> None:
    raw = streamed("parallel_tools")
    order = [orjson.loads(one.data).get("output_index") for one in raw if one.event.endswith("arguments.delta")]
    assert order != sorted(order), "the recording must interleave, or this proves nothing"
    calls = fold(read(raw)).blocks
    assert [(call.id, call.arguments) for call in calls if isinstance(call, ToolCall)] == [
        ("call_A1", '{"city":"Zürich"}'),
        ("call_B2", '{"city":"Genève"}'),
        ("call_C3", '{"zone":"Europe/Zurich","format":"long"}'),
    ]


def test_the_first_of_interleaved_calls_streams_at_once() -> None:
    reader = DIALECT.stream_reader(READING)
    raw = streamed("parallel_tools")
    first = next(n for n, one in enumerate(raw) if one.event.endswith("arguments.delta"))
    events = [event for one in raw[: first + 1] for event in reader.feed(one)]
    assert any(isinstance(event, Delta) for event in events)


def test_summaries_are_joined_by_a_blank_line_and_the_state_is_the_final_one() -> None:
    thinking = fold(read(streamed("reasoning"))).blocks[0]
    assert isinstance(thinking, Thinking)
    assert thinking.text == (
        "**Choosing a city**\n\nThe user means Zürich, not Zug.\n\n**Calling the tool**\n\nOne call is enough."
    )
    assert thinking.opaque is not None
    assert thinking.opaque.maker == "acme"
    assert whole("reasoning")["output"][0]["encrypted_content"] in thinking.opaque.data


def test_a_search_and_its_sources() -> None:
    searched, opened, text = DIALECT.read_response(whole("web_search"), READING).blocks
    assert isinstance(searched, HostedCall)
    assert searched.name == "web_search"
    assert searched.input == {"query": "weather Zürich Sunday"}
    assert [found.url for found in searched.results] == [
        "https://example.org/weather/zurich",
        "https://example.com/forecast",
    ]
    assert isinstance(opened, HostedCall)
    assert isinstance(text, Text)
    assert text.citations == (Citation("https://example.com/forecast", "Forecast", start=0, end=42),)


def test_names_come_back_as_the_client_knows_them() -> None:
    names = ToolNames(
        {
            "functions__exec": ToolRef("exec", "functions", "custom"),
            "look": ToolRef("a.very.odd name"),
            "tool_search": ToolRef("tool_search", kind="tool_search"),
        }
    )
    body = whole("tool_call")
    body["output"] = [
        {"type": "function_call", "call_id": "1", "name": "functions__exec", "arguments": '{"input": "a \\"b\\"\\n"}'},
        {"type": "function_call", "call_id": "2", "name": "look", "arguments": "{}"},
        {"type": "function_call", "call_id": "3", "name": "tool_search", "arguments": '{"query":"x"}'},
    ]
    assert DIALECT.read_response(body, Reading(TARGET, names)).blocks == (
        ToolCall("1", "exec", 'a "b"\n', "custom", "functions"),
        ToolCall("2", "a.very.odd name", "{}"),
        ToolCall("3", "tool_search", '{"query":"x"}', "tool_search"),
    )


def test_a_wrapped_tool_streams_its_text() -> None:
    names = ToolNames({"apply_patch": ToolRef("apply_patch", kind="custom")})
    item = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "apply_patch", "arguments": ""}
    arguments = '{"input": "*** Begin\\n+\\u00e9\\n"}'
    deltas = [
        event("response.function_call_arguments.delta", output_index=0, item_id="fc_1", delta=letter)
        for letter in arguments
    ]
    done = event("response.output_item.done", output_index=0, item={**item, "arguments": arguments})
    ended = event("response.completed", response={**whole("empty")})
    raw = [event("response.output_item.added", output_index=0, item=item), *deltas, done, ended]
    events = read(raw, Reading(TARGET, names))
    assert well_formed(events)
    assert fold(events).blocks == (ToolCall("c", "apply_patch", "*** Begin\n+é\n", "custom"),)


def test_what_only_the_end_tells_is_not_lost() -> None:
    """Some servers send no deltas, or nothing but the terminal event."""
    for name in REPLIES:
        body = whole(name)
        dones = [event("response.output_item.done", output_index=n, item=item) for n, item in enumerate(body["output"])]
        started = event("response.created", response={**body, "output": []})
        expected = DIALECT.read_response(body, READING)
        ended = event(f"response.{body['status']}", response=body)
        assert fold(read([started, *dones, ended])) == expected, name
        assert fold(read([started, ended])) == expected, name
        assert fold(read([ended])) == expected, name


def test_kinds_from_the_future_are_passed_over() -> None:
    raw = streamed("text")
    odd = [
        event("response.telepathy.delta", output_index=7, delta="?"),
        event("response.output_item.added", output_index=9, item={"type": "telepathy", "id": "tp_1"}),
        event("response.output_item.done", output_index=9, item={"type": "telepathy", "id": "tp_1"}),
    ]
    events = read([*raw[:3], *odd, *raw[3:]])
    assert well_formed(events)
    assert fold(events).blocks == DIALECT.read_response(whole("text"), READING).blocks


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [("failed", "rate_limit_exceeded", 429), ("error", "server_error", 502), ("cut", None, 502)],
)
def test_a_stream_that_breaks_fails(name: str, code: str | None, status: int) -> None:
    events = read(streamed(name, "broken"))
    assert well_formed(events)
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.error.code is Code.PROVIDER_ERROR
    assert (failed.error.provider_code, failed.error.status) == (code, status)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"null", b'{"error":{"message":"no","code":502}}'])
def test_unreadable_events_fail_and_nothing_follows(data: bytes) -> None:
    reader = DIALECT.stream_reader(READING)
    assert [type(event) for event in reader.feed(SSE(data))] == [Failed]
    assert reader.feed(streamed("text")[0]) == []
    assert reader.close() == []


def test_the_done_mark_of_other_apis_is_harmless() -> None:
    events = read([*streamed("text"), SSE(b"[DONE]")])
    assert isinstance(events[-1], Finish)


def test_content_of_an_item_that_never_began_fails() -> None:
    events = read([event("response.output_text.delta", output_index=3, content_index=0, delta="x")])
    assert isinstance(events[-1], Failed)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Provider returned error", "code": 502}},
        {"status": "failed", "error": {"code": "server_error", "message": "no"}, "output": []},
        {"object": "chat.completion", "choices": []},
    ],
)
def test_a_failure_inside_a_200_is_a_failure(body: Json) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read_response(body, READING)
    assert caught.value.code is Code.PROVIDER_ERROR


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

BLOCKS = (
    Thinking("Hm.", Opaque("anthropic", "signature", "c2ln")),
    Text("One. "),
    Text("Two.", citations=(Citation("https://example.org", "Example"), Citation(text="no address"))),
    ToolCall("toolu_1", "get_weather", '{"city":"Zürich"}'),
    ToolCall("toolu_2", "spawn_agent", "{}", namespace="agents"),
    ToolCall("toolu_3", "apply_patch", "*** Begin Patch\n", "custom"),
    ToolCall("toolu_4", "tool_search", '{"query":"mail"}', "tool_search"),
    ToolCall("toolu_5", "get_time", ""),
    HostedCall("srv_1", "web_search", {"query": "rain"}, (Citation("https://example.net"),), "messages"),
    Image("image/png", "iVBORw0KGgo="),
    Text("Done."),
)
USAGE = Usage(100, 40, 10, 5, 20, 7)


def reply(*blocks: object, reason: str = "tool_call") -> Response:
    return Response("x", "y", blocks, Finish(reason, USAGE))  # type: ignore[arg-type]  # the parametrised tests mix kinds


def test_streamed_equals_whole() -> None:
    for response in (reply(*BLOCKS), *(DIALECT.read_response(whole(name), READING) for name in REPLIES)):
        events = written(list(unfold(response)))
        assert events[-1]["response"] == DIALECT.write_response(response, WRITING)


def test_the_grammar_of_a_stream() -> None:
    events = written(list(unfold(reply(*BLOCKS))))
    assert [one["sequence_number"] for one in events] == list(range(len(events)))
    assert [one["type"] for one in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "response.completed"
    added = [one["item"]["id"] for one in events if one["type"] == "response.output_item.added"]
    done = [one["item"] for one in events if one["type"] == "response.output_item.done"]
    assert added == [item["id"] for item in done]
    assert len(set(added)) == len(added)
    assert done == events[-1]["response"]["output"]
    indexes = [one["output_index"] for one in events if one["type"] == "response.output_item.done"]
    assert indexes == list(range(len(done)))


@pytest.mark.parametrize(
    ("block", "pieces", "kind", "field"),
    [
        (Text(""), ['a"', "é\n"], "response.output_text", "text"),
        (Text("", refusal=True), ["no", " way"], "response.refusal", "refusal"),
        (Thinking(), ["hm", " so"], "response.reasoning_summary_text", "text"),
        (ToolCall("c", "f", ""), ['{"a":', "1}"], "response.function_call_arguments", "arguments"),
        (ToolCall("c", "f", ""), [], "response.function_call_arguments", "arguments"),
        (ToolCall("c", "f", "", "custom"), ["x", "y"], "response.custom_tool_call_input", "input"),
    ],
)
def test_deltas_add_up_to_what_their_end_tells(block: Text, pieces: list[str], kind: str, field: str) -> None:
    """Also where a call has no arguments at all: SDKs parse what they have put together."""
    first = [BlockStart(Text("one")), BlockEnd()]  # so that places count from more than 0
    events = written([Start("", ""), *first, BlockStart(block), *map(Delta, pieces), BlockEnd(), Finish("end")])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    done = [event for event in events if event["type"] == f"{kind}.done"][-1]
    deltas = [event for event in events if event["type"] == f"{kind}.delta"]
    place = {key: done[key] for key in ("output_index", "item_id", "content_index", "summary_index") if key in done}
    mine = [event["delta"] for event in deltas if place.items() <= event.items()]
    assert "".join(mine) == done[field]
    assert done[field] == ("".join(pieces) or "{}")
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    assert added[done["output_index"]] == done["item_id"]


def test_items_as_codex_needs_them() -> None:
    output = DIALECT.write_response(reply(*BLOCKS), WRITING)["output"]
    _, message, function, spaced, custom, search, empty, web, picture, last = output
    assert [part["text"] for part in message["content"]] == ["One. ", "Two."]
    assert message["content"][1]["annotations"] == [
        {"type": "url_citation", "url": "https://example.org", "title": "Example", "start_index": 0, "end_index": 4}
    ]
    assert (function["type"], function["call_id"]) == ("function_call", "toolu_1")
    assert "namespace" not in function
    assert (spaced["name"], spaced["namespace"]) == ("spawn_agent", "agents")
    assert (custom["type"], custom["input"]) == ("custom_tool_call", "*** Begin Patch\n")
    assert (search["type"], search["execution"], search["arguments"]) == (
        "tool_search_call",
        "client",
        {"query": "mail"},
    )
    assert empty["arguments"] == "{}"
    assert web["action"]["query"] == "rain"
    assert picture == {**picture, "type": "image_generation_call", "result": "iVBORw0KGgo="}
    assert last["content"][0]["text"] == "Done."


def test_phases_keep_messages_apart() -> None:
    texts = (Text("Looking."), Text("Found ", phase="final_answer"), Text("it.", phase="final_answer"))
    for body in (DIALECT.write_response(reply(*texts), WRITING), written(list(unfold(reply(*texts))))[-1]["response"]):
        first, second = body["output"]
        assert "phase" not in first
        assert second["phase"] == "final_answer"
        assert [part["text"] for part in second["content"]] == ["Found ", "it."]
        assert DIALECT.read_response(body, READING).blocks == texts


def test_state_of_another_maker_is_sealed() -> None:
    item = DIALECT.write_response(reply(*BLOCKS), WRITING)["output"][0]
    assert item["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert unseal(item["encrypted_content"]) == Opaque("anthropic", "signature", "c2ln")


@pytest.mark.parametrize(
    "block",
    [
        ToolCall("c1", "f", "{}", opaque=Opaque("google", "sig", "abc")),
        Text("said", opaque=Opaque("google", "sig", "abc")),
        Thinking("", Opaque("anthropic", "data", "abc"), redacted=True),
        Thinking("thought", Opaque("anthropic", "signature", "abc")),
    ],
)
def test_state_comes_back_where_it_was(block: ToolCall | Text | Thinking) -> None:
    for events in (list(unfold(reply(block))), late(block)):
        output = written(events)[-1]["response"]["output"]
        request = DIALECT.read_request({"model": "m", "input": [{"role": "user", "content": "hi"}, *output]})
        assert request.turns[1].blocks == (block,)


def late(block: ToolCall | Text | Thinking) -> list[Event]:
    """The same reply from a provider whose state comes after the block has begun."""
    events: list[Event] = []
    for one in unfold(reply(block)):
        match one:
            case BlockStart(ToolCall(id=id_, name=name)):
                events.append(BlockStart(ToolCall(id_, name)))
            case BlockStart(Text()):
                events.append(BlockStart(Text("")))
            case BlockStart(Thinking(redacted=redacted)):
                events.append(BlockStart(Thinking(redacted=redacted)))
            case BlockEnd():
                events += [Delta(opaque=block.opaque), one]
            case _:
                events.append(one)
    return events


@pytest.mark.parametrize(
    ("reason", "blocks", "status", "details"),
    [
        ("end", (Text("x"),), "completed", None),
        ("stop_sequence", (Text("x"),), "completed", None),
        ("length", (Text("x"),), "incomplete", {"reason": "max_output_tokens"}),
        ("context_full", (Text("x"),), "incomplete", {"reason": "max_output_tokens"}),
        ("refusal", (Text("no", refusal=True),), "completed", None),
        ("refusal", (Text("x"),), "incomplete", {"reason": "content_filter"}),
        ("paused", (Text("x"),), "incomplete", {"reason": None}),
    ],
)
def test_ends(reason: str, blocks: tuple[Text, ...], status: str, details: Json | None) -> None:
    body = DIALECT.write_response(reply(*blocks, reason=reason), WRITING)
    assert (body["status"], body["incomplete_details"]) == (status, details)


def test_a_refusal_that_only_has_a_reason_says_it() -> None:
    response = Response("x", "y", (), Finish("refusal", USAGE, detail="Not this."))
    body = DIALECT.write_response(response, WRITING)
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "Not this."}]
    assert written(list(unfold(response)))[-1]["response"] == body


def test_usage_has_every_detail() -> None:
    assert DIALECT.write_response(reply(Text("x")), WRITING)["usage"] == {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 15},
        "output_tokens": 20,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 120,
    }
    unknown = Response("x", "y", (), Finish("end", Usage(reported=False)))
    assert DIALECT.write_response(unknown, WRITING)["usage"] is None


def test_the_request_is_echoed() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "tools": [{"type": "web_search"}],
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "temperature": 0.3,
    }
    writing = Writing(Request("m", ()), body, "shown", "ab" * 16, 7)
    for response in (
        DIALECT.write_response(reply(), writing),
        written([Start("", ""), Finish("end")], writing)[0]["response"],
    ):
        assert response["instructions"] == "Be brief."
        assert response["tools"] == [{"type": "web_search"}]
        assert response["metadata"] == {"a": "b"}
        assert response["reasoning"] == {"effort": "low"}
        assert response["text"] == {"format": {"type": "text"}, "verbosity": "low"}
        assert (response["temperature"], response["top_p"], response["store"]) == (0.3, 1.0, False)
        assert (response["model"], response["id"], response["created_at"]) == ("shown", "resp_" + "ab" * 16, 7)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (GatewayError(Code.PROVIDER_ERROR, "busy", status=529), "server_error", "busy"),
        (
            GatewayError(Code.PROVIDER_ERROR, "Too many.", status=429, headers={"retry-after": "3"}),
            "rate_limit_exceeded",
            "Too many. Please try again in 3s.",
        ),
        (
            GatewayError(Code.PROVIDER_ERROR, "long", status=400, provider_code="context_length_exceeded"),
            "context_length_exceeded",
            "long",
        ),
        (GatewayError(Code.VALIDATION_ERROR, "odd"), "invalid_prompt", "odd"),
    ],
)
def test_a_failure_ends_the_stream_in_step(error: GatewayError, code: str, text: str) -> None:
    events = written([Start("a", "b"), BlockStart(Text("")), Delta("Hal"), Failed(error)])
    last = events[-1]
    assert last["type"] == "response.failed"
    assert last["sequence_number"] == len(events) - 1
    assert last["response"]["status"] == "failed"
    assert last["response"]["error"] == {"code": code, "message": text}
    assert last["response"]["id"] == events[0]["response"]["id"]


def test_a_failure_before_the_start_still_opens_the_stream() -> None:
    events = written([Failed(GatewayError(Code.PROVIDER_ERROR, "gone"))])
    assert [one["type"] for one in events] == ["response.created", "response.in_progress", "response.failed"]


words = st.text(max_size=12)
blocks = st.one_of(
    st.builds(Text, words.filter(bool), st.booleans()),
    st.builds(Thinking, words, st.just(Opaque("acme", "k", "d"))),
    st.builds(ToolCall, st.text("ab1", min_size=1, max_size=4), st.text("xyz", min_size=1, max_size=4), words),
    st.builds(
        ToolCall, st.text("cd2", min_size=1, max_size=4), st.just("patch"), words, st.just("custom"), st.just("ns")
    ),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(blocks, max_size=6))
def test_what_the_writer_writes_the_reader_reads(made: list[Text | Thinking | ToolCall]) -> None:
    writer = DIALECT.stream_writer(WRITING)
    raw = sse(b"".join(map(writer.feed, unfold(Response("i", "m", tuple(made), Finish("end", USAGE))))))
    events = read(raw)
    assert well_formed(events)
    found = fold(events).blocks
    assert len(found) == len(made)
    for before, after in zip(made, found, strict=True):
        assert type(before) is type(after)
        match before, after:
            case (Text(), Text()) | (Thinking(), Thinking()):
                assert getattr(before, "text", None) == getattr(after, "text", "")
            case ToolCall(), ToolCall():
                arguments = before.arguments or ("{}" if before.kind == "function" else "")
                assert (after.id, after.name, after.namespace, after.kind) == (
                    before.id,
                    before.name,
                    before.namespace,
                    before.kind,
                )
                assert after.arguments == arguments


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_provider_can_send_anything(data: st.DataObject) -> None:
    """Mutated recordings: a reader answers Failed or reads on, and breaks no grammar."""
    name = data.draw(st.sampled_from(REPLIES))
    raw = [orjson.loads(one.data) for one in streamed(name)]
    target: object = raw[data.draw(st.integers(0, len(raw) - 1))]
    for _ in range(data.draw(st.integers(1, 5))):
        if isinstance(target, dict) and target:
            key = data.draw(st.sampled_from(sorted(target)))
            if isinstance(target[key], dict | list) and data.draw(st.booleans()):
                target = target[key]
                continue
            target[key] = data.draw(json_values)
        elif isinstance(target, list) and target:
            target = target[0]
        break
    events = read([SSE(orjson.dumps(one)) for one in raw])
    assert well_formed(events)
    body = raw[-1].get("response") if isinstance(raw[-1], dict) else None
    if isinstance(body, dict):
        with suppress(GatewayError):
            DIALECT.read_response(body, READING)

"""Gemini's replies, whole and streamed, from the recordings and from what the documents warn of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from gemini_targets import GEMINI, GEMINI_3, asks
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Citation,
    Event,
    Failed,
    Finish,
    HostedCall,
    Image,
    Json,
    Opaque,
    Response,
    Start,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
)
from shared.dialects import Reading
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser
from shared.streams import fold, well_formed

REPLIES = Path(__file__).parents[1] / "recordings" / "gemini" / "replies"
NAMES = sorted(path.stem for path in REPLIES.glob("*.json"))
READING = Reading(GEMINI_3)


def recorded(name: str) -> Json:
    body: Json = orjson.loads((REPLIES / f"{name}.json").read_bytes())
    return body


def streamed(*pieces: bytes) -> list[Event]:
    parser, reader = Parser(), GEMINI.stream_reader(READING)
    events = [event for piece in pieces for sse in parser.feed(piece) for event in reader.feed(sse)]
    return events + reader.close()


def objects(*bodies: Any) -> list[Event]:
    return streamed(*(SSE(orjson.dumps(body)).encode() for body in bodies))


def candidate(*parts: Any, **rest: Any) -> Json:
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **rest}]}


def read(name: str) -> Response:
    return GEMINI.read_response(recorded(name), READING)


def failure(events: list[Event]) -> GatewayError:
    assert well_formed(events)
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.error.code is Code.PROVIDER_ERROR
    return last.error


def signature(name: str, part: int) -> str:
    found: str = recorded(name)["candidates"][0]["content"]["parts"][part]["thoughtSignature"]
    return found


# ── every recording ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_the_recording_is_what_google_sends(name: str) -> None:
    types.GenerateContentResponse.model_validate(recorded(name))
    events = Parser().feed((REPLIES / f"{name}.sse").read_bytes())
    assert len(events) > 0
    for event in events:
        types.GenerateContentResponse.model_validate_json(event.data)


@pytest.mark.parametrize("name", NAMES)
def test_streamed_equals_whole(name: str) -> None:
    stream = (REPLIES / f"{name}.sse").read_bytes()
    events = streamed(stream)
    assert well_formed(events)
    assert fold(events) == read(name)
    assert streamed(*(stream[at : at + 1] for at in range(len(stream)))) == events


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_without_its_end_fails(name: str) -> None:
    stream = (REPLIES / f"{name}.sse").read_bytes()
    failure(streamed(stream[: stream.rindex(b"data: ")]))
    failure(streamed())


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_cut_anywhere(name: str, data: st.DataObject) -> None:
    stream = (REPLIES / f"{name}.sse").read_bytes()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert fold(streamed(*pieces)) == read(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("empty", "blocked_prompt")])
def test_what_was_read_goes_back_part_by_part(name: str) -> None:
    """As history the reply is what it was: the same parts, signatures on the same ones."""
    sent = recorded(name)["candidates"][0]["content"]["parts"]
    blocks = read(name).blocks
    calls = [block.id for block in blocks if isinstance(block, ToolCall)]
    answer = tuple(ToolResult(call) for call in calls) or (Text("Go on"),)
    out = GEMINI.write_request(
        asks(Turn("user", (Text("Q"),)), Turn("assistant", blocks), Turn("user", answer)), GEMINI_3
    )
    back = out.body["contents"][1]["parts"]
    for part in sent:  # what we add: ids, and the placeholder where nothing was signed
        if "functionCall" in part:
            part["functionCall"].setdefault("id", calls.pop(0) if "id" not in part["functionCall"] else None)
    for part in back:
        if part.get("thoughtSignature") == "skip_thought_signature_validator":
            del part["thoughtSignature"]
    assert back == sent
    assert out.dropped == (("citations",) if name == "grounding" else ())


# ── one by one ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_text() -> None:
    assert read("text") == Response(
        "kQ8lacPfE9mXnsEP4vKQ2AM",
        "gemini-3.6-flash",
        (Text("The Oasis Sapphire chain keeps contract state confidential — even from the nodes that run it. 🔐"),),
        Finish("end", Usage(input=14, output=31)),
    )


def test_calls_and_their_signatures() -> None:
    first, second, third = read("parallel_tools").blocks
    assert first == ToolCall(
        "fc_a1",
        "get_weather",
        '{"city":"Paris"}',
        opaque=Opaque("google", "thought_signature", signature("parallel_tools", 0)),
    )
    assert (second, third) == (
        ToolCall("fc_a2", "get_weather", '{"city":"London"}'),
        ToolCall("fc_a3", "get_time", '{"zone":"Europe/Paris"}'),
    )
    assert read("parallel_tools").finish.reason == "tool_call"


def test_ids_are_made_up_and_the_same_each_time() -> None:
    ids = [block.id for block in read("tool_call_without_id").blocks if isinstance(block, ToolCall)]
    assert len(set(ids)) == 2
    assert all(one.startswith("call_") and one.replace("_", "").isalnum() for one in ids)
    assert ids == [block.id for block in read("tool_call_without_id").blocks if isinstance(block, ToolCall)]
    call = {"functionCall": {"name": "f"}}
    twice = fold(objects(candidate(call, call, finishReason="STOP"))).blocks
    assert len({block.id for block in twice if isinstance(block, ToolCall)}) == 2
    assert [block.arguments for block in twice if isinstance(block, ToolCall)] == ["{}", "{}"]


def test_reasoning() -> None:
    reply = read("reasoning")
    assert reply.blocks == (
        Thinking(
            "**Counting the letters**\n\nI go through the word one letter at a time.\n", Opaque("google", "thought", "")
        ),
        Text("There are three r's.", opaque=Opaque("google", "thought_signature", signature("reasoning", 1))),
    )
    assert reply.finish.usage == Usage(input=23, output=237, reasoning=228)


def test_what_follows_a_signed_text_is_another_part() -> None:
    signed = {"text": "A", "thoughtSignature": "c2ln"}
    assert fold(objects(candidate(signed), candidate({"text": "B"}, finishReason="STOP"))).blocks == (
        Text("A", opaque=Opaque("google", "thought_signature", "c2ln")),
        Text("B"),
    )


def test_a_signature_on_nothing_rides_on_an_empty_thought() -> None:
    bare = {"text": "", "thoughtSignature": "c2ln"}
    (thought,) = fold(objects(candidate(bare, finishReason="STOP"))).blocks
    assert thought == Thinking(opaque=Opaque("google", "thought_signature", "c2ln"))
    signed = [block for block in read("picture").blocks if isinstance(block, Thinking | Image)]
    assert isinstance(signed[0], Thinking)
    assert isinstance(signed[1], Image)


def test_refusals() -> None:
    assert read("filter").finish.reason == "refusal"
    assert read("filter").finish.detail == "The response was blocked because it may be dangerous."
    assert read("blocked_prompt").finish == Finish(
        "refusal", Usage(input=41), detail="The prompt was blocked by the provider (PROHIBITED_CONTENT)."
    )
    call = {"functionCall": {"name": "f"}}
    neutral = dict.fromkeys(("RECITATION", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"), "refusal")
    neutral |= {"MAX_TOKENS": "length", "CONTINUATION": "length", "STOP": "tool_call", "ONE_OF_THE_FUTURE": "tool_call"}
    for reason, expected in neutral.items():
        assert fold(objects(candidate(call, finishReason=reason))).finish.reason == expected
    assert fold(objects(candidate({"text": "x"}, finishReason="ONE_OF_THE_FUTURE"))).finish.reason == "end"


@pytest.mark.parametrize(
    "reason", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "MISSING_THOUGHT_SIGNATURE"]
)
def test_replies_that_did_not_come_about(reason: str) -> None:
    body = candidate({"text": "Well"}, finishReason=reason, finishMessage="Malformed function call: f(")
    error = failure(objects(body, candidate({"text": "more"}, finishReason="STOP")))
    assert (error.provider_code, error.message) == (reason, "Malformed function call: f(")
    with pytest.raises(GatewayError, match="Malformed"):
        GEMINI.read_response(body, READING)


def test_usage_counts_every_class_once() -> None:
    assert read("cached").finish.usage == Usage(
        input=20_441, cache_read=18_204, output=100, reasoning=96, audio_input=2050
    )
    assert read("picture").finish.usage == Usage(input=11, output=1300)
    unreported = fold(objects(candidate({"text": "x"}, finishReason="STOP"))).finish.usage
    assert unreported == Usage(reported=False)
    tier = {"usageMetadata": {"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX", "candidatesTokensDetails": None}}
    assert fold(objects({**candidate({"text": "x"}, finishReason="STOP"), **tier})).finish.usage.service_tier == "flex"


def test_the_start_tells_the_size_of_the_prompt() -> None:
    start = streamed((REPLIES / "cached.sse").read_bytes())[0]
    assert start == Start(
        "WCAlaYq7MsWYnsEPx9zzuAs",
        "gemini-3.6-flash",
        Usage(input=20_431, cache_read=18_204, output=96, reasoning=96, audio_input=2050),
    )


def test_grounding() -> None:
    text, call = read("grounding").blocks
    assert isinstance(text, Text)
    assert isinstance(call, HostedCall)
    first, second = (f"https://vertexaisearch.cloud.google.com/grounding-api-redirect/AUZIYQF{n}" for n in (1, 2))
    assert [(one.url, one.title, one.start, one.end) for one in text.citations] == [
        (first, "swissinfo.ch", 0, 24),  # characters, where Google counted bytes
        (second, "lemonde.fr", 0, 24),
        (second, "lemonde.fr", 25, 46),
    ]
    assert all(text.text[one.start : one.end] == one.text for one in text.citations)
    assert (call.name, call.input) == ("web_search", {"query": "where were the talks held"})
    assert call.results == (Citation(first, "swissinfo.ch"), Citation(second, "lemonde.fr"))
    assert read("grounding").finish.usage.web_searches == 1


def test_googles_own_tools_are_shown_with_their_results() -> None:
    state, search, call = read("server_tools").blocks
    sent = recorded("server_tools")["candidates"][0]["content"]["parts"][:2]
    assert state == Thinking(opaque=Opaque("google", "parts", orjson.dumps(sent).decode()))
    assert isinstance(search, HostedCall)
    assert (search.id, search.name, search.dialect) == ("st_1", "web_search", "gemini")
    assert search.results == (Citation("https://en.wikipedia.org/wiki/Utqiagvik", "Utqiaġvik"),)
    assert search.raw == tuple(sent)
    assert isinstance(call, ToolCall)
    code = read("code_execution").blocks[2]
    assert isinstance(code, HostedCall)
    assert (code.name, code.input["code"]) == ("code_execution", "print(sum(range(101)))\n")
    alone = fold(
        objects(candidate({"executableCode": {"code": "1"}}, {"executableCode": {"code": "2"}}, finishReason="STOP"))
    )
    hosted = [block for block in alone.blocks if isinstance(block, HostedCall)]
    assert [block.input for block in hosted] == [{"code": "1"}, {"code": "2"}]
    assert len({block.id for block in hosted}) == 2


def test_log_probabilities_have_chats_form() -> None:
    reply = read("logprobs")
    assert [(one["token"], one["logprob"], one["bytes"]) for one in reply.logprobs] == [
        ("Yes", -0.01, [89, 101, 115]),
        (".", -0.2, [46]),
    ]
    assert reply.logprobs[0]["top_logprobs"][1]["token"] == "?"


# ── errors in a stream, and what nobody expects ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_an_error_within_the_stream(wrap: Any) -> None:
    overloaded = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    error = failure(
        objects(candidate({"text": "Well"}), wrap(overloaded), candidate({"text": "no"}, finishReason="STOP"))
    )
    assert (error.status, error.provider_code, error.message) == (503, "UNAVAILABLE", "The model is overloaded.")


@pytest.mark.parametrize("data", [b"{torn", b"[]", b"null", b'"text"', b"\xff\xfe"])
def test_events_that_are_no_replies_fail(data: bytes) -> None:
    failure(streamed(SSE(data).encode()))


def test_the_future_is_skipped() -> None:
    body = candidate(
        {"hologram": {"x": 1}},
        {"text": 7},
        None,
        {"text": "ok"},
        {"functionCall": {"args": {}}},
        finishReason="STOP",
        news=1,
    )
    assert fold(objects({"notice": "soon"}, body, {"later": []})).blocks == (Text("ok"),)
    assert streamed(SSE(orjson.dumps(body)).encode(), b"data: [DONE]\n\n")[-1] == Finish("end", Usage(reported=False))

"""The official SDK as the judge of what Responses clients are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from shared.canonical import (
    BlockStart,
    Citation,
    Delta,
    Failed,
    Finish,
    HostedCall,
    Image,
    Json,
    Opaque,
    Request,
    Response,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Writing
from shared.dialects.openai_responses import DIALECT
from shared.errors import Code, GatewayError
from shared.sse import Parser
from shared.streams import unfold

REQUESTS = Path(__file__).parents[1] / "recordings" / "openai_responses" / "requests"
BODY: Json = {**orjson.loads((REQUESTS / "codex_freeform.json").read_bytes()), "input": "hi"}
WRITING = Writing(Request("m", ()), BODY, "shown-model", "0123456789abcdef" * 2, 1795550400)
USAGE = Usage(100, 40, 10, 5, 20, 7)
EVERYTHING = Response(
    "x",
    "y",
    (
        Thinking("Let me think.", Opaque("anthropic", "signature", "c2ln")),
        Text("One. "),
        Text("Two.", citations=(Citation("https://example.org", "Example", start=0, end=4),)),
        ToolCall("toolu_1", "get_weather", '{"city":"Zürich"}', opaque=Opaque("google", "sig", "s")),
        ToolCall("toolu_2", "spawn_agent", "{}", namespace="agents"),
        ToolCall("toolu_3", "apply_patch", "*** Begin Patch\n+é\n", "custom"),
        ToolCall("toolu_4", "tool_search", '{"query":"mail"}', "tool_search"),
        HostedCall("srv_1", "web_search", {"query": "rain"}, (Citation("https://example.net"),), "messages"),
        HostedCall("x", "code_execution", {"code": "1+1", "language": "PYTHON"}, dialect="gemini"),
        Image("image/png", "iVBORw0KGgo="),
        Text("Done."),
        Text("But not that.", refusal=True),
    ),
    Finish("tool_call", USAGE),
)
EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)


def client(content: bytes, *, status: int = 200, kind: str = "text/event-stream") -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": kind}, content=content)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(
        api_key="none", base_url="http://gateway.test/v1", http_client=httpx2.Client(transport=transport), max_retries=0
    )


def stream_of(events: Any) -> bytes:
    writer = DIALECT.stream_writer(WRITING)
    return b"".join(map(writer.feed, events))


def test_the_accumulator_ends_with_the_whole_reply() -> None:
    with client(stream_of(unfold(EVERYTHING))).responses.stream(model="m", input="hi") as stream:
        seen = [event.type for event in stream]
        final = stream.get_final_response()
    assert seen[0] == "response.created"
    assert final.id == "resp_" + WRITING.id
    assert final.output_text == "One. Two.Done."
    assert [item.type for item in final.output] == [
        *("reasoning", "message", "reasoning", "function_call", "function_call", "custom_tool_call"),
        *("tool_search_call", "web_search_call", "code_interpreter_call", "image_generation_call", "message"),
    ]
    call, spaced, custom, search = final.output[3:7]
    assert call.type == "function_call"
    assert (call.call_id, call.arguments) == ("toolu_1", '{"city":"Zürich"}')
    assert spaced.type == "function_call"
    assert spaced.namespace == "agents"
    assert custom.type == "custom_tool_call"
    assert custom.input == "*** Begin Patch\n+é\n"
    assert search.type == "tool_search_call"
    assert search.arguments == {"query": "mail"}
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens, final.usage.total_tokens) == (100, 20, 120)
    assert final.usage.input_tokens_details.cached_tokens == 40
    assert final.usage.output_tokens_details.reasoning_tokens == 7


def test_every_event_is_valid_by_the_sdks_own_types() -> None:
    for raw in Parser().feed(stream_of(unfold(EVERYTHING))):
        event = EVENTS.validate_json(raw.data)
        assert event.type == raw.event


def test_the_whole_reply_is_valid_by_the_sdks_own_types() -> None:
    body = DIALECT.write_response(EVERYTHING, WRITING)
    SdkResponse.model_validate(body)
    bare = Writing(Request("m", ()), {"model": "m", "input": "hi"}, "m", "0" * 32, 1)
    SdkResponse.model_validate(DIALECT.write_response(EVERYTHING, bare))
    got = client(orjson.dumps(body), kind="application/json").responses.create(model="m", input="hi")
    assert got.output_text == "One. Two.Done."


@pytest.mark.parametrize("reason", ["end", "length", "paused", "refusal"])
def test_ends_are_valid(reason: str) -> None:
    finish = Finish(reason, USAGE)  # type: ignore[arg-type]  # parametrised
    response = Response("x", "y", (Text("Half"),), finish)
    SdkResponse.model_validate(DIALECT.write_response(response, WRITING))
    for raw in Parser().feed(stream_of(unfold(response))):
        EVENTS.validate_json(raw.data)


def test_parsed_output() -> None:
    class Rating(BaseModel):
        stars: int

    response = Response("x", "y", (Text('{"stars": 4}'),), Finish("end", USAGE))
    with client(stream_of(unfold(response))).responses.stream(model="m", input="hi", text_format=Rating) as stream:
        assert stream.get_final_response().output_parsed == Rating(stars=4)


def test_logprobs_arrive() -> None:
    token = {"token": "Oui", "logprob": -0.1, "bytes": [79, 117, 105], "top_logprobs": []}
    response = Response("x", "y", (Text("Oui"),), Finish("end", USAGE), (token,))
    with client(stream_of(unfold(response))).responses.stream(model="m", input="hi") as stream:
        final = stream.get_final_response()
    message = final.output[0]
    assert message.type == "message"
    part = message.content[0]
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert part.logprobs[0].token == "Oui"


def test_a_tool_loop_over_another_provider() -> None:
    """The items that the SDK was given go back as input, and nothing is lost on the way."""
    with client(stream_of(unfold(EVERYTHING))).responses.stream(model="m", input="hi") as stream:
        final = stream.get_final_response()
    history = [_sent(item.model_dump(mode="json", exclude_none=True, by_alias=True)) for item in final.output]
    results = [{"type": "function_call_output", "call_id": "toolu_1", "output": "18 °C"}]
    request = DIALECT.read_request({"model": "m", "input": [*history, *results]})
    blocks = [block for turn in request.turns for block in turn.blocks]
    assert blocks[0] == EVERYTHING.blocks[0]
    assert EVERYTHING.blocks[3] in blocks
    assert EVERYTHING.blocks[4] in blocks
    assert EVERYTHING.blocks[5] in blocks


def _sent(item: Json) -> Json:
    """The item without the fields that the SDK adds to what it parsed."""
    item.pop("parsed_arguments", None)
    for part in item.get("content") or []:
        part.pop("parsed", None)
    return item


def test_a_failure_reaches_the_client_as_its_own_event() -> None:
    error = GatewayError(Code.PROVIDER_ERROR, "Overloaded", status=529)
    events = [Start("a", "b"), BlockStart(Text("")), Delta("Hal"), Failed(error)]
    with client(stream_of(events)).responses.stream(model="m", input="hi") as stream:
        seen = list(stream)
    last = seen[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == ("server_error", "Overloaded")
    EVENTS.validate_json(Parser().feed(stream_of(events))[-1].data)


def test_a_stream_that_the_gateway_breaks_off() -> None:
    raw = stream_of(unfold(EVERYTHING))
    meter = DIALECT.meter()
    events = Parser().feed(raw)[:9]
    for event in events:
        meter.see(event)
    told = meter.break_off(GatewayError(Code.PROVIDER_ERROR, "The provider hung up."))
    content = b"".join(event.encode() for event in events) + told
    with client(content).responses.stream(model="m", input="hi") as stream:
        seen = list(stream)
    assert seen[-1].type == "response.failed"
    assert [event.sequence_number for event in seen] == list(range(10))
    for one in Parser().feed(told):
        EVENTS.validate_json(one.data)


def test_an_http_error_is_read_by_the_sdk() -> None:
    error = GatewayError(Code.UNSUPPORTED_BY_MODEL, "No images here.", param="input.0")
    body = orjson.dumps(DIALECT.write_error(error, "0" * 32))
    with pytest.raises(openai.BadRequestError) as caught:
        client(body, status=error.status, kind="application/json").responses.create(model="m", input="hi")
    assert caught.value.code == "UNSUPPORTED_BY_MODEL"
    assert caught.value.param == "input.0"
    assert "No images here." in caught.value.message

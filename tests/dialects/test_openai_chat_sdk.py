"""The official OpenAI SDK reads what the chat completions writers write: whole, streamed, parsed, broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import orjson
import pytest
from pydantic import BaseModel

from shared.canonical import (
    Citation,
    Delta,
    Event,
    Failed,
    Finish,
    Opaque,
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
from shared.errors import Code, GatewayError
from shared.sse import Parser
from shared.streams import unfold

REPLIES = Path(__file__).parents[1] / "recordings" / "openai_chat" / "replies"
ID = "0123456789abcdef0123456789abcdef"
ASK: Any = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


def client(answer: Callable[[dict[str, Any]], httpx2.Response]) -> openai.OpenAI:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return answer(orjson.loads(request.content))

    transport = httpx2.MockTransport(handle)
    return openai.OpenAI(
        api_key="token", base_url="http://gateway/v1", max_retries=0, http_client=httpx2.Client(transport=transport)
    )


def writing(body: dict[str, Any]) -> Writing:
    return Writing(DIALECT.read_request(body), body, body["model"], ID, 1_795_000_000)


def serve(events: list[Event]) -> openai.OpenAI:
    def answer(body: dict[str, Any]) -> httpx2.Response:
        writer = DIALECT.stream_writer(writing(body))
        raw = b"".join(writer.feed(event) for event in events)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw)

    return client(answer)


def serve_whole(response: Response) -> openai.OpenAI:
    return client(lambda body: httpx2.Response(200, json=DIALECT.write_response(response, writing(body))))


REPLY = Response(
    "x",
    "m",
    (
        Thinking("Because.", Opaque("anthropic", "signature", "c2ln")),
        Thinking("", Opaque("anthropic", "redacted", "cmVk"), redacted=True),
        Text("It is so.", citations=(Citation("https://a.example", "A"), Citation("https://b.example", "B"))),
        ToolCall("t1", "f", '{"a":1}', opaque=Opaque("google", "thought_signature", "Zw==")),
        ToolCall("t2", "g", ""),
    ),
    Finish("tool_call", Usage(10, cache_read=4, output=7, reasoning=2)),
)


def check(completion: Any) -> None:
    [choice] = completion.choices
    message = choice.message
    assert (choice.finish_reason, message.role, message.content) == ("tool_calls", "assistant", "It is so.")
    assert message.reasoning_content == "Because."
    assert [unseal(one["data"]) for one in message.reasoning_details] == [
        Opaque("anthropic", "signature", "c2ln"),
        Opaque("anthropic", "redacted", "cmVk"),
    ]
    assert [(c.id, c.type, c.function.name, c.function.arguments) for c in message.tool_calls] == [
        ("t1", "function", "f", '{"a":1}'),
        ("t2", "function", "g", "{}"),
    ]
    signature = message.tool_calls[0].extra_content["google"]["thought_signature"]
    assert unseal(signature) == Opaque("google", "thought_signature", "Zw==")
    cited = [one if isinstance(one, dict) else one.model_dump() for one in message.annotations]
    assert [one["url_citation"]["url"] for one in cited] == ["https://a.example", "https://b.example"]


def test_the_stream_helper_accumulates() -> None:
    with serve(list(unfold(REPLY))).chat.completions.stream(**ASK, stream_options={"include_usage": True}) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    check(completion)
    assert {"chunk", "content.delta", "content.done", "tool_calls.function.arguments.done"} <= kinds
    assert completion.usage is not None
    assert completion.usage.prompt_tokens_details is not None
    assert (completion.usage.total_tokens, completion.usage.prompt_tokens_details.cached_tokens) == (17, 4)


def test_a_signature_that_comes_late_doesnt_disturb_the_arguments() -> None:
    events = list(unfold(Response("x", "m", (ToolCall("t1", "f", '{"a":1}'),), Finish("tool_call"))))
    events.insert(3, Delta(opaque=Opaque("google", "thought_signature", "Zw==")))
    with serve(events).chat.completions.stream(**ASK) as stream:
        message: Any = stream.get_final_completion().choices[0].message
    assert message.tool_calls[0].function.arguments == '{"a":1}'
    assert unseal(message.tool_calls[0].extra_content["google"]["thought_signature"]) is not None


def test_whole_replies() -> None:
    completion = serve_whole(REPLY).chat.completions.create(**ASK)
    check(completion)
    assert completion.id == f"chatcmpl-{ID}"


def test_custom_tools_whole() -> None:
    reply = Response("x", "m", (ToolCall("t1", "patch", "*** raw", "custom"),), Finish("tool_call"))
    [call] = serve_whole(reply).chat.completions.create(**ASK).choices[0].message.tool_calls or []
    assert call.type == "custom"
    assert (call.custom.name, call.custom.input) == ("patch", "*** raw")


def test_custom_tools_streamed() -> None:
    """The SDK's chunks know functions only, and keep the rest as it is."""
    reply = Response("x", "m", (ToolCall("t1", "patch", "*** raw", "custom"),), Finish("tool_call"))
    text = ""
    for chunk in serve(list(unfold(reply))).chat.completions.create(**ASK, stream=True):
        for call in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            assert call.index == 0
            text += call.model_extra["custom"]["input"] if call.model_extra else ""
    assert text == "*** raw"


class City(BaseModel):
    name: str


@pytest.mark.parametrize("streamed", [True, False])
def test_parsed_output(streamed: bool) -> None:
    reply = Response("x", "m", (Text('{"name":"Oslo"}'),), Finish("end"))
    if streamed:
        with serve(list(unfold(reply))).chat.completions.stream(**ASK, response_format=City) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = serve_whole(reply).chat.completions.parse(**ASK, response_format=City).choices[0].message
    assert message.parsed == City(name="Oslo")


def test_a_refusal_is_no_error_to_those_who_parse() -> None:
    reply = Response("x", "m", (Text("No.", refusal=True),), Finish("refusal"))
    with serve(list(unfold(reply))).chat.completions.stream(**ASK, response_format=City) as stream:
        message = stream.get_final_completion().choices[0].message
    assert (message.refusal, message.parsed) == ("No.", None)


def test_a_broken_stream_raises() -> None:
    error = GatewayError(Code.PROVIDER_ERROR, "Overloaded.", status=529)
    stream = serve([Start("x", "m"), Failed(error)]).chat.completions.create(**ASK, stream=True)
    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        list(stream)
    assert caught.value.code == "PROVIDER_ERROR"


def test_a_passed_stream_that_breaks_raises() -> None:
    meter = DIALECT.meter()
    raw = (REPLIES / "text.sse").read_bytes()[:700]
    parser = Parser()
    for event in parser.feed(raw):
        meter.see(event)
    raw = raw[: raw.rindex(b"\n\n") + 2] + meter.break_off(GatewayError(Code.PROVIDER_ERROR, "Cut off.", status=502))
    gateway = client(lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw))
    with pytest.raises(openai.APIError, match=r"Cut off\."):
        list(gateway.chat.completions.create(**ASK, stream=True))


def test_an_error_reply() -> None:
    error = GatewayError(Code.PROVIDER_ERROR, "Slow down.", status=429, provider_code="rate_limit_exceeded")
    gateway = client(lambda _: httpx2.Response(429, json=DIALECT.write_error(error, ID)))
    with pytest.raises(openai.RateLimitError, match=r"Slow down\.") as caught:
        gateway.chat.completions.create(**ASK)
    assert (caught.value.code, caught.value.type) == ("PROVIDER_ERROR", "rate_limit_error")


GOOGLE = Target(
    "google",
    "gemini-3.8-flash",
    quirks=frozenset(
        {"tool_call_index_missing", "finish_reason_stop_on_tool_calls", "thought_signature_extra_content"}
    ),
)


def test_a_mended_stream_of_googles() -> None:
    """Unmended it crashes the SDK: https://github.com/openai/openai-python/issues/2806"""
    mend = DIALECT.repair(ASK | {"stream": True}, GOOGLE)
    assert mend is not None
    events = Parser().feed((REPLIES / "thought_signature.sse").read_bytes())
    raw = b"".join(mended.encode() for event in events if (mended := mend.event(event)))
    gateway = client(lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=raw))
    with gateway.chat.completions.stream(**ASK) as stream:
        [choice] = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    assert [call.function.arguments for call in choice.message.tool_calls or []] == [
        '{"city":"Oslo"}',
        '{"city":"Lima"}',
    ]


# The stream helper knows functions only, and raises its own errors for replies that were cut.
UNFIT = {"custom_tool", "content_filter", "length"}


@pytest.mark.parametrize(
    ("reason", "error"),
    [("length", openai.LengthFinishReasonError), ("refusal", openai.ContentFilterFinishReasonError)],
)
def test_cut_replies_are_known_as_such(reason: Any, error: type[Exception]) -> None:
    reply = Response("x", "m", (Text("Once"),), Finish(reason))
    with serve(list(unfold(reply))).chat.completions.stream(**ASK) as stream, pytest.raises(error):
        stream.get_final_completion()


@pytest.mark.parametrize("name", sorted(p.stem for p in REPLIES.glob("*.json") if p.stem not in UNFIT))
def test_every_recording_translated_streams_as_it_is_whole(name: str) -> None:
    reading = Reading(Target("acme", "m1"))
    reply = DIALECT.read_response(orjson.loads((REPLIES / f"{name}.json").read_bytes()), reading)
    whole: Any = serve_whole(reply).chat.completions.create(**ASK).choices[0].message
    with serve(list(unfold(reply))).chat.completions.stream(**ASK) as stream:
        message = stream.get_final_completion().choices[0].message.to_dict()
    assert (message.get("content") or None, message.get("refusal")) == (whole.content or None, whole.refusal)
    calls = [one.to_dict() for one in whole.tool_calls or []]
    streamed = [{k: v for k, v in one.items() if k != "index"} for one in message.get("tool_calls") or []]
    for call in streamed:
        call["function"] = {k: call["function"][k] for k in ("name", "arguments")}
    assert streamed == calls

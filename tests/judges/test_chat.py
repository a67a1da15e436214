"""OpenAI's SDK speaks chat completions with every upstream (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import re
from typing import Any

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletion, ParsedChatCompletion
from pydantic import BaseModel

from tests.judges.conftest import MODELS
from tests.judges.material import ASK, BLANK_PDF, CITY, DECLINED, PIXEL, Invoice

every_model = pytest.mark.parametrize("model", MODELS)
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": CITY}} for name in ("get_weather", "get_time")
]


def user(*parts: Any) -> Any:
    return [{"role": "user", "content": parts[0] if len(parts) == 1 else list(parts)}]


def both(chat: openai.OpenAI, **ask: Any) -> ChatCompletion:
    """The reply, which is the same whole and streamed; the SDK's accumulator checks the stream."""
    whole = chat.chat.completions.create(**ask)
    with chat.chat.completions.stream(**ask, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    assert told(streamed) == told(whole)
    return whole


def told(reply: ChatCompletion | ParsedChatCompletion[Any]) -> Any:
    message = reply.choices[0].message.to_dict()
    for call in message.get("tool_calls") or ():  # type: ignore[attr-defined]  # a dict of the SDK's
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    message.pop("parsed", None)
    kept = {name: value for name, value in message.items() if value}
    assert reply.usage is not None
    return kept, reply.choices[0].finish_reason, reply.usage.to_dict(), reply.model


@every_model
def test_text(chat: openai.OpenAI, model: str) -> None:
    reply = both(chat, model=model, messages=[{"role": "system", "content": "be kind"}, *user("hello, wörld 🎉")])
    assert reply.choices[0].message.content == "You said: hello, wörld 🎉"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.model == model
    assert reply.usage
    assert reply.usage.prompt_tokens > 5
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


@every_model
def test_usage_in_streams_only_on_demand(chat: openai.OpenAI, model: str) -> None:
    chunks = list(chat.chat.completions.create(model=model, messages=user("hello"), stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1


@every_model
def test_a_tool_loop_with_parallel_calls(chat: openai.OpenAI, model: str) -> None:
    messages = user(ASK)
    reply = both(chat, model=model, messages=messages, tools=TOOLS)
    message = reply.choices[0].message
    assert reply.choices[0].finish_reason == "tool_calls"
    calls: Any = message.tool_calls
    assert [(call.function.name, orjson.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Rome"}),
        ("get_time", {"city": "Oslo"}),
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": f"R-{call.function.name}"} for call in calls]
    final = both(chat, model=model, messages=[*messages, message.to_dict(), *results], tools=TOOLS)
    assert final.choices[0].message.content == 'The tools answered: "R-get_weather", "R-get_time".'
    assert final.choices[0].finish_reason == "stop"


@every_model
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "get_time"}}],
                },
            },
            ["get_time"],
        ),
    ],
    ids=["none", "required", "named", "allowed"],
)
def test_tool_choice(chat: openai.OpenAI, model: str, choice: Any, called: list[str]) -> None:
    ask: Any = {"model": model, "messages": user("hello"), "tools": TOOLS, "tool_choice": choice}
    calls: Any = both(chat, **ask).choices[0].message.tool_calls or ()
    assert [call.function.name for call in calls] == called


@every_model
def test_one_call_at_a_time(chat: openai.OpenAI, model: str) -> None:
    raw = chat.chat.completions.with_raw_response.create(
        model=model, messages=user(ASK), tools=TOOLS, parallel_tool_calls=False
    )
    calls = raw.parse().choices[0].message.tool_calls or ()
    if "parallel_tool_calls" in raw.headers.get("x-ekai-dropped", ""):
        assert len(calls) == 2
    else:
        assert len(calls) == 1


@every_model
def test_long_names_of_tools(chat: openai.OpenAI, model: str) -> None:
    name = "mcp__a_server_with_a_long_name__" + "very_" * 10 + "long_tool"
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": CITY}}]
    ask: Any = {"model": model, "messages": user("go"), "tools": tools}
    raw = chat.chat.completions.with_raw_response.create(
        **ask, tool_choice={"type": "function", "function": {"name": name}}
    )
    calls: Any = raw.parse().choices[0].message.tool_calls
    assert calls[0].function.name == name


@every_model
def test_custom_tools(chat: openai.OpenAI, model: str) -> None:
    tools: Any = [{"type": "custom", "custom": {"name": "apply_patch", "description": "patches"}}]
    messages = user('use apply_patch to make notes/a.txt: "it\'s \\ new"')
    reply = chat.chat.completions.create(model=model, messages=messages, tools=tools)
    calls: Any = reply.choices[0].message.tool_calls
    assert calls[0].type == "custom"
    assert calls[0].custom.input.startswith("*** Begin Patch\n*** Add File: notes/a.txt\n+it's \\ new\n")
    result = {"role": "tool", "tool_call_id": calls[0].id, "content": "patched"}
    final = chat.chat.completions.create(
        model=model, messages=[*messages, reply.choices[0].message.to_dict(), result], tools=tools
    )
    assert final.choices[0].message.content == 'The tool answered: "patched".'


@every_model
def test_pictures_and_documents(chat: openai.OpenAI, model: str) -> None:
    parts = (
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{BLANK_PDF}"}},
    )
    reply = both(chat, model=model, messages=user(*parts))
    assert re.fullmatch(
        r"You said: look(\na\.pdf)? \(I got 1 image and 1 document\.\)", str(reply.choices[0].message.content)
    )


@every_model
def test_structured_output(chat: openai.OpenAI, model: str) -> None:
    parsed = chat.chat.completions.parse(model=model, messages=user("an invoice"), response_format=Invoice)
    assert isinstance(parsed.choices[0].message.parsed, Invoice)
    with chat.chat.completions.stream(model=model, messages=user("an invoice"), response_format=Invoice) as stream:
        for _ in stream:
            pass
        assert stream.get_final_completion().choices[0].message.parsed == parsed.choices[0].message.parsed


class GetWeather(BaseModel):
    """The weather of a city."""

    city: str


@every_model
def test_strict_tools_are_parsed(chat: openai.OpenAI, model: str) -> None:
    tool = openai.pydantic_function_tool(GetWeather, name="get_weather")
    parsed = chat.chat.completions.parse(
        model=model, messages=user('call get_weather with {"city": "Rome"}'), tools=[tool]
    )
    calls = parsed.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.parsed_arguments == GetWeather(city="Rome")


@every_model
def test_reasoning_with_its_state_over_two_turns(chat: openai.OpenAI, model: str) -> None:
    messages = user('call get_weather with {"city": "Rome"}')
    ask: Any = {"model": model, "tools": TOOLS, "reasoning_effort": "high"}
    reply = both(chat, messages=messages, **ask)
    message = reply.choices[0].message.to_dict()
    assert reply.usage
    assert reply.usage.completion_tokens_details
    assert reply.usage.completion_tokens_details.reasoning_tokens
    if model in ("demo-chat", "demo-messages"):  # elsewhere thoughts are shown to those who ask, which this API can't
        assert "call a tool" in str(message["reasoning_content"])
    states = message.get("reasoning_details") or any(call.get("extra_content") for call in message["tool_calls"])  # type: ignore[attr-defined]  # a dict of the SDK's
    assert states or model == "demo-chat"
    calls: Any = message["tool_calls"]
    result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "sunny"}
    raw = chat.chat.completions.with_raw_response.create(messages=[*messages, message, result], **ask)
    final = raw.parse()
    assert final.choices[0].message.content == 'The tool answered: "sunny".'
    if model != "demo-chat":  # there the visible thoughts themselves have no place
        assert "reasoning" not in raw.headers.get("x-ekai-dropped", "")


@every_model
def test_a_refusal(chat: openai.OpenAI, model: str) -> None:
    reply = chat.chat.completions.create(model=model, messages=user("tell me of forbidden-topic"))
    message = reply.choices[0].message
    assert DECLINED.search(f"{message.content}{message.refusal}")
    chunks = list(chat.chat.completions.create(model=model, messages=user("forbidden-topic"), stream=True))
    said = "".join(f"{chunk.choices[0].delta.content or ''}{chunk.choices[0].delta.refusal or ''}" for chunk in chunks)
    assert DECLINED.search(said)


@every_model
def test_the_length_and_a_stop_sequence(chat: openai.OpenAI, model: str) -> None:
    long = chat.chat.completions.create(model=model, messages=user("[[long 300]]"), max_completion_tokens=20)
    assert long.choices[0].finish_reason == "length"
    assert str(long.choices[0].message.content).startswith("word1 word2")
    raw = chat.chat.completions.with_raw_response.create(
        model=model, messages=user("[[long 300]]"), stop=["word7"], temperature=0.5, seed=4, presence_penalty=0.1
    )
    reply = raw.parse()
    assert reply.choices[0].finish_reason == "stop"
    dropped = raw.headers.get("x-ekai-dropped", "").replace(" ", "").split(",")
    if "stop" not in dropped:
        assert str(reply.choices[0].message.content).endswith("word6 ")
    else:
        assert model == "demo-responses"


@every_model
def test_an_empty_answer(chat: openai.OpenAI, model: str) -> None:
    reply = both(chat, model=model, messages=user("[[empty]]"))
    assert not reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"


@every_model
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_effort(chat: openai.OpenAI, model: str, effort: Any) -> None:
    raw = chat.chat.completions.with_raw_response.create(model=model, messages=user("hi"), reasoning_effort=effort)
    details = raw.parse().usage.completion_tokens_details  # type: ignore[union-attr]  # it is always there
    thought = bool(details and details.reasoning_tokens)
    assert thought == (effort != "none") or "reasoning" in raw.headers["x-ekai-dropped"]

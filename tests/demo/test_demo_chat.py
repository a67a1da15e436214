"""OpenAI's SDK talks chat completions with the demo provider."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
ASK = 'Please call get_weather with {"city": "Rome"}'
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Person(BaseModel):
    name: str
    age: int


def test_chat_text_whole_and_streamed_are_the_same(chat: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "hello out there"}]
    whole = chat.chat.completions.create(model="demo", messages=messages)
    assert whole.choices[0].message.content == "You said: hello out there"
    assert whole.choices[0].finish_reason == "stop"
    with chat.chat.completions.stream(
        model="demo", messages=messages, stream_options={"include_usage": True}
    ) as stream:
        final = stream.get_final_completion()
    assert final.id == whole.id
    assert final.choices[0].message.content == whole.choices[0].message.content
    assert final.usage == whole.usage


def test_chat_tool_loop(chat: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": ASK}]
    with chat.chat.completions.stream(model="demo", messages=messages, tools=[TOOL], reasoning_effort="low") as stream:
        first = stream.get_final_completion().choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls
    (call,) = first.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Rome"}')
    echo = first.message.model_dump(exclude_none=True)
    assert echo["reasoning_content"].startswith("There are 1 messages")
    messages += [echo, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = chat.chat.completions.create(model="demo", messages=messages, tools=[TOOL])
    assert last.choices[0].message.content == 'The tool answered: "sunny".'


@pytest.mark.parametrize("command", ["", " [[interleave]]"])
def test_chat_parallel_calls(chat: openai.OpenAI, command: str) -> None:
    tools: Any = [TOOL, {"type": "function", "function": {"name": "get_time", "parameters": WEATHER}}]
    ask = 'call get_weather with {"city": "Rome"} and call get_time with {"city": "Oslo"}' + command
    indexes = []
    with chat.chat.completions.stream(model="demo", messages=[{"role": "user", "content": ask}], tools=tools) as stream:
        for event in stream:
            if event.type == "chunk" and event.chunk.choices and event.chunk.choices[0].delta.tool_calls:
                indexes += [call.index for call in event.chunk.choices[0].delta.tool_calls]
        calls = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert [call.function.arguments for call in calls] == ['{"city":"Rome"}', '{"city":"Oslo"}']
    assert (indexes != sorted(indexes)) == bool(command)


def test_chat_parsed_output_choices_and_logprobs(chat: openai.OpenAI) -> None:
    parsed = chat.chat.completions.parse(
        model="demo", messages=[{"role": "user", "content": "who?"}], response_format=Person
    )
    assert parsed.choices[0].message.parsed == Person(name="demo", age=1)
    several = chat.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "a b"}], n=2, logprobs=True, top_logprobs=2
    )
    assert [choice.index for choice in several.choices] == [0, 1]
    logprobs = several.choices[1].logprobs
    assert logprobs is not None
    assert [entry.token for entry in logprobs.content or ()] == ["You", " said:", " a", " b"]


def test_chat_custom_tool_search_refusal_and_media(chat: openai.OpenAI) -> None:
    tool: Any = {
        "type": "custom",
        "custom": {
            "name": "apply_patch",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}},
        },
    }
    patched = chat.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": 'use apply_patch to make notes/a.txt with "one"'}],
        tools=[tool],
    )
    (call,) = list[Any](patched.choices[0].message.tool_calls or ())
    assert call.custom.input == "*** Begin Patch\n*** Add File: notes/a.txt\n+one\n*** End Patch\n"
    found = chat.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "search for demo"}], web_search_options={}
    )
    message = found.choices[0].message
    assert message.annotations
    cited = message.annotations[0].url_citation
    assert (message.content or "")[cited.start_index : cited.end_index] == "the demo page says that all is well."
    refused = chat.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "tell me of the forbidden-topic"}]
    )
    assert refused.choices[0].message.refusal
    assert refused.choices[0].message.content is None
    image: Any = {"type": "image_url", "image_url": {"url": PIXEL}}
    seen = chat.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": [image, image, {"type": "text", "text": "look"}]}]
    )
    assert seen.choices[0].message.content == "You said: look (I got 2 images.)"


def test_chat_quirks_on_order(http: httpx.Client) -> None:
    def post(text: str, **more: Any) -> httpx.Response:
        told = [{"role": "user", "content": f"{text} {ASK}"}]
        return http.post("/v1/chat/completions", json={"model": "demo", "messages": told, "tools": [TOOL], **more})

    assert post("[[quirk finish-stop]]").json()["choices"][0]["finish_reason"] == "stop"
    assert post("[[quirk finish-empty]]").json()["choices"][0]["finish_reason"] == ""
    failed = post("[[quirk error-in-200]]")
    assert failed.status_code == 200
    assert failed.json()["error"]["code"] == 502
    outside = post("[[quirk usage-outside reasoning]]", reasoning_effort="low").json()
    usage = outside["usage"]
    thoughts = usage["completion_tokens_details"]["reasoning_tokens"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + thoughts
    assert "reasoning_content" not in outside["choices"][0]["message"]
    assert outside["choices"][0]["message"]["reasoning"]
    stream = post("[[quirk no-index comments]]", stream=True).text
    assert stream.startswith(": DEMO PROCESSING\n\n")
    assert '"tool_calls":[{"id"' in stream
    assert post("[[quirk array]] [[fail 429]]").json()[0]["error"]["code"] == "rate_limit_exceeded"

"""OpenAI's SDK talks responses with the demo provider."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False}
ASK = 'Please call get_weather with {"city": "Rome"}'
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Person(BaseModel):
    name: str
    age: int


def test_responses_text_whole_and_streamed_are_the_same(chat: openai.OpenAI) -> None:
    whole = chat.responses.create(model="demo", input="hello out there")
    with chat.responses.stream(model="demo", input="hello out there") as stream:
        numbers = [event.sequence_number for event in stream]
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text == "You said: hello out there"
    assert (whole.id, whole.usage) == (streamed.id, streamed.usage)
    assert numbers == list(range(len(numbers)))


def test_responses_tool_loop_with_encrypted_reasoning(chat: openai.OpenAI) -> None:
    common: Any = {
        "model": "demo",
        "tools": [TOOL],
        "reasoning": {"effort": "medium", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    items: list[Any] = [{"role": "user", "content": ASK}]
    with chat.responses.stream(input=items, **common) as stream:
        first = stream.get_final_response()
    reasoning, call = first.output
    assert reasoning.type == "reasoning"
    assert reasoning.summary[0].text
    assert call.type == "function_call"
    items += [reasoning.model_dump(exclude_none=True), call.model_dump(exclude={"parsed_arguments"}, exclude_none=True)]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny"})
    assert chat.responses.create(input=items, **common).output_text == 'The tool answered: "sunny".'
    items[1]["encrypted_content"] = "foreign"
    with pytest.raises(openai.BadRequestError) as refused:
        chat.responses.create(input=items, **common)
    assert refused.value.code == "invalid_encrypted_content"
    del items[1]["encrypted_content"]
    with pytest.raises(openai.NotFoundError, match="not persisted"):
        chat.responses.create(input=items, **common)


def test_responses_namespaces_additional_tools_and_custom(chat: openai.OpenAI) -> None:
    tools: Any = [
        {
            "type": "namespace",
            "name": "functions",
            "description": "",
            "tools": [{"type": "custom", "name": "exec"}, TOOL],
        }
    ]
    items: Any = [
        {"type": "additional_tools", "role": "developer", "tools": tools},
        {"role": "user", "content": f"use the tool exec with `text(1)` and {ASK}"},
    ]
    with chat.responses.stream(model="demo", input=items) as stream:
        output: list[Any] = list(stream.get_final_response().output)
    assert [item.type for item in output] == ["message", "custom_tool_call", "function_call"]
    assert (output[1].namespace, output[1].name, output[1].input) == ("functions", "exec", "text(1)")
    assert (output[2].namespace, output[2].arguments) == ("functions", '{"city":"Rome"}')
    one = chat.responses.create(model="demo", input=items, parallel_tool_calls=False)
    assert [item.type for item in one.output] == ["custom_tool_call"]


def test_responses_tool_search_loads_a_tool(chat: openai.OpenAI) -> None:
    search: Any = {
        "type": "tool_search",
        "execution": "client",
        "description": "",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    }
    items: list[Any] = [{"role": "user", "content": ASK}]
    first: Any = chat.responses.create(model="demo", input=items, tools=[search]).output[0]
    assert (first.type, first.execution, first.arguments) == ("tool_search_call", "client", {"query": "get_weather"})
    items.append(first.model_dump(exclude_none=True))
    items.append(
        {
            "type": "tool_search_output",
            "call_id": first.call_id,
            "execution": "client",
            "status": "completed",
            "tools": [TOOL],
        }
    )
    second: Any = chat.responses.create(model="demo", input=items, tools=[search]).output[0]
    assert (second.type, second.name) == ("function_call", "get_weather")
    items += [
        second.model_dump(exclude_none=True),
        {
            "type": "function_call_output",
            "call_id": second.call_id,
            "output": [{"type": "input_image", "image_url": PIXEL}],
        },
    ]
    assert (
        chat.responses.create(model="demo", input=items, tools=[search]).output_text
        == 'The tool answered: "" with 1 image.'
    )


def test_responses_parsed_search_refusal_and_limit(chat: openai.OpenAI) -> None:
    assert chat.responses.parse(model="demo", input="who?", text_format=Person).output_parsed == Person(
        name="demo", age=1
    )
    with chat.responses.stream(model="demo", input="search the news", tools=[{"type": "web_search"}]) as stream:
        found: list[Any] = list(stream.get_final_response().output)
    note = found[1].content[0].annotations[0]
    assert found[0].type == "web_search_call"
    assert found[1].content[0].text[note.start_index : note.end_index].startswith("the demo page")
    refused: Any = chat.responses.create(model="demo", input="forbidden-topic").output[0]
    assert refused.content[0].type == "refusal"
    cut = chat.responses.create(model="demo", input="[[long 500]]", max_output_tokens=20)
    assert cut.incomplete_details is not None
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert len(cut.output_text.split()) == 20

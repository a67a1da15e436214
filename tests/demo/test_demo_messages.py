"""Anthropic's SDK talks messages with the demo provider."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "get_weather", "input_schema": WEATHER}
ASK = 'Please call get_weather with {"city": "Rome"}'


def test_messages_text_whole_and_streamed_are_the_same(claude: anthropic.Anthropic) -> None:
    ask: Any = {"model": "demo", "max_tokens": 100, "messages": [{"role": "user", "content": "hello out there"}]}
    whole = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    assert whole.content[0].type == "text"
    assert whole.content[0].text == "You said: hello out there"
    assert streamed.content[0].type == "text"
    assert (streamed.id, streamed.content[0].text) == (whole.id, whole.content[0].text)
    assert streamed.usage.output_tokens == whole.usage.output_tokens == 5
    assert claude.messages.count_tokens(model="demo", messages=ask["messages"]).input_tokens == whole.usage.input_tokens


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_messages_tool_loop_with_thinking(claude: anthropic.Anthropic, display: str) -> None:
    common: Any = {
        "model": "demo",
        "max_tokens": 4000,
        "tools": [TOOL],
        "thinking": {"type": "adaptive", "display": display},
    }
    messages: list[Any] = [{"role": "user", "content": ASK}]
    with claude.messages.stream(messages=messages, **common) as stream:
        first = stream.get_final_message()
    assert first.stop_reason == "tool_use"
    thinking, call = first.content
    assert thinking.type == "thinking"
    assert bool(thinking.thinking) == (display == "summarized")
    assert call.type == "tool_use"
    assert call.input == {"city": "Rome"}
    messages += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "no network", "is_error": True},
                {"type": "text", "text": "and now?"},
            ],
        },
    ]
    last = claude.messages.create(messages=messages, **common)
    assert last.content[-1].type == "text"
    assert last.content[-1].text == 'The tool answered: an error, "no network".'


def test_messages_forged_signature_is_refused(claude: anthropic.Anthropic) -> None:
    thinking: Any = {"type": "thinking", "thinking": "hm", "signature": "Zm9yZWlnbg=="}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0: Invalid `signature`"):
        claude.messages.create(
            model="demo",
            max_tokens=10,
            messages=[
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": [thinking, {"type": "text", "text": "b"}]},
                {"role": "user", "content": "c"},
            ],
        )


def test_messages_limits_and_stop(claude: anthropic.Anthropic) -> None:
    ask: Any = {"model": "demo", "messages": [{"role": "user", "content": "one two three four"}]}
    short = claude.messages.create(max_tokens=3, **ask)
    assert short.stop_reason == "max_tokens"
    assert short.content[0].type == "text"
    assert short.content[0].text == "You said: one"
    assert short.usage.output_tokens == 3
    stopped = claude.messages.create(max_tokens=100, stop_sequences=["three", "zero"], **ask)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "three")
    assert stopped.content[0].type == "text"
    assert stopped.content[0].text == "You said: one two "


def test_messages_cache_search_and_structure(claude: anthropic.Anthropic) -> None:
    system: Any = [{"type": "text", "text": "x" * 4000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    cached = claude.messages.create(
        model="demo", max_tokens=100, system=system, messages=[{"role": "user", "content": "a"}]
    ).usage
    total = cached.input_tokens + (cached.cache_read_input_tokens or 0) + (cached.cache_creation_input_tokens or 0)
    assert cached.cache_read_input_tokens == total * 6 // 10
    assert cached.cache_creation is not None
    assert cached.cache_creation.ephemeral_1h_input_tokens == total * 2 // 10
    search: Any = {"type": "web_search_20250305", "name": "web_search"}
    with claude.messages.stream(
        model="demo",
        max_tokens=100,
        tools=[search],
        tool_choice={"type": "tool", "name": "web_search"},
        messages=[{"role": "user", "content": "news"}],
    ) as stream:
        found = stream.get_final_message()
    kinds = [block.type for block in found.content]
    assert kinds == ["server_tool_use", "web_search_tool_result", "text", "text"]
    assert found.content[-1].type == "text"
    assert found.content[-1].citations
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7}}, "additionalProperties": False}
    made = claude.messages.create(
        model="demo",
        max_tokens=100,
        messages=[{"role": "user", "content": "a"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert made.content[0].type == "text"
    assert made.content[0].text == '{"n":7}'


def test_messages_deferred_tools_come_by_reference(claude: anthropic.Anthropic) -> None:
    tools: Any = [
        {
            "name": "ToolSearch",
            "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
        },
        {**TOOL, "defer_loading": True},
    ]
    messages: list[Any] = [{"role": "user", "content": ASK}]
    first = claude.messages.create(model="demo", max_tokens=100, tools=tools, messages=messages)
    assert first.content[0].type == "tool_use"
    assert first.content[0].name == "ToolSearch"
    reference = [{"type": "tool_reference", "tool_name": "get_weather"}]
    messages += [
        {"role": "assistant", "content": first.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": first.content[0].id, "content": reference}],
        },
    ]
    second = claude.messages.create(model="demo", max_tokens=100, tools=tools, messages=messages)
    assert second.content[0].type == "tool_use"
    assert (second.content[0].name, second.content[0].input) == ("get_weather", {"city": "Rome"})

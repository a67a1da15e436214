"""Anthropic's SDK speaks messages with every upstream (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import Message

from tests.judges.conftest import MODELS
from tests.judges.material import ASK, BLANK_PDF, CITY, DECLINED, PIXEL, Invoice

every_model = pytest.mark.parametrize("model", MODELS)
TOOLS: Any = [{"name": name, "description": name, "input_schema": CITY} for name in ("get_weather", "get_time")]


def user(*parts: Any) -> Any:
    return [{"role": "user", "content": parts[0] if len(parts) == 1 else list(parts)}]


def both(claude: anthropic.Anthropic, **ask: Any) -> Message:
    """The reply, which is the same whole and streamed; the SDK's accumulator checks the stream."""
    ask = {"max_tokens": 4096, **ask}
    whole = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        names = [event.type for event in stream]
        streamed = stream.get_final_message()
    assert names[-1] == "message_stop"
    assert names.count("content_block_start") == names.count("content_block_stop") == len(streamed.content)
    assert told(streamed) == told(whole)
    return whole


def told(reply: Message) -> Any:
    kept = reply.to_dict(exclude_none=True)
    kept.pop("id")
    return kept


def said(reply: Message) -> str:
    return "".join(block.text for block in reply.content if block.type == "text")


@every_model
def test_text(claude: anthropic.Anthropic, model: str) -> None:
    reply = both(claude, model=model, system="be kind", messages=user("hello, wörld 🎉"))
    assert said(reply) == "You said: hello, wörld 🎉"
    assert (reply.stop_reason, reply.model, reply.role, reply.type) == ("end_turn", model, "assistant", "message")
    assert reply.usage.input_tokens > 5
    assert reply.usage.output_tokens > 0


@every_model
def test_a_tool_loop_with_parallel_calls(claude: anthropic.Anthropic, model: str) -> None:
    messages = user(ASK)
    reply = both(claude, model=model, messages=messages, tools=TOOLS)
    assert reply.stop_reason == "tool_use"
    uses = [block for block in reply.content if block.type == "tool_use"]
    assert [(use.name, use.input) for use in uses] == [
        ("get_weather", {"city": "Rome"}),
        ("get_time", {"city": "Oslo"}),
    ]
    results = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": "sunny"},
        {
            "type": "tool_result",
            "tool_use_id": uses[1].id,
            "is_error": True,
            "content": [
                {"type": "text", "text": "no clock"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
            ],
        },
        {"type": "text", "text": "go on"},
    ]
    onward = [
        *messages,
        {"role": "assistant", "content": [block.to_dict() for block in reply.content]},
        {"role": "user", "content": results},
    ]
    final = both(claude, model=model, messages=onward, tools=TOOLS)
    assert said(final).startswith('The tools answered: "sunny", ')
    assert '"no clock' in said(final)
    assert final.stop_reason == "end_turn"


@every_model
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
    ids=["none", "any", "named"],
)
def test_tool_choice(claude: anthropic.Anthropic, model: str, choice: Any, called: list[str]) -> None:
    reply = both(claude, model=model, messages=user("hello"), tools=TOOLS, tool_choice=choice)
    assert [block.name for block in reply.content if block.type == "tool_use"] == called


@every_model
def test_deferred_tools_are_loaded_by_a_reference(claude: anthropic.Anthropic, model: str) -> None:
    tools = [
        {"name": "ToolSearch", "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}}},
        {**TOOLS[0], "defer_loading": True},
    ]
    history = [
        *user("find me a tool"),
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "ToolSearch", "input": {"query": "weather"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "tool_reference", "tool_name": "get_weather"}]},
        ]},
        {"role": "assistant", "content": "There is one."},
        *user('now call get_weather with {"city": "Rome"}'),
    ]  # fmt: skip
    reply = both(claude, model=model, messages=history, tools=tools)
    assert [block.name for block in reply.content if block.type == "tool_use"] == ["get_weather"]


@every_model
def test_pictures_and_documents(claude: anthropic.Anthropic, model: str) -> None:
    parts = (
        {"type": "text", "text": "look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": BLANK_PDF}},
    )
    assert said(both(claude, model=model, messages=user(*parts))).endswith("(I got 1 image and 1 document.)")


@every_model
def test_structured_output(claude: anthropic.Anthropic, model: str) -> None:
    parsed = claude.messages.parse(
        model=model, max_tokens=1000, messages=user("an invoice"), output_format=Invoice
    ).parsed_output
    assert isinstance(parsed, Invoice)


@every_model
def test_reasoning_with_its_state_over_two_turns(claude: anthropic.Anthropic, model: str) -> None:
    messages = user('call get_weather with {"city": "Rome"}')
    ask: Any = {"model": model, "tools": TOOLS, "max_tokens": 4000}
    ask["thinking"] = {"type": "adaptive", "display": "summarized"}
    reply = both(claude, messages=messages, **ask)
    thoughts = [block for block in reply.content if block.type == "thinking"]
    assert "call a tool" in "".join(block.thinking for block in thoughts)
    if model != "demo-chat":
        assert any(block.signature for block in thoughts)
    use = next(block for block in reply.content if block.type == "tool_use")
    content = [block.to_dict() for block in reply.content]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    onward = [*messages, {"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    raw = claude.messages.with_raw_response.create(messages=onward, **ask)
    assert said(raw.parse()).endswith('The tool answered: "sunny".')
    if model != "demo-chat":  # the thoughts of chat completions have no state
        assert "thinking" not in raw.headers.get("x-ekai-dropped", "")


@every_model
def test_thinking_by_a_budget(claude: anthropic.Anthropic, model: str) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 2048}
    reply = both(claude, model=model, messages=user("hello"), thinking=thinking)
    assert reply.content[0].type == "thinking"
    assert said(reply) == "You said: hello"


@every_model
def test_a_refusal(claude: anthropic.Anthropic, model: str) -> None:
    reply = both(claude, model=model, messages=user("forbidden-topic"))
    assert reply.stop_reason == "refusal"
    details: Any = reply.to_dict().get("stop_details") or {}
    assert DECLINED.search(f"{said(reply)}{details.get('explanation')}")


@every_model
def test_the_length_and_a_stop_sequence(claude: anthropic.Anthropic, model: str) -> None:
    long = both(claude, model=model, messages=user("[[long 300]]"), max_tokens=20)
    assert long.stop_reason == "max_tokens"
    ask: Any = {"model": model, "messages": user("[[long 300]]"), "max_tokens": 1000, "stop_sequences": ["word7"]}
    raw = claude.messages.with_raw_response.create(**ask)
    reply = raw.parse()
    if model == "demo-responses":
        assert "stop_sequences" in raw.headers["x-ekai-dropped"]
    else:
        assert said(reply).endswith("word6 ")
    if model == "demo-messages":
        assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "word7")


@every_model
def test_an_empty_answer(claude: anthropic.Anthropic, model: str) -> None:
    reply = both(claude, model=model, messages=user("[[empty]]"))
    assert said(reply) == ""
    assert reply.stop_reason == "end_turn"


@every_model
def test_a_prefill(claude: anthropic.Anthropic, model: str) -> None:
    messages = [*user("hello"), {"role": "assistant", "content": "It begins"}]
    assert both(claude, model=model, messages=messages).stop_reason == "end_turn"


@every_model
def test_a_system_message_in_the_middle(claude: anthropic.Anthropic, model: str) -> None:
    messages: Any = [*user("hello"), {"role": "system", "content": "be brief"}]
    assert said(both(claude, model=model, messages=messages)).startswith("You said: hello")


@every_model
def test_cache_marks_are_counted(claude: anthropic.Anthropic, model: str) -> None:
    system: Any = [{"type": "text", "text": "be kind " * 800, "cache_control": {"type": "ephemeral"}}]
    usage = both(claude, model=model, system=system, messages=user("hello")).usage
    assert usage.cache_read_input_tokens
    whole = usage.input_tokens + usage.cache_read_input_tokens + (usage.cache_creation_input_tokens or 0)
    assert whole > 1600


@every_model
def test_counting(claude: anthropic.Anthropic, http: httpx.Client, model: str) -> None:
    few = claude.messages.count_tokens(model=model, messages=user("hello")).input_tokens
    many = claude.messages.count_tokens(model=model, messages=user("hello " * 500), tools=TOOLS).input_tokens
    assert 0 < few < 60 < 300 < many

"""A streamed reply amounts to the whole one, whatever is in it: the SDKs put the streams together."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import orjson
import pytest
from google import genai
from google.genai import types as google

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NAMES = ("get_weather", "get_time")
PROMPTS = [
    "hello out there, ünï𝒸ödé  and   spaces\n\nand lines ",
    'call get_weather with {"city": "Rome"}',
    'call get_weather with {"city": "Rome"} and call get_time with {"city": "Oslo"}',
    "search for something",
    "forbidden-topic",
    "[[empty]]",
    "[[long 300]]",
]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("thinks", [False, True])
def test_chat(chat: openai.OpenAI, prompt: str, thinks: bool) -> None:
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in NAMES]
    ask: Any = {"model": "demo", "messages": [{"role": "user", "content": prompt}], "tools": tools}
    ask |= {"web_search_options": {}, "reasoning_effort": "low" if thinks else "none", "max_completion_tokens": 250}
    whole = chat.chat.completions.create(**ask).to_dict()
    final = None
    for chunk in chat.chat.completions.create(**ask, stream=True, stream_options={"include_usage": True}):
        final = _folded(final, chunk.to_dict())
    assert final is not None
    message = whole["choices"][0]["message"]
    assert _said(final["message"]) == _said(message)
    assert (final["finish"], final["usage"], final["id"]) == (
        whole["choices"][0]["finish_reason"],
        whole["usage"],
        whole["id"],
    )


def _said(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value}


def _folded(so_far: dict[str, Any] | None, chunk: Any) -> dict[str, Any]:
    """Chat chunks put together by hand: the SDK's helper refuses a reply that was cut."""
    folded = so_far or {"message": {"role": "assistant"}, "finish": None, "id": chunk["id"]}
    folded["usage"] = chunk.get("usage")
    for choice in chunk["choices"]:
        folded["finish"] = choice["finish_reason"] or folded["finish"]
        for name, value in choice["delta"].items():
            message = folded["message"]
            if name == "tool_calls":
                for call in value:
                    calls = message.setdefault("tool_calls", [])
                    if call["index"] == len(calls):
                        calls.append({key: part for key, part in call.items() if key != "index"})
                    else:
                        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
            elif name == "annotations":
                message[name] = value
            elif name != "role":
                message[name] = message.get(name, "") + (value or "")
    return folded


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("thinks", [False, True])
def test_messages(claude: anthropic.Anthropic, prompt: str, thinks: bool) -> None:
    tools: Any = [{"name": name, "input_schema": CITY} for name in NAMES]
    tools.append({"type": "web_search_20250305", "name": "web_search"})
    ask: Any = {"model": "demo", "messages": [{"role": "user", "content": prompt}], "tools": tools, "max_tokens": 250}
    ask |= {"thinking": {"type": "adaptive" if thinks else "disabled"}, "cache_control": {"type": "ephemeral"}}
    whole = claude.messages.create(**ask)
    with claude.messages.stream(**ask) as stream:
        streamed = stream.get_final_message()
    assert streamed.to_json(exclude_none=True) == whole.to_json(exclude_none=True)


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("thinks", [False, True])
def test_responses(chat: openai.OpenAI, prompt: str, thinks: bool) -> None:
    tools: Any = [{"type": "function", "name": name, "parameters": CITY, "strict": False} for name in NAMES]
    ask: Any = {"model": "demo", "input": prompt, "tools": [*tools, {"type": "web_search"}], "max_output_tokens": 250}
    ask |= {
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"effort": "low", "summary": "auto"} if thinks else None,
    }
    whole = chat.responses.create(**ask).to_dict()
    items: dict[int, Any] = {}
    last: Any = None
    for event in chat.responses.create(**ask, stream=True):
        last = event
        if event.type == "response.output_item.done":
            items[event.output_index] = event.item.to_dict()
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.to_dict() == whole
    assert [items[i] for i in range(len(items))] == whole["output"]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("thinks", [False, True])
def test_gemini(gemini: genai.Client, prompt: str, thinks: bool) -> None:
    declared = [google.FunctionDeclaration(name=name, parameters_json_schema=CITY) for name in NAMES]
    config = google.GenerateContentConfig(
        tools=[google.Tool(function_declarations=declared, google_search=google.GoogleSearch())],
        thinking_config=google.ThinkingConfig(include_thoughts=True) if thinks else None,
        max_output_tokens=250,
    )
    whole = gemini.models.generate_content(model="demo", contents=prompt, config=config)
    chunks = list(gemini.models.generate_content_stream(model="demo", contents=prompt, config=config))
    assert _parts([whole]) == _parts(chunks)
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert chunks[-1].prompt_feedback == whole.prompt_feedback
    if whole.candidates:
        assert chunks[-1].candidates
        assert chunks[-1].candidates[0].finish_reason == whole.candidates[0].finish_reason
        assert chunks[-1].candidates[0].grounding_metadata == whole.candidates[0].grounding_metadata


def _parts(chunks: list[google.GenerateContentResponse]) -> list[Any]:
    """Texts and thoughts joined, calls as they are, and the signatures in order."""
    texts = {True: "", False: ""}
    rest: list[Any] = []
    for chunk in chunks:
        content = chunk.candidates[0].content if chunk.candidates else None
        for part in (content.parts or ()) if content is not None else ():
            texts[bool(part.thought)] += part.text or ""
            if part.function_call is not None:
                rest.append(orjson.dumps(part.function_call.model_dump()))
            if part.thought_signature is not None:
                rest.append(part.thought_signature)
    return [texts, rest]

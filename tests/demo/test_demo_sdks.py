"""The official SDKs talk to the demo provider: streams, tools, parsed output, reasoning that comes back."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import types as google
from pydantic import BaseModel

from emulator.demo import key_hash

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}
CLAUDE_TOOL: Any = {"name": "get_weather", "input_schema": WEATHER}
RESPONSES_TOOL: Any = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": False}
ASK = 'Please call get_weather with {"city": "Rome"}'
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Person(BaseModel):
    name: str
    age: int


# ── chat completions ─────────────────────────────────────────────────────────────────────────────────────────────


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
    with chat.chat.completions.stream(
        model="demo", messages=messages, tools=[CHAT_TOOL], reasoning_effort="low"
    ) as stream:
        first = stream.get_final_completion().choices[0]
    assert first.finish_reason == "tool_calls"
    (call,) = first.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Rome"}')
    echo = first.message.model_dump(exclude_none=True)
    assert echo["reasoning_content"].startswith("There are 1 messages")
    messages += [echo, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = chat.chat.completions.create(model="demo", messages=messages, tools=[CHAT_TOOL])
    assert last.choices[0].message.content == 'The tool answered: "sunny".'


@pytest.mark.parametrize("command", ["", " [[interleave]]"])
def test_chat_parallel_calls(chat: openai.OpenAI, command: str) -> None:
    tools: Any = [CHAT_TOOL, {"type": "function", "function": {"name": "get_time", "parameters": WEATHER}}]
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
    call: Any = (patched.choices[0].message.tool_calls or [None])[0]
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


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────────


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
        "tools": [CLAUDE_TOOL],
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
        {**CLAUDE_TOOL, "defer_loading": True},
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


# ── responses ────────────────────────────────────────────────────────────────────────────────────────────────────


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
        "tools": [RESPONSES_TOOL],
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
            "tools": [{"type": "custom", "name": "exec"}, RESPONSES_TOOL],
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
            "tools": [RESPONSES_TOOL],
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


# ── gemini ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_gemini_text_whole_and_streamed_are_the_same(gemini: genai.Client) -> None:
    whole = gemini.models.generate_content(model="demo", contents="hello out there")
    chunks = list(gemini.models.generate_content_stream(model="demo", contents="hello out there"))
    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == "You said: hello out there"
    assert chunks[-1].usage_metadata == whole.usage_metadata
    counted = gemini.models.count_tokens(model="demo", contents="hello out there")
    assert whole.usage_metadata is not None
    assert counted.total_tokens == whole.usage_metadata.prompt_token_count


def test_gemini_tool_loop_needs_its_signature(gemini: genai.Client) -> None:
    declared = google.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER)
    config = google.GenerateContentConfig(
        tools=[google.Tool(function_declarations=[declared])],
        thinking_config=google.ThinkingConfig(include_thoughts=True),
    )
    ask = google.Content(role="user", parts=[google.Part(text=ASK)])
    first = gemini.models.generate_content(model="demo", contents=[ask], config=config)
    assert first.candidates
    content = first.candidates[0].content
    assert content is not None
    assert content.parts
    thought, call = content.parts
    assert thought.thought
    assert call.function_call is not None
    assert call.function_call.args == {"city": "Rome"}
    answer = google.Part.from_function_response(name="get_weather", response={"result": "sunny"})
    history = [ask, content, google.Content(role="user", parts=[answer])]
    assert gemini.models.generate_content(model="demo", contents=history, config=config).text == (
        'The tool answered: "sunny".'
    )
    for signature, complaint in [(None, "missing a thought_signature"), (b"foreign", "Corrupted thought signature")]:
        call.thought_signature = signature
        with pytest.raises(genai.errors.ClientError, match=complaint):
            gemini.models.generate_content(model="demo", contents=history, config=config)
    call.thought_signature = b"skip_thought_signature_validator"
    assert gemini.models.generate_content(model="demo", contents=history, config=config).text


def test_gemini_structure_search_refusal_and_limit(gemini: genai.Client) -> None:
    config = google.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    assert gemini.models.generate_content(model="demo", contents="who?", config=config).parsed == Person(
        name="demo", age=1
    )
    config = google.GenerateContentConfig(tools=[google.Tool(google_search=google.GoogleSearch())])
    found = gemini.models.generate_content(model="demo", contents="search the news", config=config)
    assert found.candidates
    grounding = found.candidates[0].grounding_metadata
    assert grounding is not None
    assert grounding.web_search_queries == ["search the news"]
    refused = gemini.models.generate_content(model="demo", contents="forbidden-topic")
    assert refused.prompt_feedback is not None
    assert not refused.candidates
    config = google.GenerateContentConfig(max_output_tokens=2)
    cut = gemini.models.generate_content(model="demo", contents="a b c", config=config)
    assert cut.candidates
    assert (cut.text, cut.candidates[0].finish_reason) == ("You said:", google.FinishReason.MAX_TOKENS)


# ── all of them ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer k1"}, {"x-api-key": "k1"}, {"x-goog-api-key": "k1"}],
)
def test_the_key_is_shown_as_a_hash(http: httpx.Client, headers: dict[str, str]) -> None:
    ask = {"model": "demo", "input": "hi"}
    answer = http.post("/v1/responses", json=ask, headers=headers)
    assert answer.headers["x-demo-key-hash"] == key_hash("k1")
    assert "k1" not in answer.text
    assert "x-demo-key-hash" not in http.post("/v1/responses", json=ask).headers
    assert http.post("/v1/responses", json={}, headers=headers).headers["x-demo-key-hash"] == key_hash("k1")


def test_replies_are_the_same_every_time(http: httpx.Client) -> None:
    ask = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    first, again = (http.post("/v1/chat/completions", json=ask).content for _ in range(2))
    assert first == again
    other = http.post("/v1/chat/completions", json={**ask, "seed": 1}).json()
    assert other["id"] not in first.decode()


def test_models_are_listed(chat: openai.OpenAI) -> None:
    assert [model.id for model in chat.models.list()] == ["demo", "demo-small"]

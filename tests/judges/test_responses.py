"""OpenAI's SDK speaks responses with every upstream (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response

from tests.judges.conftest import MODELS
from tests.judges.material import ASK, BLANK_PDF, CITY, DECLINED, PIXEL, Invoice

every_model = pytest.mark.parametrize("model", MODELS)


def function(name: str) -> Any:
    return {"type": "function", "name": name, "description": name, "parameters": CITY, "strict": False}


TOOLS: Any = [function("get_weather"), function("get_time")]
STATELESS: Any = {"store": False, "include": ["reasoning.encrypted_content"]}


def user(*parts: Any) -> Any:
    return [{"role": "user", "content": parts[0] if len(parts) == 1 else list(parts)}]


def both(chat: openai.OpenAI, **ask: Any) -> Response:
    """The reply, which is the same whole and streamed; the SDK's accumulator checks the stream."""
    whole = chat.responses.create(**ask)
    with chat.responses.stream(**ask) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds: list[str] = [event.type for event in events]
    for part in ("output_item", "content_part", "reasoning_summary_part"):
        assert kinds.count(f"response.{part}.added") == kinds.count(f"response.{part}.done")
    last: Any = events[-1]
    assert last.type == f"response.{whole.status}"
    finished = [event.item.to_dict() for event in events if event.type == "response.output_item.done"]
    assert told(finished) == told(last.response.to_dict()["output"]) == told(whole.to_dict()["output"])
    assert last.response.usage == whole.usage
    return whole


def told(items: Any) -> Any:
    """Items without ids, and without what the SDK's helper adds."""
    kept = []
    for item in items:
        bare = {
            name: value for name, value in item.items() if name not in ("id", "parsed_arguments") and value is not None
        }
        if "content" in bare:
            bare["content"] = [
                {name: value for name, value in part.items() if name != "parsed"} for part in bare["content"]
            ]
        kept.append(bare)
    return kept


@every_model
def test_text(chat: openai.OpenAI, model: str) -> None:
    reply = both(chat, model=model, instructions="be kind", input="hello, wörld 🎉")
    assert reply.output_text == "You said: hello, wörld 🎉"
    assert (reply.status, reply.model, reply.object) == ("completed", model, "response")
    assert reply.usage
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    assert reply.usage.input_tokens > 5


@every_model
def test_a_tool_loop_with_parallel_calls(chat: openai.OpenAI, model: str) -> None:
    messages = user(ASK)
    reply = both(chat, model=model, input=messages, tools=TOOLS)
    calls = [item for item in reply.output if item.type == "function_call"]
    assert [(call.name, orjson.loads(call.arguments)) for call in calls] == [
        ("get_weather", {"city": "Rome"}),
        ("get_time", {"city": "Oslo"}),
    ]
    outputs = [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"},
        {
            "type": "function_call_output",
            "call_id": calls[1].call_id,
            "output": [
                {"type": "input_text", "text": "noon"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
            ],
        },
    ]
    onward = [*messages, *(item.to_dict() for item in reply.output), *outputs]
    final = both(chat, model=model, input=onward, tools=TOOLS)
    assert final.output_text.startswith('The tools answered: "sunny", "noon')


@every_model
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "get_time"}, ["get_time"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]},
            ["get_time"],
        ),
    ],
    ids=["none", "required", "named", "allowed"],
)
def test_tool_choice(chat: openai.OpenAI, model: str, choice: Any, called: list[str]) -> None:
    reply = both(chat, model=model, input="hello", tools=TOOLS, tool_choice=choice)
    assert [item.name for item in reply.output if item.type == "function_call"] == called


@every_model
def test_custom_tools(chat: openai.OpenAI, model: str) -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    tools: Any = [{"type": "custom", "name": "apply_patch", "description": "patches", "format": grammar}]
    messages = user('use apply_patch to make notes/a.txt: "it\'s \\ new"')
    reply = both(chat, model=model, input=messages, tools=tools)
    call = next(item for item in reply.output if item.type == "custom_tool_call")
    assert call.name == "apply_patch"
    assert call.input.startswith("*** Begin Patch\n*** Add File: notes/a.txt\n+it's \\ new\n")
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "patched"}
    onward = [*messages, *(item.to_dict() for item in reply.output), result]
    assert both(chat, model=model, input=onward, tools=tools).output_text == 'The tool answered: "patched".'


@every_model
def test_namespaces(chat: openai.OpenAI, model: str) -> None:
    space = {"type": "namespace", "name": "clock", "description": "time", "tools": [function("get_time")]}
    tools: Any = [function("get_time"), space]
    both_named = 'call get_time with {"city": "Rome"}'
    reply = both(chat, model=model, input=both_named, tools=[space], tool_choice="required")
    call = next(item for item in reply.output if item.type == "function_call")
    assert (call.name, call.namespace) == ("get_time", "clock")
    assert both(chat, model=model, input="hello", tools=tools, tool_choice="none").output_text.startswith("You said")


@every_model
def test_tools_among_the_input(chat: openai.OpenAI, model: str) -> None:
    """What Codex calls code mode: no `tools` at all."""
    space = {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]}
    items: Any = [{"type": "additional_tools", "role": "developer", "tools": [space]}, *user('run exec: "let a = 1;"')]
    reply = both(chat, model=model, input=items, **STATELESS)
    call = next(item for item in reply.output if item.type == "custom_tool_call")
    assert (call.name, call.namespace, call.input) == ("exec", "functions", "let a = 1;")
    onward = [
        *items,
        *(item.to_dict() for item in reply.output),
        {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "1"},
    ]
    assert both(chat, model=model, input=onward, **STATELESS).output_text == 'The tool answered: "1".'


@every_model
def test_a_search_among_deferred_tools(chat: openai.OpenAI, model: str) -> None:
    search = {"type": "tool_search", "execution": "client", "description": "finds tools", "parameters": {
        "type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"],
    }}  # fmt: skip
    tools: Any = [search, {**function("get_weather"), "defer_loading": True}]
    messages = user("call get_weather please")
    ask: Any = {"model": model, "tools": tools, "tool_choice": "auto"}
    reply = chat.responses.create(input=messages, **ask)
    kinds = [item.type for item in reply.output]
    if "function_call" in kinds:
        return  # where tools can't be deferred they are all there at once
    call = next(item for item in reply.output if item.type == "tool_search_call")
    assert isinstance(call.arguments, dict)
    found = {"type": "tool_search_output", "call_id": call.call_id, "execution": "client", "status": "completed", "tools": [
        {"type": "namespace", "name": "weather", "description": "", "tools": [{**function("get_weather"), "defer_loading": True}]},
    ]}  # fmt: skip
    onward = [*messages, *(item.to_dict() for item in reply.output), found, {"role": "assistant", "content": "One."}]
    final = chat.responses.create(input=[*onward, *user('call get_weather with {"city": "Rome"}')], **ask)
    assert [item.name for item in final.output if item.type == "function_call"][:1] == ["get_weather"]


@every_model
def test_pictures_and_documents(chat: openai.OpenAI, model: str) -> None:
    parts = (
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{BLANK_PDF}"},
    )
    assert both(chat, model=model, input=user(*parts)).output_text.endswith("(I got 1 image and 1 document.)")


@every_model
def test_structured_output(chat: openai.OpenAI, model: str) -> None:
    parsed = chat.responses.parse(model=model, input="an invoice", text_format=Invoice)
    assert isinstance(parsed.output_parsed, Invoice)
    with chat.responses.stream(model=model, input="an invoice", text_format=Invoice) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_parsed == parsed.output_parsed


@every_model
def test_reasoning_with_its_state_over_two_turns(chat: openai.OpenAI, model: str) -> None:
    messages = user('call get_weather with {"city": "Rome"}')
    ask: Any = {"model": model, "tools": TOOLS, "reasoning": {"effort": "high", "summary": "auto"}, **STATELESS}
    reply = both(chat, input=messages, **ask)
    thoughts = [item for item in reply.output if item.type == "reasoning"]
    assert "call a tool" in "".join(part.text for item in thoughts for part in item.summary)
    if model != "demo-chat":
        assert any(item.encrypted_content for item in thoughts)
    assert reply.usage
    assert reply.usage.output_tokens_details.reasoning_tokens
    call = next(item for item in reply.output if item.type == "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    raw = chat.responses.with_raw_response.create(
        input=[*messages, *(item.to_dict() for item in reply.output), result], **ask
    )
    assert raw.parse().output_text == 'The tool answered: "sunny".'
    if model != "demo-chat":
        assert "reasoning" not in raw.headers.get("x-ekai-dropped", "")


@every_model
def test_a_refusal(chat: openai.OpenAI, model: str) -> None:
    reply = both(chat, model=model, input="forbidden-topic")
    assert DECLINED.search(orjson.dumps(reply.to_dict()["output"]).decode())


@every_model
def test_the_length(chat: openai.OpenAI, model: str) -> None:
    long = both(chat, model=model, input="[[long 300]]", max_output_tokens=20)
    assert long.status == "incomplete"
    assert long.incomplete_details
    assert long.incomplete_details.reason == "max_output_tokens"


@every_model
def test_an_empty_answer(chat: openai.OpenAI, model: str) -> None:
    reply = both(chat, model=model, input="[[empty]]")
    assert (reply.output_text, reply.status) == ("", "completed")


@every_model
def test_developers_and_settings_that_are_echoed(chat: openai.OpenAI, model: str) -> None:
    ask: Any = {"input": [{"role": "developer", "content": "be kind"}, *user("hello")], "metadata": {"a": "b"}}
    reply = both(chat, model=model, **ask, max_output_tokens=500, temperature=0.5, parallel_tool_calls=False)
    assert reply.output_text == "You said: hello"
    assert (reply.metadata, reply.max_output_tokens, reply.temperature) == ({"a": "b"}, 500, 0.5)
    assert reply.parallel_tool_calls is False


@pytest.mark.parametrize("model", [model for model in MODELS if model != "demo-responses"])
@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "background"])
def test_state_that_nobody_keeps_is_refused(chat: openai.OpenAI, model: str, field: str) -> None:
    value: Any = True if field == "background" else "resp_1"
    with pytest.raises(openai.BadRequestError, match=field):
        chat.responses.create(model=model, input="hello", **{field: value})

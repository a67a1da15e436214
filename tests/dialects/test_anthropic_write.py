"""Requests of any client, written for providers that speak the Messages API."""

from __future__ import annotations

import time
from dataclasses import replace

import orjson
from anthropic_wire import MARK, MESSAGES, NEW, OLD, PLAIN, SCHEMA, assistant, hosted, refused, t, user, write

from shared.canonical import (
    CacheMark,
    Document,
    Flags,
    FunctionTool,
    Image,
    Json,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)


def test_limits() -> None:
    assert write().body["max_tokens"] == 128_000
    assert write(max_tokens=500_000).body["max_tokens"] == 128_000
    assert write(PLAIN).body["max_tokens"] == 16384
    assert write(PLAIN, max_tokens=7).body["max_tokens"] == 7


def test_sampling() -> None:
    fields: Json = {"temperature": 1.6, "top_p": 0.9, "top_k": 5}
    assert write(**fields).dropped == ("temperature", "top_p", "top_k")
    written = write(OLD, **fields)
    assert (written.body["temperature"], written.body["top_k"]) == (1.0, 5)
    assert written.dropped == ("temperature", "top_p")
    assert write(OLD, top_p=0.9).body["top_p"] == 0.9
    thinking = write(OLD, temperature=0.5, reasoning=Reasoning("low"))
    assert ("temperature" in thinking.body, thinking.dropped) == (False, ("temperature",))


def test_stop_sequences() -> None:
    written = write(stop=("\n", "END", " "))
    assert (written.body["stop_sequences"], written.dropped) == (["END"], ("stop",))
    assert write(replace(OLD, flags=Flags(stop=False)), stop=("END",)).dropped == ("stop",)


def test_what_this_api_lacks_is_named() -> None:
    written = write(
        frequency_penalty=0.1,
        presence_penalty=0.1,
        seed=1,
        logit_bias={"1": 1.0},
        logprobs=0,
        verbosity="low",
        metadata={"a": "b"},
        service_tier="flex",
        cache_key="k",
        user="a@b.example",
        dropped=("store",),
        stream_usage=True,
    )
    assert written.dropped == (
        *("store", "user", "service_tier", "frequency_penalty", "presence_penalty", "seed", "logit_bias"),
        *("logprobs", "verbosity", "metadata"),
    )
    assert set(written.body) == {"model", "max_tokens", "messages", "cache_control"}


def test_what_is_mapped() -> None:
    body = write(
        user="u-1",
        service_tier="default",
        stream=True,
        cache=CacheMark("1h"),
        system=(Text("a"), Text(""), Text("b", cache=MARK)),
    ).body
    assert body["metadata"] == {"user_id": "u-1"}
    assert body["service_tier"] == "standard_only"
    assert body["stream"] is True
    assert body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["system"] == [t("a"), {**t("b"), "cache_control": {"type": "ephemeral"}}]
    assert write(system=(Text("a"),)).body["system"] == "a"
    assert "cache_control" not in write().body


def test_no_more_than_four_marks() -> None:
    written = write(
        turns=tuple(user(Text(str(i), cache=MARK)) for i in range(4)),
        system=(Text("s", cache=MARK),),
        tools=(FunctionTool("f", cache=MARK),),
    )
    assert orjson.dumps(written.body).count(b"cache_control") == 4
    assert "cache_control" in written.body["messages"][0]["content"][-1]
    assert written.dropped == ("cache",)


def test_structured_output() -> None:
    schema: Json = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "description": "Number."},
            "l": {
                "type": "array",
                "items": {"oneOf": [{"type": "string", "format": "date"}, {"$ref": "#/$defs/x"}]},
                "minItems": 2,
            },
        },
        "required": ["n", "l"],
        "$defs": {"x": {"type": "object", "properties": {}, "additionalProperties": False}},
    }
    written = write(format=OutputFormat("json_schema", schema, "n", "A thing."), reasoning=Reasoning("low"))
    assert written.body["output_config"] == {
        "effort": "low",
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": 'Number.\n\n{"minimum":1}'},
                    "l": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string", "format": "date"}, {"$ref": "#/$defs/x"}]},
                        "description": '{"minItems":2}',
                    },
                },
                "required": ["n", "l"],
                "$defs": {"x": {"type": "object", "properties": {}, "additionalProperties": False}},
                "additionalProperties": False,
                "description": "A thing.",
            },
        },
    }
    assert "minimum" in schema["properties"]["n"]  # the client's own schema stays as it was


def test_structured_output_that_is_refused_or_dropped() -> None:
    wanted = OutputFormat("json_schema", SCHEMA)
    assert "schema" in refused(PLAIN, format=wanted)
    assert "schema" in refused(replace(NEW, quirks=frozenset({"no_output_format"})), format=wanted)
    assert "properties" in refused(format=OutputFormat("json_schema", {"type": "object", "additionalProperties": True}))
    assert write(format=OutputFormat("json_object")).dropped == ("format",)
    deep: Json = {"type": "string"}
    for _ in range(200):
        deep = {"type": "array", "items": deep}
    assert "nested" in refused(format=OutputFormat("json_schema", deep))
    for _ in range(200):
        deep = {"not": deep}
    assert "nested" in refused(format=OutputFormat("json_schema", deep))


def test_a_forced_choice_without_any_tool_is_named() -> None:
    tools = (hosted("file_search", {"type": "file_search"}),)
    written = write(tools=tools, tool_choice=ToolChoice("required"))
    assert written.dropped == ("tools.file_search", "tool_choice")
    assert "tool_choice" not in written.body


def test_there_and_back() -> None:
    request = Request(
        "claude-sonnet-5-5",
        (
            user(Text("a"), Image("image/png", "aGk="), Document(data="JVBERg==", title="t", citations=True)),
            assistant(ToolCall("c1", "f", '{"a":[1,"\u00e9"]}')),
            user(
                ToolResult("c1", (Text("r"), Image("image/gif", "aGk="), ToolReference("g")), cache=MARK),
                Text("b", cache=MARK),
            ),
            Turn("system", (Text("now"),)),
            user(Text("c")),
        ),
        system=(Text("s", cache=MARK), Text("s2")),
        tools=(FunctionTool("f", "d", SCHEMA), FunctionTool("g", schema=SCHEMA, deferred=True)),
        tool_choice=ToolChoice("auto"),
        parallel_tools=False,
        max_tokens=99,
        stop=("END",),
        reasoning=Reasoning("high", "adaptive", visible=True),
        format=OutputFormat("json_schema", SCHEMA),
        stream=True,
        user="u",
        service_tier="auto",
        cache=CacheMark("1h"),
    )
    written = MESSAGES.write_request(request, NEW)
    assert written.dropped == ()
    assert MESSAGES.read_request(orjson.loads(orjson.dumps(written.body))) == request


def test_a_long_conversation_is_quick() -> None:
    turns: list[Json] = []
    for i in range(250):
        call = {"type": "tool_use", "id": f"toolu_{i}", "name": "Read", "input": {"path": f"/a/{i}", "text": "x" * 400}}
        turns.append({"role": "assistant", "content": [{"type": "text", "text": "y" * 300}, call]})
        turns.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"toolu_{i}", "content": "z" * 1200}]}
        )
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "go"}, *turns],
        "tools": [{"name": "Read", "input_schema": SCHEMA}],
    }
    assert len(orjson.dumps(body)) > 500_000
    best = 1.0
    for _ in range(5):
        began = time.process_time()
        MESSAGES.write_request(MESSAGES.read_request(body), NEW)
        best = min(best, time.process_time() - began)
    assert best < 0.015


def test_a_conversation_that_goes_on_is_cached_without_being_asked() -> None:
    """As OpenAI's clients are used to: https://platform.claude.com/docs/en/build-with-claude/prompt-caching."""
    question = Turn("user", (Text("Hi"),))
    going_on = (question, Turn("assistant", (Text("Hello"),)), Turn("user", (Text("And?"),)))
    marked = (*going_on[:2], Turn("user", (Text("And?", cache=CacheMark("1h")),)))
    for turns, key, mark in [
        ((question,), "", None),
        ((question,), "k", {"type": "ephemeral"}),
        (going_on, "", {"type": "ephemeral"}),
        (marked, "", None),
    ]:
        assert write(NEW, turns, cache_key=key).body.get("cache_control") == mark

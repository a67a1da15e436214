"""Requests of the Responses API, read from clients and written for providers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Audio,
    CacheMark,
    Citation,
    CustomTool,
    Document,
    Effort,
    Flags,
    FunctionTool,
    HostedCall,
    HostedTool,
    Image,
    Json,
    Limits,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import Reading, Writing
from shared.dialects.openai_responses import DIALECT
from shared.dialects.openai_responses.state import KIND
from shared.dialects.toolnames import ToolRef
from shared.errors import Code, GatewayError

REQUESTS = Path(__file__).parents[1] / "recordings" / "openai_responses" / "requests"
EFFORTS: tuple[Effort, ...] = ("none", "low", "medium", "high", "xhigh")
FLAGS = Flags(thinking="effort", effort=EFFORTS, json_schema=True)
MEDIA = frozenset({"text", "image", "pdf"})
NATIVE = Target("acme", "model-1", Limits(400_000, 128_000), FLAGS, MEDIA)  # type: ignore[arg-type]  # frozenset of str
PLAIN_QUIRKS = frozenset({"no_custom_tools", "no_namespace_tools", "no_tool_search"})


def target(*quirks: str, flags: Flags = FLAGS, provider: str = "acme") -> Target:
    return Target(provider, "model-1", NATIVE.limits, flags, NATIVE.input, quirks=frozenset(quirks))


def recorded(name: str) -> Json:
    parsed: Json = orjson.loads((REQUESTS / f"{name}.json").read_bytes())
    return parsed


def read(**fields: Any) -> Request:
    return DIALECT.read_request({"model": "m", "input": "hi", **fields})


def ask(*turns: Turn, **fields: Any) -> Request:
    return Request("m", turns or (Turn("user", (Text("hi"),)),), **fields)


def refusal(request: Request | Json, whom: Target = NATIVE) -> GatewayError | None:
    """The refusal of a client's body or of a request for a provider; None if there is none."""
    try:
        written = DIALECT.write_request(DIALECT.read_request(request) if isinstance(request, dict) else request, whom)
    except GatewayError as error:
        return error
    orjson.dumps(written.body)
    return None


def refused(request: Request | Json, whom: Target = NATIVE) -> GatewayError:
    error = refusal(request, whom)
    assert error is not None
    return error


# ── from a client ────────────────────────────────────────────────────────────────────────────────────────────────


def test_settings() -> None:
    request = DIALECT.read_request(recorded("settings"))
    assert request.system == (Text("Be brief."),)
    assert request.turns == (Turn("user", (Text("Rate this."),)),)
    assert (request.max_tokens, request.temperature, request.top_p, request.logprobs) == (400, 0.2, 0.9, 3)
    assert request.reasoning == Reasoning(effort="low", visible=True, summary="auto")
    assert request.format is not None
    assert (request.format.kind, request.format.name, request.format.strict) == ("json_schema", "rating", True)
    assert (request.verbosity, request.user, request.cache_key) == ("low", "user-7f3a", "ratings")
    assert (request.metadata, request.service_tier) == ({"ticket": "42"}, "auto")
    assert request.dropped == ()


def test_a_tool_loop_becomes_turns() -> None:
    request = DIALECT.read_request(recorded("tool_loop"))
    assert request.system == (Text("You are a weather clerk."),)
    asked, answered, results, last = request.turns
    assert asked == Turn("user", (Text("Zürich or Genève?"),))
    assert answered == Turn(
        "assistant",
        (
            Thinking("Ask for both.", Opaque("", KIND, "gAAAAABvbnc=")),
            Text("Checking both."),
            ToolCall("call_A1", "get_weather", '{"city":"Zürich"}'),
            ToolCall("call_B2", "get_weather", '{"city":"Genève"}'),
        ),
        phase="commentary",
    )
    assert results.blocks == (
        ToolResult("call_A1", (Text("18 °C"),)),
        ToolResult("call_B2", (Text("21 °C"), Image("image/png", "iVBORw0KGgo=", detail="low"))),
    )
    assert last == Turn("user", (Text("Answer in one line."),))
    assert request.reasoning.opaque
    assert request.stream


def test_media() -> None:
    blocks = DIALECT.read_request(recorded("media")).turns[0].blocks
    assert blocks == (
        Text("What is in these?"),
        Image(url="https://example.org/cat.png", detail="high"),
        Image("image/jpeg", "/9j/4AAQ"),
        Document("application/pdf", "JVBERi0xLjc=", filename="report.pdf"),
        Document(url="https://example.org/paper.pdf"),
    )


def test_the_tools_of_code_mode_stand_in_the_input() -> None:
    request = DIALECT.read_request(recorded("codex_code_mode"))
    custom, function = request.tools
    assert isinstance(custom, CustomTool)
    assert (custom.name, custom.namespace) == ("exec", "functions")
    assert isinstance(function, FunctionTool)
    assert (function.name, function.namespace) == ("wait", "functions")
    assert request.system == (Text("You are an agent."),)
    assert request.turns[1].blocks == (
        ToolCall("call_X1", "exec", 'text(await tools.read("note.txt"))', "custom", "functions"),
    )
    assert request.dropped == ("reasoning.context",)


def test_a_client_that_searches_its_own_tools() -> None:
    request = DIALECT.read_request(recorded("codex_freeform"))
    search = request.tools[2]
    assert isinstance(search, FunctionTool)
    assert search.kind == "tool_search"
    assert isinstance(request.tools[3], HostedTool)
    assert request.dropped == ("client_metadata",)
    found = [block for turn in request.turns for block in turn.blocks if isinstance(block, ToolResult) and block.tools]
    assert [(tool.name, getattr(tool, "namespace", "")) for tool in found[0].tools] == [
        ("spawn_agent", "multi_agent_v1")
    ]
    calls = [block for turn in request.turns for block in turn.blocks if isinstance(block, ToolCall)]
    assert [(call.kind, call.namespace) for call in calls] == [
        ("custom", ""),
        ("tool_search", ""),
        ("function", "multi_agent_v1"),
    ]


def test_system_messages_after_the_first_stay_where_they_are() -> None:
    request = read(
        input=[
            {"role": "system", "content": "A"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": [{"type": "input_text", "text": "B"}]},
        ]
    )
    assert request.system == (Text("A"),)
    assert request.turns[1] == Turn("developer", (Text("B"),))


def test_messages_of_the_assistant_stay_apart() -> None:
    request = read(
        input=[
            {"role": "assistant", "content": "one", "phase": "commentary"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "two"}], "phase": "final_answer"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        ]
    )
    assert request.turns == (
        Turn("assistant", (Text("one"),), phase="commentary"),
        Turn("assistant", (Text("two"),), phase="final_answer"),
        Turn("assistant", (Text("no", refusal=True),)),
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("tool", ("f",))),
        ({"type": "custom", "name": "c"}, ToolChoice("tool", ("c",))),
        ({"type": "function", "name": "f", "namespace": "n"}, ToolChoice("tool", ("n.f",))),
        ({"type": "web_search_preview"}, ToolChoice("tool", ("web_search",))),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("required", ("f",)),
        ),
    ],
)
def test_tool_choices(choice: Any, read_as: ToolChoice) -> None:
    assert read(tool_choice=choice).tool_choice == read_as


def test_cache_marks() -> None:
    part = {"type": "input_text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    request = read(input=[{"role": "user", "content": [part]}], prompt_cache_options={"mode": "implicit"})
    assert request.turns[0].blocks == (Text("long", cache=CacheMark("12h")),)
    assert request.cache == CacheMark("30m")
    body = DIALECT.write_request(request, NATIVE).body
    assert body["input"][0]["content"] == [part]
    assert body["prompt_cache_options"] == {"mode": "implicit", "ttl": "30m"}


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
        {"store": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "compaction", "encrypted_content": "x"}]},
        {"input": [{"type": "computer_call", "call_id": "c"}]},
        {"input": [{"role": "user", "content": [{"type": "input_hologram"}]}]},
        {"tool_choice": {"type": "mcp", "server_label": "x"}},
    ],
)
def test_what_means_nothing_elsewhere_is_refused(fields: Json) -> None:
    error = refused({"model": "m", "input": "hi", **fields})
    assert error.code is Code.UNSUPPORTED_BY_MODEL
    assert error.param


@pytest.mark.parametrize("fields", [{"store": False}, {"store": None}, {"background": False}, {"conversation": None}])
def test_state_that_is_not_asked_for_is_fine(fields: Json) -> None:
    assert read(**fields).dropped == ()


def test_refusals_of_state_say_what_to_do() -> None:
    assert "whole history" in refused({"model": "m", "input": "hi", "store": True}).message
    assert "whole history" in refused({"model": "m", "input": "hi", "previous_response_id": "r"}).message


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "hi"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": 3, "input": "hi"}, "model"),
        ({"model": "m", "input": [3]}, "input.0"),
        ({"model": "m", "input": [{"role": "user", "content": 3}]}, "input.0.content"),
        ({"model": "m", "input": [{"role": "boss", "content": "x"}]}, "input.0.role"),
        (
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input.0.content.0.text",
        ),
        ({"model": "m", "input": [{"type": "function_call", "name": "f"}]}, "input.0.call_id"),
        ({"model": "m", "input": "hi", "max_output_tokens": "many"}, "max_output_tokens"),
        ({"model": "m", "input": "hi", "max_output_tokens": True}, "max_output_tokens"),
        ({"model": "m", "input": "hi", "tools": [{"type": "function"}]}, "tools.0.name"),
        ({"model": "m", "input": "hi", "reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"model": "m", "input": "hi", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"model": "m", "input": "hi", "metadata": {"a": 1}}, "metadata.a"),
        ({"model": "m", "input": "hi", "tool_choice": 5}, "tool_choice"),
    ],
)
def test_wrong_values_are_named(body: Json, param: str) -> None:
    error = refused(body)
    assert error.code is Code.VALIDATION_ERROR
    assert error.param == param
    assert error.message.startswith(param)


def test_unknown_fields_are_named() -> None:
    request = read(moderation={"model": "x"}, max_tool_calls=3, truncation="auto", banana=None)
    assert request.dropped == ("moderation", "max_tool_calls", "truncation")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = (
    *("model", "input", "instructions", "tools", "tool_choice", "reasoning", "text", "include", "metadata", "stream"),
    *("max_output_tokens", "temperature", "prompt_cache_options", "store", "stream_options", "user", "top_logprobs"),
)
KEYS = (
    *("type", "role", "content", "text", "image_url", "file_data", "call_id", "name", "arguments", "output", "summary"),
    *(
        "encrypted_content",
        "tools",
        "execution",
        "namespace",
        "parameters",
        "format",
        "input",
        "action",
        "id",
        "filters",
    ),
)
KINDS = (
    *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "tool_search_call"),
    *("tool_search_output", "additional_tools", "web_search_call", "namespace", "function", "custom", "tool_search"),
    *(
        "input_text",
        "input_image",
        "input_file",
        "input_audio",
        "output_text",
        "refusal",
        "allowed_tools",
        "web_search",
    ),
    *("gw1.acme.MQ", "gw1.acme.WyJvZi5jYWxsIiwie30iXQ", "data:image/png;base64,AA", "user", "client", "json_schema"),
)
odd_objects: st.SearchStrategy[Any] = st.recursive(
    json_values | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), odd_objects, max_size=8))
def test_any_json_is_read_or_refused(body: Json) -> None:
    body.setdefault("model", "m")
    for whom in (NATIVE, target(*PLAIN_QUIRKS, "schema_required_list")):
        error = refusal(body, whom)
        assert error is None or error.status == 400


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_requests_are_read_or_refused(data: st.DataObject) -> None:
    body = recorded(data.draw(st.sampled_from(["tool_loop", "codex_freeform", "codex_code_mode", "media", "settings"])))
    place: Any = body
    for _ in range(data.draw(st.integers(1, 7))):
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list):
            break
        parent, place = (place, key), place[key]
    else:
        place, key = parent
    place[key] = data.draw(odd_objects)
    error = refusal(body)
    assert error is None or error.status == 400


def test_deep_nesting_is_no_crash() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"properties": {"x": deep}, "type": "object"}
    tool = {"type": "function", "name": "f", "parameters": deep}
    assert refused({"model": "m", "input": "hi", "tools": [tool]}).param == "tools"
    wanted = {"format": {"type": "json_schema", "schema": deep}}
    assert refused({"model": "m", "input": "hi", "text": wanted}).param == "text.format.schema"
    search = {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": deep}
    assert refused({"model": "m", "input": [search]}).code is Code.VALIDATION_ERROR


# ── to a provider ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(path.stem for path in REQUESTS.glob("*.json")))
def test_there_and_back(name: str) -> None:
    """A provider of this API gets the request without a change of meaning (state of unknown makers aside)."""
    request = DIALECT.read_request(recorded(name))
    written = DIALECT.write_request(request, NATIVE)
    again = DIALECT.read_request(written.body)
    assert again.tools == request.tools
    assert again.system == request.system
    assert again.tool_choice == request.tool_choice
    assert (again.format, again.verbosity, again.metadata) == (request.format, request.verbosity, request.metadata)
    assert again.reasoning.effort == request.reasoning.effort
    strip = [
        [
            block
            for block in turn.blocks
            if not (isinstance(block, Thinking) and block.opaque and block.opaque.maker == "")
        ]
        for turn in request.turns
    ]
    assert [list(turn.blocks) for turn in again.turns] == strip
    assert [(turn.role, turn.phase) for turn in again.turns] == [(turn.role, turn.phase) for turn in request.turns]
    assert set(written.dropped) <= {"reasoning"}
    assert written.body["store"] is False
    assert written.body["include"][0] == "reasoning.encrypted_content"


def test_codex_on_a_provider_without_its_tools() -> None:
    request = DIALECT.read_request(recorded("codex_freeform"))
    written = DIALECT.write_request(request, target(*PLAIN_QUIRKS))
    kinds = {tool["name"]: tool["type"] for tool in written.body["tools"] if "name" in tool}
    assert kinds == {
        "exec_command": "function",
        "apply_patch": "function",
        "tool_search": "function",
        "multi_agent_v1__spawn_agent": "function",
    }
    patch = next(tool for tool in written.body["tools"] if tool.get("name") == "apply_patch")
    assert "start: begin hunk+ end" in patch["description"]
    assert not any("defer_loading" in tool for tool in written.body["tools"])
    items = written.body["input"]
    assert {item["type"] for item in items} == {"message", "function_call", "function_call_output"}
    wrapped = next(item for item in items if item.get("name") == "apply_patch")
    assert orjson.loads(wrapped["arguments"])["input"].startswith("*** Begin Patch")
    assert "tools.format" in written.dropped
    assert written.tools.client("apply_patch") == ToolRef("apply_patch", kind="custom")
    assert written.tools.client("multi_agent_v1__spawn_agent") == ToolRef("spawn_agent", "multi_agent_v1")
    assert written.tools.client("tool_search") == ToolRef("tool_search", kind="tool_search")


def test_namespaces_are_gathered() -> None:
    tools = (
        FunctionTool("a", namespace="n", namespace_description="N."),
        FunctionTool("b"),
        CustomTool("c", namespace="n"),
    )
    body = DIALECT.write_request(ask(tools=tools), NATIVE).body
    empty = {"type": "object", "properties": {}}
    assert body["tools"] == [
        {
            "type": "namespace",
            "name": "n",
            "description": "N.",
            "tools": [
                {"type": "function", "name": "a", "parameters": empty, "strict": False},
                {"type": "custom", "name": "c"},
            ],
        },
        {"type": "function", "name": "b", "parameters": empty, "strict": False},
    ]


def test_strict_is_always_said() -> None:
    tools = (FunctionTool("a", strict=True), FunctionTool("b", strict=False), FunctionTool("c"))
    written = DIALECT.write_request(ask(tools=tools), NATIVE).body["tools"]
    assert [tool["strict"] for tool in written] == [True, False, False]


def test_long_names_and_ids_are_cut_and_led_back() -> None:
    long = "mcp__a_very_long_server_name__" + "x" * 60
    call_id = "call_" + "9" * 90
    turns = (
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall(call_id, long, "{}"),)),
        Turn("user", (ToolResult(call_id, (Text("ok"),)),)),
    )
    written = DIALECT.write_request(ask(*turns, tools=(FunctionTool(long),)), NATIVE)
    name = written.body["tools"][0]["name"]
    assert len(name) == 64
    assert written.tools.client(name) == ToolRef(long)
    _, call, output = written.body["input"]
    assert call["name"] == name
    assert call["call_id"] == output["call_id"]
    assert len(call["call_id"]) <= 64


def test_own_state_goes_back_byte_for_byte() -> None:
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "a\n\nb"}, {"type": "summary_text", "text": "c"}],
        "encrypted_content": "gAAAA==",
    }
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    reply = DIALECT.read_response({"id": "r", "status": "completed", "output": [item, call]}, Reading(NATIVE))
    writing = Writing(Request("m", ()), {}, "m", "0" * 32, 0)
    output = DIALECT.write_response(reply, writing)["output"]
    history = [*output, {"type": "function_call_output", "call_id": "c1", "output": "ok"}]
    request = read(input=history)
    written = DIALECT.write_request(request, NATIVE)
    assert written.body["input"][0] == item
    assert written.body["input"][1]["type"] == "function_call"
    assert written.dropped == ()
    elsewhere = DIALECT.write_request(request, target(provider="other"))
    assert [entry["type"] for entry in elsewhere.body["input"]] == ["function_call", "function_call_output"]
    assert elsewhere.dropped == ("reasoning",)


def test_forged_state_is_dropped() -> None:
    for data in ("", "1", "[]", "{}", '{"summary":1,"content":[]}'):
        turns = (Turn("assistant", (Thinking("x", Opaque("acme", KIND, data)),)), Turn("user", (Text("hi"),)))
        assert DIALECT.write_request(ask(*turns), NATIVE).dropped == ("reasoning",)


def test_history_of_another_api() -> None:
    turns = (
        Turn("user", (Text("Look."), Image("image/png", "AAAA"), Document("application/pdf", "JVBE", title="Report"))),
        Turn(
            "assistant",
            (
                Thinking("hm", Opaque("anthropic", "signature", "x")),
                Text("I see "),
                Text("two.", citations=(Citation("https://example.org"),)),
                HostedCall("s", "web_search", {"query": "q"}, dialect="messages"),
                ToolCall("toolu_1", "read", '{"a":1}'),
            ),
        ),
        Turn(
            "user",
            (
                ToolResult("toolu_1", (Text("see"), Image("image/png", "BBBB")), is_error=True),
                Text("Go on.", cache=CacheMark("5m")),
            ),
        ),
        Turn("system", (Text("Remember."),)),
        Turn("user", (ToolResult("toolu_2", (), is_error=True),)),
    )
    written = DIALECT.write_request(ask(*turns, system=(Text("A", cache=CacheMark()), Text("B"))), NATIVE)
    assert written.body["instructions"] == "A\n\nB"
    user, said, call, output, more, system, failed = written.body["input"]
    assert [part["type"] for part in user["content"]] == ["input_text", "input_image", "input_file"]
    assert user["content"][2] == {
        "type": "input_file",
        "filename": "Report",
        "file_data": "data:application/pdf;base64,JVBE",
    }
    assert [part["text"] for part in said["content"]] == ["I see ", "two."]
    assert call == {"type": "function_call", "call_id": "toolu_1", "name": "read", "arguments": '{"a":1}'}
    assert [part["type"] for part in output["output"]] == ["input_text", "input_image"]
    assert more["content"] == [{"type": "input_text", "text": "Go on."}]
    assert system == {"type": "message", "role": "system", "content": "Remember."}
    assert failed["output"] == "error"
    assert set(written.dropped) == {"reasoning", "citations", "web_search", "tool_result.is_error", "cache"}


def test_what_the_api_lacks_is_dropped_and_named() -> None:
    request = ask(
        top_k=4,
        stop=("END",),
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logit_bias={"1": 2.0},
        user="someone@example.org",
        service_tier="flex",
        cache=CacheMark("1h"),
    )
    written = DIALECT.write_request(request, NATIVE)
    assert set(written.dropped) == {
        *("top_k", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias"),
        *("user", "service_tier", "cache"),
    }
    assert set(written.body) == {"model", "input", "include", "store"}


def test_sampling_is_dropped_where_the_model_has_none() -> None:
    flags = Flags(sampling_params=False)
    written = DIALECT.write_request(ask(temperature=0.5, top_p=0.9, logprobs=2), target(flags=flags))
    assert written.dropped == ("temperature", "top_p", "logprobs")
    assert "temperature" not in written.body


def test_output_limits() -> None:
    """The service refuses fewer than 16: https://github.com/earendil-works/pi/issues/6265"""
    low = DIALECT.write_request(ask(max_tokens=1), NATIVE)
    assert (low.body["max_output_tokens"], low.dropped) == (16, ("max_tokens",))
    assert DIALECT.write_request(ask(max_tokens=10**6), NATIVE).body["max_output_tokens"] == 128_000
    assert refused(ask(max_tokens=0)).code is Code.UNSUPPORTED_BY_MODEL


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (Reasoning(), None),
        (Reasoning(effort="none"), {"effort": "none"}),
        (Reasoning(effort="minimal"), {"effort": "low"}),
        (Reasoning(effort="max"), {"effort": "xhigh"}),
        (Reasoning(effort="high", visible=True), {"effort": "high", "summary": "auto"}),
        (Reasoning(effort="high", visible=True, summary="detailed"), {"effort": "high", "summary": "detailed"}),
        (Reasoning(mode="disabled"), {"effort": "none"}),
        (Reasoning(mode="enabled", budget=1024), {"effort": "low", "summary": "auto"}),
        (Reasoning(mode="enabled", budget=8192), {"effort": "medium", "summary": "auto"}),
        (Reasoning(mode="enabled", budget=31999), {"effort": "xhigh", "summary": "auto"}),
        (Reasoning(mode="adaptive", visible=False), {"effort": "medium"}),
        (Reasoning(mode="adaptive"), {"effort": "medium", "summary": "auto"}),
    ],
)
def test_reasoning(wanted: Reasoning, sent: Json | None) -> None:
    written = DIALECT.write_request(ask(reasoning=wanted), NATIVE)
    assert written.body.get("reasoning") == sent
    assert written.dropped == ()


def test_reasoning_that_cannot_be_turned_off_is_named() -> None:
    flags = Flags(thinking="effort", effort=("high", "low"), thinking_off="never")
    written = DIALECT.write_request(ask(reasoning=Reasoning(effort="none")), target(flags=flags))
    assert (written.body["reasoning"], written.dropped) == ({"effort": "low"}, ("reasoning",))


def test_models_that_do_not_reason_get_no_reasoning() -> None:
    flags = Flags()
    written = DIALECT.write_request(ask(reasoning=Reasoning(effort="high")), target(flags=flags))
    assert "reasoning" not in written.body
    assert "include" not in written.body
    assert written.dropped == ("reasoning",)


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {}}
    wanted = OutputFormat("json_schema", schema)
    body = DIALECT.write_request(ask(format=wanted), NATIVE).body
    assert body["text"]["format"] == {"type": "json_schema", "name": "response", "schema": schema, "strict": False}
    assert refused(ask(format=wanted), target(flags=Flags())).code is Code.UNSUPPORTED_BY_MODEL
    plain = DIALECT.write_request(ask(format=OutputFormat("json_object")), target(flags=Flags())).body
    assert plain["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    "block",
    [
        Image("image/png", "AAAA"),
        Document("application/pdf", "AAAA"),
        Document(url="https://example.org/a.pdf"),
        Audio("AAAA", "wav"),
    ],
)
def test_media_that_the_model_lacks_is_refused(block: Image | Document | Audio) -> None:
    deaf = Target("acme", "model-1", flags=FLAGS)
    error = refused(ask(Turn("user", (block,))), deaf)
    assert error.code is Code.UNSUPPORTED_BY_MODEL


@pytest.mark.parametrize("block", [Image(file_id="file-1"), Document(file_id="file-1")])
def test_file_ids_are_refused(block: Image | Document) -> None:
    assert "one provider" in refused(ask(Turn("user", (block,)))).message


def test_text_documents_become_text() -> None:
    deaf = Target("acme", "model-1", flags=FLAGS)
    turn = Turn(
        "user",
        (Document("text/plain", text="body", title="Title", context="Context"), Document("text/markdown", "IyBI")),
    )
    parts = DIALECT.write_request(ask(turn), deaf).body["input"][0]["content"]
    assert [part["text"] for part in parts] == ["Title\n\nContext\n\nbody", "# H"]


def test_a_prefill_is_refused() -> None:
    turns = (Turn("user", (Text("hi"),)), Turn("assistant", (Text("{"),)))
    assert refused(ask(*turns)).code is Code.UNSUPPORTED_BY_MODEL
    DIALECT.write_request(ask(*turns), target(flags=Flags(prefill=True)))


SEARCH = HostedTool(
    "web_search",
    "messages",
    {"type": "web_search_20250305"},
    {"allowed_domains": ["example.org"], "max_uses": 3, "user_location": {"type": "approximate", "city": "Bern"}},
)


def test_web_search_from_another_api() -> None:
    written = DIALECT.write_request(ask(tools=(SEARCH,), tool_choice=ToolChoice("tool", ("web_search",))), NATIVE)
    assert written.body["tools"] == [
        {
            "type": "web_search",
            "filters": {"allowed_domains": ["example.org"]},
            "user_location": {"type": "approximate", "city": "Bern"},
        }
    ]
    assert written.body["tool_choice"] == "required"
    assert written.dropped == ("tools.max_uses",)


def test_hosted_tools_of_another_api_are_run_here_or_named() -> None:
    code = HostedTool("code_execution", "messages", {"type": "code_execution_20250825"})
    computer = HostedTool("computer", "messages", {"type": "computer_20250124"})
    written = DIALECT.write_request(ask(tools=(code, computer)), NATIVE)
    assert written.body["tools"] == [{"type": "code_interpreter", "container": {"type": "auto"}}]
    assert written.dropped == ("tools.computer",)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", ("f",)), {"type": "function", "name": "f"}),
        (ToolChoice("tool", ("n.g",)), {"type": "function", "name": "g", "namespace": "n"}),
        (ToolChoice("tool", ("patch",)), {"type": "custom", "name": "patch"}),
        (
            ToolChoice("tool", ("web_search",)),
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
        ),
        (
            ToolChoice("auto", ("f", "patch")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}],
            },
        ),
    ],
)
def test_choices_sent(choice: ToolChoice, sent: Any) -> None:
    tools = (FunctionTool("f"), FunctionTool("g", namespace="n"), CustomTool("patch"), SEARCH)
    assert DIALECT.write_request(ask(tools=tools, tool_choice=choice), NATIVE).body["tool_choice"] == sent


def test_a_choice_that_the_model_refuses() -> None:
    flags = Flags(forced_tool_choice=False)
    request = ask(tools=(FunctionTool("f"),), tool_choice=ToolChoice("tool", ("f",)))
    written = DIALECT.write_request(request, target(flags=flags))
    assert (written.body["tool_choice"], written.dropped) == ("auto", ("tool_choice",))
    missing = ask(tools=(FunctionTool("f"),), tool_choice=ToolChoice("tool", ("g",)))
    assert refused(missing).code is Code.VALIDATION_ERROR


def test_deferred_tools_without_a_search_are_those_that_were_loaded() -> None:
    tools = (FunctionTool("find"), FunctionTool("a", deferred=True), FunctionTool("b", deferred=True))
    turns = (
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("c", "find", "{}"),)),
        Turn("user", (ToolResult("c", (ToolReference("b"),)),)),
    )
    body = DIALECT.write_request(ask(*turns, tools=tools), NATIVE).body
    assert [tool["name"] for tool in body["tools"]] == ["find", "b"]
    assert not any("defer_loading" in tool for tool in body["tools"])
    assert body["input"][2]["output"] == "The tool b is now available."


def test_deferred_tools_with_a_search_stay_deferred() -> None:
    tools = (FunctionTool("tool_search", kind="tool_search"), FunctionTool("a", deferred=True))
    body = DIALECT.write_request(ask(tools=tools), NATIVE).body
    assert body["tools"][1]["defer_loading"] is True


def test_quirks() -> None:
    request = ask(
        metadata={"a": "b"},
        service_tier="auto",
        tools=(FunctionTool("f", schema={"type": "object", "required": None}),),
    )
    # https://docs.x.ai/docs/guides/function-calling
    written = DIALECT.write_request(
        request, target("no_metadata", "no_service_tier", "no_encrypted_content", "schema_required_list")
    )
    assert written.dropped == ("metadata", "service_tier")
    assert "include" not in written.body
    assert written.body["tools"][0]["parameters"] == {"type": "object", "properties": {}, "required": []}


def test_fields_and_tools_that_strict_servers_refuse() -> None:
    """https://github.com/eigent-ai/eigent/issues/1827"""
    tools = (FunctionTool("f"), SEARCH)
    request = ask(cache_key="k", tools=tools, parallel_tools=True)
    written = DIALECT.write_request(request, target("no_store", "no_cache_key", "no_hosted_tools"))
    assert [tool["type"] for tool in written.body["tools"]] == ["function"]
    assert not written.body.keys() & {"store", "prompt_cache_key"}
    assert written.dropped == ("tools.web_search", "cache_key")
    assert "parallel_tool_calls" not in DIALECT.write_request(ask(parallel_tools=True), NATIVE).body


def test_what_is_told_of_a_document_is_not_lost_in_silence() -> None:
    document = Document("application/pdf", "JVBE", filename="a.pdf", title="A", context="C")
    written = DIALECT.write_request(ask(Turn("user", (document,))), NATIVE)
    assert written.dropped == ("document.context", "document.title")


def test_a_long_conversation_is_translated_in_time() -> None:
    turns: list[Json] = []
    for n in range(250):
        turns += [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 900}]},
            {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": '{"a": "' + "y" * 300 + '"}'},
            {"type": "function_call_output", "call_id": f"c{n}", "output": "z" * 800},
        ]
    body = {"model": "m", "input": turns, "tools": recorded("codex_freeform")["tools"]}
    assert len(orjson.dumps(body)) > 500_000
    best = min(_took(body) for _ in range(5))
    assert best < 0.015


def _took(body: Json) -> float:
    start = time.perf_counter()
    DIALECT.write_request(DIALECT.read_request(body), NATIVE)
    return time.perf_counter() - start

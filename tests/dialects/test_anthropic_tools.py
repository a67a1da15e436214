"""Tools of any client, written for providers of the Messages API."""

from __future__ import annotations

from dataclasses import replace

import pytest
from anthropic_wire import (
    HELLO,
    MARK,
    OLD,
    PLAIN,
    SCHEMA,
    assistant,
    hosted,
    refused,
    result,
    user,
    write,
)

from shared.canonical import (
    CustomTool,
    Flags,
    FunctionTool,
    Json,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
)


def test_functions() -> None:
    tools = (
        FunctionTool("f", "Does.", SCHEMA, strict=True, cache=MARK),
        FunctionTool("g"),
        FunctionTool("h", schema={"properties": {}}, deferred=True),
    )
    written = write(tools=tools)
    assert written.body["tools"] == [
        {
            "name": "f",
            "description": "Does.",
            "input_schema": SCHEMA,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        {"name": "h", "input_schema": {"type": "object", "properties": {}}, "defer_loading": True},
    ]
    assert written.dropped == ()
    assert "tool_choice" not in written.body


def test_strictness_that_the_model_lacks_is_named() -> None:
    open_map = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "string"}}}}
    assert write(PLAIN, tools=(FunctionTool("f", schema=SCHEMA, strict=True),)).dropped == ("tools.strict",)
    written = write(tools=(FunctionTool("f", schema=open_map, strict=True),))
    assert written.dropped == ("tools.strict",)
    assert written.body["tools"][0]["input_schema"] == open_map


def test_a_model_without_tools_refuses_them() -> None:
    target = replace(PLAIN, flags=Flags(tools=False))
    assert "tools" in refused(target, tools=(FunctionTool("f"),))
    assert write(target).body["messages"]


def test_a_custom_tool_travels_wrapped_and_keeps_its_grammar_in_words() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    tools = (CustomTool("apply_patch", "Edits files.", grammar), CustomTool("exec", namespace="functions"))
    call = ToolCall("c1", "apply_patch", '*** "Begin"\n', "custom")
    turns = (*HELLO, assistant(call), user(ToolResult("c1", (Text("done"),), kind="custom")))
    written = write(tools=tools, turns=turns)
    first, second = written.body["tools"]
    assert first["description"] == "Edits files.\n\nThe input has to match this lark grammar:\nstart: /.+/"
    assert first["input_schema"]["required"] == ["input"]
    assert second["name"] == "functions__exec"
    assert written.body["messages"][1]["content"][0]["input"] == {"input": '*** "Begin"\n'}
    assert written.dropped == ("tools.format",)
    assert written.tools.client("functions__exec").namespace == "functions"


def test_grammars_of_chat_and_none() -> None:
    # https://platform.openai.com/docs/guides/function-calling#custom-tools
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    first, second = write(tools=(CustomTool("a", format=grammar), CustomTool("b", "B.", {"type": "text"}))).body[
        "tools"
    ]
    assert first["description"] == "The input has to match this regex grammar:\na+"
    assert second["description"] == "B."


def test_namespaces_are_described_once() -> None:
    tools = tuple(FunctionTool(name, "D.", namespace="ns", namespace_description="About ns.") for name in "ab")
    assert [tool["description"] for tool in write(tools=tools).body["tools"]] == ["About ns.\n\nD.", "D."]


def test_a_tool_search_of_the_client() -> None:
    found = FunctionTool("spawn", "Starts one.", namespace="agents", deferred=True)
    tools = (FunctionTool("tool_search", "Finds.", kind="tool_search"), FunctionTool("base"))
    turns = (
        *HELLO,
        assistant(ToolCall("c1", "tool_search", '{"query":"spawn"}', "tool_search")),
        user(ToolResult("c1", kind="tool_search", tools=(found,))),
    )
    native = write(tools=tools, turns=turns).body
    assert native["messages"][2]["content"][0]["content"] == [{"type": "tool_reference", "tool_name": "agents__spawn"}]
    assert [tool.get("defer_loading", False) for tool in native["tools"]] == [False, False, True]
    simple = write(replace(PLAIN, quirks=frozenset({"no_deferred_tools"})), tools=tools, turns=turns).body
    assert [tool["name"] for tool in simple["tools"]] == ["tool_search", "base", "agents__spawn"]
    assert not any("defer_loading" in tool for tool in simple["tools"])
    assert "agents__spawn" in simple["messages"][2]["content"][0]["content"]


def test_deferred_tools_where_the_provider_has_none() -> None:
    tools = (FunctionTool("search"), FunctionTool("x", deferred=True), FunctionTool("y", deferred=True))
    turns = (*HELLO, assistant(ToolCall("c", "search")), user(ToolResult("c", (ToolReference("y"),))))
    written = write(replace(PLAIN, quirks=frozenset({"no_deferred_tools"})), tools=tools, turns=turns)
    assert [tool["name"] for tool in written.body["tools"]] == ["search", "y"]
    assert written.dropped == ("tools.deferred",)


def test_one_tool_at_least_is_there_from_the_start() -> None:
    assert write(tools=(FunctionTool("x", deferred=True),)).body["tools"] == [
        {"name": "x", "input_schema": {"type": "object", "properties": {}}}
    ]


def test_a_history_with_calls_needs_tools() -> None:
    written = write(turns=(*HELLO, assistant(ToolCall("c", "f")), user(result("c")))).body
    assert [tool["name"] for tool in written["tools"]] == ["f"]
    assert written["tool_choice"] == {"type": "none"}


def test_hosted_tools() -> None:
    own = {"type": "code_execution_20250825", "name": "code_execution"}
    tools: tuple[Tool, ...] = (
        hosted("web_search", {"type": "web_search"}, allowed_domains=["a.example"], search_context_size="low"),
        hosted("file_search", {"type": "file_search"}),
        hosted("code_execution", own, "messages"),
    )
    written = write(tools=tools)
    assert written.body["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"]},
        own,
    ]
    assert written.dropped == ("tools.file_search",)
    offline = write(tools=(hosted("web_search", {"type": "web_search", "external_web_access": False}),))
    assert ("tools" in offline.body, offline.dropped) == (False, ("tools.web_search",))
    without = write(replace(PLAIN, quirks=frozenset({"no_hosted_tools"})), tools=tools)
    assert without.dropped == ("tools.web_search", "tools.file_search", "tools.code_execution")


@pytest.mark.parametrize(
    ("choice", "parallel", "wire"),
    [
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("tool", ("f",)), None, {"type": "tool", "name": "f"}),
        (ToolChoice("tool", ("ns.g",)), None, {"type": "tool", "name": "ns__g"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
    ],
)
def test_choices(choice: ToolChoice | None, parallel: bool | None, wire: Json) -> None:
    tools = (FunctionTool("f"), FunctionTool("g", namespace="ns"))
    assert write(OLD, tools=tools, tool_choice=choice, parallel_tools=parallel).body["tool_choice"] == wire
    assert "tool_choice" not in write(OLD, tool_choice=ToolChoice("auto"), parallel_tools=False).body


def test_a_subset_hides_the_others() -> None:
    tools = (FunctionTool("f"), FunctionTool("g"), FunctionTool("h", namespace="ns"))
    body = write(OLD, tools=tools, tool_choice=ToolChoice("required", ("g", "ns.h"))).body
    assert [tool["name"] for tool in body["tools"]] == ["g", "ns__h"]
    assert body["tool_choice"] == {"type": "any"}


def test_a_forced_choice_that_the_model_refuses() -> None:
    written = write(tools=(FunctionTool("f"),), tool_choice=ToolChoice("tool", ("f",)))
    assert (written.body["tool_choice"], written.dropped) == ({"type": "auto"}, ("tool_choice",))
    assert "'x'" in refused(OLD, tools=(FunctionTool("f"),), tool_choice=ToolChoice("tool", ("x",)))


def test_a_forced_choice_excludes_thinking() -> None:
    # https://platform.claude.com/docs/en/build-with-claude/extended-thinking#extended-thinking-with-tool-use
    written = write(OLD, tools=(FunctionTool("f"),), tool_choice=ToolChoice("required"), reasoning=Reasoning("high"))
    assert ("thinking" in written.body, written.dropped) == (False, ("reasoning",))

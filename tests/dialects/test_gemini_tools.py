"""Tools for Gemini: declarations, names, choices, Google's own tools, deferred ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from gemini_targets import GEMINI, GEMINI_3, GEMINI_25, asks, written

from shared.canonical import (
    CacheMark,
    CustomTool,
    Flags,
    FunctionTool,
    HostedTool,
    OutputFormat,
    Request,
    Target,
    Text,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import Reading
from shared.dialects.toolnames import ToolRef
from shared.errors import Code, GatewayError

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = FunctionTool("get_weather", "The weather.", SCHEMA)
SEARCH = HostedTool("web_search", "messages", {"type": "web_search_20250305", "name": "web_search"})


def declared(body: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body["tools"][0]["functionDeclarations"]
    return found


def test_functions() -> None:
    body, dropped = written(asks(tools=(WEATHER, FunctionTool("now", schema={"type": "object", "properties": {}}))))
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "get_weather", "description": "The weather.", "parametersJsonSchema": SCHEMA},
                {"name": "now"},
            ]
        }
    ]
    assert "toolConfig" not in body
    assert dropped == ()
    assert "tools" not in written(asks(tools=()))[0]


def test_names_that_google_refuses_are_mended_and_restored() -> None:
    # https://github.com/kaitranntt/ccs/issues/25
    tools = (
        FunctionTool("1st"),
        FunctionTool("_1st"),
        FunctionTool("x" * 80),
        FunctionTool("wait", namespace="functions"),
    )
    out = GEMINI.write_request(asks(tools=tools), GEMINI_3)
    names = [one["name"] for one in declared(out.body)]
    assert names[:2] == ["__1st", "_1st"]
    assert names[3] == "functions__wait"
    assert all(len(name) <= 64 for name in names)
    assert [out.tools.client(name) for name in names] == [ToolRef(tool.name, tool.namespace) for tool in tools]


def test_calls_of_tools_that_are_gone_get_a_name_too() -> None:
    history = (
        Turn("user", (Text("Go"),)),
        Turn("assistant", (ToolCall("c", "9 lives", "{}"),)),
        Turn("user", (ToolResult("c"),)),
    )
    body, _ = written(asks(*history))
    name = body["contents"][1]["parts"][0]["functionCall"]["name"]
    assert name.startswith("_9")
    assert body["contents"][2]["parts"][0]["functionResponse"]["name"] == name


def test_custom_tools_become_functions_with_one_text_and_come_back() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": 'start: "a"+'}
    out = GEMINI.write_request(asks(tools=(CustomTool("apply_patch", "Edits files.", grammar),)), GEMINI_3)
    (tool,) = declared(out.body)
    assert tool["parametersJsonSchema"]["required"] == ["input"]
    assert tool["description"] == 'Edits files.\n\n`input` must follow this lark grammar:\nstart: "a"+'
    assert out.dropped == ("tools.format",)
    call = {"functionCall": {"name": "apply_patch", "args": {"input": 'say "hi"\n'}}}
    body = {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
    (block,) = GEMINI.read_response(body, Reading(GEMINI_3, out.tools)).blocks
    assert isinstance(block, ToolCall)
    assert (block.kind, block.arguments) == ("custom", 'say "hi"\n')
    body["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] = {"text": "x"}  # type: ignore[index]  # nested
    with pytest.raises(GatewayError, match="another form"):
        GEMINI.read_response(body, Reading(GEMINI_3, out.tools))


def test_a_custom_call_in_the_history() -> None:
    history = (
        Turn("user", (Text("Go"),)),
        Turn("assistant", (ToolCall("c", "exec", "ls -l", "custom", "functions"),)),
        Turn("user", (ToolResult("c", (Text("a b"),), kind="custom"),)),
    )
    body, _ = written(
        asks(*history, tools=(CustomTool("exec", namespace="functions", namespace_description="All of it."),))
    )
    assert body["contents"][1]["parts"][0]["functionCall"] == {
        "id": "c",
        "name": "functions__exec",
        "args": {"input": "ls -l"},
    }
    assert declared(body)[0]["description"] == "All of it."


def test_a_namespace_introduces_itself_once() -> None:
    tools = tuple(FunctionTool(name, name.upper(), namespace="n", namespace_description="N!") for name in ("a", "b"))
    assert [one["description"] for one in declared(written(asks(tools=tools))[0])] == ["N!\n\nA", "B"]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        (None, None),
        (ToolChoice("auto"), None),
        (ToolChoice("none"), {"mode": "NONE"}),
        (ToolChoice("required"), {"mode": "ANY"}),
        (ToolChoice("required", ("get_weather",)), {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
        (ToolChoice("tool", ("get_weather",)), {"mode": "ANY", "allowedFunctionNames": ["get_weather"]}),
        (ToolChoice("tool", ("n.deep",)), {"mode": "ANY", "allowedFunctionNames": ["n__deep"]}),
        (ToolChoice("tool", ("deep",)), {"mode": "ANY", "allowedFunctionNames": ["n__deep"]}),
        (ToolChoice("auto", ("get_weather",)), {"mode": "VALIDATED", "allowedFunctionNames": ["get_weather"]}),
    ],
)
def test_choices(choice: ToolChoice | None, config: Any) -> None:
    body, dropped = written(asks(tools=(WEATHER, FunctionTool("deep", namespace="n")), tool_choice=choice))
    assert body.get("toolConfig", {}).get("functionCallingConfig") == config
    assert dropped == ()


def test_choices_that_cannot_be() -> None:
    with pytest.raises(GatewayError) as caught:
        GEMINI.write_request(asks(tools=(WEATHER,), tool_choice=ToolChoice("tool", ("nope",))), GEMINI_3)
    assert (caught.value.code, caught.value.param) == (Code.VALIDATION_ERROR, "tool_choice")
    shy = replace(GEMINI_3, flags=replace(GEMINI_3.flags, forced_tool_choice=False))
    body, dropped = written(asks(tools=(WEATHER,), tool_choice=ToolChoice("required")), shy)
    assert ("toolConfig" in body, dropped) == (False, ("tool_choice",))
    bare = Target("google", "m", flags=Flags(tools=False))
    with pytest.raises(GatewayError, match="does not take tools"):
        GEMINI.write_request(asks(tools=(WEATHER,)), bare)


def test_strict_tools_are_validated() -> None:
    body, dropped = written(asks(tools=(replace(WEATHER, strict=True),)))
    assert (body["toolConfig"], dropped) == ({"functionCallingConfig": {"mode": "VALIDATED"}}, ())


def test_hosted_search_is_googles() -> None:
    options = {"max_uses": 5, "allowed_domains": ["a.org"], "blocked_domains": []}
    body, dropped = written(asks(tools=(replace(SEARCH, options=options),)), GEMINI_25)
    assert body["tools"] == [{"googleSearch": {}}]
    assert dropped == ("tools.max_uses", "tools.allowed_domains")
    # Claude Code forces its search; a text is answer enough
    forced = asks(tools=(SEARCH,), tool_choice=ToolChoice("tool", ("web_search",)))
    assert written(forced, GEMINI_25)[1] == ("tool_choice",)
    assert "tools" not in written(asks(tools=(SEARCH,), tool_choice=ToolChoice("none")))[0]


def test_googles_tools_beside_functions() -> None:
    # https://ai.google.dev/gemini-api/docs/tool-combination
    request = asks(tools=(WEATHER, SEARCH, HostedTool("code_execution", "responses", {})))
    body, dropped = written(request)
    assert body["tools"][1:] == [{"googleSearch": {}}, {"codeExecution": {}}]
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "VALIDATED"},
        "includeServerSideToolInvocations": True,
    }
    assert dropped == ()
    body, dropped = written(request, GEMINI_25)
    assert (len(body["tools"]), dropped) == (1, ("tools.web_search", "tools.code_execution"))


def test_hosted_tools_that_google_lacks_are_named() -> None:
    body, dropped = written(asks(tools=(HostedTool("computer", "responses", {}),)))
    assert ("tools" in body, dropped) == (False, ("tools.computer",))


def test_deferred_tools_appear_once_loaded() -> None:
    tools = (FunctionTool("find"), FunctionTool("deploy", deferred=True), FunctionTool("never", deferred=True))
    assert [one["name"] for one in declared(written(asks(tools=tools))[0])] == ["find"]
    found = ToolResult("c", (ToolReference("deploy"),), tools=(FunctionTool("extra", deferred=True),))
    history = (
        Turn("user", (Text("Go"),)),
        Turn("assistant", (ToolCall("c", "find"),)),
        Turn("user", (found,)),
    )
    assert [one["name"] for one in declared(written(asks(*history, tools=tools))[0])] == ["find", "deploy", "extra"]


def test_deferred_tools_are_all_shown_where_nobody_could_search_them() -> None:
    tools = (HostedTool("tool_search", "messages", {}), FunctionTool("deploy", deferred=True))
    body, dropped = written(asks(tools=tools))
    assert [one["name"] for one in declared(body)] == ["deploy"]
    assert dropped == ("tools.tool_search",)


def test_structured_output_beside_tools_needs_gemini_3() -> None:
    # https://github.com/googleapis/python-genai/issues/867
    request = asks(tools=(WEATHER,), format=OutputFormat("json_object"))
    assert "responseMimeType" in written(request)[0]["generationConfig"]
    with pytest.raises(GatewayError) as caught:
        GEMINI.write_request(request, GEMINI_25)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_cache_marks_of_tools_are_named_and_schemas_must_be_objects() -> None:
    assert written(asks(tools=(replace(WEATHER, cache=CacheMark()),)))[1] == ("cache",)
    with pytest.raises(GatewayError, match="must describe an object"):
        GEMINI.write_request(
            Request("m", asks().turns, tools=(FunctionTool("f", schema={"type": "string"}),)), GEMINI_3
        )

"""Requests of Messages clients, read into the canonical form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.canonical import (
    CacheMark,
    Document,
    FunctionTool,
    HostedCall,
    HostedTool,
    Image,
    Json,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import dialect
from shared.dialects.seal import seal
from shared.errors import Code, GatewayError

MESSAGES = dialect("messages")
REQUESTS = Path(__file__).parent.parent / "recordings" / "anthropic" / "requests"
MARK = CacheMark()


def recorded(name: str) -> Request:
    return MESSAGES.read_request(orjson.loads((REQUESTS / f"{name}.json").read_bytes()))


def read(messages: Any = None, **fields: Any) -> Request:
    return MESSAGES.read_request({"model": "m", "messages": messages or [{"role": "user", "content": "hi"}], **fields})


def read_assistant(*blocks: Json) -> tuple[Any, ...]:
    return read([{"role": "assistant", "content": [*blocks]}]).turns[0].blocks


def test_a_plain_request() -> None:
    assert recorded("plain") == Request(
        model="claude-sonnet-5-5",
        turns=(Turn("user", (Text("When is low water?"),)),),
        system=(Text("Answer in one sentence."),),
        max_tokens=256,
        temperature=0.3,
        stop=("\n\n",),
    )


def test_a_coding_agents_request_keeps_everything() -> None:
    request = recorded("coding_agent")
    assert request.system == (Text("You are a coding agent.", cache=MARK), Text("\nBe brief.", cache=MARK))
    assert [turn.role for turn in request.turns] == ["user", "system", "assistant", "user", "system"]
    assert request.turns[1].blocks == (Text("# Environment\nLinux."),)
    assert request.turns[2].blocks == (
        Thinking("The file first.", Opaque("", "signature", "c2lnbmF0dXJl")),
        Text("Reading."),
        ToolCall("toolu_01A", "get_tide", '{"harbour":"Wyk"}'),
        ToolCall("toolu_01B", "ToolSearch", '{"query":"more"}'),
    )
    assert request.turns[3].blocks == (
        ToolResult("toolu_01A", (Text("11:40"), Image("image/png", "iVBORw0KGgo="))),
        ToolResult("toolu_01B", (ToolReference("Deferred"),)),
        Text("And now?", cache=MARK),
    )
    assert [tool.deferred for tool in request.tools if isinstance(tool, FunctionTool)] == [False, False, True]
    assert request.reasoning == Reasoning("xhigh", "adaptive", visible=False)
    assert (request.max_tokens, request.stream) == (32000, True)
    assert request.user == '{"device_id":"D","session_id":"4355"}'
    assert request.dropped == ("context_management", "safeguards")


def test_documents() -> None:
    blocks = recorded("documents").turns[0].blocks
    assert blocks == (
        Document(data="JVBERi0xLjQK", title="Tide tables", context="2026", citations=True),
        Document("text/plain", text="High water 11:40.", title="Note"),
        Document(url="https://files.example/a.pdf"),
        Document("text/plain", text="First.\n\nSecond."),
        Document("text/plain", text="Twice a day.", title="Tides", context="https://docs.example/tide"),
        Image(url="https://files.example/pier.jpg", cache=MARK),
        Text("What follows?"),
    )


def test_a_side_call_with_a_schema_and_no_tools() -> None:
    request = recorded("structured_side_call")
    assert (request.tools, request.tool_choice) == ((), None)
    assert request.reasoning == Reasoning(mode="disabled")
    assert request.format is not None
    assert request.format.schema is not None
    assert request.format.schema["required"] == ["title"]
    assert request.dropped == ()


def test_hosted_search() -> None:
    request = recorded("web_search")
    (tool,) = request.tools
    assert isinstance(tool, HostedTool)
    assert (tool.name, tool.dialect) == ("web_search", "messages")
    assert tool.options == {"max_uses": 8, "allowed_domains": ["weather.example"]}
    assert request.tool_choice == ToolChoice("tool", ("web_search",))
    blocks = recorded("web_search_history").turns[1].blocks
    assert [type(block) for block in blocks] == [Text, HostedCall, Text]
    assert isinstance(blocks[2], Text)
    assert blocks[2].citations[0].url == "https://weather.example/north-sea"


def test_budget_switches_and_tiers() -> None:
    request = recorded("budget_thinking")
    assert request.reasoning == Reasoning(mode="enabled", budget=31999)
    assert (request.tool_choice, request.parallel_tools) == (ToolChoice("auto"), False)
    assert (request.cache, request.service_tier) == (CacheMark("1h"), "default")


def test_system_messages_that_lead_belong_to_the_system() -> None:
    request = read([{"role": "system", "content": "A"}, {"role": "user", "content": "B"}], system="S")
    assert request.system == (Text("S"), Text("A"))
    assert request.turns == (Turn("user", (Text("B"),)),)


def test_system_messages_may_change_effort_and_tools_and_pass_away() -> None:
    tools = [{"name": "a", "defer_loading": True, "input_schema": {}}, {"name": "b", "input_schema": {}}]
    changes = [
        {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "a"}},
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "b"}},
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": {"name": "c", "input_schema": {}}}},
        {"type": "text", "text": "Tools changed."},
    ]
    request = read(
        [
            {"role": "user", "content": "1"},
            {"role": "system", "content": "gone", "clear_at": "next_user_message"},
            {"role": "system", "content": changes, "output_config": {"effort": "low"}},
            {"role": "user", "content": "2"},
            {"role": "system", "content": "stays", "clear_at": "next_user_message"},
        ],
        tools=tools,
        output_config={"effort": "max"},
    )
    assert request.tools == (FunctionTool("a", schema={}), FunctionTool("c", schema={}))
    assert request.reasoning.effort == "low"
    assert [turn.blocks[0] for turn in request.turns] == [Text("1"), Text("Tools changed."), Text("2"), Text("stays")]


def test_sealed_state_is_opened_and_bare_state_has_no_maker() -> None:
    state = Opaque("openai", "encrypted_content", "gAAA")
    blocks = read_assistant(
        {"type": "thinking", "thinking": "t", "signature": seal(state)},
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "redacted_thinking", "data": "bare"},
        {"type": "thinking", "thinking": "", "signature": "gw1.torn"},
    )
    assert blocks == (
        Thinking("t", state),
        Thinking(opaque=Opaque("", "redacted_thinking", "bare"), redacted=True),
        Thinking("", Opaque("", "signature", "gw1.torn")),
    )


def test_tools_read_and_what_has_no_place_elsewhere() -> None:
    request = read(
        tools=[
            {
                "type": "custom",
                "name": "a",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": {"type": "ephemeral"},
            },
            {"name": "b", "input_schema": {}, "input_examples": [{}], "allowed_callers": ["direct"]},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
        ]
    )
    assert request.tools[0] == FunctionTool("a", schema={"type": "object"}, strict=True, cache=MARK)
    assert [tool.name for tool in request.tools] == ["a", "b", "bash", "tool_search"]
    assert request.dropped == ("tools.input_examples",)


@pytest.mark.parametrize(
    ("wire", "choice"),
    [("any", ToolChoice("required")), ("none", ToolChoice("none")), ("auto", ToolChoice("auto"))],
)
def test_choices(wire: str, choice: ToolChoice) -> None:
    assert read(tool_choice={"type": wire}).tool_choice == choice


def test_files_and_documents_made_of_blocks() -> None:
    png = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    request = read(
        [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "file", "file_id": "f1"}},
                    {"type": "document", "source": {"type": "file", "file_id": "f2"}},
                    {"type": "document", "source": {"type": "content", "content": "plain"}},
                    {
                        "type": "document",
                        "source": {"type": "content", "content": [{"type": "text", "text": "a"}, png]},
                    },
                ],
            }
        ]
    )
    assert request.turns[0].blocks == (
        Image(file_id="f1"),
        Document(file_id="f2"),
        Document("text/plain", text="plain"),
        Document("text/plain", text="a"),
        Image("image/png", "aGk="),
    )


def test_results_as_text_and_with_documents() -> None:
    def result(content: Any) -> ToolResult:
        block = {"type": "tool_result", "tool_use_id": "a", "content": content, "is_error": True}
        (read_back,) = read([{"role": "user", "content": [block]}]).turns[0].blocks
        assert isinstance(read_back, ToolResult)
        assert read_back.is_error
        return read_back

    assert result("11:40").content == (Text("11:40"),)
    assert result("").content == ()
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}
    page = {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}}
    assert result([page, found]).content == (
        Document(url="https://a.example/b.pdf"),
        Document("text/plain", text="x", title="t", context="s"),
    )
    with pytest.raises(GatewayError, match="browser_state"):
        result([{"type": "browser_state"}])
    with pytest.raises(GatewayError, match="Field required"):
        result([{}])


def test_an_assistants_words_pictures_and_servers() -> None:
    assert read([{"role": "assistant", "content": "a"}]).turns[0].blocks == (Text("a"),)
    picture = {"type": "image", "source": {"type": "url", "url": "https://a.example/i.png"}}
    use = {"type": "mcp_tool_use", "id": "m1", "name": "look", "server_name": "s", "input": {"q": 1}}
    result = {"type": "mcp_tool_result", "tool_use_id": "m1", "content": [{"type": "text", "text": "x"}]}
    assert read_assistant(picture, use, result) == (
        Image(url="https://a.example/i.png"),
        HostedCall("m1", "mcp", {"q": 1}, (), "messages", (use, result)),
    )
    with pytest.raises(GatewayError, match="hologram"):
        read_assistant({"type": "hologram"})


def test_compaction_and_fallback_blocks() -> None:
    request = read(
        [
            {
                "role": "assistant",
                "content": [{"type": "compaction", "content": "Before."}, {"type": "fallback", "to": {}}],
            }
        ]
    )
    assert request.turns[0].blocks == (Text("Before."),)
    assert request.dropped == ("fallback",)


def test_the_older_name_of_structured_output() -> None:
    request = read(output_format={"type": "json_schema", "schema": {"type": "object"}})
    assert request.format == OutputFormat("json_schema", {"type": "object"})
    assert request.dropped == ()


def test_null_is_absent_and_the_unknown_is_named() -> None:
    request = read(
        container=None, thinking=None, tools=None, mcp_servers=[], speed="standard", wonder=1, diagnostics={}
    )
    assert request.dropped == ("wonder", "diagnostics")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"container": "c_1"}, "container"),
        ({"mcp_servers": [{"url": "https://x.example"}]}, "mcp_servers"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"max_tokens": 0}, "max_tokens"),
        (
            {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
            "messages.0.content.0",
        ),
    ],
)
def test_what_only_one_provider_can_do_is_refused(fields: Json, param: str) -> None:
    with pytest.raises(GatewayError) as raised:
        MESSAGES.read_request({"model": "m", "messages": [{"role": "user", "content": "x"}], **fields})
    assert raised.value.code is Code.UNSUPPORTED_BY_MODEL
    assert raised.value.param == param
    assert raised.value.message.startswith(param)


def user(*blocks: Any) -> Json:
    return {"messages": [{"role": "user", "content": [*blocks]}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        (user("x"), "messages.0.content.0"),
        (user({"text": "x"}), "messages.0.content.0.type"),
        (user({"type": ["text"]}), "messages.0.content.0.type"),
        (user({"type": "text", "text": None}), "messages.0.content.0.text"),
        (user({"type": "image", "source": {"type": "base64", "data": 1}}), "messages.0.content.0.source.media_type"),
        (user({"type": "image", "source": {"type": "x"}}), "messages.0.content.0.source.type"),
        (user({"type": "tool_result"}), "messages.0.content.0.tool_use_id"),
        (user({"type": "tool_result", "tool_use_id": "a", "content": [7]}), "messages.0.content.0.content.0"),
        (user({"type": "tool_result", "tool_use_id": "a", "is_error": "no"}), "messages.0.content.0.is_error"),
        ({"system": 7}, "system"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"tools": {}}, "tools"),
        ({"tools": [{}]}, "tools.0.name"),
        ({"tools": [{"name": "x", "input_schema": []}]}, "tools.0.input_schema"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"stream": "yes"}, "stream"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "perhaps"}}, "thinking.type"),
        ({"thinking": True}, "thinking"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"user_id": 4}}, "metadata.user_id"),
        ({"cache_control": "x"}, "cache_control"),
    ],
)
def test_wrong_types_are_refused_by_their_place(fields: Json, param: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], **fields}
    with pytest.raises(GatewayError) as raised:
        MESSAGES.read_request(body)
    assert raised.value.code is Code.VALIDATION_ERROR
    assert raised.value.param == param
    assert raised.value.message.startswith(f"{param}: ")


def test_input_that_is_nested_too_deeply() -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"a": deep}
    with pytest.raises(GatewayError) as raised:
        read_assistant({"type": "tool_use", "id": "a", "name": "f", "input": deep})
    assert raised.value.code is Code.VALIDATION_ERROR

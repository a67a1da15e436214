"""Requests of any client, written for providers that speak the Messages API."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from anthropic.types import MessageParam
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.canonical import (
    Audio,
    Block,
    CacheMark,
    Citation,
    CustomTool,
    Document,
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
    Tool,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import Written, dialect
from shared.errors import Code, GatewayError

MESSAGES = dialect("messages")
EYES = frozenset({"text", "image", "pdf"})
NEW = Target(
    "anthropic",
    "claude-sonnet-5-5",
    Limits(1_000_000, 128_000),
    Flags(
        sampling_params=False,
        forced_tool_choice=False,
        thinking="adaptive",
        thinking_off="between_tools",
        effort=("low", "medium", "high", "xhigh", "max"),
        effort_without_thinking="high",
        json_schema=True,
        mid_system=True,
    ),
    EYES,
)
OLD = Target("anthropic", "claude-haiku-4-5", Limits(200_000, 64_000), Flags(thinking="budget", json_schema=True), EYES)
PLAIN = Target("ollama", "small", Limits(32_768))
MARK = CacheMark()


def user(*blocks: Block) -> Turn:
    return Turn("user", blocks)


def assistant(*blocks: Block) -> Turn:
    return Turn("assistant", blocks)


HELLO = (user(Text("Hello")),)


def write(target: Target = NEW, turns: tuple[Turn, ...] = HELLO, **fields: Any) -> Written:
    return MESSAGES.write_request(Request("asked", turns, **fields), target)


def messages(*turns: Turn, target: Target = NEW) -> list[Json]:
    written: list[Json] = write(target, turns).body["messages"]
    judge: TypeAdapter[Any] = TypeAdapter(MessageParam)
    for message in written:
        judge.validate_python(message)
    return written


def refused(target: Target = NEW, turns: tuple[Turn, ...] = HELLO, **fields: Any) -> str:
    with pytest.raises(GatewayError) as raised:
        write(target, turns, **fields)
    assert raised.value.code is Code.UNSUPPORTED_BY_MODEL
    return raised.value.message


def t(text: str) -> Json:
    return {"type": "text", "text": text}


# ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_turns_of_one_role_are_joined() -> None:
    got = messages(user(Text("a")), user(Text("b")), assistant(Text("c")), assistant(Text("")), user(Text("d")))
    assert got == [
        {"role": "user", "content": [t("a"), t("b")]},
        {"role": "assistant", "content": [t("c")]},
        {"role": "user", "content": [t("d")]},
    ]


def result(call_id: str, text: str = "ok") -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def written_result(call_id: str, text: str = "ok") -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": text}


def use(call_id: str, name: str = "f") -> Json:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}}


def test_results_come_first_and_at_once() -> None:
    got = messages(
        user(Text("go")),
        assistant(ToolCall("a", "f")),
        assistant(ToolCall("b", "f")),
        user(Text("by the way"), result("b")),
        user(result("a")),
    )
    assert got[1:] == [
        {"role": "assistant", "content": [use("a"), use("b")]},
        {"role": "user", "content": [written_result("a"), written_result("b"), t("by the way")]},
    ]


def test_a_result_that_comes_too_late_is_brought_forward() -> None:
    got = messages(
        assistant(ToolCall("a", "f"), ToolCall("b", "f")),
        user(result("a")),
        assistant(Text("still waiting")),
        user(result("b")),
        user(Text("so?")),
    )
    assert got == [
        {"role": "assistant", "content": [use("a"), use("b")]},
        {"role": "user", "content": [written_result("a"), written_result("b")]},
        {"role": "assistant", "content": [t("still waiting")]},
        {"role": "user", "content": [t("so?")]},
    ]


def test_ids_are_made_fit_and_kept_apart() -> None:
    got = messages(
        assistant(ToolCall("functions.f:0", "f"), ToolCall("functions_f_0", "f")),
        user(result("functions_f_0", "2"), result("functions.f:0", "1")),
        assistant(ToolCall("functions.f:0", "f")),
        user(result("functions.f:0", "3")),
    )
    ids = [part["id"] for message in got for part in message["content"] if part["type"] == "tool_use"]
    answers = [
        (part["tool_use_id"], part["content"]) for m in got for part in m["content"] if part["type"] == "tool_result"
    ]
    assert len(set(ids)) == 3
    assert all(set(call_id) <= set("abcdefghijklmnopqrstuvwxyz_0123456789") for call_id in ids)
    assert answers == list(zip(ids, "123", strict=True))


def test_a_call_without_result_is_refused_unless_it_is_the_last_thing() -> None:
    turns = (assistant(ToolCall("a", "f")), user(Text("never mind")), assistant(Text("ok")), user(Text("next")))
    assert "'a'" in refused(turns=turns)
    missing = {"type": "tool_result", "tool_use_id": "a", "content": "(no result)", "is_error": True}
    assert messages(*turns[:2])[1]["content"] == [missing, t("never mind")]
    assert messages(*turns[:1])[1]["content"] == [missing]
    assert "'b'" in refused(turns=(user(result("b")),))


def test_results_of_every_kind() -> None:
    picture = Image("image/png", "aGk=")
    got = messages(
        assistant(ToolCall("a", "f"), ToolCall("b", "f"), ToolCall("c", "f"), ToolCall("d", "f")),
        user(
            ToolResult("a", (Text("see"), picture, Document(data="JVBERg=="))),
            ToolResult("b", (), is_error=True),
            ToolResult("c"),
            ToolResult("d", (Text("x"),), cache=MARK),
        ),
    )
    a, b, c, d = got[1]["content"]
    assert [part["type"] for part in a["content"]] == ["text", "image", "document"]
    assert b == {"type": "tool_result", "tool_use_id": "b", "content": "error", "is_error": True}
    assert c == {"type": "tool_result", "tool_use_id": "c"}
    assert d["cache_control"] == {"type": "ephemeral"}


def test_system_words_in_between() -> None:
    turns = (
        user(Text("q")),
        assistant(ToolCall("a", "f")),
        Turn("developer", (Text("careful"),)),
        user(result("a"), Text("and?")),
    )
    assert messages(*turns)[2:] == [
        {"role": "user", "content": [written_result("a")]},
        {"role": "system", "content": [t("careful")]},
        {"role": "user", "content": [t("and?")]},
    ]
    assert messages(*turns, target=OLD)[2:] == [
        {"role": "user", "content": [written_result("a"), t("<system>\ncareful\n</system>"), t("and?")]}
    ]


def test_prefill() -> None:
    turns = (user(Text("q")), assistant(Text("It is ")))
    assert "user message" in refused(turns=turns)
    able = replace(OLD, flags=Flags(prefill=True, thinking="budget"))
    written = write(able, turns, reasoning=Reasoning("high"))
    assert written.body["messages"][-1] == {"role": "assistant", "content": [t("It is")]}
    assert "thinking" not in written.body
    assert written.dropped == ("reasoning",)


def test_nothing_to_say_is_refused() -> None:
    assert "messages" in refused(turns=(user(Text("")),))


def test_arguments_must_be_an_object() -> None:
    for arguments in ("[1]", "{", '"x"'):
        assert "'a'" in refused(turns=(assistant(ToolCall("a", "f", arguments)), user(result("a"))))


def test_names_and_phases_are_named() -> None:
    written = write(
        turns=(Turn("user", (Text("a"),), name="Ann"), Turn("assistant", (Text("b"),), phase="commentary"), *HELLO)
    )
    assert written.dropped == ("name", "phase")


# ── blocks ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pictures_and_documents() -> None:
    (message,) = messages(
        user(
            Image("image/webp", "aGk=", cache=CacheMark("30m")),
            Image(url="https://a.example/b.png", detail="high"),
            Document(data="JVBERg==", filename="a.pdf", citations=True, context="c"),
            Document(url="https://a.example/b.pdf"),
            Document("text/plain", text="words", title="T"),
            Document("text/markdown", data="IyBoaQ==", filename="a.md"),
        )
    )
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert message["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/webp", "data": "aGk="},
            "cache_control": mark,
        },
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
            "context": "c",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "T"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# hi"}, "title": "a.md"},
    ]
    (plain,) = messages(user(Document("text/plain", text="words", title="T")), target=PLAIN)
    assert plain["content"] == [t("T\n\nwords")]


@pytest.mark.parametrize(
    ("target", "block", "word"),
    [
        (PLAIN, Image("image/png", "aGk="), "images"),
        (PLAIN, ToolResult("a", (Image("image/png", "aGk="),)), "images"),
        (PLAIN, Document(data="JVBERg=="), "documents"),
        (NEW, Image("image/tiff", "aGk="), "image/tiff"),
        (NEW, Image(file_id="file-1"), "file-1"),
        (NEW, Document(file_id="file-2"), "file-2"),
        (NEW, Document("application/zip", "aGk="), "application/zip"),
        (NEW, Document("text/plain", "/w=="), "UTF-8"),
        (NEW, Audio("aGk=", "wav"), "audio"),
    ],
)
def test_what_the_model_does_not_take_is_refused(target: Target, block: Block, word: str) -> None:
    turns = (assistant(ToolCall("a", "f")), user(block)) if isinstance(block, ToolResult) else (user(block),)
    assert word in refused(target, turns)


def test_what_cannot_come_along_is_named() -> None:
    foreign = Opaque("openai", "encrypted_content", "x")
    written = write(
        turns=(
            *HELLO,
            assistant(
                Thinking("t", foreign),
                Text("a", citations=(Citation(url="https://a.example"),), opaque=foreign),
                HostedCall("w", "web_search", dialect="responses", raw=({"type": "web_search_call"},)),
                Image(url="https://a.example/i.png"),
                Audio(transcript="spoken"),
            ),
            user(Image(url="https://a.example/i.png", detail="low")),
        ),
    )
    assert written.body["messages"][1] == {"role": "assistant", "content": [t("a"), t("spoken")]}
    assert set(written.dropped) == {"reasoning", "citations", "hosted_call", "image", "audio", "image.detail"}


def test_own_sources_go_back_as_they_were() -> None:
    cited = {
        "type": "page_location",
        "cited_text": "x",
        "document_index": 0,
        "start_page_number": 1,
        "end_page_number": 2,
    }
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    call = HostedCall("srvtoolu_1", "web_search", dialect="messages", raw=(use, found))
    written = write(turns=(*HELLO, assistant(call, Text("a", citations=(Citation(raw=cited),))), *HELLO))
    assert written.body["messages"][1]["content"] == [use, found, {**t("a"), "citations": [cited]}]
    assert written.dropped == ()


def test_state_and_marks_of_calls() -> None:
    call = ToolCall("a", "f", opaque=Opaque("google", "thought_signature", "x"), cache=MARK)
    written = write(turns=(*HELLO, assistant(call), user(result("a"))))
    assert written.body["messages"][1]["content"] == [{**use("a"), "cache_control": {"type": "ephemeral"}}]
    assert written.dropped == ("reasoning",)


def test_only_its_makers_state_comes_back_byte_for_byte() -> None:
    mine = [Opaque("anthropic", "signature", "c2ln/+="), Opaque("anthropic", "redacted_thinking", "cmVk")]
    others = [
        Opaque("", "signature", "x"),
        Opaque("zai", "signature", "x"),
        Opaque("anthropic", "reasoning_details", "[]"),
    ]
    blocks = [
        Thinking("t", mine[0]),
        Thinking(opaque=mine[1], redacted=True),
        *(Thinking("u", other) for other in others),
    ]
    written = write(turns=(*HELLO, assistant(*blocks, Text("a")), *HELLO))
    assert written.body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "c2ln/+="},
        {"type": "redacted_thinking", "data": "cmVk"},
        t("a"),
    ]
    assert written.dropped == ("reasoning",)


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}


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


def hosted(name: str, raw: Json, dialect_name: str = "responses", **options: Any) -> HostedTool:
    return HostedTool(name, dialect_name, raw, options)


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


# ── reasoning ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "thinking", "effort"),
    [
        (Reasoning(), None, None),
        (Reasoning("high"), {"type": "adaptive"}, "high"),
        (Reasoning("minimal"), {"type": "adaptive"}, "low"),
        (Reasoning("max", visible=True), {"type": "adaptive", "display": "summarized"}, "max"),
        (Reasoning(mode="adaptive", visible=False), {"type": "adaptive", "display": "omitted"}, None),
        (Reasoning(visible=True, summary="auto"), {"type": "adaptive", "display": "summarized"}, None),
        (Reasoning(mode="enabled", budget=31999), {"type": "adaptive"}, "xhigh"),
        (Reasoning(mode="enabled", budget=2048), {"type": "adaptive"}, "low"),
        (Reasoning("none"), {"type": "between_tools"}, None),
        (Reasoning("max", mode="disabled"), {"type": "between_tools"}, "high"),
    ],
)
def test_adaptive_models(asked: Reasoning, thinking: Json | None, effort: str | None) -> None:
    written = write(reasoning=asked)
    assert written.body.get("thinking") == thinking
    assert written.body.get("output_config", {}).get("effort") == effort
    assert written.dropped == ()


def test_a_model_that_always_thinks() -> None:
    always = replace(NEW, flags=replace(NEW.flags, thinking_off="never"))
    written = write(always, reasoning=Reasoning("none"))
    assert "thinking" not in written.body
    assert (written.body["output_config"], written.dropped) == ({"effort": "low"}, ("reasoning",))


@pytest.mark.parametrize(
    ("asked", "limit", "budget", "max_tokens"),
    [
        (Reasoning("medium"), 20_000, 8192, 20_000),
        (Reasoning("high"), 4000, 16384, 20384),
        (Reasoning(mode="enabled", budget=31999), 32000, 31999, 32000),
        (Reasoning(mode="enabled", budget=100), 4000, 1024, 4000),
        (Reasoning("xhigh"), 60_000, 32768, 60_000),
        (Reasoning(mode="enabled", budget=63_000), 40_000, 24_000, 64_000),
        (Reasoning(mode="adaptive"), 32_000, 16384, 32_000),
        (Reasoning("minimal"), None, 1024, 64_000),
    ],
)
def test_budget_models(asked: Reasoning, limit: int | None, budget: int, max_tokens: int) -> None:
    written = write(OLD, reasoning=asked, max_tokens=limit)
    assert written.body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert written.body["max_tokens"] == max_tokens
    assert 1024 <= budget < max_tokens


def test_no_room_for_a_budget() -> None:
    tiny = replace(OLD, limits=Limits(output=1500))
    written = write(tiny, reasoning=Reasoning("high"), max_tokens=1500)
    assert ("thinking" in written.body, written.dropped) == (False, ("reasoning",))


def test_budget_thinking_needs_the_thoughts_of_its_loop() -> None:
    loop = (*HELLO, assistant(ToolCall("a", "f")), user(result("a")))
    written = write(OLD, loop, tools=(FunctionTool("f"),), reasoning=Reasoning("high"))
    assert ("thinking" in written.body, written.dropped) == (False, ("reasoning",))
    own = Thinking("t", Opaque("anthropic", "signature", "s"))
    loop = (*HELLO, assistant(own, ToolCall("a", "f")), user(result("a")))
    assert "thinking" in write(OLD, loop, tools=(FunctionTool("f"),), reasoning=Reasoning("high")).body


def test_models_without_reasoning_or_without_effort() -> None:
    assert write(PLAIN, reasoning=Reasoning("high")).dropped == ("reasoning",)
    assert write(PLAIN, reasoning=Reasoning(mode="disabled")).dropped == ()
    # Z.AI's Messages endpoint knows `thinking` only: https://docs.z.ai/guides/capabilities/thinking-mode
    glm = Target(
        "zai", "glm", flags=Flags(thinking="effort", effort=("low", "high", "max")), quirks=frozenset({"no_effort"})
    )
    body = write(glm, reasoning=Reasoning("low"), max_tokens=9000).body
    assert (body["thinking"], "output_config" in body) == ({"type": "enabled", "budget_tokens": 2048}, False)


# ── the rest ─────────────────────────────────────────────────────────────────────────────────────────────────────


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
        *("logprobs", "verbosity", "metadata", "cache_key"),
    )
    assert set(written.body) == {"model", "max_tokens", "messages"}


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


def test_a_forced_choice_without_any_tool_is_named() -> None:
    tools = (hosted("file_search", {"type": "file_search"}),)
    written = write(tools=tools, tool_choice=ToolChoice("required"))
    assert written.dropped == ("tools.file_search", "tool_choice")
    assert "tool_choice" not in written.body


# ── whatever the turns, what is written keeps the rules ──────────────────────────────────────────────────────────

IDS = st.sampled_from(["a", "b", "c:1", "c.1", ""])
SAID = st.builds(Text, st.sampled_from(["", "x", "y"]), cache=st.sampled_from([None, MARK]))
OWN = st.builds(Opaque, st.sampled_from(["anthropic", "openai"]), st.just("signature"), st.just("s"))
HEARD = st.one_of(
    SAID,
    st.builds(ToolResult, IDS, st.lists(SAID, max_size=2).map(tuple), st.booleans()),
    st.just(Image("image/png", "aGk=")),
)
ANSWERED = st.one_of(SAID, st.builds(ToolCall, IDS, st.just("f")), st.builds(Thinking, st.just("t"), OWN))
TURNS = st.lists(
    st.one_of(
        st.builds(Turn, st.just("user"), st.lists(HEARD, max_size=4).map(tuple)),
        st.builds(Turn, st.just("assistant"), st.lists(ANSWERED, max_size=4).map(tuple)),
        st.builds(Turn, st.sampled_from(["system", "developer"]), st.lists(SAID, max_size=2).map(tuple)),
    ),
    max_size=7,
)


def check_rules(written: list[Json]) -> None:
    seen: set[str] = set()
    for i, message in enumerate(written):
        assert message["content"]
        assert i == 0 or written[i - 1]["role"] != message["role"]
        kinds = [part["type"] for part in message["content"]]
        results = [part["tool_use_id"] for part in message["content"] if part["type"] == "tool_result"]
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        calls = [part["id"] for part in written[i - 1]["content"] if part["type"] == "tool_use"] if i else []
        assert results == calls
        assert not seen & set(results)
        seen |= set(results)
        assert all(ID.fullmatch(call_id) for call_id in results)
        assert all(part["text"] for part in message["content"] if part["type"] == "text")
    assert not any(part["type"] == "tool_use" for part in written[-1]["content"])
    assert orjson.dumps(written).count(b"cache_control") <= 4


ID = re.compile(r"[a-zA-Z0-9_-]+")


@given(TURNS, st.booleans())
@settings(max_examples=400)
def test_any_turns_keep_the_rules_or_are_refused(turns: list[Turn], mid_system: bool) -> None:
    target = replace(NEW, flags=replace(NEW.flags, mid_system=mid_system, prefill=True))
    try:
        written = write(target, tuple(turns)).body["messages"]
    except GatewayError as error:
        assume(error.code is not Code.UNSUPPORTED_BY_MODEL)
        raise
    check_rules(written)


# ── there and back, and how fast ─────────────────────────────────────────────────────────────────────────────────


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
        began = time.perf_counter()
        MESSAGES.write_request(MESSAGES.read_request(body), NEW)
        best = min(best, time.perf_counter() - began)
    assert best < 0.015

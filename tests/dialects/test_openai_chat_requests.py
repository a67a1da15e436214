"""Chat completions requests: read from a client, written for a provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

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
from shared.dialects.openai_chat import DIALECT
from shared.dialects.seal import seal
from shared.errors import Code, GatewayError

REQUESTS = Path(__file__).parents[1] / "recordings" / "openai_chat" / "requests"
NAMES = sorted(path.stem for path in REQUESTS.glob("*.json"))
ALL = Flags(json_schema=True, effort=("none", "low", "medium", "high", "xhigh"), thinking="effort", thinking_off="none")
OPENAI = Target(
    "openai",
    "gpt-x",
    Limits(400_000, 128_000),
    ALL,
    frozenset({"text", "image", "pdf", "audio"}),
    quirks=frozenset({"custom_tools"}),
)


def recorded(name: str) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads((REQUESTS / f"{name}.json").read_bytes())
    return body


def target(*quirks: str, provider: str = "acme", flags: Flags = ALL, **more: Any) -> Target:
    more.setdefault("input", frozenset({"text", "image", "pdf"}))
    return Target(provider, "m1", flags=flags, quirks=frozenset(quirks), **more)


def ask(*turns: Turn, **fields: Any) -> Request:
    return Request("m", turns or (Turn("user", (Text("Hi"),)),), **fields)


def user(*blocks: Any) -> Turn:
    return Turn("user", blocks)


def assistant(*blocks: Any) -> Turn:
    return Turn("assistant", blocks)


def write(request: Request, to: Target) -> tuple[dict[str, Any], tuple[str, ...]]:
    written = DIALECT.write_request(request, to)
    return written.body, written.dropped


def read(*messages: dict[str, Any], **fields: Any) -> Request:
    return DIALECT.read_request({"model": "m", "messages": [*messages], **fields})


HI = {"role": "user", "content": "Hi"}

# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_recorded_request_is_lost(name: str) -> None:
    assert DIALECT.read_request(recorded(name)).dropped == ()


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back(name: str) -> None:
    request = DIALECT.read_request(recorded(name))
    written = DIALECT.write_request(request, OPENAI)
    again = DIALECT.read_request(written.body)
    if name == "legacy_functions":
        assert again.tools == request.tools
        assert [turn.blocks for turn in again.turns] == [turn.blocks for turn in request.turns]
        return
    gone = {"images_and_files": {"cache"}, "reasoning_replay": {"reasoning"}}.get(name, set())
    assert set(written.dropped) == gone
    if not gone:
        for field in Request.__slots__:
            if field not in ("model", "stream", "stream_usage", "service_tier", "turns"):
                assert getattr(again, field) == getattr(request, field), field
        assert [turn.blocks for turn in again.turns] == [turn.blocks for turn in request.turns]


def test_turns_and_system() -> None:
    request = DIALECT.read_request(recorded("tool_loop"))
    assert request.system == (Text("Use tools."),)
    assert request.turns[0] == Turn("user", (Text("Oslo and Lima?"),), name="ana")
    assert request.turns[1] == assistant(
        ToolCall("call_1", "weather", '{"city":"Oslo"}'), ToolCall("call_2", "weather", '{"city":"Lima"}')
    )
    assert request.turns[2:4] == (
        user(ToolResult("call_1", (Text("4 °C"),))),
        user(ToolResult("call_2", (Text("22 °C"),))),
    )
    assert (request.parallel_tools, request.max_tokens) == (False, 2048)
    assert request.reasoning == Reasoning("low")


def test_content_parts() -> None:
    [turn] = DIALECT.read_request(recorded("images_and_files")).turns
    assert turn.blocks == (
        Text("Compare.", cache=CacheMark("30m")),
        Image(url="https://pics.example/a.png", detail="low"),
        Image("image/png", "iVBORw0KGgo="),
        Document("application/pdf", "JVBERi0xLjQK", filename="report.pdf"),
    )


def test_custom_tools_their_calls_and_their_results() -> None:
    request = DIALECT.read_request(recorded("custom_tool"))
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    assert request.tools[0] == CustomTool("apply_patch", "Edits files.", form)
    assert request.turns[1].blocks == (
        ToolCall("call_9", "apply_patch", '*** Begin Patch\n"x"\n*** End Patch', "custom"),
    )
    assert request.turns[2].blocks == (ToolResult("call_9", (Text("done"),), kind="custom"),)
    assert request.tool_choice == ToolChoice("required", ("apply_patch",))


def test_the_old_functions() -> None:
    request = DIALECT.read_request(recorded("legacy_functions"))
    [call] = request.turns[1].blocks
    [result] = request.turns[2].blocks
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert result.call_id == call.id
    assert request.tool_choice == ToolChoice("tool", ("weather",))
    assert [tool.name for tool in request.tools] == ["weather"]


def test_later_system_messages_stay_where_they_are() -> None:
    request = DIALECT.read_request(recorded("mid_system_and_refusal"))
    assert [turn.role for turn in request.turns] == ["user", "assistant", "system", "user"]
    assert request.turns[1].blocks == (Text("Hello."), Text("No more.", refusal=True))
    assert request.turns[3].blocks[0] == Audio("UklGRg==", "wav")


def test_unknown_fields_are_named_and_harmless() -> None:
    request = read(HI, store=True, prediction={"type": "content"}, prompt_cache_retention="24h", hologram=1, seed=None)
    assert request.dropped == ("store", "prediction", "prompt_cache_retention", "hologram")
    assert read(HI, store=False, modalities=["text"], n=1).dropped == ()


def test_state_of_another_provider_is_named() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    raw = {"extra_content": {"google": {"thought_signature": "bare"}}}
    details = [{"type": "reasoning.encrypted", "data": "bare"}]
    message = {"role": "assistant", "tool_calls": [{**call, **raw}], "reasoning_details": details}
    assert set(read(HI, message).dropped) == {"extra_content", "reasoning_details"}


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_effort": "max"}, Reasoning("max")),
        ({"reasoning": {"effort": "high", "exclude": True}}, Reasoning("high", visible=False)),
        ({"reasoning": {"max_tokens": 4000}}, Reasoning(budget=4000)),
        ({"reasoning": {"enabled": False}}, Reasoning(mode="disabled")),
        ({"thinking": {"type": "enabled"}}, Reasoning(mode="adaptive")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Reasoning(mode="enabled", budget=2000)),
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="disabled")),
        ({}, Reasoning()),
    ],
)
def test_reasoning_in_all_its_spellings(fields: dict[str, Any], reasoning: Reasoning) -> None:
    assert read(HI, **fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 3}, "model"),
        ({"model": ""}, "model"),
        ({"messages": {}}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"role": "robot"}]}, "messages.0.role"),
        ({"messages": [HI, {"role": "user", "content": 5}]}, "messages.1.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages.0.content.0.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]},
            "messages.0.content.0.image_url.url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages.0.tool_calls.0.function"),
        (
            {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]},
            "messages.0.content.0.type",
        ),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"stop": [1]}, "stop.0"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": 1}}]}, "tools.0.function.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"logit_bias": {"1": "x"}}, "logit_bias.1"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read_request({"model": "m", "messages": [HI], **fields})
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.param == param
    assert caught.value.message.startswith(f"{param}: expected" if "only" not in caught.value.message else param)


@pytest.mark.parametrize("fields", [{"n": 2}, {"modalities": ["text", "audio"]}, {"moderation": {"model": "x"}}])
def test_what_has_no_meaning_elsewhere_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(GatewayError) as caught:
        read(HI, **fields)
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL
    assert caught.value.param == next(iter(fields))


# ── writing: conversation ────────────────────────────────────────────────────────────────────────────────────────


def test_results_go_first_and_their_pictures_follow() -> None:
    picture = Image("image/png", "aGk=")
    body, dropped = write(
        ask(
            user(Text("Look")),
            assistant(ToolCall("c1", "shot", "{}"), ToolCall("c2", "log", "")),
            user(ToolResult("c1", (Text("taken"), picture))),
            user(Text("and now?"), ToolResult("c2", (), is_error=True)),
        ),
        target(),
    )
    assert body["messages"][1]["tool_calls"][1]["function"]["arguments"] == "{}"
    assert body["messages"][2:] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": "taken\n(The image of this result stands in the next user message.)",
        },
        {"role": "tool", "tool_call_id": "c2", "content": "error"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "From the result of c1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
            ],
        },
        {"role": "user", "content": "and now?"},
    ]
    assert dropped == ("tool_result.is_error",)


def test_neighbouring_assistant_turns_make_one_message() -> None:
    body, _ = write(
        ask(
            user(Text("Go")),
            assistant(Text("First.")),
            assistant(ToolCall("c1", "f", "{}")),
            assistant(ToolCall("c2", "f", "{}")),
            user(ToolResult("c1", (Text("1"),)), ToolResult("c2", (Text("2"),))),
        ),
        target(),
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool"]
    assert body["messages"][1]["content"] == "First."
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["c1", "c2"]


def test_system_texts_join_and_the_billing_note_goes() -> None:
    system = (Text("x-anthropic-billing-header: cc_version=2"), Text("One.", cache=CacheMark()), Text("Two."))
    body, dropped = write(ask(system=system), target())
    assert body["messages"][0] == {"role": "system", "content": "One.\n\nTwo."}
    assert dropped == ("cache",)


def test_cache_marks_stay_where_they_are_known() -> None:
    # https://openrouter.ai/docs/features/prompt-caching
    request = ask(
        user(Text("Hi", cache=CacheMark("1h"))),
        system=(Text("One.", cache=CacheMark()), Text("Two.")),
        tools=(FunctionTool("f", cache=CacheMark("5m")),),
    )
    body, dropped = write(request, target("keeps_cache_control"))
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert body["messages"][1]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert dropped == ()
    body, dropped = write(request, target())
    assert b"cache_control" not in orjson.dumps(body)
    assert dropped == ("cache",)


def test_later_system_turns_keep_their_role() -> None:
    turns = (user(Text("a")), Turn("developer", (Text("Be kind."),)), user(Text("b")))
    assert [m["role"] for m in write(ask(*turns), target())[0]["messages"]] == ["user", "developer", "user"]
    written = write(ask(*turns), target("no_developer_role"))[0]
    assert [message["role"] for message in written["messages"]] == ["user", "system", "user"]


def test_what_an_assistant_message_cannot_hold_is_named() -> None:
    turn = assistant(
        Text("Said.", citations=(Citation("https://a.example"),)),
        HostedCall("h", "web_search"),
        Audio(transcript="Spoken.", id="a1"),
        Image("image/png", "aGk="),
    )
    body, dropped = write(ask(user(Text("?")), turn, user(Text("!"))), target())
    assert body["messages"][1] == {"role": "assistant", "content": "Said.Spoken."}
    assert dropped == ("assistant.image", "audio", "citations", "web_search")


def test_documents() -> None:
    pdf = Document(data="JVBERg==", filename="a.pdf")
    text = Document("text/plain", text="words", title="Notes", context="old")
    data = Document("text/plain", data="d29yZHM=")
    [message] = write(ask(user(pdf, text, data)), target())[0]["messages"]
    assert message["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
        {"type": "text", "text": "Notes\nold\n\nwords"},
        {"type": "text", "text": "words"},
    ]
    link = Document(url="https://a.example/x.pdf")
    [message] = write(ask(user(link)), target("pdf_url_in_file_data"))[0]["messages"]
    assert message["content"][0]["file"]["file_data"] == "https://a.example/x.pdf"


@pytest.mark.parametrize(
    "block",
    [
        Image("image/png", "aGk="),
        Document(data="JVBERg=="),
        Audio("UklGRg==", "wav"),
    ],
)
def test_media_that_the_model_cannot_read_is_refused(block: Any) -> None:
    with pytest.raises(GatewayError, match="takes no") as caught:
        write(ask(user(block)), target(input=frozenset({"text"})))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


@pytest.mark.parametrize(
    "block", [Image(file_id="f1"), Document(file_id="f1"), Document(url="https://a.example/a.pdf")]
)
def test_what_only_another_provider_could_find_is_refused(block: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        write(ask(user(block)), target())
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_prefill_needs_a_model_that_goes_on() -> None:
    request = ask(user(Text("?")), assistant(Text("The answer is")))
    with pytest.raises(GatewayError, match="can't continue"):
        write(request, target())
    body, _ = write(request, target(flags=Flags(prefill=True)))
    assert body["messages"][-1] == {"role": "assistant", "content": "The answer is"}


# ── writing: state and thoughts ──────────────────────────────────────────────────────────────────────────────────


def thought(*blocks: Any) -> Request:
    return ask(user(Text("?")), assistant(*blocks, ToolCall("c1", "f", "{}")), user(ToolResult("c1", (Text("1"),))))


def test_state_goes_back_to_its_maker_only() -> None:
    details = [{"type": "reasoning.text", "text": "Hm.", "signature": "s", "index": 0}]
    own = Opaque("openrouter", "reasoning_details", orjson.dumps(details).decode())
    request = thought(Thinking("Hm.", own))
    body, dropped = write(request, target("reasoning_field", provider="openrouter"))
    assert body["messages"][1]["reasoning_details"] == details
    assert body["messages"][1]["reasoning"] == "Hm."
    assert dropped == ()
    body, dropped = write(request, target("reasoning_field"))
    assert body["messages"][1].keys() == {"role", "content", "tool_calls"}
    assert dropped == ("reasoning",)


def test_signatures_go_back_or_a_placeholder_stands_in() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures
    signed = ToolCall("c1", "f", "{}", opaque=Opaque("google", "thought_signature", "Zw=="))
    turns = (user(Text("?")), assistant(signed, ToolCall("c2", "f", "{}")), user(Text("!")))
    google = target("thought_signature_extra_content", provider="google")
    calls = write(ask(*turns), google)[0]["messages"][1]["tool_calls"]
    assert calls[0]["extra_content"] == {"google": {"thought_signature": "Zw=="}}
    assert "extra_content" not in calls[1]
    body, dropped = write(ask(*turns), target("thought_signature_extra_content", provider="vertex"))
    placeholder = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert body["messages"][1]["tool_calls"][0]["extra_content"] == placeholder
    assert dropped == ("reasoning",)


def test_reasoning_content_is_sent_back_or_stands_empty() -> None:
    # https://api-docs.deepseek.com/guides/thinking_mode
    zai = target("reasoning_content_required", provider="zai")
    assert write(thought(Thinking("Hm.")), zai)[0]["messages"][1]["reasoning_content"] == "Hm."
    assert write(thought(), zai)[0]["messages"][1]["reasoning_content"] == ""
    body, dropped = write(thought(Thinking("Hm.", Opaque("anthropic", "signature", "x"))), zai)
    assert body["messages"][1]["reasoning_content"] == ""
    assert dropped == ("reasoning",)


def test_a_forged_seal_does_no_harm() -> None:
    forged = seal(Opaque("openrouter", "reasoning_details", "no json"))
    message = {"role": "assistant", "content": "a", "reasoning_details": [{"data": forged}]}
    request = read(HI, message, HI)
    body, _ = write(request, target("reasoning_field", provider="openrouter"))
    assert body["messages"][1] == {"role": "assistant", "content": "a"}


EFFORTS: list[tuple[Flags, Reasoning, dict[str, Any], bool]] = [
    (ALL, Reasoning(), {}, True),
    (ALL, Reasoning("minimal"), {"reasoning_effort": "low"}, True),
    (ALL, Reasoning("max"), {"reasoning_effort": "xhigh"}, True),
    (ALL, Reasoning("none"), {"reasoning_effort": "none"}, True),
    (ALL, Reasoning("high", "disabled"), {"reasoning_effort": "none"}, True),
    (ALL, Reasoning(mode="enabled", budget=1024), {"reasoning_effort": "low"}, True),
    (ALL, Reasoning(mode="enabled", budget=8192), {"reasoning_effort": "medium"}, True),
    (ALL, Reasoning(mode="enabled", budget=24576), {"reasoning_effort": "high"}, True),
    (ALL, Reasoning(mode="enabled", budget=31999), {"reasoning_effort": "xhigh"}, True),
    (ALL, Reasoning(mode="adaptive"), {"reasoning_effort": "medium"}, True),
    (
        Flags(thinking="effort", effort=("low", "high", "xhigh", "max")),
        Reasoning("max"),
        {"reasoning_effort": "xhigh"},
        True,
    ),
    (Flags(thinking="effort", effort=("low", "high", "max")), Reasoning("xhigh"), {"reasoning_effort": "max"}, True),
    (
        Flags(thinking="effort", effort=("low", "medium"), thinking_off="never"),
        Reasoning("none"),
        {"reasoning_effort": "low"},
        False,
    ),
    (Flags(effort=("low", "medium", "high")), Reasoning("xhigh"), {"reasoning_effort": "high"}, True),
    (Flags(thinking="budget"), Reasoning("max"), {"reasoning_effort": "high"}, True),
    (Flags(thinking="budget"), Reasoning("minimal"), {"reasoning_effort": "low"}, True),
    (Flags(), Reasoning("high"), {}, False),
    (Flags(), Reasoning("none"), {}, True),
]


@pytest.mark.parametrize(("flags", "reasoning", "fields", "kept"), EFFORTS)
def test_effort(flags: Flags, reasoning: Reasoning, fields: dict[str, Any], kept: bool) -> None:
    body, dropped = write(ask(reasoning=reasoning), target(flags=flags))
    assert {key: body[key] for key in ("reasoning_effort", "thinking") if key in body} == fields
    assert ("reasoning" not in dropped) is kept


@pytest.mark.parametrize(
    ("effort", "fields"),
    [
        ("none", {"thinking": {"type": "disabled"}}),
        ("high", {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
    ],
)
def test_the_switch_of_those_who_have_one(effort: Effort, fields: dict[str, Any]) -> None:
    # https://docs.z.ai/guides/capabilities/thinking-mode
    flags = Flags(thinking="effort", effort=("low", "high", "max"), thinking_off="disabled")
    body, _ = write(ask(reasoning=Reasoning(effort)), target("reasoning_content_required", flags=flags))
    assert {key: body[key] for key in ("reasoning_effort", "thinking") if key in body} == fields


def test_functions_switch_the_reasoning_off_where_only_responses_has_both() -> None:
    flags = Flags(thinking="effort", effort=("none", "low", "high"), tools_need_responses=True)
    body, dropped = write(ask(tools=(FunctionTool("f"),), reasoning=Reasoning("high")), target(flags=flags))
    assert (body["reasoning_effort"], dropped) == ("none", ("reasoning",))
    custom = ask(tools=(CustomTool("p"),), reasoning=Reasoning("high"))
    body, dropped = write(custom, target("custom_tools", flags=flags))
    assert (body["reasoning_effort"], dropped) == ("high", ())


# ── writing: tools ───────────────────────────────────────────────────────────────────────────────────────────────


def test_deferred_tools_are_shown_once_they_are_loaded() -> None:
    tools = (FunctionTool("now"), FunctionTool("later", deferred=True), FunctionTool("never", deferred=True))
    assert [t["function"]["name"] for t in write(ask(tools=tools), target())[0]["tools"]] == ["now"]
    loaded = ask(
        user(Text("?")),
        assistant(ToolCall("c1", "search", "{}")),
        user(ToolResult("c1", (ToolReference("later"),))),
        tools=tools,
    )
    body, _ = write(loaded, target())
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now", "later"]
    assert body["messages"][2]["content"] == "The tool later is now available."
    found = ask(
        user(Text("?")),
        assistant(ToolCall("c1", "tool_search", "{}", "tool_search")),
        user(ToolResult("c1", kind="tool_search", tools=(FunctionTool("f", namespace="ns"),))),
        tools=tools,
    )
    body, _ = write(found, target())
    assert [tool["function"]["name"] for tool in body["tools"]] == ["now", "ns__f"]
    assert body["messages"][2]["content"] == "Tools that are now available: ns__f"


def test_custom_tools_natively_and_wrapped() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    request = ask(
        user(Text("?")),
        assistant(ToolCall("c1", "patch", 'a "b"', "custom", "fs")),
        user(ToolResult("c1", (Text("ok"),), kind="custom")),
        tools=(CustomTool("patch", "Edits.", form, "fs", "Files."),),
        tool_choice=ToolChoice("tool", ("fs.patch",)),
    )
    body, dropped = write(request, target("custom_tools"))
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}}
    custom = {"name": "fs__patch", "description": "Files.\n\nEdits.", "format": grammar}
    assert body["tools"] == [{"type": "custom", "custom": custom}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "fs__patch"}}
    assert body["messages"][1]["tool_calls"][0]["custom"] == {"name": "fs__patch", "input": 'a "b"'}
    assert dropped == ()
    body, dropped = write(request, target())
    [tool] = body["tools"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert "start: /.+/" in tool["function"]["description"]
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"input":"a \\"b\\""}'
    assert body["tool_choice"] == {"type": "function", "function": {"name": "fs__patch"}}
    assert dropped == ("tools.format",)


def test_hosted_tools_of_others_are_named() -> None:
    tools = (FunctionTool("f"), HostedTool("web_search", "messages", {"type": "web_search_20250305"}))
    body, dropped = write(ask(tools=tools, tool_choice=ToolChoice("tool", ("web_search",))), target())
    assert len(body["tools"]) == 1
    assert "tool_choice" not in body
    assert dropped == ("tool_choice", "tools.web_search")
    body, dropped = write(ask(tools=tools[1:]), target())
    assert "tools" not in body


def test_web_search_options_are_a_hosted_tool() -> None:
    request = read(HI, web_search_options={"search_context_size": "low"})
    assert request.tools == (HostedTool("web_search", "chat_completions", {"search_context_size": "low"}),)
    assert write(request, target())[0]["web_search_options"] == {"search_context_size": "low"}


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", ("f",)), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choice(choice: ToolChoice, written: Any) -> None:
    tools = (FunctionTool("f"), FunctionTool("g"))
    body, dropped = write(ask(tools=tools, tool_choice=choice), target())
    assert (body["tool_choice"], dropped) == (written, ())


def test_a_subset_of_tools() -> None:
    request = ask(tools=(FunctionTool("f"), FunctionTool("g")), tool_choice=ToolChoice("required", ("g",)))
    body, _ = write(request, target("custom_tools"))
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    assert body["tool_choice"] == {"type": "allowed_tools", "allowed_tools": allowed}
    body, _ = write(request, target())
    assert ([tool["function"]["name"] for tool in body["tools"]], body["tool_choice"]) == (["g"], "required")


def test_a_choice_that_the_model_cannot_be_forced_to() -> None:
    request = ask(tools=(FunctionTool("f"),), tool_choice=ToolChoice("tool", ("f",)))
    body, dropped = write(request, target(flags=Flags(forced_tool_choice=False)))
    assert (body["tool_choice"], dropped) == ("auto", ("tool_choice",))


def test_a_model_without_tools() -> None:
    with pytest.raises(GatewayError, match="can't call tools"):
        write(ask(tools=(FunctionTool("f"),)), target(flags=Flags(tools=False)))


def test_schemas_are_filled_in_for_those_who_want_it() -> None:
    # https://github.com/livekit/agents/issues/4610
    schema = {"type": "object", "required": None, "properties": {"a": {"type": "object"}, "b": {"type": "string"}}}
    [tool] = write(ask(tools=(FunctionTool("f", schema=schema),)), target("schema_required_list"))[0]["tools"]
    parameters = tool["function"]["parameters"]
    assert parameters["required"] == []
    assert parameters["properties"]["a"] == {"type": "object", "properties": {}, "required": []}
    assert schema["required"] is None
    [tool] = write(ask(tools=(FunctionTool("f"),)), target("schema_required_list"))[0]["tools"]
    assert tool["function"]["parameters"] == {"type": "object", "properties": {}, "required": []}
    [tool] = write(ask(tools=(FunctionTool("f", schema=schema),)), target())[0]["tools"]
    assert tool["function"]["parameters"] is schema


# ── writing: the rest ────────────────────────────────────────────────────────────────────────────────────────────

SAMPLING = {
    "temperature": 2.5,
    "top_p": 0.5,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "logprobs": 3,
    "logit_bias": {"1": 5},
    "seed": 7,
    "stop": ("a", "b", "c", "d", "e"),
}


def test_sampling() -> None:
    body, dropped = write(ask(**SAMPLING, top_k=5), target())
    assert body["temperature"] == 2
    assert (body["logprobs"], body["top_logprobs"], body["seed"]) == (True, 3, 7)
    assert body["stop"] == ["a", "b", "c", "d"]
    assert dropped == ("stop", "top_k")


def test_sampling_that_a_reasoning_model_refuses() -> None:
    flags = Flags(sampling_params=False, stop=False, thinking="effort", effort=("none", "low"))
    body, dropped = write(ask(**SAMPLING), target(flags=flags))
    assert set(dropped) == {*SAMPLING} - {"seed"}
    body, dropped = write(ask(**SAMPLING, reasoning=Reasoning("none")), target(flags=flags))
    assert dropped == ("stop",)
    assert body["top_p"] == 0.5


@pytest.mark.parametrize(
    ("quirk", "gone"),
    [
        ("no_stop", {"stop"}),  # xAI: https://docs.x.ai/docs/guides/reasoning
        ("no_penalties", {"frequency_penalty", "presence_penalty"}),
        ("no_logprobs", {"logprobs"}),  # Groq: https://console.groq.com/docs/openai
        ("no_logit_bias", {"logit_bias"}),
    ],
)
def test_quirks_of_sampling(quirk: str, gone: set[str]) -> None:
    body, dropped = write(ask(**SAMPLING), target(quirk))
    assert set(dropped) - {"stop"} == gone - {"stop"}
    assert not gone & body.keys()


def test_limits() -> None:
    assert write(ask(max_tokens=64_000), target(limits=Limits(output=8192)))[0]["max_completion_tokens"] == 8192
    body, _ = write(ask(max_tokens=100), target("no_max_completion_tokens"))
    assert (body["max_tokens"], "max_completion_tokens" in body) == (100, False)
    with pytest.raises(GatewayError, match="at least 1"):
        write(ask(max_tokens=0), target())


def test_structured_output() -> None:
    form = OutputFormat("json_schema", {"type": "object"}, description="d", strict=True)
    body, _ = write(ask(format=form), target())
    schema = {"name": "response", "description": "d", "schema": {"type": "object"}, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}
    with pytest.raises(GatewayError, match="JSON schema"):
        write(ask(format=form), target(flags=Flags()))
    body, _ = write(ask(format=OutputFormat("json_object")), target(flags=Flags()))
    assert body["response_format"] == {"type": "json_object"}


def test_the_rest_and_its_names() -> None:
    fields: dict[str, Any] = {
        "verbosity": "low",
        "cache_key": "k",
        "user": "ana@example.com",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "cache": CacheMark(),
        "parallel_tools": False,
        "tools": (FunctionTool("f", strict=True),),
        "dropped": ("hologram",),
    }
    body, dropped = write(ask(**fields), target("no_metadata", "no_parallel_flag", "no_strict"))
    assert dropped == (
        "hologram",
        "cache",
        "cache_key",
        "metadata",
        "parallel_tools",
        "service_tier",
        "tools.strict",
        "user",
        "verbosity",
    )
    assert body.keys() == {"model", "messages", "tools"}
    body, dropped = write(ask(**fields), target("custom_tools"))
    assert (body["prompt_cache_key"], body["verbosity"], body["parallel_tool_calls"]) == ("k", "low", False)
    assert dropped == ("hologram", "cache", "service_tier", "user")
    assert write(ask(user="user-7"), target())[0]["user"] == "user-7"


def test_streams_always_bring_usage() -> None:
    assert write(ask(stream=True), target())[0]["stream_options"] == {"include_usage": True}
    body, _ = write(ask(stream=True), target("no_stream_options"))
    assert (body["stream"], "stream_options" in body) == (True, False)


def test_strict_servers_get_no_nulls_names_or_refusals() -> None:
    # https://console.groq.com/docs/openai
    turns = (Turn("user", (Text("?"),), name="ana"), assistant(ToolCall("c1", "f", "{}")), user(Text("!")))
    body, dropped = write(ask(*turns), target("no_null_fields", "no_message_name"))
    assert body["messages"][0] == {"role": "user", "content": "?"}
    assert "content" not in body["messages"][1]
    assert dropped == ("name",)
    turns = (user(Text("?")), assistant(Text("No.", refusal=True)), user(Text("!")))
    assert write(ask(*turns), target("no_null_fields"))[0]["messages"][1] == {"role": "assistant", "content": "No."}
    assert write(ask(*turns), target())[0]["messages"][1]["refusal"] == "No."


def test_long_ids_are_shortened_alike() -> None:
    # https://github.com/BerriAI/litellm/issues/17343
    long = "toolu_" + "x" * 60
    turns = (user(Text("?")), assistant(ToolCall(long, "f", "{}")), user(ToolResult(long, (Text("1"),))))
    messages = write(ask(*turns), target())[0]["messages"]
    short = messages[1]["tool_calls"][0]["id"]
    assert len(short) <= 40
    assert messages[2]["tool_call_id"] == short


def test_verbosity_is_for_models_that_know_it() -> None:
    older = target("custom_tools", flags=Flags(effort=("low", "medium", "high"), thinking="effort"))
    body, dropped = write(ask(verbosity="low"), older)
    assert ("verbosity" in body, dropped) == (False, ("verbosity",))


def test_what_a_pdf_cannot_carry_is_named() -> None:
    pdf = Document(data="JVBERg==", context="From 1999", citations=True)
    assert write(ask(user(pdf)), target())[1] == ("citations", "document.context")


def test_a_model_that_makes_one_call_at_a_time_is_not_told_to() -> None:
    request = ask(tools=(FunctionTool("f"),), parallel_tools=False)
    body, dropped = write(request, target(flags=Flags(parallel_tools=False)))
    assert ("parallel_tool_calls" in body, dropped) == (False, ())


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(GatewayError, match="body: expected an object, got an array"):
        DIALECT.read_request([1])  # type: ignore[arg-type]  # what a client may send all the same

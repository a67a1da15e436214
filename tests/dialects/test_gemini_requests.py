"""Canonical requests as Gemini's bodies: content, turns, sampling and reasoning. Google's SDK types are the judge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from gemini_targets import GEMINI, GEMINI_3, GEMINI_25, asks, judge, written

from shared.canonical import (
    Audio,
    CacheMark,
    Citation,
    Document,
    Flags,
    HostedCall,
    Image,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects.gemini import read_count, write_count_request
from shared.errors import Code, GatewayError

PNG = "iVBORw0KGgo="


def user(*blocks: Any) -> Turn:
    return Turn("user", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def model(*blocks: Any) -> Turn:
    return Turn("assistant", tuple(Text(block) if isinstance(block, str) else block for block in blocks))


def refusal(request: Request, target: Target = GEMINI_3) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        GEMINI.write_request(request, target)
    return caught.value


def test_plain_conversation() -> None:
    body, dropped = written(
        asks(user("Hi"), model("Hello!"), user("Bye"), system=(Text("Be brief."), Text("Be kind.")), stream=True)
    )
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello!"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ],
    }
    assert dropped == ()


def test_turns_of_one_side_are_joined_and_system_messages_inside_are_marked() -> None:
    body, _ = written(
        asks(
            user("One"),
            user(""),
            Turn("system", (Text("Now in French."), Image("image/png", PNG))),
            model("Un", Text("")),
            model("Deux"),
            Turn("developer", (Text("Stop soon."),)),
        )
    )
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][0]["parts"] == [
        {"text": "One"},
        {"text": "<system>\nNow in French.\n</system>"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
    ]
    assert body["contents"][1]["parts"] == [{"text": "Un"}, {"text": "Deux"}]


def test_a_system_prompt_alone_is_asked_as_a_question() -> None:
    body, _ = written(Request("m", (), system=(Text("Say hello."),)))
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
    assert refusal(Request("m", (user(""),))).code is Code.VALIDATION_ERROR


def test_claude_codes_billing_header_stays_here() -> None:
    body, _ = written(asks(system=(Text("x-anthropic-billing-header: cc_version=2.1"), Text("You are an agent."))))
    assert body["systemInstruction"]["parts"] == [{"text": "You are an agent."}]


def test_prefill_is_refused_unless_the_model_continues() -> None:
    request = asks(user("Write JSON"), model("{"))
    assert refusal(request).code is Code.UNSUPPORTED_BY_MODEL
    prefilled = replace(GEMINI_25, flags=replace(GEMINI_25.flags, prefill=True))
    assert written(request, prefilled)[0]["contents"][-1] == {"role": "model", "parts": [{"text": "{"}]}


# ── media ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_media_of_every_kind() -> None:
    body, dropped = written(
        asks(
            user(
                Image("image/jpeg", PNG, detail="high"),
                Image(url="https://generativelanguage.googleapis.com/v1beta/files/abc"),
                Document(data="JVBERi0=", filename="a.pdf"),
                Document(text="Plain words", title="Notes", context="From June", citations=True),
                Document("video/mp4", "AAAA"),
                Audio("UklGRg==", "wav"),
            ),
            model(Audio(transcript="Spoken words", id="audio_1")),
            user("?"),
        )
    )
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/jpeg", "data": PNG}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}},
        {"text": "a.pdf"},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        {"text": "Notes\nFrom June"},
        {"text": "Plain words"},
        {"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
    ]
    assert body["contents"][1]["parts"] == [{"text": "Spoken words"}]
    assert dropped == ("image.detail", "citations")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (Image(url="https://example.com/cat.png"), "send the data itself"),
        (Image(file_id="file-123"), "file id"),
        (Document(url="https://example.com/a.pdf"), "send the data itself"),
        (Document(file_id="file-123"), "file id"),
        (Document("application/vnd.ms-excel", "AAAA"), "application/vnd.ms-excel"),
        (Audio(id="audio_1"), "Audio by id"),
    ],
)
def test_media_that_google_cannot_reach_are_refused(block: Any, words: str) -> None:
    error = refusal(asks(user(block)))
    assert error.code is Code.UNSUPPORTED_BY_MODEL
    assert words in error.message


@pytest.mark.parametrize(
    "block", [Image("image/png", PNG), Document(data="JVBERi0="), Audio("AAAA", "mp3"), Document("video/mp4", "AAAA")]
)
def test_media_that_the_model_does_not_read_are_refused(block: Any) -> None:
    error = refusal(asks(user(block)), replace(GEMINI_3, input=frozenset({"text"})))
    assert error.code is Code.UNSUPPORTED_BY_MODEL
    assert "gemini-3.6-flash does not read" in error.message


# ── calls and results ────────────────────────────────────────────────────────────────────────────────────────────


def two_calls(*results: Any) -> Request:
    calls = (ToolCall("c1", "look", '{"at": "sky"}'), ToolCall("c2", "list", ""))
    return asks(user("Go"), model("I look.", *calls), *results)


def test_results_come_first_in_the_order_of_the_calls() -> None:
    body, _ = written(
        two_calls(
            user(ToolResult("c2", (Text("two"), Text("lines")))),
            user("And quickly!", ToolResult("c1", (Text('{"colour": "blue"}'),))),
        )
    )
    calls, answers = body["contents"][1]["parts"], body["contents"][2]["parts"]
    assert calls == [
        {"text": "I look."},
        {
            "functionCall": {"id": "c1", "name": "look", "args": {"at": "sky"}},
            "thoughtSignature": "skip_thought_signature_validator",
        },
        {"functionCall": {"id": "c2", "name": "list", "args": {}}},
    ]
    assert answers == [
        {"functionResponse": {"id": "c1", "name": "look", "response": {"colour": "blue"}}},
        {"functionResponse": {"id": "c2", "name": "list", "response": {"result": "two\nlines"}}},
        {"text": "And quickly!"},
    ]


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("", {"result": ""}),
        ("[1, 2]", {"result": "[1, 2]"}),
        ("{broken", {"result": "{broken"}),
        ('{"a": [1.5]}', {"a": [1.5]}),
        # https://github.com/vercel/ai/issues/14369
        ('{"schema": {"$ref": "#/$defs/a"}}', {"result": '{"schema": {"$ref": "#/$defs/a"}}'}),
        # `output` and `error` have a meaning of their own: https://ai.google.dev/api/caching#FunctionResponse
        ('{"output": "done", "exit_code": 1}', {"result": '{"output": "done", "exit_code": 1}'}),
        ('{"error": null, "rows": 2}', {"result": '{"error": null, "rows": 2}'}),
        # numbers are doubles there
        ('{"id": 9007199254740993}', {"result": '{"id": 9007199254740993}'}),
    ],
)
def test_the_text_of_a_result(text: str, response: dict[str, Any]) -> None:
    request = asks(user("Go"), model(ToolCall("c1", "look")), user(ToolResult("c1", (Text(text),))))
    body, _ = written(request)
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == response


def test_failed_results_and_loaded_tools() -> None:
    request = two_calls(user(ToolResult("c1", is_error=True), ToolResult("c2", (ToolReference("deploy"),))))
    answers = written(request)[0]["contents"][2]["parts"]
    assert answers[0]["functionResponse"]["response"] == {"error": "error"}
    assert answers[1]["functionResponse"]["response"] == {"result": "Tool loaded: deploy"}


def test_what_a_result_loses_is_named() -> None:
    marked = ToolResult(
        "c1", (Text("a", cache=CacheMark()), Document(data="JVBERi0=", context="From June", citations=True))
    )
    body, dropped = written(two_calls(user(marked, ToolResult("c2"))))
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"result": "a\nFrom June"}
    assert set(dropped) == {"cache", "citations"}


def test_media_in_results() -> None:
    results = user(
        ToolResult("c1", (Image("image/png", PNG), Document(data="JVBERi0=", filename="r.pdf"))),
        ToolResult("c2", (Text("ok"), Document(text="words", title="Log"))),
    )
    body, dropped = written(two_calls(results))
    first, second = (part["functionResponse"] for part in body["contents"][2]["parts"])
    assert first == {
        "id": "c1",
        "name": "look",
        "response": {"result": "Attached: r.pdf"},
        "parts": [
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        ],
    }
    assert second["response"] == {"result": "ok\nLog\nwords"}
    older, _ = written(two_calls(results), GEMINI_25)
    assert older["contents"][2]["parts"][2:] == [
        {"text": "From the result of look (call c1):"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"text": "r.pdf"},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
    ]
    assert dropped == ()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (two_calls(), "has no result"),
        (two_calls(user("Never mind")), "has no result"),
        (two_calls(user(ToolResult("c1"))), "'c2'"),
        (two_calls(user(ToolResult("c1"), ToolResult("c2"), ToolResult("c3"))), "'c3'"),
        (two_calls(user(ToolResult("c1"), ToolResult("c1"), ToolResult("c2"))), "more than one"),
        (asks(user(ToolResult("c9"))), "answers no call"),
        (asks(model(ToolCall("c1", "look", "[1]")), user(ToolResult("c1"))), "no JSON object"),
        (asks(model(ToolCall("c1", "look", "{nope")), user(ToolResult("c1"))), "no JSON object"),
        (
            asks(model(ToolCall("c1", "look", '{"a":' * 300 + "1" + "}" * 300)), user(ToolResult("c1"))),
            "no JSON object",
        ),
    ],
)
def test_what_google_would_refuse_is_refused_before(request_: Request, words: str) -> None:
    error = refusal(request_)
    assert error.code is Code.VALIDATION_ERROR
    assert words in error.message


# ── signatures: https://ai.google.dev/gemini-api/docs/thought-signatures ─────────────────────────────────────────


def ours(data: str) -> Opaque:
    return Opaque("google", "thought_signature", data)


def steps(*opaque: Opaque | None) -> list[Turn]:
    turns = [user("Go")]
    for at, state in enumerate(opaque):
        turns += [
            model(ToolCall(f"a{at}", "look", opaque=state), ToolCall(f"b{at}", "look")),
            user(ToolResult(f"a{at}"), ToolResult(f"b{at}")),
        ]
    return turns


def signatures(request: Request, target: Target = GEMINI_3) -> list[str | None]:
    body, _ = written(request, target)
    return [
        part.get("thoughtSignature")
        for content in body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]


def test_signatures_go_back_to_their_maker_only() -> None:
    foreign = Opaque("anthropic", "signature", "zzz")
    request = asks(*steps(ours("c2lnLTE_"), foreign, None))
    assert signatures(request) == ["c2lnLTE_", None] + ["skip_thought_signature_validator", None] * 2
    assert GEMINI.write_request(request, GEMINI_3).dropped == ("reasoning",)


def test_the_placeholder_stands_in_the_current_turn_of_models_that_check() -> None:
    over = [*steps(None), model("Done."), *steps(None)]
    assert signatures(asks(*over)) == [None, None, "skip_thought_signature_validator", None]
    assert signatures(asks(*over), GEMINI_25) == [None] * 4


def test_text_and_thoughts_keep_their_signatures() -> None:
    body, dropped = written(
        asks(
            user("Go"), model(Thinking("Hm.", ours("czE=")), Text("Yes", opaque=ours("czI=")), Text("No")), user("Why?")
        )
    )
    assert body["contents"][1]["parts"] == [
        {"text": "Hm.", "thought": True, "thoughtSignature": "czE="},
        {"text": "Yes", "thoughtSignature": "czI="},
        {"text": "No"},
    ]
    assert dropped == ()


def test_a_bare_signature_finds_the_part_that_follows() -> None:
    body, _ = written(
        asks(
            user("Go"),
            model(
                Thinking("", ours("czE=")),
                ToolCall("c1", "look"),
                Thinking("", Opaque("google", "media_signature", "czI=")),
                Image("image/png", PNG),
                "Text",
                Thinking("", ours("czM=")),
            ),
            user(ToolResult("c1")),
        )
    )
    assert [part.get("thoughtSignature") for part in body["contents"][1]["parts"]] == ["czE=", "czI=", None, "czM="]
    assert body["contents"][1]["parts"][3] == {"text": "", "thoughtSignature": "czM="}


def test_a_pictures_signature_signs_nothing_else() -> None:
    astray = Thinking("", Opaque("google", "media_signature", "czI="))
    for rest in (("Text",), ()):
        body, dropped = written(asks(user("Go"), model("One", astray, *rest), user("On")))
        assert all("thoughtSignature" not in part for part in body["contents"][1]["parts"])
        assert dropped == ("reasoning",)


def test_parts_of_googles_tools_ride_in_a_thought() -> None:
    parts = [{"toolCall": {"id": "s"}, "thoughtSignature": "abcd"}, {"toolResponse": {"id": "s"}}]
    state = Thinking(opaque=Opaque("google", "parts", orjson.dumps(parts).decode()))
    shown = HostedCall("srvtoolu_s", "web_search", dialect="messages", raw=({"type": "server_tool_use"},))
    body, dropped = written(asks(user("Go"), model(state, shown, "Found."), user("Thanks")))
    assert (body["contents"][1]["parts"], dropped) == ([*parts, {"text": "Found."}], ())
    for forged in ("[", "{}", "[1]", '[{"functionCall": {"name": "f"}, "toolCall": {}}]', '[{"text": "x"}]'):
        error = refusal(asks(user("Go"), model(Thinking(opaque=Opaque("google", "parts", forged))), user("?")))
        assert error.code is Code.VALIDATION_ERROR


def test_foreign_and_unsigned_thoughts_are_dropped_and_named() -> None:
    for thought in (
        Thinking("Hm."),
        Thinking("Hm.", Opaque("openai", "encrypted", "x")),
        Thinking(opaque=Opaque("", "b", "c")),
    ):
        body, dropped = written(asks(user("Go"), model(thought), user("And?")))
        assert body["contents"] == [{"role": "user", "parts": [{"text": "Go"}, {"text": "And?"}]}]
        assert dropped == ("reasoning",)


def test_googles_own_tool_parts_go_back_as_they_came() -> None:
    raw = (
        {"toolCall": {"id": "s", "toolType": "GOOGLE_SEARCH_WEB"}, "thoughtSignature": "abcd"},
        {"toolResponse": {"id": "s"}},
    )
    call = HostedCall("s", "web_search", dialect="gemini", raw=raw)
    grounded = HostedCall("h", "web_search", dialect="gemini", raw=({"groundingMetadata": {}},))
    other = HostedCall("x", "web_search", dialect="messages", raw=({"type": "server_tool_use"},))
    body, dropped = written(asks(user("Go"), model(call, grounded, other, "Found."), user("Thanks")))
    assert body["contents"][1]["parts"] == [*raw, {"text": "Found."}]
    assert dropped == ("web_search",)


# ── generationConfig ─────────────────────────────────────────────────────────────────────────────────────────────


def test_sampling_and_limits() -> None:
    request = asks(
        max_tokens=100_000,
        temperature=3.0,
        top_p=0.9,
        top_k=40,
        seed=7,
        stop=("", "END", *"abcde"),
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logprobs=3,
    )
    body, dropped = written(request)
    assert body["generationConfig"] == {
        "maxOutputTokens": 65_536,
        "temperature": 2,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "frequencyPenalty": 0.5,
        "presencePenalty": -0.5,
        "responseLogprobs": True,
        "logprobs": 3,
        "stopSequences": ["END", "a", "b", "c", "d"],
    }
    assert dropped == ("stop",)


def test_flags_and_quirks_drop_by_name() -> None:
    asked = asks(
        temperature=1.0, top_p=0.9, frequency_penalty=0.1, presence_penalty=0.1, logprobs=0, seed=2**40, stop=("x",)
    )
    # https://github.com/BerriAI/litellm/pull/32273, https://github.com/mscraftsman/generative-ai/issues/135
    body, dropped = written(asked, GEMINI_25)
    assert body["generationConfig"] == {"temperature": 1.0, "topP": 0.9, "stopSequences": ["x"]}
    assert dropped == ("frequency_penalty", "presence_penalty", "seed", "logprobs")
    bare = Target("google", "m", flags=Flags(sampling_params=False, stop=False))
    body, dropped = written(asked, bare)
    assert "generationConfig" not in body
    assert set(dropped) == {"temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "logprobs", "stop"}


def test_what_gemini_lacks_is_named() -> None:
    cited = Text("A", citations=(Citation("https://a"),), cache=CacheMark())
    _, dropped = written(
        asks(
            Turn("user", (Text("Q"),), name="ann"),
            Turn("assistant", (cited,), phase="commentary"),
            user("B"),
            parallel_tools=False,
            logit_bias={"1": 2.0},
            verbosity="low",
            user="u1",
            metadata={"a": "b"},
            service_tier="flex",
            cache_key="k",
            cache=CacheMark(),
        )
    )
    assert set(dropped) == {
        *("name", "phase", "citations", "cache", "parallel_tools", "logit_bias", "verbosity", "user", "metadata"),
        *("service_tier", "cache_key"),
    }
    assert written(asks(service_tier="auto", parallel_tools=True))[1] == ()


def test_no_output_at_all_is_refused() -> None:
    assert refusal(asks(max_tokens=0)).param == "max_tokens"


@pytest.mark.parametrize(
    ("reasoning", "config", "missed"),
    [
        (Reasoning(), None, False),
        (Reasoning("medium"), {"thinkingLevel": "MEDIUM"}, False),
        (Reasoning("xhigh", visible=True), {"thinkingLevel": "HIGH", "includeThoughts": True}, False),
        (Reasoning("none"), {"thinkingLevel": "MINIMAL"}, True),
        (Reasoning("high", "disabled"), {"thinkingLevel": "MINIMAL"}, True),
        (Reasoning(mode="enabled", budget=8192), {"thinkingLevel": "MEDIUM", "includeThoughts": True}, False),
        (Reasoning(mode="enabled", budget=31_999, visible=False), {"thinkingLevel": "HIGH"}, False),
        (Reasoning(mode="adaptive", visible=True), {"includeThoughts": True}, False),
        (Reasoning(summary="auto"), {"includeThoughts": True}, False),
    ],
)
def test_levels_of_thinking(reasoning: Reasoning, config: Any, missed: bool) -> None:
    body, dropped = written(asks(reasoning=reasoning))
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert dropped == (("reasoning",) if missed else ())


@pytest.mark.parametrize(
    ("reasoning", "config"),
    [
        (Reasoning("none"), {"thinkingBudget": 0}),
        (Reasoning(mode="disabled"), {"thinkingBudget": 0}),
        (Reasoning(budget=0), {"thinkingBudget": 0}),
        (Reasoning("minimal"), {"thinkingBudget": 512}),
        (Reasoning("low"), {"thinkingBudget": 1024}),
        (Reasoning("max"), {"thinkingBudget": 24_576}),
        (Reasoning(mode="enabled", budget=31_999), {"thinkingBudget": 24_576, "includeThoughts": True}),
        (Reasoning(mode="adaptive"), {"thinkingBudget": -1}),
    ],
)
def test_budgets_of_thinking(reasoning: Reasoning, config: Any) -> None:
    assert written(asks(reasoning=reasoning), GEMINI_25)[0]["generationConfig"]["thinkingConfig"] == config


def test_a_model_that_cannot_stop_thinking_and_one_that_cannot_think() -> None:
    pro = replace(GEMINI_25, flags=replace(GEMINI_25.flags, thinking_off="never"))
    body, dropped = written(asks(reasoning=Reasoning("none")), pro)
    assert (body["generationConfig"]["thinkingConfig"], dropped) == ({"thinkingBudget": 128}, ("reasoning",))
    flash = replace(GEMINI_25, flags=Flags())
    assert written(asks(reasoning=Reasoning("high")), flash)[1] == ("reasoning",)
    assert written(asks(reasoning=Reasoning("none")), flash) == written(asks(), flash)


def test_structured_output() -> None:
    schema = {"$schema": "x", "type": "object", "properties": {"n": {"const": "a"}}}
    asked = asks(format=OutputFormat("json_schema", schema, "thing", "A thing", strict=True))
    assert written(asked)[0]["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {
            "type": "object",
            "properties": {"n": {"type": "string", "enum": ["a"]}},
            "description": "A thing",
        },
    }
    free = asks(format=OutputFormat("json_object"))
    assert written(free)[0]["generationConfig"] == {"responseMimeType": "application/json"}
    assert refusal(asked, replace(GEMINI_3, flags=Flags())).code is Code.UNSUPPORTED_BY_MODEL


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_counting_asks_for_everything_that_is_sent() -> None:
    body = write_count_request(asks(system=(Text("S"),), max_tokens=5), GEMINI_3)
    inner = body["generateContentRequest"]
    assert inner.pop("model") == "models/gemini-3.6-flash"
    judge(inner)
    assert set(inner) == {"contents", "systemInstruction"}
    assert read_count({"totalTokens": 31, "promptTokensDetails": []}) == 31
    unfinished = asks(user("Q"), model("So"), max_tokens=0, format=OutputFormat("json_schema", {}))
    assert len(write_count_request(unfinished, GEMINI_25)["generateContentRequest"]["contents"]) == 2
    for odd in ({}, {"totalTokens": "31"}, {"totalTokens": True}, {"totalTokens": -1}):
        with pytest.raises(GatewayError):
            read_count(odd)


def test_no_client_speaks_gemini() -> None:
    with pytest.raises(GatewayError, match="providers only"):
        GEMINI.read_request({})
    with pytest.raises(GatewayError, match="providers only"):
        GEMINI.stream_writer(None)  # type: ignore[arg-type]  # refused before it looks
    body = {"model": "x"}
    assert GEMINI.adapt(body, GEMINI_3)[0] is body
    assert GEMINI.repair(body, GEMINI_3) is None

"""Conversations of any client, written as Messages."""

from __future__ import annotations

import re
from dataclasses import replace

import orjson
from anthropic_wire import (
    HELLO,
    MARK,
    NEW,
    OLD,
    assistant,
    messages,
    refused,
    result,
    t,
    use,
    user,
    write,
    written_result,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Document,
    Flags,
    Image,
    Json,
    Opaque,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from shared.errors import Code, GatewayError


def test_turns_of_one_role_are_joined() -> None:
    got = messages(user(Text("a")), user(Text("b")), assistant(Text("c")), assistant(Text("")), user(Text("d")))
    assert got == [
        {"role": "user", "content": [t("a"), t("b")]},
        {"role": "assistant", "content": [t("c")]},
        {"role": "user", "content": [t("d")]},
    ]


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

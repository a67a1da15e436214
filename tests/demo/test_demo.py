"""What holds for the demo provider as a whole: keys, determinism, models, and the model's own script."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.demo import key_hash
from emulator.demo.invention import instance
from emulator.demo.limits import tokens
from emulator.demo.model import answer
from emulator.demo.opaque import genuine, mint
from emulator.demo.talk import Call, Choice, Prompt, Reply, Said, Text, Thought, Tool, Turn


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer k1"}, {"x-api-key": "k1"}, {"x-goog-api-key": "k1"}],
)
def test_the_key_is_shown_as_a_hash(http: httpx.Client, headers: dict[str, str]) -> None:
    ask = {"model": "demo", "input": "hi"}
    answer = http.post("/v1/responses", json=ask, headers=headers)
    assert answer.headers["x-demo-key-hash"] == key_hash("k1")
    assert "k1" not in answer.text
    assert "x-demo-key-hash" not in http.post("/v1/responses", json=ask).headers
    assert http.post("/v1/responses", json={}, headers=headers).headers["x-demo-key-hash"] == key_hash("k1")


def test_replies_are_the_same_every_time(http: httpx.Client) -> None:
    ask = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
    first, again = (http.post("/v1/chat/completions", json=ask).content for _ in range(2))
    assert first == again
    other = http.post("/v1/chat/completions", json={**ask, "seed": 1}).json()
    assert other["id"] not in first.decode()


def test_models_are_listed(chat: openai.OpenAI) -> None:
    assert "demo-1" in [model.id for model in chat.models.list()]


# ── the script, without HTTP ─────────────────────────────────────────────────────────────────────────────────────


def ask(text: str, *tools: Tool, **more: Any) -> Reply:
    return answer(Prompt("seed", "demo", (Turn("user", (Said(text),)),), {}, tools, **more))


def called(reply: Reply) -> list[tuple[str, Any]]:
    return [(piece.name, orjson.loads(piece.arguments)) for piece in reply.pieces if isinstance(piece, Call)]


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
READ = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
WEATHER, TIME = Tool("get_weather", CITY), Tool("get_time", CITY)


@pytest.mark.parametrize(
    ("text", "tools", "expected"),
    [
        ("What is the weather like?", (WEATHER,), [("get_weather", {"city": "demo"})]),
        ("What is the weather like?", (WEATHER, TIME, Tool("a"), Tool("b")), []),
        ("hello", (WEATHER,), []),
        (
            "get_time first, then get_weather",
            (WEATHER, TIME),
            [("get_time", {"city": "demo"}), ("get_weather", {"city": "demo"})],
        ),
        ("read the file src/a.py", (Tool("read", READ),), [("read", {"path": "src/a.py"})]),
        ("please wait, then read on", (Tool("wait"), Tool("read", READ)), []),
        ("use the tool wait", (Tool("wait"),), [("wait", {})]),
        ('call mcp__x__do_it with {"n": {"m": 1}}', (Tool("mcp__x__do_it"),), [("mcp__x__do_it", {"n": {"m": 1}})]),
        (
            "use exec with `text(1)`",
            (Tool("functions__exec", {"properties": {"input": {}}}),),
            [("functions__exec", {"input": "text(1)"})],
        ),
        ("use get_weather", (Tool("get_weather", CITY, deferred=True),), []),
    ],
)
def test_which_tools_are_called(text: str, tools: tuple[Tool, ...], expected: list[Any]) -> None:
    assert called(ask(text, *tools)) == expected


def test_tool_choice_rules() -> None:
    named = "call get_weather and get_time"
    assert called(ask(named, WEATHER, TIME, choice=Choice("none"))) == []
    assert [name for name, _ in called(ask("hi", WEATHER, TIME, choice=Choice("required")))] == ["get_weather"]
    assert [name for name, _ in called(ask("hi", WEATHER, TIME, choice=Choice("tool", ("get_time",))))] == ["get_time"]
    assert [name for name, _ in called(ask(named, WEATHER, TIME, choice=Choice("auto", ("get_time",))))] == ["get_time"]
    assert len(called(ask(named, WEATHER, TIME, parallel=False))) == 1


def test_made_up_values_fit_their_schema() -> None:
    schema = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}},
        "type": "object",
        "properties": {
            "kind": {"enum": ["b", "a"]},
            "const": {"const": 5},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}]},
            "many": {"type": "array", "minItems": 2, "items": {"type": "string", "format": "date"}},
            "both": {"allOf": [{"properties": {"x": {"type": "boolean"}}, "required": ["x"]}, {"required": []}]},
            "long": {"type": ["null", "string"], "minLength": 6, "maxLength": 6},
        },
    }
    assert instance(schema) == {}
    assert instance(schema, everything=True) == {
        "kind": "b",
        "const": 5,
        "maybe": 10,
        "many": ["2026-01-02", "2026-01-02"],
        "both": {"x": True},
        "long": "demo..",
    }
    endless = instance({**schema, "properties": {"node": {"$ref": "#/$defs/node"}}}, everything=True)
    assert len(orjson.dumps(endless)) < 500


def test_limits_cut_thoughts_texts_and_calls() -> None:
    cut = ask("one two three", thinks=True, max_tokens=4)
    assert [type(piece) for piece in cut.pieces] == [Thought]
    assert (cut.finish, cut.usage.output, cut.usage.reasoning) == ("length", 4, 4)
    assert ask("get_weather now", WEATHER, max_tokens=1).pieces == ()
    exact = ask("one")
    assert (exact.finish, exact.usage.output) == ("end", 3)
    assert ask("one", max_tokens=3).finish == "end"


def test_the_state_knows_its_face_and_its_text() -> None:
    state = mint("messages", "seed", "thought")
    assert genuine("messages", state, "thought")
    assert genuine("messages", state, "")
    assert not genuine("messages", state, "another")
    assert not genuine("gemini", state)
    assert not genuine("messages", state[:-4] + "AAAA")
    assert not genuine("messages", "")


@given(st.text(), st.sampled_from(["", "[[long 7]]", "[[empty]]"]))
def test_any_text_is_answered_and_cut_without_loss(text: str, command: str) -> None:
    reply = ask(text + command, WEATHER, thinks=True)
    for piece in reply.pieces:
        if isinstance(piece, Text | Thought):
            assert "".join(tokens(piece.text)) == piece.text
    assert reply == ask(text + command, WEATHER, thinks=True)

"""What conversations have in common, who sealed their state, and how habits are learned."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.canonical import Opaque
from shared.conversations import CACHE_SECONDS, LONG_CACHE_SECONDS, MOST, Conversations, Habits, key_of, maker_in
from shared.dialects import dialect
from shared.dialects.seal import seal
from shared.plan import Ask
from shared.routing import Shape, steady

HELLO = {"role": "user", "content": "Hello"}


def ask(turns: list[Any], headers: dict[str, str] | None = None, **more: Any) -> Ask:
    return Ask(orjson.dumps({"model": "m", "messages": turns, **more}), dialect("chat_completions"), headers or {})


def test_the_turns_of_a_conversation_have_one_key_and_others_another() -> None:
    first = [{"role": "system", "content": "s"}, HELLO]
    later = [*first, {"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    assert key_of("caller", ask(first)) == key_of("caller", ask(later)) is not None
    assert key_of("caller", ask(first)) != key_of("another", ask(first))
    assert key_of("caller", ask(first)) != key_of("caller", ask([first[0], {"role": "user", "content": "Hi"}]))
    assert key_of("caller", ask(first)) != key_of("caller", ask([{"role": "system", "content": "t"}, HELLO]))


def test_a_single_question_has_none_unless_the_client_names_a_session() -> None:
    assert key_of("caller", ask([HELLO])) is None
    assert key_of("caller", ask([HELLO], {"x-claude-code-session-id": "1"})) is not None
    assert key_of("caller", ask([HELLO], prompt_cache_key="1")) == key_of(
        "caller", ask([HELLO] * 3, prompt_cache_key="1")
    )


@pytest.mark.parametrize("turns", [[7, 7], [None, {}], ["a", "b"], [[], []]])
def test_odd_turns_are_no_failure(turns: list[Any]) -> None:
    key_of("caller", ask(turns))


def test_the_newest_seal_names_the_conversations_home() -> None:
    sealed = [seal(Opaque(maker, "signature", "x")) for maker in ("google", "anthropic")]
    assert maker_in(orjson.dumps({"messages": sealed})) == "anthropic"
    assert maker_in(b'{"messages": []}') is None
    assert maker_in(b'"gw1.nothing') is None


def test_a_home_is_kept_as_long_as_the_cache_lives() -> None:
    conversations = Conversations()
    conversations.keep(b"k", "openai", b"{}", 0)
    assert conversations.provider(b"k", CACHE_SECONDS - 1) == "openai"
    assert conversations.provider(b"k", CACHE_SECONDS) is None
    conversations.keep(b"k", "anthropic", b'{"ttl": "1h"}', 0)
    assert conversations.provider(b"k", LONG_CACHE_SECONDS - 1) == "anthropic"
    assert conversations.provider(None, 0) is None
    for number in range(MOST):
        conversations.keep(str(number).encode(), "x", b"", 0)
    assert conversations.provider(b"k", 0) is None


def test_habits_follow_what_replies_take() -> None:
    habits = Habits(1000)
    assert habits.output("m") == 1000
    for _ in range(100):
        habits.learn("m", 50)
    assert habits.output("m") == pytest.approx(50, abs=2)
    assert habits.output("other") == 1000


def test_a_growing_conversation_is_compared_by_the_same_figures() -> None:
    assert steady(Shape(500, 0, 10)) == steady(Shape(90_000, 60_000, 900))
    assert steady(Shape(90_000, 0, 10)) != steady(Shape(150_000, 0, 10))


def test_a_key_is_worked_out_once_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ask([HELLO, HELLO])
    key = key_of("caller", asked)
    monkeypatch.setattr("shared.conversations.blake2b", None)
    assert key_of("caller", asked) == key


def test_a_head_that_is_nested_too_deeply_is_no_conversation() -> None:
    deep = b"[" * 300 + b"]" * 300
    raw = b'{"model": "m", "system": ' + deep + b', "messages": [{"role": "user"}, {"role": "user"}]}'
    assert key_of("caller", Ask(raw, dialect("messages"), {})) is None

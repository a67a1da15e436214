"""Wishes for reasoning, written for models of every kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from anthropic_wire import HELLO, NEW, OLD, PLAIN, assistant, result, user, write

from shared.canonical import (
    Flags,
    FunctionTool,
    Json,
    Limits,
    Opaque,
    Reasoning,
    Target,
    Thinking,
    ToolCall,
)


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

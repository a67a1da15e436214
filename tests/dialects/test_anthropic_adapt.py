"""Pass-through to providers of the Messages API."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import Flags, Json, Limits, Opaque, Target
from shared.dialects import dialect
from shared.dialects.anthropic import write_count_request
from shared.dialects.anthropic.sources import FOREIGN, FOREIGN_ID
from shared.dialects.seal import seal
from shared.errors import GatewayError

MESSAGES = dialect("messages")
RECORDINGS = Path(__file__).parent.parent / "recordings" / "anthropic"
CLAUDE = Target(
    "anthropic",
    "claude-opus-5",
    Limits(output=128_000),
    Flags(
        sampling_params=False,
        thinking="adaptive",
        thinking_off="disabled",
        effort=("low", "medium", "high", "xhigh", "max"),
        json_schema=True,
        mid_system=True,
    ),
)


def recorded(name: str, model: str = CLAUDE.model) -> Json:
    body: Json = orjson.loads((RECORDINGS / "requests" / f"{name}.json").read_bytes())
    return {**body, "model": model}


def with_blocks(*blocks: Any) -> Json:
    return {
        "model": CLAUDE.model,
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": [*blocks]}],
    }


def adapted(body: Json, target: Target = CLAUDE) -> tuple[Json, tuple[str, ...]]:
    before = orjson.dumps(body)
    result = MESSAGES.adapt(body, target)
    assert orjson.dumps(body) == before  # the client's own body is never touched
    return result


@pytest.mark.parametrize(
    "name", ["coding_agent", "documents", "web_search", "web_search_history", "structured_side_call"]
)
def test_what_fits_is_the_very_same_object(name: str) -> None:
    body = recorded(name)
    assert adapted(body) == (body, ())
    assert MESSAGES.adapt(body, CLAUDE)[0] is body


def test_another_model_is_all_that_changes() -> None:
    body = recorded("coding_agent", "claude-anything")
    new, dropped = adapted(body)
    assert new == {**body, "model": CLAUDE.model}
    assert new["messages"] is body["messages"]
    assert dropped == ()


def test_sealed_state_goes_back_to_its_maker_only() -> None:
    mine, red = Opaque("anthropic", "signature", "c2ln/+="), Opaque("anthropic", "redacted_thinking", "cmVk")
    foreign = Opaque("openai", "encrypted_content", "gAAA")
    odd_kind = Opaque("anthropic", "next:signature", "x")
    bare = {"type": "thinking", "thinking": "b", "signature": "bare"}
    new, dropped = adapted(
        with_blocks(
            bare,
            {"type": "thinking", "thinking": "t", "signature": seal(mine)},
            {"type": "redacted_thinking", "data": seal(red)},
            {"type": "thinking", "thinking": "u", "signature": seal(foreign)},
            {"type": "redacted_thinking", "data": seal(foreign)},
            {"type": "thinking", "thinking": "", "signature": seal(odd_kind)},
            {"type": "thinking", "thinking": "v", "signature": seal(Opaque("zai", "signature", "z"))},
            {"type": "redacted_thinking", "data": seal(Opaque("zai", "redacted_thinking", "z"))},
            {"type": "text", "text": "a"},
        )
    )
    assert new["messages"][1]["content"] == [
        bare,
        {"type": "thinking", "thinking": "t", "signature": "c2ln/+="},
        {"type": "redacted_thinking", "data": "cmVk"},
        {"type": "text", "text": "a"},
    ]
    assert dropped == ("reasoning",)


def test_a_message_of_which_nothing_is_left_goes() -> None:
    new, dropped = adapted(with_blocks({"type": "thinking", "thinking": "u", "signature": ""}))
    assert new["messages"] == [{"role": "user", "content": "q"}]
    assert dropped == ("reasoning",)


def test_unsigned_thoughts_stay_where_they_are_wanted() -> None:
    # https://docs.z.ai/guides/capabilities/thinking-mode#preserved-thinking
    body = with_blocks({"type": "thinking", "thinking": "u", "signature": ""})
    assert MESSAGES.adapt(body, replace(CLAUDE, quirks=frozenset({"unsigned_thinking"})))[0] is body


def test_another_apis_sources_are_left_out() -> None:
    cited = [
        {"type": "web_search_result_location", "url": "u", "cited_text": "", "title": None, "encrypted_index": FOREIGN}
    ]
    new, dropped = adapted(
        with_blocks(
            {"type": "server_tool_use", "id": f"{FOREIGN_ID}1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": f"{FOREIGN_ID}1", "content": []},
            {"type": "text", "text": "a", "citations": cited},
        )
    )
    assert new["messages"][1]["content"] == [{"type": "text", "text": "a"}]
    assert dropped == ("hosted_call", "citations")


def test_system_messages_for_a_model_without_them() -> None:
    target = replace(CLAUDE, flags=replace(CLAUDE.flags, mid_system=False))
    body = {
        "model": CLAUDE.model,
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
        ],
    }
    new, dropped = adapted(body, target)
    assert [message["role"] for message in new["messages"]] == ["user", "assistant", "user", "user"]
    assert new["messages"][2]["content"][0]["type"] == "tool_result"
    assert new["messages"][3]["content"] == [{"type": "text", "text": "<system>\ns\n</system>"}]
    assert dropped == ()


def test_system_messages_without_words_and_with_tool_changes() -> None:
    target = replace(CLAUDE, flags=replace(CLAUDE.flags, mid_system=False))
    change = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "f"}}
    user = {"role": "user", "content": "q"}
    body = {
        "model": CLAUDE.model,
        "messages": [user, {"role": "system", "content": ""}, {"role": "system", "content": [change]}],
    }
    assert adapted(body, target) == ({"model": CLAUDE.model, "messages": [user]}, ("tool_removal",))


def test_ids_that_this_api_does_not_take() -> None:
    body = with_blocks({"type": "tool_use", "id": "functions.f:0", "name": "f", "input": {}})
    body["messages"].append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "functions.f:0"}]})
    new, dropped = adapted(body)
    assert new["messages"][1]["content"][0]["id"] == new["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"
    assert dropped == ()


def test_providers_without_deferred_or_hosted_tools() -> None:
    target = replace(CLAUDE, quirks=frozenset({"no_deferred_tools", "no_hosted_tools"}))
    body = with_blocks({"type": "tool_use", "id": "a", "name": "Find", "input": {}})
    reference = {"type": "tool_reference", "tool_name": "Found"}
    body["messages"].append(
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [reference]}]}
    )
    body["tools"] = [
        {"name": "Find", "input_schema": {}},
        {"name": "Found", "input_schema": {}, "defer_loading": True},
        {"name": "Hidden", "input_schema": {}, "defer_loading": True},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    body["tool_choice"] = {"type": "tool", "name": "web_search"}
    new, dropped = adapted(body, target)
    assert new["tools"] == [{"name": "Find", "input_schema": {}}, {"name": "Found", "input_schema": {}}]
    assert new["messages"][2]["content"][0]["content"] == [{"type": "text", "text": "The tool Found is available now."}]
    assert new["tool_choice"] == {"type": "auto"}
    assert dropped == ("tools.deferred", "tools.web_search", "tool_choice")


@pytest.mark.parametrize(
    ("flags", "body", "changes", "dropped"),
    [
        (
            Flags(thinking="budget"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}, "max_tokens": 9000},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}, "output_config": None},
            (),
        ),
        (
            CLAUDE.flags,
            {"thinking": {"type": "enabled", "budget_tokens": 31999}, "max_tokens": 32000},
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            (),
        ),
        (Flags(), {"thinking": {"type": "adaptive"}}, {"thinking": None}, ("reasoning",)),
        (Flags(), {"output_config": {"effort": "low"}}, {"output_config": None}, ("reasoning.effort",)),
        (
            Flags(effort=("low", "high")),
            {"output_config": {"effort": "max"}},
            {"output_config": {"effort": "high"}},
            (),
        ),
        (CLAUDE.flags, {"temperature": 1, "top_k": 3}, {"temperature": None, "top_k": None}, ("temperature", "top_k")),
        (
            Flags(forced_tool_choice=False),
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            ("tool_choice",),
        ),
        (Flags(), {"max_tokens": 500_000}, {"max_tokens": 128_000}, ()),
    ],
)
def test_what_this_model_would_refuse(flags: Flags, body: Json, changes: Json, dropped: tuple[str, ...]) -> None:
    body = {"model": CLAUDE.model, "messages": [{"role": "user", "content": "q"}], **body}
    new, named = adapted(body, replace(CLAUDE, flags=flags))
    assert new == {key: value for key, value in {**body, **changes}.items() if value is not None}
    assert named == dropped


def test_quirks() -> None:
    # Z.AI and Ollama document neither field: https://docs.ollama.com/api/anthropic-compatibility
    target = replace(CLAUDE, quirks=frozenset({"no_effort", "no_output_format"}))
    body = {
        **recorded("structured_side_call"),
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    }
    new, dropped = adapted(body, target)
    assert "output_config" not in new
    assert dropped == ("reasoning.effort", "format")


def test_count_requests_hold_the_prompt_only() -> None:
    body = recorded("coding_agent", "x")
    counted = write_count_request(body, CLAUDE)
    assert set(counted) == {"model", "messages", "system", "tools", "thinking", "output_config", "context_management"}
    assert counted["model"] == CLAUDE.model


ALL_QUIRKS = frozenset({"no_effort", "no_output_format", "no_deferred_tools", "no_hosted_tools", "unsigned_thinking"})
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "signature", "citations", "effort", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    ["model", "messages", "thinking", "output_config", "max_tokens", "tool_choice", "temperature", "tools"]
)


@given(st.dictionaries(KEYS, ODD, max_size=6))
def test_any_body_is_adapted_or_refused(body: Json) -> None:
    for target in (CLAUDE, replace(CLAUDE, flags=Flags(), quirks=ALL_QUIRKS)):
        try:
            new, _ = MESSAGES.adapt(body, target)
        except GatewayError:
            continue
        assert new["model"] == target.model


def test_replies_need_no_mending() -> None:
    assert MESSAGES.repair({}, CLAUDE) is None

"""Models to write for, and short ways to write requests, for the tests of the Messages API."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import MessageParam
from pydantic import TypeAdapter

from shared.canonical import (
    Block,
    CacheMark,
    Flags,
    HostedTool,
    Json,
    Limits,
    Modality,
    Request,
    Target,
    Text,
    ToolResult,
    Turn,
)
from shared.dialects import Written, dialect
from shared.errors import Code, GatewayError

MESSAGES = dialect("messages")
EYES: frozenset[Modality] = frozenset({"text", "image", "pdf"})
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


def result(call_id: str, text: str = "ok") -> ToolResult:
    return ToolResult(call_id, (Text(text),))


def written_result(call_id: str, text: str = "ok") -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": text}


def use(call_id: str, name: str = "f") -> Json:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}}


def hosted(name: str, raw: Json, dialect_name: str = "responses", **options: Any) -> HostedTool:
    return HostedTool(name, dialect_name, raw, options)


SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}

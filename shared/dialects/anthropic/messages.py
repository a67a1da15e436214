"""Reads `messages` and `system` of a client's request.

https://platform.claude.com/docs/en/api/messages/create#body-messages
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from shared.canonical import (
    Block,
    Effort,
    FunctionTool,
    HostedTool,
    Json,
    Opaque,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Turn,
)
from shared.dialects.anthropic import content, fields
from shared.dialects.anthropic.reasoning import NEXT, PREVIOUS, read_reasoning, read_thinking
from shared.dialects.anthropic.sources import HostedCalls, is_hosted_result
from shared.dialects.anthropic.tools import read_tool
from shared.errors import unsupported

_BILLING = "x-anthropic-billing-header:"


@dataclass(frozen=True, slots=True)
class History:
    """What `messages` holds: turns, system texts that lead them, the tools as they stand at the end, and the last word on effort."""

    turns: tuple[Turn, ...]
    system: tuple[Text, ...]
    tools: tuple[Tool, ...]
    effort: Effort | None


def read_system(value: Any, path: str = "system") -> tuple[Text, ...]:
    """`system`, or the content of a system message. Claude Code's billing header is a note to Anthropic, no prompt."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),) if value else ()
    texts = []
    for i, item in enumerate(fields.items(value, path)):
        block = fields.mapping(item, f"{path}.{i}")
        if block.get("type") != "text":
            raise fields.wrong(f"{path}.{i}.type", "'text'")
        text = content.read_text(block, f"{path}.{i}")
        if not text.text.startswith(_BILLING):
            texts.append(text)
    return tuple(texts)


def read_history(value: Any, tools: tuple[Tool, ...], dropped: list[str]) -> History:
    """All messages. Tool changes in between are carried out: what counts is which tools the model has at the end."""
    turns: list[Turn] = []
    leading: tuple[Text, ...] = ()
    effort: Effort | None = None
    last_user = 0
    messages = fields.items(value, "messages")
    for i, item in enumerate(messages):
        if isinstance(item, dict) and item.get("role") == "user":
            last_user = i
    for i, item in enumerate(messages):
        path = f"messages.{i}"
        message = fields.mapping(item, path)
        match message.get("role"):
            case "user":
                turns.append(Turn("user", _read_user(message.get("content"), f"{path}.content")))
            case "assistant":
                turns.append(Turn("assistant", _read_assistant(message.get("content"), f"{path}.content", dropped)))
            case "system":
                effort = read_reasoning({"output_config": message.get("output_config")}).effort or effort
                words, tools = _read_change(message.get("content"), tools, f"{path}.content", dropped)
                if message.get("clear_at") == "next_user_message" and i < last_user:
                    continue
                if turns and words:
                    turns.append(Turn("system", words))
                else:
                    leading += words
            case None:
                raise fields.missing(f"{path}.role")
            case _:
                raise fields.wrong(f"{path}.role", "'user', 'assistant' or 'system'")
    return History(tuple(turns), leading, tools, effort)


def _read_user(value: Any, path: str) -> tuple[Block, ...]:
    if isinstance(value, str):
        return (Text(value),)
    blocks: list[Block] = []
    for i, item in enumerate(fields.items(value, path)):
        at = f"{path}.{i}"
        block = fields.mapping(item, at)
        match block.get("type"):
            case "text":
                blocks.append(content.read_text(block, at))
            case "tool_result":
                blocks.append(content.read_result(block, at))
            case "image":
                blocks.append(content.read_image(block, at))
            case "document":
                blocks += content.read_document(block, at)
            case "search_result":
                blocks.append(content.read_search_result(block, at))
            case kind:
                raise _unknown(kind, at)
    return tuple(blocks)


def _read_assistant(value: Any, path: str, dropped: list[str]) -> tuple[Block, ...]:
    if isinstance(value, str):
        return (Text(value),)
    blocks: list[Block] = []
    hosted = HostedCalls()
    for i, item in enumerate(fields.items(value, path)):
        at = f"{path}.{i}"
        block = fields.mapping(item, at)
        match block.get("type"):
            case "text":
                blocks.append(content.read_text(block, at))
            case "tool_use":
                blocks.append(content.read_call(block, at))
            case "thinking" | "redacted_thinking":
                thought = read_thinking(block, at)
                if thought.text or thought.opaque:
                    blocks.append(thought)
            case "image":
                blocks.append(content.read_image(block, at))
            case "compaction":  # the summary stands for what was before it
                blocks.append(Text(fields.maybe_string(block.get("content"), f"{at}.content")))
            case "fallback":
                dropped.append("fallback")
            case "server_tool_use" | "mcp_tool_use":
                hosted.call(block)
            case str(kind) if is_hosted_result(kind):
                blocks.append(hosted.result(block))
            case kind:
                raise _unknown(kind, at)
    blocks += hosted.rest()
    return _reattached(blocks)


def _unknown(kind: Any, path: str) -> Exception:
    if not isinstance(kind, str):
        return fields.missing(f"{path}.type") if kind is None else fields.wrong(f"{path}.type", "a valid string")
    return unsupported(f"{path}: a `{kind}` block can't be given to this model: leave it out.", path)


def _reattached(blocks: list[Block]) -> tuple[Block, ...]:
    """Gives state that travelled in a thinking block of its own back to its text or call."""
    joined: list[Block] = []
    coming: Opaque | None = None
    for block in blocks:
        opaque = block.opaque if isinstance(block, Thinking) and not block.text else None
        if opaque is not None and opaque.maker and opaque.kind.startswith(NEXT):
            coming = Opaque(opaque.maker, opaque.kind.removeprefix(NEXT), opaque.data)
        elif opaque is not None and opaque.maker and opaque.kind.startswith(PREVIOUS):
            if joined and isinstance(owner := joined[-1], Text | ToolCall):
                joined[-1] = replace(
                    owner, opaque=Opaque(opaque.maker, opaque.kind.removeprefix(PREVIOUS), opaque.data)
                )
        elif coming is not None and isinstance(block, Text | ToolCall):
            joined.append(replace(block, opaque=coming))
            coming = None
        else:
            joined.append(block)
    return tuple(joined)


def _read_change(
    value: Any, tools: tuple[Tool, ...], path: str, dropped: list[str]
) -> tuple[tuple[Text, ...], tuple[Tool, ...]]:
    """The words of a system message, and the tools after its `tool_addition` and `tool_removal` blocks."""
    if not isinstance(value, list):
        return read_system(value, path), tools
    words: list[Any] = []
    for i, item in enumerate(value):
        at = f"{path}.{i}.tool"
        match item:
            case {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": definition}}:
                tools = (*tools, read_tool(definition, f"{at}.definition", dropped))
            case {"type": "tool_addition", "tool": {"type": "tool_reference", "name": str(name)}}:
                tools = tuple(
                    replace(tool, deferred=False) if isinstance(tool, FunctionTool) and tool.name == name else tool
                    for tool in tools
                )
            case {"type": "tool_removal", "tool": {"type": "tool_reference", "name": str(name)}}:
                tools = tuple(tool for tool in tools if _called(tool) != name)
            case {"type": "tool_addition" | "tool_removal"}:
                raise unsupported(f"{at}: tools of an MCP server can't be given to this model.", at)
            case _:
                words.append(item)
    return read_system(words, path), tools


def _called(tool: Tool) -> str:
    name: Json = tool.raw if isinstance(tool, HostedTool) else {"name": tool.name}
    return str(name.get("name", ""))

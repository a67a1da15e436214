"""Conversations of the messages API: who follows whom, and where results must stand."""

from __future__ import annotations

from emulator.demo.messages.blocks import ASSISTANT, USER, read_block
from emulator.demo.reading import Node
from emulator.demo.talk import Answered, Called, Turn


def read_conversation(node: Node, marks: list[str], loaded: set[str]) -> tuple[Turn, ...]:
    """The turns. Raises `RefusedError`."""
    messages = node.items()
    if not messages:
        raise node.refused("messages: at least one message is required")
    turns = [_turn(message, marks, loaded) for message in messages]
    if turns[0].role != "user":
        raise node.refused('messages: first message must use the "user" role')
    _check_calls(node, turns)
    last = turns[-1]
    if last.role == "assistant" and last.text != last.text.rstrip():
        raise node.refused("messages: final assistant content cannot end with trailing whitespace")
    return tuple(turns)


def _turn(message: Node, marks: list[str], loaded: set[str]) -> Turn:
    fields = message.obj("role", "content")
    role = fields.need("role").text()
    if role not in ("user", "assistant", "system"):
        raise message.refused(f"{message.path}.role: Input should be 'user', 'assistant' or 'system'")
    content = fields.need("content")
    if isinstance(content.value, str):
        if not content.value.strip():
            raise content.refused(f"{message.path}: {role} messages must have non-empty content")
        blocks = [Node({"type": "text", "text": content.value}, message.wording, content.path)]
    else:
        blocks = content.items()
    if not blocks:
        raise content.refused(f"{message.path}: {role} messages must have non-empty content")
    kinds = {"user": USER, "assistant": ASSISTANT, "system": ("text",)}[role]
    parts = [read_block(block, kinds, marks, loaded) for block in blocks]
    kept = tuple(part for part in parts if part is not None)
    return Turn("user" if role == "user" else "assistant" if role == "assistant" else "system", kept)


def _check_calls(node: Node, turns: list[Turn]) -> None:
    """Every call is answered in the next message, before anything else that this message says.

    https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use#handling-tool-use-and-tool-result-content-blocks
    """
    calls: list[str] = []
    seen: set[str] = set()
    for i, (role, turn) in enumerate(_joined(turns)):
        if role == "assistant":
            _answered(node, i - 1, calls)
            calls = [part.id for part in turn if isinstance(part, Called)]
            if len(set(calls)) != len(calls) or seen & set(calls):
                raise node.refused("messages: `tool_use` ids must be unique")
            seen |= set(calls)
            continue
        results = [part.id for part in turn if isinstance(part, Answered)]
        for ident in results:
            if ident not in calls:
                raise node.refused(
                    f"messages.{i}: unexpected `tool_use_id` found in `tool_result` blocks: {ident}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        if len(set(results)) != len(results):
            raise node.refused(
                f"messages.{i}: each tool_use must have a single result. Found multiple `tool_result` blocks."
            )
        first = [isinstance(part, Answered) for part in turn[: len(results)]]
        _answered(node, i - 1, calls if not all(first) else [ident for ident in calls if ident not in results])
        calls = []
    _answered(node, len(turns) - 1, calls)


def _answered(node: Node, at: int, calls: list[str]) -> None:
    if calls:
        raise node.refused(
            f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(calls)}. "
            "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )


def _joined(turns: list[Turn]) -> list[tuple[str, tuple[object, ...]]]:
    """Consecutive messages of one role count as one; system messages between them don't count."""
    joined: list[tuple[str, tuple[object, ...]]] = []
    for turn in turns:
        if turn.role == "system":
            continue
        if joined and joined[-1][0] == turn.role:
            joined[-1] = (turn.role, (*joined[-1][1], *turn.parts))
        else:
            joined.append((turn.role, turn.parts))
    return joined

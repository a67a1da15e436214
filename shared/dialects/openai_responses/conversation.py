"""A client's input items as turns (https://platform.openai.com/docs/api-reference/responses/create#input).

Reasoning, messages and calls of the assistant that follow one another are one turn; a second message begins another. Outputs that
follow one another are one user turn, apart from the message that comes after them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared.canonical import Block, Json, Opaque, Role, Text, Thinking, Tool, ToolCall, ToolResult, Turn
from shared.dialects.openai_responses.content import read_content, read_output, read_summary
from shared.dialects.openai_responses.fields import (
    items,
    json_text,
    required_string,
    string,
    the_object,
    wrong,
)
from shared.dialects.openai_responses.hosted import HOSTED_CALLS, hosted_call
from shared.dialects.openai_responses.state import is_sealed, opened
from shared.dialects.openai_responses.tools import read_tools
from shared.errors import invalid, unsupported

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "developer"}

_STATEFUL = {
    "item_reference": "Send the item itself: this gateway keeps no items.",
    "compaction": "Its content is sealed by the provider that made it: send the history itself.",
    "compaction_summary": "Its content is sealed by the provider that made it: send the history itself.",
    "compaction_trigger": "Shorten the history yourself.",
}


class Conversation:
    """Turns as they are read. `system` holds the texts that lead; `tools` those that input items bring along."""

    __slots__ = ("_blocks", "_carried", "_has_message", "_phase", "_role", "dropped", "system", "tools", "turns")

    def __init__(self, carried: dict[str, Opaque]) -> None:
        self.system: list[Text] = []
        self.tools: list[Tool] = []
        self.turns: list[Turn] = []
        self.dropped: list[str] = []
        self._carried = carried
        self._blocks: list[Block] = []
        self._role = ""  # of the open turn: "assistant", "results" or none
        self._phase = ""
        self._has_message = False

    def close(self) -> None:
        if self._blocks:
            role: Role = "assistant" if self._role == "assistant" else "user"
            self.turns.append(Turn(role, tuple(self._blocks), phase=self._phase))
        self._blocks, self._role, self._phase, self._has_message = [], "", "", False

    def message(self, role: Role, blocks: tuple[Block, ...], phase: str) -> None:
        if role == "assistant":
            if self._has_message:
                self.close()
            self._open("assistant")
            self._blocks += blocks
            self._phase, self._has_message = phase, True
            return
        self.close()
        leads = role in ("system", "developer") and not self.turns
        texts = [block for block in blocks if isinstance(block, Text)]
        if leads and len(texts) == len(blocks):
            self.system += texts
        else:
            self.turns.append(Turn(role, blocks))

    def block(self, block: Block) -> None:
        """A block of the assistant's that is no message."""
        self._open("assistant")
        if isinstance(block, ToolCall) and block.id in self._carried:
            block = replace(block, opaque=self._carried[block.id])
        self._blocks.append(block)

    def result(self, result: ToolResult) -> None:
        self._open("results")
        self._blocks.append(result)

    def sign(self, opaque: Opaque) -> None:
        """State that belongs to the text before it."""
        for n in range(len(self._blocks) - 1, -1, -1):
            block = self._blocks[n]
            if isinstance(block, Text):
                self._blocks[n] = replace(block, opaque=opaque)
                return

    def _open(self, role: str) -> None:
        if self._role != role:
            self.close()
            self._role = role


def read_input(value: Any) -> Conversation:
    """`input`: a string, or a list of items."""
    if isinstance(value, str):
        conversation = Conversation({})
        conversation.message("user", (Text(value),), "")
        return conversation
    if not isinstance(value, list):
        raise wrong(value, "a string or an array", "input")
    conversation = Conversation(_carried_by_calls(value))
    for n, item in enumerate(value):
        where = f"input.{n}"
        _read_item(the_object(item, where), where, conversation)
    conversation.close()
    return conversation


def _read_item(item: Json, where: str, conversation: Conversation) -> None:
    kind = item.get("type", "message")
    if not isinstance(kind, str):
        raise wrong(kind, "a string", f"{where}.type")
    read = _READERS.get(kind)
    if read is not None:
        read(item, where, conversation)
    elif kind in HOSTED_CALLS:
        _hosted(item, where, conversation)
    elif kind == "item_reference" and str(item.get("id")).startswith("rs_"):
        # Vercel's SDK refers to the reasoning of earlier replies (https://ai-sdk.dev/providers/ai-sdk-providers/openai,
        # `store`); the words and calls beside it come whole, so that the conversation can go on without.
        conversation.dropped.append("reasoning")
    elif kind in _STATEFUL:
        raise unsupported(f"{where}: items of type '{kind}' can't go to another provider. {_STATEFUL[kind]}", where)
    else:
        raise unsupported(f"{where}: items of type '{kind[:64]}' can't be carried to another model.", where)


def _carried_by_calls(value: list[Any]) -> dict[str, Opaque]:
    carried: dict[str, Opaque] = {}
    for item in value:
        if isinstance(item, dict) and item.get("type") == "reasoning" and is_sealed(item.get("encrypted_content")):
            state = opened(item["encrypted_content"])
            if state.owner == "call":
                carried[state.call_id] = state.opaque
    return carried


def _message(item: Json, where: str, conversation: Conversation) -> None:
    role = ROLES.get(required_string(item, "role", where))
    if role is None:
        wanted = "'assistant', 'system', 'developer', or 'user'"
        raise invalid(f"{where}.role: expected one of {wanted}, got '{item['role'][:64]}'.", f"{where}.role")
    conversation.message(role, read_content(item.get("content"), f"{where}.content"), string(item, "phase", where))


def _reasoning(item: Json, where: str, conversation: Conversation) -> None:
    summary, content = (read_summary(item, key, where) for key in ("summary", "content"))
    text = "\n\n".join(summary or content)
    encrypted = string(item, "encrypted_content", where)
    if not encrypted:
        if text:
            conversation.block(Thinking(text))
        return
    state = opened(encrypted)
    if state.owner == "text":
        conversation.sign(state.opaque)
    elif state.owner != "call":
        conversation.block(Thinking(text, state.opaque, redacted=state.owner == "redacted"))


def _function_call(item: Json, where: str, conversation: Conversation) -> None:
    call_id, name = required_string(item, "call_id", where), required_string(item, "name", where)
    arguments, namespace = string(item, "arguments", where), string(item, "namespace", where)
    conversation.block(ToolCall(call_id, name, arguments, namespace=namespace))


def _custom_call(item: Json, where: str, conversation: Conversation) -> None:
    call_id, name = required_string(item, "call_id", where), required_string(item, "name", where)
    text, namespace = string(item, "input", where), string(item, "namespace", where)
    conversation.block(ToolCall(call_id, name, text, "custom", namespace))


def _function_output(item: Json, where: str, conversation: Conversation) -> None:
    content = read_output(item.get("output"), f"{where}.output")
    conversation.result(ToolResult(required_string(item, "call_id", where), content))


def _custom_output(item: Json, where: str, conversation: Conversation) -> None:
    content = read_output(item.get("output"), f"{where}.output")
    conversation.result(ToolResult(required_string(item, "call_id", where), content, kind="custom"))


def _search_call(item: Json, where: str, conversation: Conversation) -> None:
    if not string(item, "call_id", where):  # the provider searched by itself
        _hosted(item, where, conversation)
        return
    arguments = item.get("arguments")
    text = arguments if isinstance(arguments, str) else json_text({} if arguments is None else arguments, where)
    conversation.block(ToolCall(item["call_id"], "tool_search", text, "tool_search"))


def _search_output(item: Json, where: str, conversation: Conversation) -> None:
    if not string(item, "call_id", where):
        _hosted(item, where, conversation)
        return
    tools = read_tools(items(item, "tools", where), f"{where}.tools", conversation.dropped)
    conversation.result(ToolResult(item["call_id"], kind="tool_search", tools=tools))


def _additional_tools(item: Json, where: str, conversation: Conversation) -> None:
    conversation.tools += read_tools(items(item, "tools", where), f"{where}.tools", conversation.dropped)


def _hosted(item: Json, where: str, conversation: Conversation) -> None:
    """Work that the provider did by itself, kept as it is for a provider of this API."""
    json_text(item, where)
    conversation.block(hosted_call(item))


_READERS: dict[str, Callable[[Json, str, Conversation], None]] = {
    "message": _message,
    "reasoning": _reasoning,
    "function_call": _function_call,
    "function_call_output": _function_output,
    "custom_tool_call": _custom_call,
    "custom_tool_call_output": _custom_output,
    "tool_search_call": _search_call,
    "tool_search_output": _search_output,
    "additional_tools": _additional_tools,
}

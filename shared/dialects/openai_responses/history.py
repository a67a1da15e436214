"""Turns as input items for a provider (https://platform.openai.com/docs/api-reference/responses/create#input)."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

import orjson

from shared.canonical import (
    Block,
    HostedCall,
    Image,
    Json,
    Request,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects.openai_responses.content import write_parts
from shared.dialects.openai_responses.hosted import API
from shared.dialects.openai_responses.state import restored
from shared.dialects.openai_responses.toolset import Shapes, write_tools
from shared.dialects.toolnames import ToolNames, wire_name, wrap
from shared.errors import invalid, unsupported

_MAX_CALL_ID = 64
"""Longer ones are refused: https://github.com/AnswerDotAI/fastllm/issues/45"""


@dataclass(slots=True)
class History:
    """The items of one request as they are written."""

    target: Target
    shapes: Shapes
    names: ToolNames
    dropped: list[str]
    items: list[Json] = field(default_factory=list)

    def write(self, request: Request) -> list[Json]:
        """All turns. Raises UNSUPPORTED_BY_MODEL for a prefill that the model would not go on with."""
        for turn in request.turns:
            if turn.name:
                self.dropped.append("name")
            if turn.role == "assistant":
                self._assistant(turn)
            else:
                self._other(turn)
        last = request.turns[-1] if request.turns else None
        prefilled = last is not None and last.role == "assistant" and last.blocks and isinstance(last.blocks[-1], Text)
        if prefilled and not self.target.flags.prefill:
            raise unsupported(
                f"{self.target.model} can't go on from the assistant's own words: let the last message be the user's.",
                "input",
            )
        return self.items

    def _other(self, turn: Turn) -> None:
        pending: list[Block] = []
        for block in turn.blocks:
            if isinstance(block, ToolResult):
                self._message(turn.role, pending)
                pending = []
                self.items.append(self._result(block))
            else:
                pending.append(block)
        self._message(turn.role, pending)

    def _message(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if len(blocks) == 1 and isinstance(blocks[0], Text) and not blocks[0].cache:
            self.items.append({"type": "message", "role": role, "content": blocks[0].text})
        else:
            parts = write_parts(blocks, self.target, self.dropped)
            self.items.append({"type": "message", "role": role, "content": parts})

    def _assistant(self, turn: Turn) -> None:
        texts: list[Text] = []
        for block in turn.blocks:
            if isinstance(block, Text):
                texts.append(block)
                continue
            self._said(texts, turn.phase)
            texts = []
            match block:
                case Thinking():
                    self._thinking(block)
                case ToolCall():
                    self.items.append(self._call(block))
                case HostedCall():
                    self._hosted(block)
                case Image():
                    self.dropped.append("image")
                case _:
                    kind = type(block).__name__
                    raise unsupported(f"The Responses API has no {kind} in the assistant's own turns.", "input")
        self._said(texts, turn.phase)

    def _said(self, texts: list[Text], phase: str) -> None:
        texts = [text for text in texts if text.text]
        if not texts:
            return
        for text in texts:
            if text.citations:
                self.dropped.append("citations")
            if text.cache:
                self.dropped.append("cache")
            if text.opaque:
                self.dropped.append("reasoning")
        item: Json = {"type": "message", "role": "assistant"}
        if len(texts) == 1 and not texts[0].refusal:
            item["content"] = texts[0].text
        else:
            item["content"] = [
                {"type": "refusal", "refusal": text.text}
                if text.refusal
                else {"type": "output_text", "text": text.text, "annotations": []}
                for text in texts
            ]
        if phase or texts[0].phase:
            item["phase"] = phase or texts[0].phase
        self.items.append(item)

    def _thinking(self, block: Thinking) -> None:
        opaque = block.opaque
        item = restored(block.text, opaque) if opaque and opaque.maker == self.target.provider else None
        if item is None:
            self.dropped.append("reasoning")
        else:
            self.items.append(item)

    def _hosted(self, call: HostedCall) -> None:
        if call.dialect == API:
            self.items += call.raw
        else:
            self.dropped.append(call.name)

    def _call(self, call: ToolCall) -> Json:
        if call.opaque:
            self.dropped.append("reasoning")
        if call.cache:
            self.dropped.append("cache")
        call_id = short_id(call.id)
        if call.kind == "tool_search" and self.shapes.search:
            return {
                "type": "tool_search_call",
                "call_id": call_id,
                "execution": "client",
                "status": "completed",
                "arguments": _arguments(call),
            }
        custom = call.kind == "custom"
        native = bool(call.namespace) and self.shapes.namespaces
        name = wire_name(call.name) if native else self.names.wire(call.name, call.namespace)
        item: Json = {"type": "function_call", "call_id": call_id, "name": name}
        if custom and self.shapes.custom:
            item["type"] = "custom_tool_call"
            item["input"] = call.arguments
        else:
            item["arguments"] = wrap(call.arguments) if custom else call.arguments or "{}"
        if native:
            item["namespace"] = call.namespace
        return item

    def _result(self, result: ToolResult) -> Json:
        call_id = short_id(result.call_id)
        if result.is_error:
            self.dropped.append("tool_result.is_error")
        if result.cache:
            self.dropped.append("cache")
        if result.kind == "tool_search" and self.shapes.search:
            return {
                "type": "tool_search_output",
                "call_id": call_id,
                "execution": "client",
                "status": "completed",
                "tools": write_tools(result.tools, self.shapes, self.names, self.dropped),
            }
        native = result.kind == "custom" and self.shapes.custom
        kind = "custom_tool_call_output" if native else "function_call_output"
        return {"type": kind, "call_id": call_id, "output": self._output(result)}

    def _output(self, result: ToolResult) -> str | list[Json]:
        content = result.content
        if result.kind == "tool_search" and not content:
            found = [self.names.wire(tool.name, getattr(tool, "namespace", "")) for tool in result.tools]
            return "These tools are now available: " + ", ".join(found) if found else "No tool was found."
        if not content:
            return "error" if result.is_error else ""
        if len(content) == 1 and isinstance(content[0], Text | ToolReference):
            if isinstance(content[0], ToolReference):
                return f"The tool {content[0].name} is now available."
            if not content[0].cache:
                return content[0].text
        return write_parts(content, self.target, self.dropped)


def short_id(call_id: str) -> str:
    """A call's id, cut to what the API takes: the same for the call and for its result."""
    if len(call_id) <= _MAX_CALL_ID:
        return call_id
    return f"{call_id[:55]}_{sha256(call_id.encode()).hexdigest()[:8]}"


def _arguments(call: ToolCall) -> Json:
    try:
        arguments = orjson.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise invalid(f"The arguments of the tool search {call.id[:64]} are no JSON object.", "input")
    return arguments

"""Writes turns as `messages`: roles alternate, every call is answered in the very next message, results first.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages
"""

from __future__ import annotations

import re
from collections import deque

import orjson

from shared.canonical import (
    Audio,
    Block,
    Document,
    HostedCall,
    HostedTool,
    Image,
    Json,
    Request,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects.anthropic import content, fields
from shared.dialects.anthropic.reasoning import write_thinking
from shared.dialects.toolnames import ToolNames, wrap
from shared.errors import GatewayError, unsupported

ODD_ID = re.compile(r"[^a-zA-Z0-9_-]")
"""What the id of a call may not hold."""

LOADED = "The tool {} is available now."
"""Stands for a `tool_reference` where tools aren't deferred."""


class History:
    """The messages of one request while they are written.

    Results are looked up by their call, so that they stand right after it wherever the client put them; ids are made fit for
    this API and stay apart.
    """

    __slots__ = (
        "_between",
        "_calls",
        "_dropped",
        "_ids",
        "_listed",
        "_messages",
        "_names",
        "_results",
        "_target",
        "_waiting",
    )

    def __init__(
        self, request: Request, tools: tuple[Tool, ...], names: ToolNames, target: Target, dropped: list[str]
    ) -> None:
        self._target = target
        self._names = names
        self._dropped = dropped
        self._messages: list[Json] = []
        self._ids: set[str] = set()
        self._waiting: list[tuple[str, ToolCall]] = []  # calls of the open assistant message, by their id on the wire
        self._calls = 0
        self._between = False  # a turn of the user came after the last one of the assistant
        self._listed = {tool.name: tool.namespace for tool in tools if not isinstance(tool, HostedTool)}
        self._results: dict[str, deque[ToolResult]] = {}
        for turn in request.turns:
            for block in turn.blocks:
                if isinstance(block, ToolResult):
                    self._results.setdefault(block.call_id, deque()).append(block)

    def write(self, turns: tuple[Turn, ...]) -> list[Json]:
        """All turns. Raises UNSUPPORTED_BY_MODEL for what the model can't be given."""
        last = max((i for i, turn in enumerate(turns) if turn.role == "assistant" and turn.blocks), default=-1)
        for i, turn in enumerate(turns):
            if turn.role == "assistant":
                self._assistant(turn)
            else:
                if any(not isinstance(block, ToolResult) for block in turn.blocks):
                    self._answer(trailing=i > last)
                self._between = True
                self._user(turn)
            if turn.name:
                self._dropped.append("name")
            if turn.phase:
                self._dropped.append("phase")
        ended = bool(self._messages) and self._messages[-1]["role"] == "assistant"
        self._answer(trailing=True)
        if left := next((call_id for call_id, results in self._results.items() if results), None):
            raise unsupported(
                f"messages: the tool result for '{left}' answers no call: send the call before it.", "messages"
            )
        if ended and self._messages[-1]["role"] == "assistant":
            self._prefill(self._messages[-1])
        return self._messages

    def _open(self, role: str) -> list[Json]:
        """The content of the last message, if it is of this role, else of a new one."""
        if not self._messages or self._messages[-1]["role"] != role:
            self._messages.append({"role": role, "content": []})
        blocks: list[Json] = self._messages[-1]["content"]
        return blocks

    def _user(self, turn: Turn) -> None:
        if turn.role in ("system", "developer"):
            self._system(turn)
            return
        for block in turn.blocks:
            if not isinstance(block, ToolResult) and (body := self._write(block)):
                self._open("user").append(body)

    def _system(self, turn: Turn) -> None:
        texts = [body for block in turn.blocks if (body := self._write(block))]
        if texts and self._target.flags.mid_system and self._messages:
            self._open("system").extend(texts)
        elif texts:
            self._open("user").extend(as_user(texts))

    def _assistant(self, turn: Turn) -> None:
        written: list[Json] = []
        calls: list[tuple[str, ToolCall]] = []
        for block in turn.blocks:
            match block:
                case ToolCall():
                    wire_id = self._id(block.id)
                    calls.append((wire_id, block))
                    written.append(self._call(block, wire_id))
                case HostedCall() if block.dialect == "messages":
                    written += map(dict, block.raw)
                case HostedCall():
                    self._dropped.append("hosted_call")
                case Thinking():
                    if body := write_thinking(block, self._target):
                        written.append(body)
                    else:
                        self._dropped.append("reasoning")
                case Image() | Document():
                    self._dropped.append("image" if isinstance(block, Image) else "document")
                case _:
                    if body := self._write(block):
                        written.append(body)
        if not written:
            return
        if self._between:
            self._answer(trailing=False)
            self._between = False
        self._waiting += calls
        self._open("assistant").extend(written)

    def _answer(self, trailing: bool) -> None:
        """The results of the calls that wait for them, at once and before anything else."""
        if not self._waiting:
            return
        blocks: list[Json] = []
        for wire_id, call in self._waiting:
            results = self._results.get(call.id)
            if results:
                blocks.append(self._result(results.popleft(), wire_id))
            elif trailing:  # the client broke the loop off: this API wants an answer all the same
                blocks.append(
                    {"type": "tool_result", "tool_use_id": wire_id, "content": "(no result)", "is_error": True}
                )
            else:
                raise unsupported(
                    f"messages: the call '{call.id}' of the tool '{call.name}' has no result: send one for every call.",
                    "messages",
                )
        self._waiting = []
        self._open("user").extend(blocks)

    def _write(self, block: Block) -> Json | None:
        match block:
            case Text():
                return content.write_text(block, self._dropped)
            case Image():
                return content.write_image(block, self._target, self._dropped)
            case Document():
                return content.write_document(block, self._target, self._dropped)
            case Audio(transcript=text) if text:
                self._dropped.append("audio")
                return {"type": "text", "text": text}
            case Audio():
                raise unsupported(f"{self._target.model} hears no audio here: send a transcript.", "messages")
            case _:
                return None

    def _call(self, call: ToolCall, wire_id: str) -> Json:
        arguments = wrap(call.arguments) if call.kind == "custom" else call.arguments
        try:
            value = orjson.loads(arguments) if arguments.strip() else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise unsupported(
                f"messages: the arguments of the call '{call.id}' are no JSON object: {self._target.model} takes no others.",
                "messages",
            )
        if call.opaque:
            self._dropped.append("reasoning")
        body: Json = {
            "type": "tool_use",
            "id": wire_id,
            "name": self._names.wire(call.name, call.namespace),
            "input": value,
        }
        if call.cache:
            body["cache_control"] = fields.write_mark(call.cache)
        return body

    def _result(self, result: ToolResult, wire_id: str) -> Json:
        parts: list[Json] = []
        for part in result.content:
            if isinstance(part, ToolReference):
                parts.append(self._reference(part))
            elif written := self._write(part):
                parts.append(written)
        found = (tool for tool in result.tools if not isinstance(tool, HostedTool))
        parts += [self._reference(ToolReference(tool.name), tool.namespace) for tool in found]
        body: Json = {"type": "tool_result", "tool_use_id": wire_id}
        match parts:
            case [{"type": "text", "text": text, **rest}] if not rest:
                body["content"] = text
            case [_, *_]:
                body["content"] = parts
            case _ if result.is_error:
                body["content"] = "error"  # an error without words is refused
        if result.is_error:
            body["is_error"] = True
        if result.cache:
            body["cache_control"] = fields.write_mark(result.cache)
        return body

    def _reference(self, part: ToolReference, namespace: str = "") -> Json:
        wire = self._names.wire(part.name, namespace or self._listed.get(part.name, ""))
        if part.name in self._listed and "no_deferred_tools" not in self._target.quirks:
            return {"type": "tool_reference", "tool_name": wire}
        return {"type": "text", "text": LOADED.format(wire)}

    def _id(self, call_id: str) -> str:
        """An id that this API takes (`^[a-zA-Z0-9_-]+$`), no two alike."""
        self._calls += 1
        wire = ODD_ID.sub("_", call_id) or f"call_{self._calls}"
        while wire in self._ids:
            wire = f"{wire}_{self._calls}"
        self._ids.add(wire)
        return wire

    def _prefill(self, message: Json) -> None:
        if not self._target.flags.prefill:
            raise _no_prefill(self._target)
        last = message["content"][-1]
        if last["type"] == "text":  # whitespace at the very end is refused
            last["text"] = last["text"].rstrip() or "."


def as_user(texts: list[Json]) -> list[Json]:
    """System words for a model that takes them at the start only: marked, in a user's message."""
    return [{**body, "text": f"<system>\n{body['text']}\n</system>"} for body in texts if body.get("type") == "text"]


def _no_prefill(target: Target) -> GatewayError:
    return unsupported(
        f"messages: {target.model} can't continue an assistant message: let the conversation end with a user message.",
        "messages",
    )

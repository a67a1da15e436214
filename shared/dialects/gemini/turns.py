"""The conversation as `contents`: https://ai.google.dev/api/caching#Content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import orjson

from shared.canonical import (
    Audio,
    Block,
    Document,
    HostedCall,
    Image,
    Json,
    Opaque,
    Target,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from shared.dialects.gemini.media import media_parts
from shared.dialects.gemini.results import write_results
from shared.dialects.gemini.tools import call_name
from shared.dialects.toolnames import ToolNames
from shared.errors import invalid, unsupported

SIGNATURE = "thought_signature"
"""Kind of the opaque state that stands in `thoughtSignature`."""
PLACEHOLDER = "skip_thought_signature_validator"
"""Stands in for a signature that was lost: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs."""

_PART_KINDS = ("toolCall", "toolResponse", "executableCode", "codeExecutionResult")

_LEVELS = 200  # brackets below which nothing can be nested too deep

Side = Literal["user", "model"]


class Conversation:
    """Turns on their way into `contents`: roles alternate, every call is answered in the content that follows it."""

    __slots__ = ("_calls", "_dropped", "_names", "_target", "contents")

    def __init__(self, names: ToolNames, target: Target, dropped: dict[str, None]) -> None:
        self.contents: list[Json] = []
        self._names = names
        self._target = target
        self._dropped = dropped
        self._calls: list[tuple[ToolCall, str]] = []  # of the last model content, not yet answered

    def add(self, turns: Iterable[Turn]) -> None:
        """Writes all turns. Raises VALIDATION_ERROR where calls and results don't match, UNSUPPORTED_BY_MODEL for a prefill."""
        for side, blocks in _sides(turns, self._dropped):
            parts = self._model(blocks) if side == "model" else self._user(blocks)
            if not parts:
                continue
            if self.contents and self.contents[-1]["role"] == side:
                self.contents[-1]["parts"] += parts
            else:
                self.contents.append({"role": side, "parts": parts})
        if self._calls:
            call = self._calls[0][0]
            raise invalid(f"messages: the tool call {call.id!r} ({call.name}) has no result.", "messages")
        if self.contents and self.contents[-1]["role"] == "model" and not self._target.flags.prefill:
            raise unsupported(
                f"{self._target.model} does not continue a message of the assistant: end with a user message.",
                "messages",
            )
        if self._target.flags.thinking == "level":
            _sign_current_turn(self.contents)

    def _user(self, blocks: list[Block]) -> list[Json]:
        results: dict[str, ToolResult] = {}
        parts: list[Json] = []
        for block in blocks:
            match block:
                case ToolResult():
                    if results.setdefault(block.call_id, block) is not block:
                        raise invalid(
                            f"messages: the tool call {block.call_id!r} has more than one result.", "messages"
                        )
                case Text():
                    if block.text:
                        parts.append({"text": block.text})
                    self._note(block)
                case Image() | Document() | Audio():
                    parts += self._media(block)
                case _:
                    raise invalid(
                        f"messages: a {type(block).__name__} block can't stand in a user message.", "messages"
                    )
        calls, self._calls = self._calls, []
        if not (calls or results):
            return parts
        return write_results(calls, results, self._target, self._dropped) + parts

    def _model(self, blocks: list[Block]) -> list[Json]:
        parts: list[Json] = []
        carried = ""  # a signature that came without its part: the client could not carry it there
        for block in blocks:
            match block:
                case Thinking():
                    carried = self._thought(block, parts, carried)
                    continue
                case Text():
                    signature = self._own(block.opaque) or carried
                    if block.text or signature:
                        parts.append(_signed({"text": block.text}, signature))
                    self._note(block)
                case ToolCall():
                    signature = self._own(block.opaque) or carried
                    parts.append(_signed({"functionCall": self._call(block)}, signature))
                case HostedCall():
                    parts += self._hosted(block)
                    continue
                case Image() | Document() | Audio():
                    shown = self._media(block)
                    parts += [*shown[:-1], *(_signed(part, carried) for part in shown[-1:])]
                case _:
                    raise invalid("messages: a tool result can't stand in a message of the assistant.", "messages")
            carried = ""
        return [*parts, _signed({"text": ""}, carried)] if carried else parts

    def _thought(self, block: Thinking, parts: list[Json], carried: str) -> str:
        """Writes a thought of the target's own making. A bare signature waits for the part that follows."""
        signature = self._own(block.opaque)
        if not signature:
            if block.opaque is None:
                self._dropped["reasoning"] = None
            return carried
        if not block.text:
            return signature
        parts.append({"text": block.text, "thought": True, "thoughtSignature": signature})
        return carried

    def _own(self, opaque: Opaque | None) -> str:
        if opaque is None:
            return ""
        if opaque.maker == self._target.provider and opaque.kind == SIGNATURE:
            return opaque.data
        self._dropped["reasoning"] = None
        return ""

    def _call(self, call: ToolCall) -> Json:
        name = call_name(self._names, call.name, call.namespace)
        self._calls.append((call, name))
        if call.cache:
            self._dropped["cache"] = None
        return {"id": call.id, "name": name, "args": _arguments(call)}

    def _hosted(self, block: HostedCall) -> list[Json]:
        if block.dialect == "gemini":
            return [part for part in block.raw if any(kind in part for kind in _PART_KINDS)]
        self._dropped[block.name] = None
        return []

    def _media(self, block: Image | Document | Audio) -> list[Json]:
        if not isinstance(block, Audio) and block.cache:
            self._dropped["cache"] = None
        return media_parts(block, self._target, self._dropped)

    def _note(self, block: Text) -> None:
        if block.citations:
            self._dropped["citations"] = None
        if block.cache:
            self._dropped["cache"] = None


def _sides(turns: Iterable[Turn], dropped: dict[str, None]) -> list[tuple[Side, list[Block]]]:
    """Turns of one side joined. Gemini knows no system message within the conversation: it becomes a marked user text."""
    sides: list[tuple[Side, list[Block]]] = []
    for turn in turns:
        blocks = list(turn.blocks)
        if turn.name:
            dropped["name"] = None
        if turn.phase:
            dropped["phase"] = None
        if turn.role in ("system", "developer"):
            texts = [block for block in blocks if isinstance(block, Text) and block.text]
            marked = "\n".join(("<system>", *(block.text for block in texts), "</system>"))
            cache = next((block.cache for block in texts if block.cache), None)
            blocks = [block for block in blocks if not isinstance(block, Text)]
            blocks = [Text(marked, cache=cache), *blocks] if texts else blocks
        side: Side = "model" if turn.role == "assistant" else "user"
        if sides and sides[-1][0] == side:
            sides[-1][1].extend(blocks)
        else:
            sides.append((side, blocks))
    return sides


def _signed(part: Json, signature: str) -> Json:
    if signature:
        part["thoughtSignature"] = signature
    return part


def _arguments(call: ToolCall) -> Json:
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        arguments = orjson.loads(call.arguments)
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict) or not _shallow(arguments, call.arguments):
        raise invalid(
            f"messages: the arguments of the tool call {call.id!r} ({call.name}) are no JSON object.", "messages"
        )
    return arguments


def _shallow(arguments: Json, text: str) -> bool:
    """False for what is nested too deep to be written again (`orjson` writes 254 levels)."""
    if text.count("{") + text.count("[") < _LEVELS:
        return True
    try:
        orjson.dumps([[[[[[[[[[arguments]]]]]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True


def _sign_current_turn(contents: list[Json]) -> None:
    """Gemini 3 refuses the first call of a step without a signature, in every step since the user last spoke.

    https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    for content in reversed(contents):
        if content["role"] == "user":
            if not any("functionResponse" in part for part in content["parts"]):
                return
            continue
        for part in content["parts"]:
            if "functionCall" in part:
                part.setdefault("thoughtSignature", PLACEHOLDER)
                break

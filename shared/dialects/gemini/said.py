"""What the model said before, as parts for the model: https://ai.google.dev/gemini-api/docs/thought-signatures."""

from __future__ import annotations

from collections.abc import Iterable

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
)
from shared.dialects.gemini.media import media_parts
from shared.dialects.gemini.tools import call_name
from shared.dialects.toolnames import ToolNames
from shared.errors import invalid

SIGNATURE = "thought_signature"
"""Kind of the opaque state that stands in `thoughtSignature`."""
MEDIA_SIGNATURE = "media_signature"
"""The same of a picture or a sound, which no block has a place for: it travels in a thought before the block."""
THOUGHT = "thought"
"""Kind of the empty state of a thought without a signature: it tells who thought it."""
PARTS = "parts"
"""Kind of the state that is a JSON list of whole parts: those of Google's own tools, which have to come back too.
https://ai.google.dev/gemini-api/docs/tool-combination"""

PLACEHOLDER = "skip_thought_signature_validator"
"""Stands in for a signature that was lost: https://ai.google.dev/gemini-api/docs/thought-signatures#faqs."""

_PART_KINDS = ("toolCall", "toolResponse", "executableCode", "codeExecutionResult")
_LEVELS = 200  # brackets below which nothing can be nested too deep


class Said:
    """One content of role `model` in the making. `calls` are its tool calls with their names on the wire."""

    __slots__ = ("_carried", "_dropped", "_names", "_shadows", "_target", "calls", "parts")

    def __init__(self, names: ToolNames, target: Target, dropped: dict[str, None]) -> None:
        self.parts: list[Json] = []
        self.calls: list[tuple[ToolCall, str]] = []
        self._names = names
        self._target = target
        self._dropped = dropped
        self._carried: list[Opaque] = []  # signatures that came alone: their parts, which could not carry them, follow
        self._shadows = 0  # calls of Google's tools to come, whose parts are written already

    def add(self, blocks: Iterable[Block]) -> None:
        """Writes the blocks. Raises VALIDATION_ERROR for what the model can't have said."""
        for block in blocks:
            match block:
                case Thinking():
                    self._thought(block)
                case Text():
                    self._text(block)
                case ToolCall():
                    self._call(block)
                case HostedCall():
                    self._hosted(block)
                case Image() | Document() | Audio():
                    self._media(block)
                case _:
                    raise invalid("messages: a tool result can't stand in a message of the assistant.", "messages")
        if any(carried.kind == SIGNATURE for carried in self._carried):
            self._sign({"text": ""}, "")
        if self._carried:
            self._carried.clear()
            self._dropped["reasoning"] = None

    def _sign(self, part: Json, signature: str, carried_as: str = SIGNATURE) -> None:
        """Adds a part, with its own signature or the first of its kind that was carried here."""
        if not signature:
            carried = next((one for one in self._carried if one.kind == carried_as), None)
            if carried is not None:
                self._carried.remove(carried)
                signature = carried.data
        if signature:
            part["thoughtSignature"] = signature
        self.parts.append(part)

    def _own(self, opaque: Opaque | None, *kinds: str) -> Opaque | None:
        """State of the target's own making, else None, and it is named."""
        if opaque is None:
            return None
        if opaque.maker == self._target.provider and opaque.kind in kinds:
            return opaque
        self._dropped["reasoning"] = None
        return None

    def _signature(self, opaque: Opaque | None) -> str:
        own = self._own(opaque, SIGNATURE)
        return own.data if own else ""

    def _thought(self, block: Thinking) -> None:
        own = self._own(block.opaque, SIGNATURE, MEDIA_SIGNATURE, THOUGHT, PARTS)
        if own is None:
            self._dropped["reasoning"] = None
        elif own.kind == PARTS:
            self.parts += _parts(own.data)
            self._shadows += 1
        elif block.text:
            signed = {"thoughtSignature": own.data} if own.data else {}
            self.parts.append({"text": block.text, "thought": True, **signed})
        elif own.data:
            self._carried.append(own)

    def _text(self, block: Text) -> None:
        if block.citations:
            self._dropped["citations"] = None
        if block.cache:
            self._dropped["cache"] = None
        signature = self._signature(block.opaque)
        if block.text or signature:
            self._sign({"text": block.text}, signature)

    def _call(self, call: ToolCall) -> None:
        if call.cache:
            self._dropped["cache"] = None
        name = call_name(self._names, call.name, call.namespace)
        self.calls.append((call, name))
        part: Json = {"functionCall": {"id": call.id, "name": name, "args": _arguments(call)}}
        self._sign(part, self._signature(call.opaque))

    def _hosted(self, block: HostedCall) -> None:
        if self._shadows:
            self._shadows -= 1
        elif block.dialect == "gemini":
            self.parts += filter(_is_hosted, block.raw)
        else:
            self._dropped[block.name] = None

    def _media(self, block: Image | Document | Audio) -> None:
        *labels, shown = media_parts(block, self._target, self._dropped) or [{}]
        self.parts += labels
        if shown:
            self._sign(shown, "", MEDIA_SIGNATURE)


def sign_current_turn(contents: list[Json]) -> None:
    """Gemini 3 refuses the first call of a step without a signature, in every step since the user last spoke."""
    for content in reversed(contents):
        if content["role"] == "user":
            if not any("functionResponse" in part for part in content["parts"]):
                return
            continue
        for part in content["parts"]:
            if "functionCall" in part:
                part.setdefault("thoughtSignature", PLACEHOLDER)
                break


def _parts(data: str) -> list[Json]:
    """Parts out of the state that a client brought back, who may have changed it."""
    try:
        parts = orjson.loads(data)
    except orjson.JSONDecodeError:
        parts = None
    if not isinstance(parts, list) or not all(isinstance(part, dict) and _is_hosted(part) for part in parts):
        raise invalid("messages: the state of a hosted tool came back changed.", "messages")
    return parts


def _is_hosted(part: Json) -> bool:
    return not part.keys().isdisjoint(_PART_KINDS) and part.keys().isdisjoint(("functionCall", "functionResponse"))


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

"""Counts what passes through, without taking part in it (https://platform.openai.com/docs/api-reference/responses-streaming)."""

from __future__ import annotations

import re
from typing import Any

import orjson

from shared.canonical import Json, Usage
from shared.dialects.openai_responses.errors import failed_error
from shared.dialects.openai_responses.usage import read_usage
from shared.errors import GatewayError
from shared.sse import SSE

_TERMINAL = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_FAILED = ("response.failed", "response.cancelled", "error")
_TELLING = frozenset((*_TERMINAL, "response.created", "error"))
_TOLD = tuple(f'"{kind}"'.encode() for kind in _TELLING)
_TELLING_WORDS = (*(kind.encode() for kind in (*_TERMINAL, "response.created")), b'"error"', b": error", b":error")
_TEXT = re.compile(rb'"delta"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_SEQUENCE = re.compile(rb'"sequence_number"\s*:\s*(\d{1,15})')

_REQUIRED: Json = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}


class Meter:
    """See `shared.dialects.Meter`. Events that can hold neither usage nor an end are looked at as bytes only."""

    __slots__ = ("_created", "_id", "_last", "ended", "failed", "model", "output_chars", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.ended = False
        self.failed = False
        self.output_chars = 0
        self._id = ""
        self._created: int | float = 0
        self._last = b""

    def see(self, event: SSE) -> None:
        data = event.data
        self._last = data
        kind = event.event
        if kind:
            if kind not in _TELLING:
                if kind.endswith(".delta"):
                    self._count(data)
                return
        elif not any(name in data for name in _TOLD):
            self._count(data)
            return
        try:
            told = orjson.loads(data)
        except ValueError:
            return  # not JSON: there is nothing to count in it
        if isinstance(told, dict):
            self._tell(told.get("type") or kind, told)

    def see_block(self, block: bytes) -> bool:
        """Whole events at once, if they are mere deltas and what lies between them."""
        if any(word in block for word in _TELLING_WORDS):
            return False
        self._last = block[block.rfind(b"data:") :]
        self.output_chars += sum(map(len, _TEXT.findall(block)))
        return True

    def _count(self, data: bytes) -> None:
        self.output_chars += sum(map(len, _TEXT.findall(data)))

    def _tell(self, kind: Any, told: Json) -> None:
        if not isinstance(kind, str) or kind not in _TELLING:
            return
        response = told.get("response")
        if kind in _FAILED:
            self.failed = self.ended = True
        elif kind in _TERMINAL:
            self.ended = True
        if isinstance(response, dict):
            self._of_response(response, ended=kind in _TERMINAL)

    def _of_response(self, response: Json, *, ended: bool) -> None:
        match response:
            case {"model": str(model)}:
                self.model = model
        match response:
            case {"id": str(id_), "created_at": int(created) | float(created)}:
                self._id, self._created = id_, created
            case {"id": str(id_)}:
                self._id = id_
        if ended and isinstance(response.get("usage"), dict):
            self.usage = read_usage(response)

    def whole(self, body: Json) -> None:
        self._of_response(body, ended=True)
        status = body.get("status")
        self.failed = status in ("failed", "cancelled") or (status is None and bool(body.get("error")))
        self.ended = True
        output = body.get("output")
        self.output_chars = sum(map(_length, output)) if isinstance(output, list) else 0

    def break_off(self, error: GatewayError) -> bytes:
        """`response.failed` with the reply's own id and the next number; before it `response.created`, if none was seen."""
        if self.ended:
            return b""
        found = _SEQUENCE.search(self._last)
        number = int(found.group(1)) + 1 if found else 0
        response: Json = {
            "id": self._id or "resp_0",
            "object": "response",
            "created_at": self._created,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": self.model,
            "output": [],
            **_REQUIRED,
        }
        told = b""
        if not self._id:
            told = _event("response.created", number, response)
            number += 1
        self.failed = self.ended = True
        return told + _event("response.failed", number, {**response, "status": "failed", "error": failed_error(error)})


def _event(kind: str, number: int, response: Json) -> bytes:
    data = orjson.dumps({"type": kind, "sequence_number": number, "response": response})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _length(item: Any) -> int:
    match item:
        case {"arguments": str(text)} | {"input": str(text)}:
            return len(text)
        case {"content": list(parts)} if parts:
            return sum(map(_of_part, parts))
        case {"summary": list(parts)}:
            return sum(map(_of_part, parts))
        case _:
            return 0


def _of_part(part: Any) -> int:
    match part:
        case {"text": str(text)} | {"refusal": str(text)}:
            return len(text)
        case _:
            return 0

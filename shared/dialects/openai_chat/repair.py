"""Known faults of providers' chat completions replies, mended on their way through.

Works on bytes wherever it can: in JSON a quote inside a string is escaped, so a field's name between bare quotes is a field.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from shared.canonical import Json, Target
from shared.dialects.depth import is_writable, read_event
from shared.errors import GatewayError
from shared.sse import SSE

_NULL_USAGE = b',"usage":null'
_USAGE = re.compile(rb',\s*"usage"\s*:\s*(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
_USAGE_FIRST = re.compile(rb'"usage"\s*:\s*(?:null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})\s*,')
_REPORTED = re.compile(rb'"usage"\s*:\s*\{')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_CALLS = re.compile(rb'"tool_calls"\s*:\s*\[\s*\{')
_STOP = re.compile(rb'"finish_reason"\s*:\s*"(?:stop)?"')
_CALLED = b'"finish_reason":"tool_calls"'


class Repair:
    """See `shared.dialects.Repair`."""

    __slots__ = ("_called", "_hide_usage", "_ids", "_mend_index", "_mend_reason")

    def __init__(self, *, hide_usage: bool, mend_index: bool, mend_reason: bool) -> None:
        self._hide_usage = hide_usage
        self._mend_index = mend_index
        self._mend_reason = mend_reason
        self._called = False
        self._ids: list[str] = []  # of the calls so far, by index

    def event(self, event: SSE) -> SSE | None:
        """The event, mended or as it is; None: the client must not see it."""
        data = event.data
        if self._hide_usage and b'"usage"' in data:
            if _REPORTED.search(data) and _NO_CHOICES.search(data):
                return None
            data = data.replace(_NULL_USAGE, b"")
            if b'"usage"' in data:
                data = _USAGE_FIRST.sub(b"", _USAGE.sub(b"", data))
        if (self._mend_index or self._mend_reason) and _CALLS.search(data):
            self._called = True
            if self._mend_index:
                data = self._index(data)
        if self._mend_reason and self._called:
            data = _STOP.sub(_CALLED, data)
        return event if data is event.data else SSE(data, event.event)

    def block(self, block: bytes) -> bytes | None:
        """Whole events at once; None where one of them needs more than a field taken out."""
        if self._hide_usage:
            block = block.replace(_NULL_USAGE, b"")
            if b'"usage"' in block:
                return None
        if (self._mend_index or self._mend_reason) and (self._called or _CALLS.search(block)):
            return None
        return block

    def _index(self, data: bytes) -> bytes:
        """Adds the index to calls that have none: without it the OpenAI SDK crashes. A new id is a new call."""
        try:
            chunk = read_event(data)
        except (ValueError, GatewayError):
            return data
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        changed = False
        for choice in choices if isinstance(choices, list) else ():
            match choice:
                case {"delta": {"tool_calls": list(calls)}}:
                    for call in calls:
                        changed = self._place(call) or changed
        return orjson.dumps(chunk) if changed else data

    def _place(self, call: object) -> bool:
        if not isinstance(call, dict):
            return False
        id_ = call.get("id")
        id_ = id_ if isinstance(id_, str) else ""
        if not self._ids or (id_ and id_ not in self._ids):
            self._ids.append(id_)
        index = self._ids.index(id_) if id_ else len(self._ids) - 1
        if call.get("index") == index:
            return False
        call["index"] = index
        return True

    def whole(self, body: Json) -> Json:
        """A whole reply, mended."""
        choices = body.get("choices")
        if not self._mend_reason or not isinstance(choices, list):
            return body
        mended = [_finish(choice) for choice in choices]
        changed = any(new is not old for new, old in zip(mended, choices, strict=True))
        return {**body, "choices": mended} if changed and is_writable(body) else body


def _finish(choice: Any) -> Any:
    match choice:
        case {"message": {"tool_calls": [_, *_]}, "finish_reason": "stop" | "" | None}:
            return {**choice, "finish_reason": "tool_calls"}
    return choice


def repair(body: Json, target: Target) -> Repair | None:
    """What mends the replies to this request, given the client's own body; None where nothing needs mending."""
    options = body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    hide_usage = body.get("stream") is True and not asked
    # https://github.com/openai/openai-python/issues/2806
    mend_index = "tool_call_index_missing" in target.quirks
    # https://github.com/googleapis/python-genai/issues/2868
    mend_reason = "finish_reason_stop_on_tool_calls" in target.quirks
    if not (hide_usage or mend_index or mend_reason):
        return None
    return Repair(hide_usage=hide_usage, mend_index=mend_index, mend_reason=mend_reason)

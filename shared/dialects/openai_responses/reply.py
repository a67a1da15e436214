"""Output items of a reply for a client (https://platform.openai.com/docs/api-reference/responses/object#responses/object-output)."""

from __future__ import annotations

from typing import Any

import orjson

from shared.canonical import Citation, Finish, Json, Opaque, Text, ToolCall
from shared.dialects import Writing
from shared.dialects.openai_responses.content import write_annotations
from shared.dialects.openai_responses.errors import failed_error
from shared.dialects.openai_responses.state import Owner, sealed
from shared.dialects.openai_responses.usage import write_usage
from shared.errors import GatewayError

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""Fields of the request that the reply repeats, and what stands there where the client said nothing."""


def envelope(writing: Writing, status: str = "in_progress") -> Json:
    """The `response` object without output."""
    body = writing.body
    told = {key: default if body.get(key) is None else body[key] for key, default in _ECHOED.items()}
    if "format" not in told["text"]:
        told["text"] = {"format": {"type": "text"}, **told["text"]}
    return {
        "id": f"resp_{writing.id}",
        "object": "response",
        "created_at": writing.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": writing.model,
        "output": [],
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "usage": None,
        **told,
    }


def ended(response: Json, finish: Finish, output: list[Json]) -> Json:
    """The `response` object of a reply that is whole."""
    response["status"], response["incomplete_details"] = outcome(finish, output)
    response["output"] = output
    response["usage"] = write_usage(finish.usage)
    if finish.usage.service_tier:
        response["service_tier"] = finish.usage.service_tier
    return response


def failed(response: Json, error: GatewayError, output: list[Json]) -> Json:
    """The `response` object of a reply that broke."""
    return {**response, "status": "failed", "error": failed_error(error), "output": output}


def outcome(finish: Finish, output: list[Json]) -> tuple[str, Json | None]:
    """`status` and `incomplete_details`. A refusal in words completes the reply; one without is the filter's."""
    match finish.reason:
        case "length" | "context_full":
            return "incomplete", {"reason": "max_output_tokens"}
        case "refusal" if not any(_refuses(item) for item in output):
            return "incomplete", {"reason": "content_filter"}
        case "paused":
            return "incomplete", {"reason": None}
        case _:
            return "completed", None


def _refuses(item: Json) -> bool:
    return item["type"] == "message" and any(part["type"] == "refusal" for part in item["content"])


class Ids:
    """Ids of items, made of the request's id: no two alike within a reply."""

    __slots__ = ("_count", "_stem")

    def __init__(self, writing: Writing) -> None:
        self._stem = writing.id
        self._count = 0

    def new(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._stem}{self._count:04x}"


def message(item_id: str, status: str, parts: list[Json], phase: str = "") -> Json:
    item: Json = {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": parts}
    return {**item, "phase": phase} if phase else item


def part(block: Text, text: str, citations: tuple[Citation, ...], logprobs: list[Json]) -> Json:
    """A part of a message, whole."""
    if block.refusal:
        return {"type": "refusal", "refusal": text}
    annotations = write_annotations(citations, text)
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def reasoning(item_id: str, text: str, state: str | None) -> Json:
    """A reasoning item: what can be read, and the sealed state."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Json = {"id": item_id, "type": "reasoning", "summary": summary}
    if state is not None:
        item["encrypted_content"] = state
    return item


def carrier(item_id: str, opaque: Opaque, owner: Owner, call_id: str = "") -> Json:
    """A reasoning item that only carries the state of another block."""
    return reasoning(item_id, "", sealed(opaque, owner, call_id))


CALLS: dict[str, tuple[str, str, str]] = {
    "function": ("function_call", "fc", "arguments"),
    "custom": ("custom_tool_call", "ctc", "input"),
    "tool_search": ("tool_search_call", "tsc", "arguments"),
}
"""Kind of a call: its item's type, the prefix of its id, the field with what the model wrote."""


def tool_call(item_id: str, call: ToolCall, status: str, text: str) -> Json:
    """The item of a call. Codex takes a call back only as what it declared: kind, name and namespace must all be there."""
    kind, _, field = CALLS[call.kind]
    item: Json = {"id": item_id, "type": kind, "status": status, "call_id": call.id}
    if call.kind == "tool_search":
        return {**item, "execution": "client", "arguments": _object(text)}
    item["name"] = call.name
    if call.namespace:
        item["namespace"] = call.namespace
    item[field] = text
    return item


def _object(text: str) -> Json:
    """A search's arguments: Codex takes an object only."""
    if not text:
        return {}
    try:
        arguments = orjson.loads(text)
    except ValueError:
        arguments = text
    return arguments if isinstance(arguments, dict) else {"query": text}


def complete_arguments(call: ToolCall, text: str) -> str:
    """What the model wrote; a function called without any arguments gets an empty object."""
    return "{}" if call.kind == "function" and not text else text


def picture(item_id: str, data: str) -> Json:
    return {"id": item_id, "type": "image_generation_call", "status": "completed", "result": data}

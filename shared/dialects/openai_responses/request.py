"""A client's request, read (https://platform.openai.com/docs/api-reference/responses/create)."""

from __future__ import annotations

from typing import Any

from shared.canonical import EFFORTS, CacheMark, Json, OutputFormat, Reasoning, Request, Text
from shared.dialects.openai_responses.content import CACHE_TTLS
from shared.dialects.openai_responses.conversation import read_input
from shared.dialects.openai_responses.fields import (
    boolean,
    integer,
    items,
    json_text,
    number,
    obj,
    required_string,
    string,
    the_string,
)
from shared.dialects.openai_responses.sending import ENCRYPTED, LOGPROBS, write_request
from shared.dialects.openai_responses.tools import read_choice, read_tools
from shared.errors import invalid, unsupported

__all__ = ["read_request", "write_request"]

_STATE = {
    "previous_response_id": "Send the whole history in `input` (with `store: false`) instead.",
    "conversation": "Send the whole history in `input` (with `store: false`) instead.",
    "prompt": "Send the prompt's text in `instructions` and `input` instead.",
    "background": "Send the request without `background`, with `stream: true` for long replies.",
    "store": "Send `store: false` and the whole history in `input`.",
}
"""What only the provider that keeps state can do, and what to do instead."""

_KNOWN = frozenset(
    (
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "max_output_tokens"),
        *("temperature", "top_p", "top_logprobs", "reasoning", "text", "include", "stream", "stream_options"),
        *("metadata", "user", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options"),
        *("truncation", *_STATE),
    )
)


def read_request(body: Json) -> Request:
    """The canonical form of a request that will be written for another API, or for another provider of this one.

    Raises VALIDATION_ERROR where a value has the wrong type, UNSUPPORTED_BY_MODEL for state that only its keeper has.
    """
    refuse_state(body)
    dropped = [key for key in body if key not in _KNOWN and body[key] is not None]
    conversation = read_input(body.get("input"))
    instructions = string(body, "instructions")
    tools = read_tools(items(body, "tools"), "tools", dropped)
    dropped += conversation.dropped
    text = obj(body, "text") or {}
    include = _include(body, dropped)
    _note_lost(body, dropped)
    return Request(
        model=required_string(body, "model"),
        turns=tuple(conversation.turns),
        system=(*((Text(instructions),) if instructions else ()), *conversation.system),
        tools=(*tools, *conversation.tools),
        tool_choice=read_choice(body.get("tool_choice")),
        parallel_tools=boolean(body, "parallel_tool_calls"),
        max_tokens=integer(body, "max_output_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        logprobs=_logprobs(body, include),
        reasoning=_reasoning(body, ENCRYPTED in include, dropped),
        format=_format(text),
        verbosity=string(text, "verbosity", "text"),
        stream=bool(boolean(body, "stream")),
        user=string(body, "safety_identifier") or string(body, "user"),
        metadata=_metadata(body),
        service_tier=string(body, "service_tier"),
        cache_key=string(body, "prompt_cache_key"),
        cache=_cache(body, dropped),
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _note_lost(body: Json, dropped: list[str]) -> None:
    """Names known fields that are left out unless they ask for what happens anyway."""
    if string(body, "truncation") not in ("", "disabled"):
        dropped.append("truncation")
    if (obj(body, "stream_options") or {}).get("include_obfuscation"):
        dropped.append("stream_options.include_obfuscation")


def refuse_state(body: Json) -> None:
    """Raises UNSUPPORTED_BY_MODEL for a request that needs a provider which remembers."""
    for key, advice in _STATE.items():
        if body.get(key) not in (None, False):
            raise unsupported(f"{key}: this route keeps no state. {advice}", key)


def _include(body: Json, dropped: list[str]) -> frozenset[str]:
    named = frozenset(the_string(name, f"include.{n}") for n, name in enumerate(items(body, "include")))
    if named - {ENCRYPTED, LOGPROBS}:
        dropped.append("include")
    return named


def _logprobs(body: Json, include: frozenset[str]) -> int | None:
    alternatives = integer(body, "top_logprobs")
    if alternatives:
        return alternatives
    return 0 if LOGPROBS in include else None


def _reasoning(body: Json, opaque: bool, dropped: list[str]) -> Reasoning:
    wanted = obj(body, "reasoning") or {}
    effort = string(wanted, "effort", "reasoning")
    if effort and effort not in EFFORTS:
        raise invalid(f"reasoning.effort: expected one of {', '.join(EFFORTS)}.", "reasoning.effort")
    summary = string(wanted, "summary", "reasoning") or string(wanted, "generate_summary", "reasoning")
    dropped += [
        f"reasoning.{key}"
        for key, value in wanted.items()
        if value is not None and key not in ("effort", "summary", "generate_summary")
    ]
    silent = summary == "none"  # Codex's word for no summary
    return Reasoning(
        effort=next((level for level in EFFORTS if level == effort), None),
        visible=None if not summary else not silent,
        summary="" if silent else summary,
        opaque=opaque,
    )


def _format(text: Json) -> OutputFormat | None:
    wanted = obj(text, "format", "text")
    if wanted is None:
        return None
    match string(wanted, "type", "text.format"):
        case "" | "text":
            return None
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            schema = obj(wanted, "schema", "text.format")
            if schema is None:
                raise invalid("text.format.schema: this field is required.", "text.format.schema")
            json_text(schema, "text.format.schema")
            return OutputFormat(
                "json_schema",
                schema,
                string(wanted, "name", "text.format"),
                string(wanted, "description", "text.format"),
                boolean(wanted, "strict", "text.format"),
            )
        case other:
            raise unsupported(f"text.format: '{other[:64]}' can't be carried to another model.", "text.format.type")


def _metadata(body: Json) -> dict[str, str] | None:
    metadata: dict[str, Any] | None = obj(body, "metadata")
    if not metadata:
        return None
    return {key: the_string(value, f"metadata.{key[:64]}") for key, value in metadata.items()}


def _cache(body: Json, dropped: list[str]) -> CacheMark | None:
    options = obj(body, "prompt_cache_options")
    if options is None:
        return None
    dropped += [
        f"prompt_cache_options.{key}"
        for key, value in options.items()
        if value is not None and key not in ("mode", "ttl")
    ]
    if string(options, "mode", "prompt_cache_options") == "explicit":  # the marks on the parts say it all
        return None
    return CacheMark(string(options, "ttl", "prompt_cache_options") or CACHE_TTLS[0])

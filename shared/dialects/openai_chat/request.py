"""A chat completions request, read from a client (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.canonical import EFFORTS, CacheMark, Effort, Json, OutputFormat, Reasoning, Request
from shared.dialects.openai_chat import checks
from shared.dialects.openai_chat.messages import MessageReader
from shared.dialects.openai_chat.send import write_request
from shared.dialects.openai_chat.tools import read_choice, read_tools
from shared.errors import invalid, unsupported

__all__ = ["read_request", "write_request"]

_KNOWN = frozenset(
    {
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "reasoning",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)


def read_request(body: Json) -> Request:
    """What a client asks for. Raises VALIDATION_ERROR for what is wrong, UNSUPPORTED_BY_MODEL for what only the provider
    that keeps it could do."""
    body = checks.obj(body, "body")
    model = checks.name(body.get("model"), "model")
    dropped = _refuse_or_drop(body)
    messages = MessageReader()
    entries = checks.array(body.get("messages"), "messages")
    if not entries:
        raise invalid("messages: expected at least one message.", "messages")
    for index, message in enumerate(entries):
        messages.read(message, index)
    options = checks.maybe_obj(body.get("stream_options"), "stream_options") or {}
    return Request(
        model=model,
        turns=tuple(messages.turns),
        system=tuple(messages.system),
        tools=read_tools(body),
        tool_choice=read_choice(body),
        parallel_tools=checks.maybe_bool(body.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_tokens=_max_tokens(body),
        **_sampling(body),
        reasoning=_reasoning(body),
        format=_format(body.get("response_format")),
        verbosity=checks.maybe_text(body.get("verbosity"), "verbosity"),
        stream=checks.maybe_bool(body.get("stream"), "stream") or False,
        stream_usage=checks.maybe_bool(options.get("include_usage"), "stream_options", "include_usage") or False,
        user=_user(body),
        metadata=_metadata(body.get("metadata")),
        service_tier=checks.maybe_text(body.get("service_tier"), "service_tier"),
        cache_key=checks.maybe_text(body.get("prompt_cache_key"), "prompt_cache_key"),
        cache=_cache(body.get("prompt_cache_options")),
        dropped=(*dropped, *messages.dropped),
    )


def _refuse_or_drop(body: Json) -> list[str]:
    """Names of top-level fields that have no place here. Raises for those without which the answer would be another."""
    if (checks.maybe_int(body.get("n"), "n") or 1) != 1:
        raise unsupported("n: this model gives one answer at a time. Send the request once for each answer.", "n")
    modalities = body.get("modalities")
    if modalities is not None and any(one != "text" for one in checks.array(modalities, "modalities")):
        raise unsupported(
            "modalities: this model answers in text only. Leave modalities out, or choose a model that speaks.",
            "modalities",
        )
    if body.get("moderation") is not None:
        raise unsupported("moderation: only OpenAI moderates. Leave it out, or choose one of its models.", "moderation")
    return [
        field
        for field, value in body.items()
        if field not in _KNOWN and value is not None and not (field == "store" and value is False)
    ]


def _max_tokens(body: Json) -> int | None:
    for field in ("max_completion_tokens", "max_tokens"):
        if (tokens := checks.maybe_int(body.get(field), field)) is not None:
            if tokens < 1:
                raise invalid(f"{field}: expected at least 1, got {tokens}.", field)
            return tokens
    return None


def _sampling(body: Json) -> dict[str, Any]:
    numbers = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
    return {
        **{field: checks.maybe_number(body.get(field), field) for field in numbers},
        "top_k": checks.maybe_int(body.get("top_k"), "top_k"),
        "stop": _stop(body.get("stop")),
        "seed": checks.maybe_int(body.get("seed"), "seed"),
        "logit_bias": _logit_bias(body.get("logit_bias")),
        "logprobs": _logprobs(body),
    }


def _stop(stop: object) -> tuple[str, ...]:
    match stop:
        case None:
            return ()
        case str():
            return (stop,)
        case list():
            return tuple(checks.text(one, "stop", at) for at, one in enumerate(stop))
        case _:
            raise checks.wrong("a string or an array of strings", stop, "stop")


def _logit_bias(bias: object) -> Mapping[str, float] | None:
    entries = checks.maybe_obj(bias, "logit_bias")
    for token, value in (entries or {}).items():
        if checks.maybe_number(value, "logit_bias", token) is None:
            raise checks.wrong("a number", value, "logit_bias", token)
    return entries


def _logprobs(body: Json) -> int | None:
    alternatives = checks.maybe_int(body.get("top_logprobs"), "top_logprobs")
    return (alternatives or 0) if checks.maybe_bool(body.get("logprobs"), "logprobs") else None


def _reasoning(body: Json) -> Reasoning:
    """`reasoning_effort`; OpenRouter's `reasoning` and the `thinking` of DeepSeek and Z.AI, which clients send along."""
    vendor = checks.maybe_obj(body.get("reasoning"), "reasoning") or {}
    thinking = checks.maybe_obj(body.get("thinking"), "thinking") or {}
    effort = _effort(body.get("reasoning_effort"), "reasoning_effort") or _effort(
        vendor.get("effort"), "reasoning.effort"
    )
    budget = checks.maybe_int(vendor.get("max_tokens"), "reasoning", "max_tokens")
    if budget is None:
        budget = checks.maybe_int(thinking.get("budget_tokens"), "thinking", "budget_tokens")
    excluded = checks.maybe_bool(vendor.get("exclude"), "reasoning", "exclude")
    enabled = checks.maybe_bool(vendor.get("enabled"), "reasoning", "enabled")
    if enabled is False or thinking.get("type") == "disabled":
        return Reasoning(effort, "disabled")
    on = enabled or thinking.get("type") in ("enabled", "adaptive")
    visible = None if excluded is None else not excluded
    return Reasoning(effort, "enabled" if on and budget is not None else "adaptive" if on else None, budget, visible)


def _effort(value: object, field: str) -> Effort | None:
    if value is None:
        return None
    for level in EFFORTS:
        if value == level:
            return level
    raise checks.wrong(f"one of {', '.join(EFFORTS)}", value, field)


def _format(form: object) -> OutputFormat | None:
    form = checks.maybe_obj(form, "response_format") or {"type": "text"}
    match form.get("type"):
        case "text":
            return None
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            place = ("response_format", "json_schema")
            schema = checks.obj(form.get("json_schema"), *place)
            return OutputFormat(
                "json_schema",
                checks.maybe_obj(schema.get("schema"), *place, "schema"),
                checks.maybe_text(schema.get("name"), *place, "name"),
                checks.maybe_text(schema.get("description"), *place, "description"),
                checks.maybe_bool(schema.get("strict"), *place, "strict"),
            )
        case other:
            raise checks.wrong("one of text, json_object and json_schema", other, "response_format", "type")


def _user(body: Json) -> str:
    return checks.maybe_text(body.get("safety_identifier"), "safety_identifier") or checks.maybe_text(
        body.get("user"), "user"
    )


def _metadata(metadata: object) -> Mapping[str, str] | None:
    entries = checks.maybe_obj(metadata, "metadata")
    for key, value in (entries or {}).items():
        checks.text(value, "metadata", key)
    return entries


def _cache(options: object) -> CacheMark | None:
    options = checks.maybe_obj(options, "prompt_cache_options")
    if options is None:
        return None
    return CacheMark(checks.maybe_text(options.get("ttl"), "prompt_cache_options", "ttl") or None)

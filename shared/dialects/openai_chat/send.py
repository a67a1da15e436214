"""A canonical request in the form of a provider that speaks chat completions.

https://platform.openai.com/docs/api-reference/chat/create, and what each provider makes of it: the quirks.
"""

from __future__ import annotations

import re

from shared.canonical import Json, Request, Target
from shared.dialects import Written
from shared.dialects.hosts import able_hosts
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.history import HistoryWriter
from shared.dialects.openai_chat.tools import visible_tools, write_tools
from shared.dialects.toolnames import ToolNames
from shared.errors import unsupported

_MAX_STOP = 4
_USER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # no e-mail address, no JSON: an end user's id and nothing else
_GPT_5 = frozenset({"none", "minimal", "xhigh"})  # efforts by which the models that know `verbosity` can be told
_STANDARD_TIERS = ("", "auto", "default", "standard_only")


def write_request(request: Request, target: Target) -> Written:
    """The body for the provider. Raises UNSUPPORTED_BY_MODEL where the answer would not be the one asked for."""
    flags, quirks = target.flags, target.quirks
    if request.turns and request.turns[-1].role == "assistant" and not flags.prefill:
        raise unsupported(
            f"{target.model} can't continue an assistant message: end the messages with one of the user.", "messages"
        )
    dropped: set[str] = set()
    tools = visible_tools(request)
    names = ToolNames.of(tools)
    body: Json = {"model": target.model, "messages": HistoryWriter(names, target, dropped).write(request)}
    body |= write_tools(request, tools, names, target, dropped)
    effort = _effort(request, target, dropped, body)
    body |= effort
    _write_limit(request, target, body)
    _write_sampling(request, target, effort, dropped, body)
    _write_format(request, target, dropped, body)
    body |= able_hosts(body, body.get("response_format"), target)
    _write_rest(request, target, dropped, body)
    if request.stream:
        body["stream"] = True
        if "no_stream_options" not in quirks:
            body["stream_options"] = {"include_usage": True}
    return Written(body, (*dict.fromkeys((*request.dropped, *sorted(dropped))),), names)


def _effort(request: Request, target: Target, dropped: set[str], body: Json) -> Json:
    level = reasoning.wanted(request.reasoning)
    called = any(tool["type"] == "function" for tool in body.get("tools", ()))
    if target.flags.tools_need_responses and called:
        if level != "none":
            dropped.add("reasoning")
        return {"reasoning_effort": "none"}
    fields, kept = reasoning.write_effort(level, target)
    if not kept:
        dropped.add("reasoning")
    return fields


def _write_limit(request: Request, target: Target, body: Json) -> None:
    if request.max_tokens is None:
        return
    if request.max_tokens < 1:
        raise unsupported(
            "max_tokens: 0 warms a cache of Anthropic's. Choose one of its models, or ask for at least 1 token.",
            "max_tokens",
        )
    field = "max_tokens" if "no_max_completion_tokens" in target.quirks else "max_completion_tokens"
    body[field] = min(request.max_tokens, target.limits.output or request.max_tokens)


def samples(target: Target, effort: Json) -> bool:
    """Whether the model takes sampling parameters, given the effort that is sent.

    OpenAI's reasoning models take them while they don't reason.
    """
    return target.flags.sampling_params or (
        effort.get("reasoning_effort") == "none" and target.flags.thinking == "effort" and "none" in target.flags.effort
    )


def _write_sampling(request: Request, target: Target, effort: Json, dropped: set[str], body: Json) -> None:
    quirks = target.quirks
    fields: Json = {
        "temperature": None if request.temperature is None else min(max(request.temperature, 0), 2),
        "top_p": request.top_p,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logprobs": request.logprobs,
        "logit_bias": request.logit_bias,
    }
    sampled = samples(target, effort)
    refused = {
        *(("frequency_penalty", "presence_penalty") if "no_penalties" in quirks else ()),
        *(("logprobs",) if "no_logprobs" in quirks else ()),
        *(("logit_bias",) if "no_logit_bias" in quirks else ()),
    }
    for name, value in fields.items():
        if value is None:
            continue
        if name in refused or not sampled:
            dropped.add(name)
        elif name == "logprobs":
            body |= {"logprobs": True, **({"top_logprobs": value} if value else {})}
        else:
            body[name] = dict(value) if name == "logit_bias" else value
    if request.top_k is not None:
        dropped.add("top_k")
    if request.seed is not None:
        body["seed"] = request.seed
    if not request.stop:
        return
    if not target.flags.stop or "no_stop" in quirks:
        dropped.add("stop")
        return
    body["stop"] = list(request.stop[:_MAX_STOP])
    if len(request.stop) > _MAX_STOP:
        dropped.add("stop")


def _write_format(request: Request, target: Target, dropped: set[str], body: Json) -> None:
    form = request.format
    if form is None:
        return
    if form.kind == "json_object":
        body["response_format"] = {"type": "json_object"}
        return
    if not target.flags.json_schema:
        raise unsupported(
            f"{target.model} can't be held to a JSON schema: choose a model with structured output.", "response_format"
        )
    schema: Json = {"name": form.name or "response"}
    if form.description:
        schema["description"] = form.description
    if form.schema is not None:
        schema["schema"] = form.schema
    if form.strict is not None:
        schema["strict"] = form.strict
    body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _write_rest(request: Request, target: Target, dropped: set[str], body: Json) -> None:
    # Cache keys, verbosity and custom tools are OpenAI's own; others refuse or ignore what they don't know.
    own = "custom_tools" in target.quirks
    for name, field, value, taken in (
        ("verbosity", "verbosity", request.verbosity, own and not _GPT_5.isdisjoint(target.flags.effort)),
        ("cache_key", "prompt_cache_key", request.cache_key, own),
    ):
        if value and taken:
            body[field] = value
        elif value:
            dropped.add(name)
    if _USER_ID.fullmatch(request.user):
        body["user"] = request.user
    elif request.user:
        dropped.add("user")
    if request.metadata:
        if "no_metadata" in target.quirks:
            dropped.add("metadata")
        else:
            body["metadata"] = dict(request.metadata)
    if request.service_tier not in _STANDARD_TIERS:  # another tier has another price
        dropped.add("service_tier")
    if request.cache:
        dropped.add("cache")

"""A canonical request as the body of `generateContent`: https://ai.google.dev/api/generate-content.

Model, method and `alt=sse` stand in the URL, so that the body has neither `model` nor `stream`.
"""

from __future__ import annotations

from dataclasses import replace

from shared.canonical import Json, OutputFormat, Request, Target, Text
from shared.dialects import Written
from shared.dialects.gemini.schema import fit
from shared.dialects.gemini.thinking import thinking_config
from shared.dialects.gemini.tools import gemini_names, shown_tools, write_tools
from shared.dialects.gemini.turns import write_contents
from shared.errors import invalid, unsupported

_MOST_STOPS = 5
_USUAL_TIERS = ("", "auto", "default", "standard", "standard_only")
_BILLING = "x-anthropic-billing-header"  # the first system block of Claude Code: for Anthropic's eyes only


def read_request(body: Json) -> Request:
    """No client speaks Gemini to the gateway."""
    raise unsupported("Gemini is spoken to providers only.")


def write_request(request: Request, target: Target) -> Written:
    """The body for `target`. Raises VALIDATION_ERROR or UNSUPPORTED_BY_MODEL for what can't be said to it."""
    dropped: dict[str, None] = {}
    shown = shown_tools(request)
    names = gemini_names(shown)
    contents = write_contents(request.turns, names, target, dropped)
    system = _system(request.system, dropped)
    body: Json = {"contents": contents}
    if system and contents:
        body["systemInstruction"] = {"parts": system}
    elif system:  # Gemini answers nothing without contents
        body["contents"] = [{"role": "user", "parts": system}]
    elif not contents:
        raise invalid("messages: at least one message with content is required.", "messages")
    body |= write_tools(shown, request.tool_choice, names, target, dropped)
    if config := _generation_config(request, target, dropped, with_tools="tools" in body):
        body["generationConfig"] = config
    _name_dropped(request, dropped)
    return Written(body, tuple(dropped), names)


def write_count_request(request: Request, target: Target) -> Json:
    """The body of `:countTokens` that counts everything, tools and system prompt too: https://ai.google.dev/api/tokens."""
    flags = replace(target.flags, prefill=True)  # nothing is continued: any end of a conversation can be counted
    body = write_request(replace(request, format=None, max_tokens=None), replace(target, flags=flags)).body
    counted = {key: body[key] for key in ("contents", "systemInstruction", "tools", "toolConfig") if key in body}
    return {"generateContentRequest": {"model": f"models/{target.model}", **counted}}


def _system(texts: tuple[Text, ...], dropped: dict[str, None]) -> list[Json]:
    parts: list[Json] = []
    for text in texts:
        if text.cache:
            dropped["cache"] = None
        if text.text and not text.text.startswith(_BILLING):
            parts.append({"text": text.text})
    return parts


def _generation_config(request: Request, target: Target, dropped: dict[str, None], *, with_tools: bool) -> Json:
    config: Json = {}
    if request.max_tokens is not None:
        if request.max_tokens < 1:
            raise unsupported(f"{target.model} needs at least one token of output: send a larger limit.", "max_tokens")
        limit = target.limits.output
        config["maxOutputTokens"] = min(request.max_tokens, limit) if limit else request.max_tokens
    _sampling(request, target, config, dropped)
    if stops := [stop for stop in request.stop if stop]:
        if target.flags.stop:
            config["stopSequences"] = stops[:_MOST_STOPS]
        if not target.flags.stop or len(stops) > _MOST_STOPS:
            dropped["stop"] = None
    thinking, missed = thinking_config(request.reasoning, target.flags)
    if thinking:
        config["thinkingConfig"] = thinking
    if missed:
        dropped["reasoning"] = None
    if request.format is not None:
        config |= _format(request.format, target, with_tools=with_tools)
    return config


def _sampling(request: Request, target: Target, config: Json, dropped: dict[str, None]) -> None:
    quirks = target.quirks
    # "Penalty is not enabled for this model": https://github.com/BerriAI/litellm/pull/32273
    # "Logprobs is not enabled for this model": https://github.com/mscraftsman/generative-ai/issues/135
    wanted: list[tuple[str, str, float | None, bool]] = [
        ("temperature", "temperature", request.temperature, True),
        ("top_p", "topP", request.top_p, True),
        ("top_k", "topK", request.top_k, True),
        ("frequency_penalty", "frequencyPenalty", request.frequency_penalty, "no_penalties" not in quirks),
        ("presence_penalty", "presencePenalty", request.presence_penalty, "no_penalties" not in quirks),
    ]
    for name, wire, value, taken in wanted:
        if value is None:
            continue
        if taken and target.flags.sampling_params:
            config[wire] = min(max(value, 0), 2) if name == "temperature" else value
        else:
            dropped[name] = None
    if request.seed is not None:
        if -(2**31) <= request.seed < 2**31:
            config["seed"] = request.seed
        else:
            dropped["seed"] = None
    if request.logprobs is not None:
        if "no_logprobs" in quirks or not target.flags.sampling_params:
            dropped["logprobs"] = None
        else:
            config["responseLogprobs"] = True
            if request.logprobs:
                config["logprobs"] = request.logprobs


def _format(wanted: OutputFormat, target: Target, *, with_tools: bool) -> Json:
    if with_tools and target.flags.thinking != "level":
        # "Function calling with a response mime type: 'application/json' is unsupported" before Gemini 3:
        # https://github.com/googleapis/python-genai/issues/867
        raise unsupported(
            f"{target.model} does not take tools and structured output together: send one of them.", "format"
        )
    config: Json = {"responseMimeType": "application/json"}
    if wanted.kind == "json_object":
        return config
    if not target.flags.json_schema:
        raise unsupported(f"{target.model} does not take a JSON schema for its output.", "format")
    schema = fit(wanted.schema or {})
    if wanted.description:
        schema.setdefault("description", wanted.description)
    return {**config, "responseJsonSchema": schema} if schema else config


def _name_dropped(request: Request, dropped: dict[str, None]) -> None:
    lost = {
        "parallel_tools": request.parallel_tools is False,
        "logit_bias": bool(request.logit_bias),
        "verbosity": bool(request.verbosity),
        "user": bool(request.user),
        "metadata": bool(request.metadata),
        "service_tier": request.service_tier not in _USUAL_TIERS,
        "cache_key": bool(request.cache_key),
        "cache": request.cache is not None,
    }
    dropped.update((name, None) for name, gone in lost.items() if gone)

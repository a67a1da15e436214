"""A request for a provider of this API (https://platform.openai.com/docs/api-reference/responses/create).

Such calls keep no state at the provider (`store: false`); reasoning comes back encrypted instead.
"""

from __future__ import annotations

import re

from shared.canonical import EFFORTS, Effort, Json, Reasoning, Request, Target
from shared.dialects import Written
from shared.dialects.hosts import able_hosts
from shared.dialects.openai_responses.content import CACHE_TTLS
from shared.dialects.openai_responses.history import History
from shared.dialects.openai_responses.toolset import Shapes, can_search, names_of, offered, write_choice, write_tools
from shared.errors import unsupported

ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"

_LEAST_OUTPUT = 16
"""Fewer are refused: https://github.com/earendil-works/pi/issues/6265"""

_ID_LIKE = re.compile(r"[\w.:-]{1,64}")
_BUDGETS: tuple[tuple[int, Effort], ...] = ((1024, "minimal"), (2048, "low"), (8192, "medium"), (24576, "high"))


def write_request(request: Request, target: Target) -> Written:
    """The provider's body. Raises UNSUPPORTED_BY_MODEL for what would change the answer's meaning if it were left out."""
    dropped: list[str] = []
    shapes = Shapes.of(target)
    tools = offered(request, shapes, dropped)
    if tools and not target.flags.tools:
        raise unsupported(f"{target.model} takes no tools.", "tools")
    names = names_of(request, tools, shapes)
    body: Json = {"model": target.model, "input": History(target, shapes, names, dropped).write(request)}
    if request.system:
        body["instructions"] = "\n\n".join(text.text for text in request.system if text.text)
        if any(text.cache for text in request.system):
            dropped.append("cache")
    if tools:
        body["tools"] = write_tools(tools, shapes, names, dropped, defer=can_search(tools))
    choice = write_choice(request, tools, names, target, dropped)
    if choice is not None:
        body["tool_choice"] = choice
    _write_settings(request, target, body, dropped)
    _write_text(request, target, body)
    _write_labels(request, target, body, dropped)
    include = []
    if _write_reasoning(request.reasoning, target, body, dropped) and "no_encrypted_content" not in target.quirks:
        include.append(ENCRYPTED)
    if "top_logprobs" in body:
        include.append(LOGPROBS)
    if include:
        body["include"] = include
    if "no_store" not in target.quirks:
        body["store"] = False
    if request.stream:
        body["stream"] = True
    return Written(body, tuple(dict.fromkeys(dropped)), names)


def _write_settings(request: Request, target: Target, body: Json, dropped: list[str]) -> None:
    flags = target.flags
    if request.max_tokens is not None:
        body["max_output_tokens"] = _output_limit(request.max_tokens, target, dropped)
    if request.parallel_tools is not None and "tools" in body:
        if flags.parallel_tools:
            body["parallel_tool_calls"] = request.parallel_tools
        else:
            dropped.append("parallel_tools")
    sampling = {"temperature": request.temperature, "top_p": request.top_p, "top_logprobs": request.logprobs}
    for key, value in sampling.items():
        if value is None:
            continue
        if flags.sampling_params:
            body[key] = value
        else:
            dropped.append("logprobs" if key == "top_logprobs" else key)
    lacking = {
        "top_k": request.top_k,
        "stop": request.stop or None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "seed": request.seed,
        "logit_bias": request.logit_bias or None,
    }
    dropped += [key for key, value in lacking.items() if value is not None]


def _output_limit(wanted: int, target: Target, dropped: list[str]) -> int:
    if wanted == 0:
        raise unsupported(
            "max_tokens: 0 fills the cache of one provider only, and this model has another.", "max_tokens"
        )
    limit = min(wanted, target.limits.output or wanted)
    if limit < _LEAST_OUTPUT:
        dropped.append("max_tokens")
        return _LEAST_OUTPUT
    return limit


def _write_text(request: Request, target: Target, body: Json) -> None:
    text: Json = {}
    wanted = request.format
    if wanted is not None and wanted.kind == "json_object":
        text["format"] = {"type": "json_object"}
    elif wanted is not None:
        if not target.flags.json_schema:
            raise unsupported(f"{target.model} can't be held to a JSON schema.", "format")
        text["format"] = {"type": "json_schema", "name": wanted.name or "response", "schema": wanted.schema or {}}
        text["format"]["strict"] = bool(wanted.strict)
        if wanted.description:
            text["format"]["description"] = wanted.description
    if request.verbosity:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    body |= able_hosts(body, text.get("format"), target)


def _write_labels(request: Request, target: Target, body: Json, dropped: list[str]) -> None:
    if request.metadata:
        if "no_metadata" in target.quirks:
            dropped.append("metadata")
        else:
            body["metadata"] = dict(request.metadata)
    if request.user:
        if _ID_LIKE.fullmatch(request.user):
            body["user"] = request.user
        else:
            dropped.append("user")
    if request.service_tier:
        # Other tiers have other prices, and are not the same from one provider to the next.
        if request.service_tier in ("auto", "default") and "no_service_tier" not in target.quirks:
            body["service_tier"] = request.service_tier
        else:
            dropped.append("service_tier")
    if request.cache_key:
        if "no_cache_key" in target.quirks:
            dropped.append("cache_key")
        else:
            body["prompt_cache_key"] = request.cache_key
    if request.cache:
        if request.cache.ttl in CACHE_TTLS:
            body["prompt_cache_options"] = {"mode": "implicit", "ttl": request.cache.ttl}
        else:
            dropped.append("cache")


def _write_reasoning(wanted: Reasoning, target: Target, body: Json, dropped: list[str]) -> bool:
    """Sets `reasoning`; True for a model that reasons."""
    flags = target.flags
    asked = wanted.effort is not None or wanted.mode is not None or wanted.budget is not None or bool(wanted.visible)
    if flags.thinking == "none" and not flags.effort:
        off = wanted.effort == "none" or wanted.mode == "disabled"
        if asked and not off:
            dropped.append("reasoning")
        return False
    reasoning: Json = {}
    level = _level(wanted)
    if level is not None:
        reasoning["effort"] = _nearest(level, target, dropped)
    summary = wanted.summary
    if not summary and wanted.visible is not False and (wanted.visible or wanted.mode in ("enabled", "adaptive")):
        summary = "auto"  # without it the reasoning comes back empty
    if summary:
        reasoning["summary"] = summary
    if reasoning:
        body["reasoning"] = reasoning
    return True


def _level(wanted: Reasoning) -> Effort | None:
    if wanted.mode == "disabled":
        return "none"
    if wanted.effort is not None:
        return wanted.effort
    budget = wanted.budget
    if budget is None:
        return "medium" if wanted.mode else None  # some models don't think unless a level is named
    return next((level for most, level in _BUDGETS if budget <= most), "xhigh")


def _nearest(level: Effort, target: Target, dropped: list[str]) -> Effort:
    flags = target.flags
    known = flags.effort or ("low", "medium", "high")
    if level in known:
        return level
    ranked = sorted(known, key=EFFORTS.index)
    if level == "none":
        if flags.thinking_off in ("disabled", "between_tools", "none"):
            return "none"
        dropped.append("reasoning")  # it can't be turned off
    rank = EFFORTS.index(level)
    return next((other for other in ranked if EFFORTS.index(other) >= rank), ranked[-1])

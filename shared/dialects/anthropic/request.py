"""Requests of the Messages API, both ways.

https://platform.claude.com/docs/en/api/messages/create
"""

from __future__ import annotations

from dataclasses import replace

from shared.canonical import CacheMark, Json, OutputFormat, Request, Target
from shared.dialects import Written
from shared.dialects.anthropic import fields
from shared.dialects.anthropic.content import write_text
from shared.dialects.anthropic.history import History
from shared.dialects.anthropic.messages import read_history, read_system
from shared.dialects.anthropic.reasoning import Wish, read_reasoning, write_reasoning
from shared.dialects.anthropic.schemas import closed
from shared.dialects.anthropic.tools import offered, read_choice, read_tools, write_choice, write_tools
from shared.dialects.toolnames import ToolNames
from shared.errors import unsupported

DEFAULT_MAX_TOKENS = 16384
"""The API wants a limit; this one stands in where neither the client nor the catalog names one."""

_MARKS = 4  # cache breakpoints in a request: https://platform.claude.com/docs/en/build-with-claude/prompt-caching

_READ = frozenset(
    (
        *("model", "messages", "system", "stream", "max_tokens", "stop_sequences", "metadata", "service_tier"),
        *("tools", "tool_choice", "thinking", "output_config", "output_format", "cache_control"),
        *("temperature", "top_p", "top_k"),
    )
)
_REFUSED = {
    "container": "containers live with one provider: leave `container` out.",
    "mcp_servers": "the provider of this model doesn't call MCP servers: run them on your side and list their tools in `tools`.",
    "inference_geo": "the place of inference can't be promised for this model: leave `inference_geo` out.",
    "thread": "threads live with one provider: send the whole conversation in `messages`.",
}
_UNTHREADED = {"error_code": "thread_unsupported_request", "unsupported": ["model"]}
"""Upon this the tool runners of Anthropic's SDKs go on with the whole conversation in every request
(https://github.com/anthropics/anthropic-sdk-typescript, `src/lib/internal/threads/ThreadState.ts`)."""

_NOT_HERE = (
    *("frequency_penalty", "presence_penalty", "seed", "logit_bias", "logprobs"),
    *("verbosity", "metadata"),
)
_HARMLESS = {"speed": "standard", "inference_geo": "global"}


# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_request(body: Json) -> Request:
    """A client's body. Raises VALIDATION_ERROR for what is wrong and UNSUPPORTED_BY_MODEL for what only one provider can do."""
    body = {key: value for key, value in body.items() if value is not None and _HARMLESS.get(key) != value}
    dropped = [str(key) for key in body if key not in _READ and key not in _REFUSED]
    for key, why in _REFUSED.items():
        if body.get(key) not in (None, [], {}, ""):
            raise unsupported(f"{key}: {why}", key, _UNTHREADED if key == "thread" else None)
    history = read_history(body.get("messages"), read_tools(body.get("tools"), dropped), dropped)
    choice, parallel = read_choice(body.get("tool_choice"))
    metadata = fields.maybe_mapping(body.get("metadata"), "metadata")
    dropped += [f"metadata.{key}" for key in metadata if key != "user_id"]
    tier = fields.maybe_string(body.get("service_tier"), "service_tier")
    reasoning = read_reasoning(body)
    return Request(
        model=fields.string(body.get("model"), "model"),
        turns=history.turns,
        system=read_system(body.get("system")) + history.system,
        tools=history.tools,
        tool_choice=choice,
        parallel_tools=parallel,
        max_tokens=_read_limit(body),
        temperature=fields.maybe_number(body.get("temperature"), "temperature", 1),
        top_p=fields.maybe_number(body.get("top_p"), "top_p", 1),
        top_k=fields.maybe_int(body.get("top_k"), "top_k"),
        stop=_read_stop(body),
        reasoning=replace(reasoning, effort=history.effort) if history.effort else reasoning,
        format=_read_format(body, dropped),
        stream=fields.maybe_bool(body.get("stream"), "stream") or False,
        user=fields.maybe_string(metadata.get("user_id"), "metadata.user_id"),
        service_tier="default" if tier == "standard_only" else tier,
        cache=fields.cache_mark(body, ""),
        dropped=tuple(dict.fromkeys(dropped)),
    )


def _read_limit(body: Json) -> int | None:
    limit = fields.maybe_int(body.get("max_tokens"), "max_tokens")
    if limit == 0:
        raise unsupported("max_tokens: 0 only warms Anthropic's own cache: ask for one token at least.", "max_tokens")
    return limit


def _read_stop(body: Json) -> tuple[str, ...]:
    value = body.get("stop_sequences")
    if value is None:
        return ()
    return tuple(
        fields.string(item, f"stop_sequences.{i}") for i, item in enumerate(fields.items(value, "stop_sequences"))
    )


def _read_format(body: Json, dropped: list[str]) -> OutputFormat | None:
    """`output_config.format`, or `output_format`, its older name."""
    config = fields.maybe_mapping(body.get("output_config"), "output_config")
    dropped += [f"output_config.{key}" for key, value in config.items() if key not in ("effort", "format") and value]
    path = "output_config.format" if config.get("format") is not None else "output_format"
    value = config.get("format") if config.get("format") is not None else body.get("output_format")
    if value is None:
        return None
    wish = fields.mapping(value, path)
    if wish.get("type") != "json_schema":
        raise fields.wrong(f"{path}.type", "'json_schema'")
    return OutputFormat("json_schema", fields.mapping(wish.get("schema"), f"{path}.schema"))


# ── write ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_request(request: Request, target: Target) -> Written:
    """The body for a provider. Raises UNSUPPORTED_BY_MODEL for what would make the answer wrong."""
    dropped = list(request.dropped)
    tools = offered(request)
    names = ToolNames.of(tools)
    body: Json = {"model": target.model, "max_tokens": _limit(request, target)}
    if system := [text for block in request.system if (text := write_text(block, dropped))]:
        plain = len(system) == 1 and system[0].keys() == {"type", "text"}
        body["system"] = system[0]["text"] if plain else system
    body["messages"] = History(request, tools, names, target, dropped).write(request.turns)
    if not body["messages"]:
        raise unsupported("messages: at least one message with content is required.", "messages")
    written = write_tools(request, tools, names, target, dropped)
    choice = write_choice(request, names, written, target, dropped)
    if written:
        body["tools"] = written
    if choice:
        body["tool_choice"] = choice
    wish = _write_thinking(request, target, body, dropped)
    _write_format(request, target, wish, body, dropped)
    _write_sampling(request, target, wish, body, dropped)
    _write_rest(request, body, dropped)
    _limit_marks(body, dropped)
    return Written(body, tuple(dict.fromkeys(dropped)), names)


def _limit(request: Request, target: Target) -> int:
    most = target.limits.output
    if request.max_tokens is None:
        return most or DEFAULT_MAX_TOKENS
    return min(request.max_tokens, most) if most else request.max_tokens


def _write_thinking(request: Request, target: Target, body: Json, dropped: list[str]) -> Wish:
    """`thinking` and its room. A forced tool, a prefill and an unfinished tool loop without its own thoughts exclude it."""
    wish = write_reasoning(request.reasoning, target, body["max_tokens"])
    if wish.lost:
        dropped.append("reasoning")
    if wish.on and (excludes_thinking(body) or (wish.by_budget and _loop_lost(body))):
        dropped.append("reasoning")
        off: Json | None = {"type": "disabled"} if target.flags.thinking_off == "disabled" else None
        wish = Wish(off, wish.effort, body["max_tokens"])
    body["max_tokens"] = wish.max_tokens
    if wish.thinking:
        body["thinking"] = wish.thinking
    return wish


def excludes_thinking(body: Json) -> bool:
    """True where a tool is forced or the answer is begun: https://platform.claude.com/docs/en/build-with-claude/extended-thinking"""
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    return forced or body["messages"][-1]["role"] == "assistant"


def _loop_lost(body: Json) -> bool:
    """True in a tool loop whose calls lack the thinking that led to them: with a budget, that is refused."""
    messages = body["messages"]
    if len(messages) < 2 or messages[-1]["content"][0].get("type") != "tool_result":
        return False
    calling = next((message for message in reversed(messages) if message["role"] == "assistant"), None)
    return calling is not None and calling["content"][0]["type"] not in ("thinking", "redacted_thinking")


def _write_format(request: Request, target: Target, wish: Wish, body: Json, dropped: list[str]) -> None:
    config: Json = {"effort": wish.effort} if wish.effort else {}
    wanted = request.format
    if wanted is not None and wanted.kind == "json_schema":
        if not target.flags.json_schema or "no_output_format" in target.quirks:
            raise unsupported(
                f"{target.model} can't be held to a JSON schema here: choose another model, or a tool with this schema.",
                "format",
            )
        schema = closed(wanted.schema or {"type": "object"}, "format.schema")
        if wanted.description and "description" not in schema:
            schema["description"] = wanted.description
        config["format"] = {"type": "json_schema", "schema": schema}
    elif wanted is not None:
        dropped.append("format")
    if config:
        body["output_config"] = config


def _write_sampling(request: Request, target: Target, wish: Wish, body: Json, dropped: list[str]) -> None:
    """Temperature goes to 1; thinking allows none; Claude 4.5 refuses temperature beside top_p."""
    allowed = target.flags.sampling_params
    if request.temperature is not None:
        if allowed and not wish.on:
            body["temperature"] = min(max(request.temperature, 0.0), 1.0)
        if body.get("temperature") != request.temperature:
            dropped.append("temperature")
    if request.top_p is not None:
        if allowed and not wish.on and request.temperature is None:
            body["top_p"] = request.top_p
        else:
            dropped.append("top_p")
    if request.top_k is not None:
        if allowed and not wish.on:
            body["top_k"] = request.top_k
        else:
            dropped.append("top_k")
    stop = [text for text in request.stop if text.strip()] if target.flags.stop else []
    if stop:
        body["stop_sequences"] = stop
    if len(stop) < len(request.stop):
        dropped.append("stop")


def _write_rest(request: Request, body: Json, dropped: list[str]) -> None:
    if request.stream:
        body["stream"] = True
    if request.user and "@" not in request.user:  # e-mail addresses are refused as ids
        body["metadata"] = {"user_id": request.user}
    elif request.user:
        dropped.append("user")
    if request.service_tier in ("auto", "default"):
        body["service_tier"] = "auto" if request.service_tier == "auto" else "standard_only"
    elif request.service_tier:
        dropped.append("service_tier")
    mark = request.cache or _implied_mark(request)
    if mark:
        body["cache_control"] = fields.write_mark(mark)
    dropped += [name for name in _NOT_HERE if getattr(request, name) not in (None, "", {})]


def _implied_mark(request: Request) -> CacheMark | None:
    """Other APIs cache without being asked: a conversation that goes on, or has a cache key, gets the automatic mark
    (https://platform.claude.com/docs/en/build-with-claude/prompt-caching); a single question would only pay for the write."""
    goes_on = bool(request.cache_key) or any(turn.role == "assistant" for turn in request.turns)
    return CacheMark() if goes_on and not _has_marks(request) else None


def _has_marks(request: Request) -> bool:
    blocks = (*request.system, *request.tools, *(block for turn in request.turns for block in turn.blocks))
    return any(getattr(block, "cache", None) is not None for block in blocks)


def _limit_marks(body: Json, dropped: list[str]) -> None:
    """Keeps the last marks, which cover all that is before them; more than four are refused."""
    marked: list[Json] = [tool for tool in body.get("tools", ()) if "cache_control" in tool]
    system = body.get("system")
    blocks = [system] if isinstance(system, list) else []
    for content in [*blocks, *(message["content"] for message in body["messages"])]:
        for block in content:
            inner = block.get("content")
            marked += (
                [part for part in inner if isinstance(part, dict) and "cache_control" in part]
                if isinstance(inner, list)
                else ()
            )
            if "cache_control" in block:
                marked.append(block)
    surplus = len(marked) - _MARKS + ("cache_control" in body)
    for block in marked[: max(surplus, 0)]:
        del block["cache_control"]
    if surplus > 0:
        dropped.append("cache")

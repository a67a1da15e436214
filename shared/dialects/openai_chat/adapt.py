"""A client's own body made fit for a provider that speaks chat completions too (https://platform.openai.com/docs/api-reference/chat).

Nothing is copied before something has to change, and then only what lies on the way to it.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import EFFORTS, Json, Target
from shared.dialects.hosts import able_hosts
from shared.dialects.openai_chat import schemas
from shared.dialects.openai_chat.echo import mend_message
from shared.dialects.openai_chat.reasoning import write_effort
from shared.dialects.openai_chat.send import samples
from shared.errors import unsupported

_DROPPED_BY_QUIRK = {
    "no_stop": ("stop",),
    "no_penalties": ("frequency_penalty", "presence_penalty"),
    "no_logprobs": ("logprobs", "top_logprobs"),
    "no_logit_bias": ("logit_bias",),
    "no_store": ("store",),
    "no_metadata": ("metadata",),
    "no_parallel_flag": ("parallel_tool_calls",),
}
_SAMPLING = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs")


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The body for this provider, and the names of what it can't have. The very same object where nothing had to change."""
    changes: Json = {}
    gone: dict[str, bool] = {}  # top-level fields; whether their loss is named
    if body.get("model") != target.model:
        changes["model"] = target.model
    _drop(body, target, gone)
    _rename_limit(body, target, changes, gone)
    lost = _effort(body, target, changes, gone)
    if not samples(target, {**body, **changes}):
        gone.update(dict.fromkeys((field for field in _SAMPLING if body.get(field) is not None), True))
    _stream_options(body, target, changes, gone)
    changes |= able_hosts(body, body.get("response_format"), target)
    named: dict[str, None] = dict.fromkeys((*(field for field, name in gone.items() if name), *lost))
    _tools(body, target, changes, named)
    _messages(body, target, changes, named)
    if not changes and not gone:
        return body, ()
    return {key: value for key, value in (body | changes).items() if key not in gone}, tuple(named)


def _drop(body: Json, target: Target, gone: dict[str, bool]) -> None:
    for quirk, fields in _DROPPED_BY_QUIRK.items():
        if quirk in target.quirks:
            gone.update(dict.fromkeys((field for field in fields if body.get(field) is not None), True))
    if not target.flags.stop and body.get("stop") is not None:
        gone["stop"] = True
    if not target.flags.parallel_tools and "parallel_tool_calls" in body:
        gone["parallel_tool_calls"] = False  # it makes one call at a time, whatever is asked
    if "no_n" in target.quirks and body.get("n") is not None:
        if body["n"] != 1:
            raise unsupported("n: this model gives one answer at a time. Send the request once for each answer.", "n")
        gone["n"] = False


def _rename_limit(body: Json, target: Target, changes: Json, gone: dict[str, bool]) -> None:
    """`max_tokens` is refused by OpenAI's reasoning models, `max_completion_tokens` unknown to older servers."""
    old, new = "max_tokens", "max_completion_tokens"
    if "no_max_completion_tokens" in target.quirks:
        old, new = new, old
    elif not target.flags.completion_tokens:
        return
    if body.get(old) is not None:
        gone[old] = False
        if body.get(new) is None:
            changes[new] = body[old]


def _effort(body: Json, target: Target, changes: Json, gone: dict[str, bool]) -> tuple[str, ...]:
    """An effort that the model doesn't have becomes the nearest one: a client may have meant another model by its name.

    Answers the name of what was lost.
    """
    level: Any = body.get("reasoning_effort")
    if target.flags.tools_need_responses and level != "none" and _has_functions(body):
        changes["reasoning_effort"] = "none"
        return ("reasoning",)
    if level not in EFFORTS or (level in target.flags.effort and level != "max"):
        return ()
    fields, kept = write_effort(level, target)
    if "reasoning_effort" not in fields:
        gone["reasoning_effort"] = False
        if level == "none" and fields:
            changes["thinking"] = fields["thinking"]
    elif fields["reasoning_effort"] != level:
        changes["reasoning_effort"] = fields["reasoning_effort"]
    return () if kept else ("reasoning",)


def _has_functions(body: Json) -> bool:
    tools = body.get("tools")
    if not isinstance(tools, list):
        return False
    return any(isinstance(tool, dict) and tool.get("type") == "function" for tool in tools)


def _stream_options(body: Json, target: Target, changes: Json, gone: dict[str, bool]) -> None:
    """Usage is asked for in every stream, since the meter needs it; `repair` hides it from a client who didn't ask."""
    options = body.get("stream_options")
    if "no_stream_options" in target.quirks:
        if options is not None:
            gone["stream_options"] = False
        return
    if body.get("stream") is True and not (isinstance(options, dict) and options.get("include_usage") is True):
        changes["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}


def _tools(body: Json, target: Target, changes: Json, named: dict[str, None]) -> None:
    tools = body.get("tools")
    strip, fill = "no_strict" in target.quirks, "schema_required_list" in target.quirks
    if not (isinstance(tools, list) and (strip or fill)):
        return
    mended = [_tool(tool, strip, fill, named) for tool in tools]
    if any(new is not old for new, old in zip(mended, tools, strict=True)):
        changes["tools"] = mended


def _tool(tool: Any, strip: bool, fill: bool, named: dict[str, None]) -> Any:
    if not (isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)):
        return tool
    new = function
    if strip and "strict" in function:
        new = {key: value for key, value in function.items() if key != "strict"}
        if function["strict"]:
            named["tools.strict"] = None
    if fill:
        schema = function.get("parameters")
        whole = schemas.complete(schema if isinstance(schema, dict) else {"type": "object"})
        if whole is not schema:
            new = {**new, "parameters": whole}
    return tool if new is function else {**tool, "function": new}


def _messages(body: Json, target: Target, changes: Json, named: dict[str, None]) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list):
        return
    mended = [mend_message(one, target, named) if isinstance(one, dict) else one for one in messages]
    if any(new is not old for new, old in zip(mended, messages, strict=True)):
        changes["messages"] = mended

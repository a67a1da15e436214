"""Whole replies of the Messages API, both ways.

https://platform.claude.com/docs/en/api/messages/create#returns
https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from shared.canonical import (
    Audio,
    Block,
    Finish,
    HostedCall,
    Image,
    Json,
    Opaque,
    Response,
    StopReason,
    Target,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Reading, Writing
from shared.dialects.anthropic.reasoning import NEXT, PREVIOUS, REDACTED, SIGNATURE, carrier
from shared.dialects.anthropic.sources import HostedCalls, is_hosted_result, read_citation, write_citation, write_hosted
from shared.dialects.anthropic.usage import read_usage, write_usage
from shared.dialects.depth import check
from shared.dialects.failures import failure
from shared.dialects.seal import seal
from shared.dialects.toolnames import ToolRef, Unwrap, wire_name
from shared.errors import Code, GatewayError

_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_call",
    "pause_turn": "paused",
    "compaction": "paused",
    "refusal": "refusal",
    "sensitive": "refusal",  # https://docs.z.ai/api-reference/llm/chat-completion
    "model_context_window_exceeded": "context_full",
}
_BROKEN = frozenset(("network_error", "error"))
_WORDS: dict[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "paused": "pause_turn",
    "refusal": "refusal",
    "context_full": "model_context_window_exceeded",
}
CUT: frozenset[StopReason] = frozenset(("length", "context_full", "refusal"))
"""Reasons with which the last block may be torn."""


# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_response(body: Json, reading: Reading) -> Response:
    """A provider's reply. Raises PROVIDER_ERROR for one that is an error or no reply at all."""
    check(body)
    content = body.get("content")
    if not isinstance(content, list):
        raise failure(body) if body.get("error") else odd("a reply without content")
    blocks: list[Block] = []
    hosted = HostedCalls()
    cut = _REASONS.get(text_at(body, "stop_reason")) in CUT
    for raw in content:
        if isinstance(raw, dict):
            blocks += _read_block(raw, hosted, reading, cut)
    blocks += hosted.rest()
    usage = body.get("usage")
    finish = read_finish(body, usage if isinstance(usage, dict) else {}, any(isinstance(b, ToolCall) for b in blocks))
    return Response(text_at(body, "id"), text_at(body, "model"), tuple(blocks), finish)


def _read_block(raw: Json, hosted: HostedCalls, reading: Reading, cut: bool) -> list[Block]:
    match raw.get("type"):
        case "text":
            cited = raw.get("citations")
            sources = filter(_is_object, cited) if isinstance(cited, list) else ()
            return [Text(text_at(raw, "text"), citations=tuple(map(read_citation, sources)))]
        case "thinking":
            return [Thinking(text_at(raw, "thinking"), signed(text_at(raw, "signature"), reading.target))]
        case "redacted_thinking":
            return [Thinking(opaque=Opaque(reading.target.provider, REDACTED, text_at(raw, "data")), redacted=True)]
        case "tool_use":
            call = read_call(raw, reading)
            arguments = write_arguments(raw.get("input"))
            if call.kind == "custom":
                unwrap = Unwrap()
                arguments = unwrap.feed(arguments)
                if not cut:
                    unwrap.close()
            return [ToolCall(call.id, call.name, arguments, call.kind, call.namespace)]
        case "server_tool_use" | "mcp_tool_use":
            hosted.call(raw)
        case str(kind) if is_hosted_result(kind):
            return [hosted.result(raw)]
        case _ if isinstance(raw.get("text"), str):  # a kind of block that is new: its words are kept
            return [Text(raw["text"])]
    return []


def signed(signature: str, target: Target) -> Opaque | None:
    """The state in a signature. Some who speak this API sign nothing and want the thoughts back all the same."""
    if signature or "unsigned_thinking" in target.quirks:
        return Opaque(target.provider, SIGNATURE, signature)
    return None


def read_call(raw: Json, reading: Reading) -> ToolCall:
    """A `tool_use` block, still without its arguments, under the name that the client gave the tool."""
    ref: ToolRef = reading.tools.client(text_at(raw, "name"))
    return ToolCall(text_at(raw, "id"), ref.name, "", ref.kind, ref.namespace)


def write_arguments(value: Any) -> str:
    """A call's `input` as JSON text."""
    try:
        return orjson.dumps(value).decode() if isinstance(value, dict) else "{}"
    except TypeError:
        raise odd("arguments that are nested too deeply") from None


def read_finish(delta: Json, usage: Json, called: bool) -> Finish:
    """Why the reply ended. Raises PROVIDER_ERROR for the reasons that are failures."""
    word = text_at(delta, "stop_reason")
    if word in _BROKEN:
        raise GatewayError(Code.PROVIDER_ERROR, f"The provider broke the reply off ({word}).", provider_code=word)
    reason = _REASONS.get(word, "end")
    if called and reason not in CUT:
        reason = "tool_call"
    details = delta.get("stop_details")
    return Finish(
        reason,
        read_usage(usage),
        (text_at(delta, "stop_sequence") or None) if reason == "stop_sequence" else None,
        text_at(details, "explanation") if isinstance(details, dict) else "",
    )


def odd(what: str) -> GatewayError:
    """PROVIDER_ERROR for a reply that is out of form."""
    return GatewayError(Code.PROVIDER_ERROR, f"The provider sent {what}.")


def text_at(owner: Json, key: str) -> str:
    """A string of a reply; empty where it is absent or something else."""
    value = owner.get(key)
    return value if isinstance(value, str) else ""


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


# ── write ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_response(response: Response, writing: Writing) -> Json:
    """The reply for a client. State of a text follows it, but never ends the reply: clients take the last block for the answer."""
    content: list[Json] = []
    late: Json | None = None
    for block in response.blocks:
        if late:
            content.append(late)
        content += _write_block(block, response.finish.reason, f"{writing.id}{len(content)}")
        late = carrier(block.opaque, PREVIOUS) if isinstance(block, Text) and block.opaque else None
    refused = any(isinstance(block, Text) and block.refusal for block in response.blocks)
    return {
        "id": f"msg_{writing.id}",
        "type": "message",
        "role": "assistant",
        "model": writing.model,
        "content": content or [{"type": "text", "text": ""}],
        **write_stop(response.finish, refused),
        "usage": write_usage(response.finish.usage),
    }


def write_stop(finish: Finish, refused: bool) -> Json:
    """`stop_reason` and what goes with it."""
    reason = "refusal" if refused and finish.reason == "end" else finish.reason
    word = "stop_sequence" if reason == "stop_sequence" and finish.sequence else _WORDS.get(reason, "end_turn")
    body: Json = {"stop_reason": word, "stop_sequence": finish.sequence if word == "stop_sequence" else None}
    if reason == "refusal":
        body["stop_details"] = {"type": "refusal", "category": None, "explanation": finish.detail or None}
    return body


def _write_block(block: Block, reason: StopReason, spare_id: str) -> Iterator[Json]:
    match block:
        case Text():
            yield write_reply_text(block)
        case Thinking():
            yield from write_thought(block)
        case ToolCall():
            if block.opaque:
                yield carrier(block.opaque, NEXT)
            yield {**write_reply_call(block, spare_id), "input": _input(block, reason)}
        case HostedCall():
            yield from write_hosted(block, spare_id)
        case Image() | Audio():
            yield {"type": "text", "text": in_words(block)}
        case _:
            return


def write_reply_text(block: Text) -> Json:
    """A `text` block with its citations."""
    body: Json = {"type": "text", "text": block.text}
    if cited := [raw for raw in map(write_citation, block.citations) if raw is not None]:
        body["citations"] = cited
    return body


def write_thought(block: Thinking) -> Iterator[Json]:
    """A `thinking` or `redacted_thinking` block with sealed state; nothing for redacted thoughts without state."""
    sealed = seal(block.opaque) if block.opaque else ""
    if not block.redacted:
        yield {"type": "thinking", "thinking": block.text, "signature": sealed}
    elif sealed:
        yield {"type": REDACTED, "data": sealed}


def write_reply_call(block: ToolCall, spare_id: str) -> Json:
    """A `tool_use` block, still without input."""
    name = wire_name(block.name, block.namespace)
    return {"type": "tool_use", "id": block.id or f"toolu_{spare_id}", "name": name, "input": {}}


def in_words(block: Image | Audio) -> str:
    """What this API can tell of a picture or a sound that the model made."""
    if isinstance(block, Audio):
        return block.transcript
    return f"![image]({block.url})" if block.url else "[an image, which this API can't carry]"


def _input(call: ToolCall, reason: StopReason) -> Json:
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    try:
        value = orjson.loads(call.arguments)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    if reason in CUT:  # cut in the middle: there is no whole object
        return {}
    raise odd(f"a call of the tool '{call.name}' whose arguments are no JSON object")

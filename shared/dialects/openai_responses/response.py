"""A whole reply, both ways (https://platform.openai.com/docs/api-reference/responses/object)."""

from __future__ import annotations

from typing import Any

from shared.canonical import (
    Audio,
    Block,
    Finish,
    HostedCall,
    Image,
    Json,
    Response,
    StopReason,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import Reading, Writing
from shared.dialects.depth import check
from shared.dialects.failures import failure
from shared.dialects.openai_responses import reply
from shared.dialects.openai_responses.content import read_annotations
from shared.dialects.openai_responses.fields import json_text
from shared.dialects.openai_responses.hosted import API, HOSTED_CALLS, hosted_call, write_hosted
from shared.dialects.openai_responses.state import minted, sealed, visible
from shared.dialects.openai_responses.usage import read_usage
from shared.dialects.toolnames import ToolRef, Unwrap
from shared.errors import Code, GatewayError

# ── from a provider ──────────────────────────────────────────────────────────────────────────────────────────────


def read_response(body: Json, reading: Reading) -> Response:
    """A provider's reply. Raises PROVIDER_ERROR for one that failed, or that is no response object.

    Items and parts of kinds that nobody knew when this was written are left out.
    """
    check(body)
    output = body.get("output")
    broken = refusal_to_answer(body)
    if broken is not None:
        raise broken
    if not isinstance(output, list):
        raise GatewayError(Code.PROVIDER_ERROR, "The provider's reply has no output.")
    blocks: list[Block] = []
    logprobs: list[Json] = []
    for item in output:
        if isinstance(item, dict):
            blocks += read_item(item, reading, logprobs)
    reason = stop_reason(body, called=_holds(blocks, ToolCall), refused=any(map(_is_refusal, blocks)))
    return Response(
        word(body, "id"),
        word(body, "model") or reading.target.model,
        tuple(blocks),
        Finish(reason, read_usage(body)),
        tuple(logprobs),
    )


def refusal_to_answer(body: Json) -> GatewayError | None:
    """The failure that a response object tells of. OpenRouter answers 200 with an `error` alone
    (https://openrouter.ai/docs/api-reference/errors)."""
    status = body.get("status")
    if status in ("failed", "cancelled") or (body.get("error") and status is None):
        return failure(body)
    return None


def read_item(item: Json, reading: Reading, logprobs: list[Json]) -> list[Block]:
    """The blocks of one output item; logprobs of its texts are appended to `logprobs`."""
    match item.get("type"):
        case "message":
            return _read_parts(item, logprobs)
        case "reasoning":
            text, opaque = visible(item), minted(item, reading.target.provider)
            return [Thinking(text, opaque)] if text or opaque else []
        case "function_call" | "custom_tool_call":
            return [_read_call(item, reading)]
        case "tool_search_call" if item.get("call_id"):
            return [ToolCall(word(item, "call_id"), "tool_search", search_arguments(item), "tool_search")]
        case str(kind) if kind in HOSTED_CALLS:
            return [hosted_call(item)]
        case _:
            return []


def _read_parts(message: Json, logprobs: list[Json]) -> list[Block]:
    parts, phase = message.get("content"), word(message, "phase")
    blocks: list[Block] = []
    for part in parts if isinstance(parts, list) else ():
        match part:
            case {"type": "output_text", "text": str(text)} if text or part.get("annotations"):
                blocks.append(Text(text, citations=read_annotations(part.get("annotations")), phase=phase))
                logprobs += read_logprobs(part.get("logprobs"))
            case {"type": "refusal", "refusal": str(text)} if text:
                blocks.append(Text(text, refusal=True, phase=phase))
    return blocks


def _read_call(item: Json, reading: Reading) -> ToolCall:
    call = begin_call(item, reading)
    custom = item["type"] == "custom_tool_call"
    text = word(item, "input" if custom else "arguments")
    if call.kind == "custom" and not custom:
        unwrap = Unwrap()
        text = unwrap.feed(text)
        unwrap.close()
    return ToolCall(call.id, call.name, text, call.kind, call.namespace)


def begin_call(item: Json, reading: Reading) -> ToolCall:
    """A call without its arguments, under the client's own name for the tool."""
    ref = _meant(word(item, "name"), word(item, "namespace"), reading)
    kind = "custom" if item.get("type") == "custom_tool_call" else ref.kind
    return ToolCall(word(item, "call_id") or word(item, "id"), ref.name, "", kind, ref.namespace)


def _meant(name: str, namespace: str, reading: Reading) -> ToolRef:
    ref = reading.tools.client(name)
    if not namespace or ref.namespace == namespace:
        return ref
    flat = reading.tools.by_wire.get(f"{namespace}__{name}")
    return flat or ToolRef(name, namespace)


def search_arguments(item: Json) -> str:
    arguments = item.get("arguments")
    if isinstance(arguments, str):
        return arguments or "{}"
    return json_text({} if arguments is None else arguments, "arguments")


def read_logprobs(value: Any) -> list[Json]:
    """Logprobs in Chat's form. Deltas of a stream have no `bytes`; they are the token's."""
    if not isinstance(value, list):
        return []
    return [
        {**_token(entry), "top_logprobs": [_token(other) for other in entry.get("top_logprobs") or []]}
        for entry in value
        if isinstance(entry, dict) and isinstance(entry.get("top_logprobs"), list | None)
    ]


def _token(entry: Any) -> Json:
    match entry:
        case {"token": str(token), "logprob": logprob}:
            known = entry.get("bytes")
            return {
                "token": token,
                "logprob": logprob,
                "bytes": list(token.encode()) if known is None else known,
            }
        case _:
            return {"token": "", "logprob": 0.0, "bytes": []}


def stop_reason(body: Json, *, called: bool, refused: bool) -> StopReason:
    """Why it ended, by status and details; a call outdoes "completed"."""
    details = body.get("incomplete_details")
    why = details.get("reason") if isinstance(details, dict) else None
    if body.get("status") == "incomplete":
        if why == "content_filter":
            return "refusal"
        if why == "max_output_tokens":
            return "length"
        return "tool_call" if called else "paused"
    if refused:
        return "refusal"
    return "tool_call" if called else "end"


def word(source: Json, key: str) -> str:
    """The string under `key`; empty where a provider sent none."""
    value = source.get(key)
    return value if isinstance(value, str) else ""


def _holds(blocks: list[Block], kind: type[Block]) -> bool:
    return any(isinstance(block, kind) for block in blocks)


def _is_refusal(block: Block) -> bool:
    return isinstance(block, Text) and block.refusal


# ── to a client ──────────────────────────────────────────────────────────────────────────────────────────────────


def write_response(response: Response, writing: Writing) -> Json:
    """The reply as the client's API has it; fields of the request are echoed, state is sealed."""
    ids = reply.Ids(writing)
    output: list[Json] = []
    parts: list[Json] | None = None  # of the message that is open: texts of one phase in a row are one message
    phase = ""
    logprobs = list(response.logprobs)
    for block in response.blocks:
        block = Text(block.transcript) if isinstance(block, Audio) else block
        if not isinstance(block, Text):
            parts = None
            output += _items(block, ids)
            continue
        if parts is None or block.phase != phase:
            parts, phase = [], block.phase
            output.append(reply.message(ids.new("msg"), "completed", parts, phase))
        parts.append(reply.part(block, block.text, block.citations, logprobs))
        logprobs = [] if not block.refusal else logprobs
        if block.opaque:
            parts = None
            output.append(reply.carrier(ids.new("rs"), block.opaque, "text"))
    if not output and response.finish.reason == "refusal" and response.finish.detail:
        output.append(explained(ids, response.finish.detail))
    return reply.ended(reply.envelope(writing), response.finish, output)


def explained(ids: reply.Ids, detail: str) -> Json:
    """A message for a refusal that came without words but with a reason."""
    return reply.message(ids.new("msg"), "completed", [{"type": "refusal", "refusal": detail}])


def _items(block: Block, ids: reply.Ids) -> list[Json]:
    match block:
        case Thinking():
            state = sealed(block.opaque, "redacted" if block.redacted else "thinking") if block.opaque else None
            return [reply.reasoning(ids.new("rs"), block.text, state)]
        case ToolCall():
            before = [reply.carrier(ids.new("rs"), block.opaque, "call", block.id)] if block.opaque else []
            text = reply.complete_arguments(block, block.arguments)
            return [*before, reply.tool_call(ids.new(reply.CALLS[block.kind][1]), block, "completed", text)]
        case _:
            return whole_items(block, ids)


def whole_items(block: Block, ids: reply.Ids) -> list[Json]:
    """Items of blocks that come in one piece; none for what this API can't show."""
    match block:
        case HostedCall(dialect=dialect) if dialect == API:
            return list(block.raw)
        case HostedCall():
            item = write_hosted(block, ids.new("ws" if block.name == "web_search" else "ci"))
            return [item] if item else []
        case Image(data=data) if data:
            return [reply.picture(ids.new("ig"), data)]
        case _:
            return []

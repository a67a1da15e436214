"""Whole replies from a provider (https://platform.openai.com/docs/api-reference/chat/object)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

import orjson

from shared.canonical import (
    Block,
    Citation,
    Finish,
    Json,
    Opaque,
    Response,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Reading
from shared.dialects.depth import check
from shared.dialects.failures import failure
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.errors import broken
from shared.dialects.openai_chat.media import media_of
from shared.dialects.openai_chat.reply import write_response
from shared.dialects.openai_chat.usage import (
    CUT,
    FAILURES,
    REASONS,
    read_reason,
    read_usage,
    usage_in,
)
from shared.dialects.toolnames import ToolRef, Unwrap
from shared.errors import GatewayError

__all__ = ["read_response", "write_response"]


def read_response(body: Json, reading: Reading) -> Response:
    """A whole reply. Raises PROVIDER_ERROR for an error inside a 200, and for what isn't a reply."""
    check(body)
    match body:
        case {"error": error} if error:
            raise failure(body)
        case {"choices": [{"message": dict(message)} as choice, *_]}:
            pass
        case _:
            raise broken("The provider's reply holds no message.")
    word = choice.get("finish_reason")
    word = word if isinstance(word, str) else ""
    if word in FAILURES:
        raise failed(word, choice)
    id_ = body.get("id") if isinstance(body.get("id"), str) else ""
    model = body.get("model")
    blocks = (*_said(message, reading), *_calls(message, id_ or "", reading, cut=REASONS.get(word) in CUT))
    usage = usage_in(body)
    reason = read_reason(
        word,
        called=any(isinstance(block, ToolCall) for block in blocks),
        refused=any(isinstance(block, Text) and block.refusal for block in blocks),
    )
    return Response(
        id_ or "",
        model if isinstance(model, str) and model else reading.target.model,
        blocks,
        Finish(reason, Usage(reported=False) if usage is None else read_usage(usage, body.get("service_tier"))),
        logprobs_of(choice),
    )


def failed(word: str, choice: Json) -> GatewayError:
    """A finish reason that tells of a failure; OpenRouter puts the error beside it."""
    if choice.get("error"):
        return failure(choice)
    return broken(f"The provider broke the reply off ({word}).")


def logprobs_of(choice: Json) -> tuple[Json, ...]:
    """The entries of `logprobs.content`."""
    match choice.get("logprobs"):
        case {"content": list(entries)}:
            return tuple(entry for entry in entries if isinstance(entry, dict))
    return ()


def content_of(content: object) -> str:
    """`content`, be it a string or (as some servers have it) parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(
        str(part["text"]) for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def citations_of(holder: Json) -> tuple[Citation, ...]:
    """`annotations`: the sources of web search."""
    annotations = holder.get("annotations")
    if not isinstance(annotations, list):
        return ()
    return tuple(
        Citation(
            url=str(source.get("url") or ""),
            title=str(source.get("title") or ""),
            text=str(source.get("content") or ""),
            start=_place(source.get("start_index")),
            end=_place(source.get("end_index")),
        )
        for one in annotations
        if isinstance(one, dict) and isinstance(source := one.get("url_citation"), dict)
    )


def _place(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _said(message: Json, reading: Reading) -> Iterable[Block]:
    maker = reading.target.provider
    thoughts = reasoning.thoughts_of(message)
    called = [call.get("id") for call in _entries(message) if isinstance(call, dict)]
    details = [one for one in reasoning.details_of(message) if not one.get("id") or one.get("id") not in called]
    if thoughts or details:
        yield Thinking(thoughts, reasoning.details_state(details, maker) if details else None, not thoughts)
    signature = reasoning.signature_of(message)
    opaque = Opaque(maker, reasoning.SIGNATURE, signature) if signature else None
    if (text := content_of(message.get("content"))) or citations_of(message):
        yield Text(text, citations=citations_of(message), opaque=opaque)
        opaque = None
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        yield Text(refusal, refusal=True, opaque=opaque)
        opaque = None
    if opaque:
        yield Thinking(opaque=opaque, redacted=True)
    yield from media_of(message)


def _entries(message: Json) -> list[Any]:
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return calls
    function = message.get("function_call")  # the old form, of one call without an id
    return [{"function": function}] if isinstance(function, dict) else []


def _calls(message: Json, reply: str, reading: Reading, *, cut: bool) -> Iterable[ToolCall]:
    details = reasoning.details_of(message)
    for index, entry in enumerate(_entries(message)):
        match entry:
            case {"function": {"name": str(name)} as called}:
                arguments = called.get("arguments")
            case {"custom": {"name": str(name)} as called}:
                arguments = called.get("input")
            case _:
                raise broken("The provider's reply holds a tool call without a name.")
        if not name:
            raise broken("The provider's reply holds a tool call without a name.")
        id_ = entry.get("id")
        id_ = id_ if isinstance(id_, str) and id_ else made_up_id(reply, index)
        ref, wrapped = called_tool(name, reading, native="custom" in entry)
        text = arguments_text(arguments)
        if wrapped:
            text = unwrapped(text, cut=cut)
        own = [one for one in details if one.get("id") == entry.get("id") and one.get("id")]
        opaque = call_state(entry, own, reading.target.provider)
        yield ToolCall(id_, ref.name, text, ref.kind, ref.namespace, opaque)


def called_tool(name: str, reading: Reading, *, native: bool) -> tuple[ToolRef, bool]:
    """The client's tool of that name, and whether its free text comes wrapped up in JSON."""
    ref = reading.tools.client(name)
    if native:
        return ToolRef(ref.name, ref.namespace, "custom"), False
    return ref, ref.kind == "custom"


def call_state(call: Json, details: list[Json], maker: str) -> Opaque | None:
    """The opaque state that belongs to one tool call."""
    if signature := reasoning.signature_of(call):
        return Opaque(maker, reasoning.SIGNATURE, signature)
    return reasoning.details_state(details, maker) if details else None


def arguments_text(arguments: object) -> str:
    """Arguments as JSON text; some servers send them parsed."""
    if isinstance(arguments, str):
        return arguments
    return orjson.dumps(arguments).decode() if isinstance(arguments, dict) else ""


def unwrapped(arguments: str, *, cut: bool) -> str:
    """A custom tool's text. Where the reply was cut, what there is of it."""
    unwrap = Unwrap()
    text = unwrap.feed(arguments)
    if not cut:
        unwrap.close()
    return text


def made_up_id(reply: str, index: int) -> str:
    """An id for a call that came without one: the same for the same reply, whole or streamed."""
    return f"call_{sha256(f'{reply}:{index}'.encode()).hexdigest()[:24]}"

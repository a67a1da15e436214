"""Replies of the messages API, whole and streamed (https://docs.anthropic.com/en/docs/build-with-claude/streaming)."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from emulator.demo.face import Frame, event
from emulator.demo.limits import tokens
from emulator.demo.messages.words import UNTHREADED
from emulator.demo.opaque import mint
from emulator.demo.reading import RefusedError
from emulator.demo.talk import Call, Json, Prompt, Reply, Search, Source, Text, Thought, Usage, minted

_STOP = {"end": "end_turn", "stop": "stop_sequence", "call": "tool_use", "length": "max_tokens", "refusal": "refusal"}
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_EMPTY: Json = {"text": "", "thinking": "", "signature": "", "input": {}, "citations": []}
_STREAMED = {
    "text": ("text",),
    "thinking": ("thinking", "signature"),
    "tool_use": ("input",),
    "server_tool_use": ("input",),
}


def refuse(error: RefusedError) -> Json:
    """The body of an error (https://docs.anthropic.com/en/api/errors)."""
    kind = error.type or _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    request = minted("req_", error.message)
    told: Json = {"type": kind, "message": error.message}
    if error.code == UNTHREADED:
        told["details"] = {"error_code": error.code, "unsupported": ["model"]}
    return {"type": "error", "error": told, "request_id": request}


def _usage(prompt: Prompt, usage: Usage) -> Json:
    """`input_tokens` is what was neither read from nor written to the cache."""
    hour = prompt.cache == "1h"
    return {
        "input_tokens": max(0, usage.input - usage.cached - usage.written),
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": 0 if hour else usage.written,
            "ephemeral_1h_input_tokens": usage.written if hour else 0,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": {"web_search_requests": usage.searches, "web_fetch_requests": 0} if usage.searches else None,
        "service_tier": "standard",
    }


def _head(prompt: Prompt) -> Json:
    return {
        "id": minted("msg_", prompt.seed),
        "type": "message",
        "role": "assistant",
        "model": prompt.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _ending(reply: Reply) -> Json:
    ending: Json = {"stop_reason": _STOP[reply.finish], "stop_sequence": reply.sequence or None}
    if reply.finish == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": "The topic is forbidden here."}
    return ending


def _blocks(prompt: Prompt, reply: Reply) -> Iterator[Json]:
    for i, piece in enumerate(reply.pieces):
        match piece:
            case Thought(text=text):
                shown = text if prompt.shows_thoughts else ""
                yield {"type": "thinking", "thinking": shown, "signature": mint("messages", prompt.seed, shown)}
            case Text(text=text, sources=()):
                yield {"type": "text", "text": text}
            case Text():
                yield from _cited(piece)
            case Call(name=name, arguments=arguments):
                ident = minted("toolu_", prompt.seed, i)
                yield {"type": "tool_use", "id": ident, "name": name, "input": orjson.loads(arguments)}
            case Search():
                yield from _search(prompt, piece)


def _cited(text: Text) -> Iterator[Json]:
    """A text with sources is three blocks: citations belong to a whole block."""
    source = text.sources[0]
    if before := text.text[: source.start]:
        yield {"type": "text", "text": before}
    words = text.text[source.start : source.end]
    citation = {
        "type": "web_search_result_location",
        "url": source.url,
        "title": source.title,
        "encrypted_index": mint("messages", source.url),
        "cited_text": words,
    }
    yield {"type": "text", "text": words, "citations": [citation]}
    if after := text.text[source.end :]:
        yield {"type": "text", "text": after}


def _search(prompt: Prompt, search: Search) -> Iterator[Json]:
    ident = minted("srvtoolu_", prompt.seed)
    yield {"type": "server_tool_use", "id": ident, "name": "web_search", "input": {"query": search.query}}
    results = [_result(source) for source in search.sources]
    yield {"type": "web_search_tool_result", "tool_use_id": ident, "content": results}


def _result(source: Source) -> Json:
    return {
        "type": "web_search_result",
        "url": source.url,
        "title": source.title,
        "encrypted_content": mint("messages", source.url),
        "page_age": None,
    }


def whole(prompt: Prompt, reply: Reply) -> Json:
    """A reply in one body."""
    content = list(_blocks(prompt, reply))
    return {**_head(prompt), "content": content, **_ending(reply), "usage": _usage(prompt, reply.usage)}


class MessagesStream:
    """A reply as events; each has a name, and blocks come one after another."""

    def __init__(self, prompt: Prompt, reply: Reply) -> None:
        self._prompt, self._reply = prompt, reply

    def frames(self) -> Iterator[Frame]:
        usage = _usage(self._prompt, self._reply.usage)
        first = {**usage, "output_tokens": 1, "output_tokens_details": None, "server_tool_use": None}
        yield _frame("message_start", message={**_head(self._prompt), "usage": first})
        yield _frame("ping")
        for index, block in enumerate(_blocks(self._prompt, self._reply)):
            yield from _block_frames(index, block)
        yield _frame("message_delta", delta=_ending(self._reply), usage=usage)
        yield _frame("message_stop")

    def failure(self, message: str) -> bytes:
        error = {"type": "overloaded_error", "message": message}
        return event({"type": "error", "error": error}, "error")


def _frame(name: str, *, piece: bool = False, **fields: object) -> Frame:
    return Frame(event({"type": name, **fields}, name), piece)


def _block_frames(index: int, block: Json) -> Iterator[Frame]:
    parts = _STREAMED.get(block["type"], ())
    start = {name: _EMPTY[name] if name in (*parts, "citations") else value for name, value in block.items()}
    yield _frame("content_block_start", index=index, content_block=start)
    for citation in block.get("citations", ()):
        yield _frame("content_block_delta", index=index, delta={"type": "citations_delta", "citation": citation})
    for delta in _deltas(block, parts):
        yield _frame("content_block_delta", piece=True, index=index, delta=delta)
    yield _frame("content_block_stop", index=index)


def _deltas(block: Json, parts: tuple[str, ...]) -> Iterator[Json]:
    for part in parts:
        match part:
            case "input":
                yield {"type": "input_json_delta", "partial_json": ""}
                for token in tokens(orjson.dumps(block["input"]).decode() if block["input"] else ""):
                    yield {"type": "input_json_delta", "partial_json": token}
            case "signature":
                yield {"type": "signature_delta", "signature": block["signature"]}
            case _:
                for token in tokens(block[part]):
                    yield {"type": f"{part}_delta", part: token}

"""Replies of chat completions, whole and streamed (https://platform.openai.com/docs/api-reference/chat/object)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from emulator.demo import openai_words
from emulator.demo.chat.quirks import bent
from emulator.demo.commands import parse
from emulator.demo.face import Frame, event
from emulator.demo.limits import tokens
from emulator.demo.opaque import mint
from emulator.demo.reading import RefusedError
from emulator.demo.talk import CREATED, Call, Json, Prompt, Reply, Text, Thought, Usage, minted

_FINISH = {"end": "stop", "stop": "stop", "refusal": "stop", "call": "tool_calls", "length": "length"}
refuse = openai_words.refuse


def _usage(usage: Usage) -> Json:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "audio_tokens": 0,
            "cache_write_tokens": usage.written,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(prompt: Prompt, kind: str) -> Json:
    return {
        "id": minted("chatcmpl-", prompt.seed),
        "object": kind,
        "created": CREATED,
        "model": prompt.model,
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def _call(prompt: Prompt, call: Call, index: int) -> Json:
    wire: Json = {"id": minted("call_", prompt.seed, index)}
    if call.kind == "custom":
        wire |= {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        wire |= {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    if prompt.thinks and index == 0:
        # Google's place for thought signatures in this API: https://ai.google.dev/gemini-api/docs/thought-signatures
        wire["extra_content"] = {"google": {"thought_signature": mint("chat", prompt.seed)}}
    return wire


def _annotations(text: Text) -> list[Json]:
    return [
        {
            "type": "url_citation",
            "url_citation": {"url": s.url, "title": s.title, "start_index": s.start, "end_index": s.end},
        }
        for s in text.sources
    ]


def _logprob(token: str) -> Json:
    return {"token": token, "logprob": -0.1, "bytes": list(token.encode()), "top_logprobs": []}


def _logprobs(prompt: Prompt, text: str) -> Json | None:
    if not prompt.body.get("logprobs"):
        return None
    top = prompt.body.get("top_logprobs") or 0
    entries = [_logprob(token) for token in tokens(text)]
    for entry in entries:
        plain = {k: v for k, v in entry.items() if k != "top_logprobs"}
        entry["top_logprobs"] = [{**plain, "logprob": -0.1 - i} for i in range(top)]
    return {"content": entries, "refusal": None}


def whole(prompt: Prompt, reply: Reply) -> Json:
    """A reply in one body."""
    words = [piece for piece in reply.pieces if isinstance(piece, Text)]
    calls = [piece for piece in reply.pieces if isinstance(piece, Call)]
    said = "".join(piece.text for piece in words if not piece.refusal)
    message: Json = {
        "role": "assistant",
        "content": said or (None if calls or words else ""),
        "refusal": next((piece.text for piece in words if piece.refusal), None),
        "annotations": [note for piece in words for note in _annotations(piece)],
    }
    if thoughts := [piece.text for piece in reply.pieces if isinstance(piece, Thought)]:
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = [_call(prompt, call, i) for i, call in enumerate(calls)]
    choices = [
        {"index": i, "message": message, "logprobs": _logprobs(prompt, said), "finish_reason": _FINISH[reply.finish]}
        for i in range(prompt.body.get("n") or 1)
    ]
    body = {**_head(prompt, "chat.completion"), "choices": choices, "usage": _usage(reply.usage)}
    return bent(body, parse(prompt.told).quirks)


class ChatStream:
    """A reply as chunks."""

    def __init__(self, prompt: Prompt, reply: Reply) -> None:
        self._prompt, self._reply = prompt, reply
        options = prompt.body.get("stream_options") or {}
        self._with_usage = bool(options.get("include_usage"))
        self._orders = parse(prompt.told)

    def frames(self) -> Iterator[Frame]:
        choices = range(self._prompt.body.get("n") or 1)
        for choice in choices:
            yield self._chunk(choice, {"role": "assistant", "content": "", "refusal": None})
        for delta in self._deltas():
            for choice in choices:
                yield self._chunk(choice, delta, piece=True)
        for choice in choices:
            yield self._chunk(choice, {}, finish=_FINISH[self._reply.finish])
        if self._with_usage:
            body = {**_head(self._prompt, "chat.completion.chunk"), "choices": [], "usage": _usage(self._reply.usage)}
            yield Frame(event(bent(body, self._orders.quirks)))
        yield Frame(b"data: [DONE]\n\n")

    def failure(self, message: str) -> bytes:
        return event(openai_words.refuse(RefusedError(message, status=500)))

    def _chunk(self, choice: int, delta: Json, finish: str | None = None, piece: bool = False) -> Frame:
        logprobs = _logprobs(self._prompt, delta["content"]) if delta.get("content") else None
        entry = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        body: Json = {**_head(self._prompt, "chat.completion.chunk"), "choices": [entry]}
        if self._with_usage:
            body["usage"] = None
        return Frame(event(bent(body, self._orders.quirks)), piece)

    def _deltas(self) -> Iterator[Json]:
        calls = [piece for piece in self._reply.pieces if isinstance(piece, Call)]
        for piece in self._reply.pieces:
            match piece:
                case Thought(text=text):
                    yield from ({"reasoning_content": token} for token in tokens(text))
                case Text(text=text, refusal=True):
                    yield from ({"refusal": token} for token in tokens(text))
                case Text(text=text):
                    yield from ({"content": token} for token in tokens(text))
                    if notes := _annotations(piece):
                        yield {"annotations": notes}
                case _:
                    pass
        fragments = [list(self._fragments(call, i)) for i, call in enumerate(calls)]
        if self._orders.interleave:
            rounds = zip_longest(*fragments)
            yield from ({"tool_calls": [one]} for together in rounds for one in together if one is not None)
        else:
            yield from ({"tool_calls": [one]} for several in fragments for one in several)

    def _fragments(self, call: Call, index: int) -> Iterator[Json]:
        first = _call(self._prompt, call, index)
        inner = "input" if call.kind == "custom" else "arguments"
        first[first["type"]][inner] = ""
        yield {"index": index, **first}
        for token in tokens(call.arguments):
            yield {"index": index, first["type"]: {inner: token}}

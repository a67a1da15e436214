"""Replies of generateContent, whole and streamed (https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse)."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from emulator.demo.face import Frame, event
from emulator.demo.limits import tokens
from emulator.demo.opaque import mint
from emulator.demo.reading import RefusedError
from emulator.demo.talk import Call, Json, Prompt, Reply, Search, Text, Thought, Usage, minted

_FINISH = {"end": "STOP", "stop": "STOP", "call": "STOP", "length": "MAX_TOKENS"}
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def refuse(error: RefusedError) -> Json:
    """The body of an error (https://ai.google.dev/gemini-api/docs/troubleshooting)."""
    status = error.type or _STATUS.get(error.status, "UNKNOWN")
    return {"error": {"code": error.status, "message": error.message, "status": status}}


def _usage(usage: Usage) -> Json:
    spoken = usage.output - usage.reasoning
    counts: Json = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": spoken,
        "totalTokenCount": usage.input + usage.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    }
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        counts["cachedContentTokenCount"] = usage.cached
    return counts


def _parts(prompt: Prompt, reply: Reply) -> list[tuple[Json, bool]]:
    """(part, it is text that is streamed in pieces)."""
    parts: list[tuple[Json, bool]] = []
    calls = 0
    for piece in reply.pieces:
        match piece:
            case Thought(text=text) if prompt.shows_thoughts:
                parts.append(({"text": text, "thought": True}, True))
            case Text(text=text):
                parts.append(({"text": text}, True))
            case Call():
                parts.append((_call(prompt, piece, calls), False))
                calls += 1
            case _:
                pass
    return parts


def _call(prompt: Prompt, call: Call, index: int) -> Json:
    function = {"id": minted("", prompt.seed, index)[:8], "name": call.name, "args": orjson.loads(call.arguments)}
    part: Json = {"functionCall": function}
    if index == 0:  # one signature for all calls of a step
        part["thoughtSignature"] = mint("gemini", prompt.seed)
    return part


def _signs_text(prompt: Prompt, reply: Reply) -> bool:
    """Where no call carries the signature, the end of the text does."""
    return prompt.thinks and reply.finish == "end" and bool(reply.pieces)


def _grounding(reply: Reply) -> Json | None:
    search = next((piece for piece in reply.pieces if isinstance(piece, Search)), None)
    if search is None:
        return None
    supports = [
        {
            "segment": {
                "startIndex": len(text.text[: source.start].encode()),
                "endIndex": len(text.text[: source.end].encode()),
                "text": text.text[source.start : source.end],
            },
            "groundingChunkIndices": [i],
        }
        for text in reply.pieces
        if isinstance(text, Text)
        for i, source in enumerate(text.sources)
    ]
    chunks = [{"web": {"uri": source.url, "title": source.title}} for source in search.sources]
    return {"webSearchQueries": [search.query], "groundingChunks": chunks, "groundingSupports": supports}


def _body(prompt: Prompt, candidate: Json | None, usage: Usage) -> Json:
    return {
        **({"candidates": [{**candidate, "index": 0}]} if candidate is not None else {}),
        "usageMetadata": _usage(usage),
        "modelVersion": prompt.model,
        "responseId": minted("", prompt.seed),
    }


def _blocked(prompt: Prompt, reply: Reply) -> Json:
    usage = Usage(reply.usage.input, 0, reply.usage.cached)
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **_body(prompt, None, usage)}


def _ending(reply: Reply) -> Json:
    ending: Json = {"finishReason": _FINISH[reply.finish]}
    if (grounding := _grounding(reply)) is not None:
        ending["groundingMetadata"] = grounding
    return ending


def whole(prompt: Prompt, reply: Reply) -> Json:
    """A reply in one body."""
    if reply.finish == "refusal":
        return _blocked(prompt, reply)
    parts = [part for part, _ in _parts(prompt, reply)]
    if parts and _signs_text(prompt, reply):
        parts[-1]["thoughtSignature"] = mint("gemini", prompt.seed)
    content = {"role": "model", **({"parts": parts} if parts else {})}
    return _body(prompt, {"content": content, **_ending(reply)}, reply.usage)


class GeminiStream:
    """A reply as whole objects whose parts are put together; nothing marks the end but `finishReason`."""

    def __init__(self, prompt: Prompt, reply: Reply) -> None:
        self._prompt, self._reply = prompt, reply

    def frames(self) -> Iterator[Frame]:
        if self._reply.finish == "refusal":
            yield Frame(event(_blocked(self._prompt, self._reply)))
            return
        so_far = Usage(self._reply.usage.input, 0, self._reply.usage.cached)
        for part, streamed in _parts(self._prompt, self._reply):
            for piece in ({**part, "text": token} for token in tokens(part["text"])) if streamed else (part,):
                candidate = {"content": {"role": "model", "parts": [piece]}}
                yield Frame(event(_body(self._prompt, candidate, so_far)), piece=True)
        end: Json = {"text": ""}
        if _signs_text(self._prompt, self._reply):
            end["thoughtSignature"] = mint("gemini", self._prompt.seed)
        last = {"content": {"role": "model", "parts": [end]}, **_ending(self._reply)}
        yield Frame(event(_body(self._prompt, last, self._reply.usage)))

    def failure(self, message: str) -> bytes:
        return event(refuse(RefusedError(message, status=503)))

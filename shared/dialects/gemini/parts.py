"""Parts of a reply that are neither text nor thought: https://ai.google.dev/api/caching#Part."""

from __future__ import annotations

import math
from collections.abc import Iterator

import orjson

from shared.canonical import Audio, Block, Citation, Document, HostedCall, Image, Json, ToolKind
from shared.dialects.gemini.fields import mapping, sequence, string
from shared.errors import Code, GatewayError

_HALVES = (("toolCall", "toolResponse"), ("executableCode", "codeExecutionResult"))
_TOOL_TYPES = {"GOOGLE_SEARCH_WEB": "web_search", "URL_CONTEXT": "web_fetch"}


def call_arguments(args: object, kind: ToolKind) -> str:
    """The arguments as JSON text; of a custom tool the text that its wrapping holds."""
    if kind == "custom":
        match args:
            case {"input": str() as text}:
                return text
        raise GatewayError(Code.PROVIDER_ERROR, "The model called a free-text tool with arguments of another form.")
    return json_text(args) if isinstance(args, dict) else "{}"


def json_text(value: object) -> str:
    """JSON as text. Raises PROVIDER_ERROR for what is nested too deep to be written again (`orjson` writes 254 levels)."""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        raise GatewayError(Code.PROVIDER_ERROR, "The provider's reply is nested too deep to be read.") from None


def media_block(part: Json) -> Block | None:
    """Pictures, sound and files that the model made."""
    match part:
        case {"inlineData": {"data": str() as data, **rest}}:
            media_type = string(rest, "mimeType")
            if media_type.startswith("audio/"):
                return Audio(data=data, format=media_type.removeprefix("audio/"))
            return Image(media_type, data) if media_type.startswith("image/") else Document(media_type, data)
        case {"fileData": {"fileUri": str() as url, **rest}}:
            media_type = string(rest, "mimeType")
            return Image(media_type, url=url) if media_type.startswith("image/") else Document(media_type, url=url)
    return None


class HostedPairs:
    """Calls of Google's own tools, put together with their results, which come in parts of their own."""

    __slots__ = ("_waiting", "kinds")

    def __init__(self) -> None:
        self._waiting: dict[str, Json] = {}
        self.kinds: set[str] = set()  # of tools that were shown

    def take(self, part: Json) -> HostedCall | None:
        """A call, once its result is there."""
        for call_key, result_key in _HALVES:
            if isinstance(call := part.get(call_key), dict):
                identity = _identity(call, call_key)
                before = self._waiting.pop(identity, None)
                self._waiting[identity] = part
                return self._call(before, None) if before else None
            if isinstance(result := part.get(result_key), dict):
                asked = self._waiting.pop(_identity(result, call_key), None)
                return self._call(asked, part)
        return None

    @staticmethod
    def is_half(part: Json) -> bool:
        """True for a call or a result."""
        return any(isinstance(part.get(key), dict) for pair in _HALVES for key in pair)

    def rest(self) -> Iterator[HostedCall]:
        """Calls without a result."""
        for part in self._waiting.values():
            yield self._call(part, None)
        self._waiting.clear()

    def _call(self, asked: Json | None, answered: Json | None) -> HostedCall:
        raw = tuple(part for part in (asked, answered) if part is not None)
        call = mapping(asked, "toolCall") or mapping(answered, "toolResponse")
        if code := mapping(asked, "executableCode") or mapping(answered, "codeExecutionResult"):
            self.kinds.add("code_execution")
            shown: Json = {key: code[key] for key in ("code", "language") if key in code}
            return HostedCall(string(code, "id"), "code_execution", shown, (), "gemini", raw)
        kind = string(call, "toolType")
        name = _TOOL_TYPES.get(kind, kind.lower() or "hosted")
        self.kinds.add(name)
        return HostedCall(
            string(call, "id"),
            name,
            mapping(call, "args"),
            tuple(_sources(mapping(mapping(answered, "toolResponse"), "response"))),
            "gemini",
            raw,
        )


def _sources(response: Json) -> Iterator[Citation]:
    """Addresses in a tool's response, whose form is Google's own affair."""
    for value in response.values():
        for row in value if isinstance(value, list) else ():
            match row:
                case {"uri": str() as url, **rest} | {"url": str() as url, **rest}:
                    yield Citation(url, string(rest, "title"))


def logprobs_of(result: object) -> tuple[Json, ...]:
    """`logprobsResult` in the form of chat completions."""
    match result:
        case {"chosenCandidates": [*chosen], **rest}:
            tops = sequence(rest, "topCandidates")
            return tuple(
                {**_scored(one), "top_logprobs": [_scored(top) for top in _top(tops, at)]}
                for at, one in enumerate(chosen)
                if isinstance(one, dict)
            )
    return ()


def _top(tops: list[object], at: int) -> Iterator[Json]:
    match tops[at] if at < len(tops) else None:
        case {"candidates": [*candidates]}:
            yield from (one for one in candidates if isinstance(one, dict))


def _scored(one: Json) -> Json:
    token = string(one, "token")
    value = one.get("logProbability", 0.0)
    logprob = float(value) if isinstance(value, int | float) and math.isfinite(value) else -9999.0
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _identity(holder: Json, kind: str) -> str:
    return f"{kind}:{string(holder, 'id')}"

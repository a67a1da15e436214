"""What is asked: requests of each client API for a provider of each dialect, over so many connections, whole or streamed."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from bench.upstream import REPLIES
from shared.dialects import Api

CLIENTS: tuple[Api, ...] = ("chat_completions", "messages", "responses")
DIALECTS: tuple[Api, ...] = (*CLIENTS, "gemini")
NAMES: dict[Api, str] = {
    "chat_completions": "chat", "messages": "messages", "responses": "responses", "gemini": "Gemini",
}  # fmt: skip
PATHS: dict[Api, str] = {
    "chat_completions": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses",
}  # fmt: skip
ENDS: dict[Api, bytes] = {
    "chat_completions": b"data: [DONE]", "messages": b'"message_stop"', "responses": b'"response.completed"',
}  # fmt: skip
_FROM: dict[Api, bytes] = {
    "chat_completions": b"chat/completions", "messages": b"messages", "responses": b"responses", "gemini": b"enerateContent",
}  # fmt: skip
PACE_MS = 10
_QUICK_PACE_MS = 1
_PROMPT = "Say sixty words about a word. "


@dataclass(frozen=True, slots=True)
class Case:
    """A way of asking. `upstream` is the dialect of the provider that shall answer, `pace` the milliseconds
    between its events, `prompt` the size of the prompt."""

    client: Api = "chat_completions"
    upstream: Api = "chat_completions"
    connections: int = 64
    stream: bool = False
    pace: int = 0
    prompt: int = 300

    @property
    def name(self) -> str:
        """In words, without the number of connections."""
        kind = "streamed, paced" if self.pace else "streamed" if self.stream else "whole"
        return f"{self.lane}, {kind}" + (f", {self.prompt // 1024} KB prompt" if self.prompt >= 1024 else "")

    @property
    def lane(self) -> str:
        """From which dialect to which."""
        names = dict.fromkeys((NAMES[self.client], NAMES[self.upstream]))
        return " → ".join(names)

    @property
    def place(self) -> str:
        """What the path holds that the provider is asked at."""
        return _FROM[self.upstream].decode()

    @property
    def nominal(self) -> float:
        """Seconds that a paced stream of the provider takes: its first word comes at once."""
        reply = REPLIES[_FROM[self.upstream]]
        return (len(reply.chunks) - reply.lead) * self.pace / 1000

    def body(self, model: str) -> bytes:
        """The request for a model."""
        talk = [{"role": "user", "content": (_PROMPT * (self.prompt // len(_PROMPT) + 1))[: self.prompt]}]
        if self.client == "responses":
            return orjson.dumps({"model": model, "max_output_tokens": 100, "stream": self.stream, "input": talk})
        return orjson.dumps({"model": model, "max_tokens": 100, "stream": self.stream, "messages": talk})


def lane(client: Api, upstream: Api, *, stream: bool) -> Case:
    """A pair of dialects, at the number of connections at which such replies are counted."""
    return Case(client, upstream, 32 if stream else 64, stream)


TRANSLATED, TRANSLATED_STREAM = (lane("messages", "chat_completions", stream=stream) for stream in (False, True))
OTHER_WAY, OTHER_WAY_STREAM = (lane("chat_completions", "messages", stream=stream) for stream in (False, True))
WHOLE = Case()
ONE = Case(connections=1)
ONE_TRANSLATED = Case("messages", "chat_completions", 1)
MANY = Case(connections=256)
LONG = Case(prompt=65_536)
STREAMED = lane("chat_completions", "chat_completions", stream=True)
FIRST_WORD = Case(connections=1, stream=True, pace=_QUICK_PACE_MS)
PACED = Case(stream=True, pace=PACE_MS)
PACED_MANY = Case(connections=256, stream=True, pace=PACE_MS)
LANES = [
    (client, upstream)
    for client in CLIENTS
    for upstream in DIALECTS
    if (client, upstream) != ("chat_completions", "gemini")  # Google speaks chat itself, so nothing is translated
]
WHOLE_PAIRS, STREAMED_PAIRS = ([lane(*pair, stream=stream) for pair in LANES] for stream in (False, True))
PACED_PAIRS = [Case(*pair, stream=True, pace=PACE_MS) for pair in LANES]

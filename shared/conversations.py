"""Where conversations went lately, and how long models' replies are: what one process remembers, bounded and never shared.

A conversation stays with its provider without any shared state: the price comparison uses figures that don't change from turn to
turn (`routing.steady`), and state that a provider sealed into the history names its maker. What is kept here on top of that lets a
conversation stay where a fallback took it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from hashlib import blake2b

import orjson

from shared.canonical import Json
from shared.dialects.seal import PREFIX_BYTES
from shared.plan import Ask

MOST = 10_000
CACHE_SECONDS = 300.0
LONG_CACHE_SECONDS = 3600.0
_LONG_MARK = re.compile(rb'"ttl"\s*:\s*"1h"')
_SESSION_HEADERS = ("x-claude-code-session-id", "session_id", "x-session-id")
_SESSION_FIELDS = ("prompt_cache_key", "session_id")


def key_of(caller: str, ask: Ask) -> bytes | None:
    """What all turns of a conversation have in common: the session that the client names, else the head of the conversation. None
    for a single question without a session. Worked out once for a request, which has one caller."""
    if not ask.conversation:
        ask.conversation = (_key(caller, ask),)
    return ask.conversation[0]


def _key(caller: str, ask: Ask) -> bytes | None:
    named = next((value for name in _SESSION_HEADERS if (value := ask.headers.get(name))), None)
    named = named or next(
        (value for name in _SESSION_FIELDS if isinstance(value := ask.body.get(name), str) and value), None
    )
    if named is None:
        head = _head(ask.body)
        if head is None:
            return None
        try:
            named = orjson.dumps(head).decode()
        except orjson.JSONEncodeError:  # nested deeper than it writes: no conversation that a model reads
            return None
    return blake2b(f"{caller}\0{ask.model}\0{named}".encode(), digest_size=16).digest()


def _head(body: Json) -> list[object] | None:
    """The system prompt and the first message that isn't one, of a conversation that goes on."""
    turns = body.get("messages", body.get("input"))
    if not isinstance(turns, list) or len(turns) < 2:
        return None
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("role") not in ("system", "developer"):
            return [body.get("system", body.get("instructions")), turns[: number + 1]]
    return None


def maker_in(raw: bytes) -> str | None:
    """The provider that sealed the newest state in a conversation: it alone can read it."""
    start = raw.rfind(PREFIX_BYTES)
    if start < 0:
        return None
    maker, dot, _ = raw[start + len(PREFIX_BYTES) : start + 64].partition(b".")
    return maker.decode("ascii", "replace") if dot else None


class Conversations:
    """Conversation -> provider, as long as a prompt cache lives."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def provider(self, key: bytes | None, now: float) -> str | None:
        """Where the conversation was served last, if its cache may still be warm."""
        kept = self._kept.get(key) if key is not None else None
        return kept[0] if kept is not None and now < kept[1] else None

    def keep(self, key: bytes | None, provider: str, raw: bytes, now: float) -> None:
        """The conversation was served there."""
        if key is None:
            return
        lasts = LONG_CACHE_SECONDS if _LONG_MARK.search(raw) else CACHE_SECONDS
        self._kept.pop(key, None)
        self._kept[key] = (provider, now + lasts)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)


class Habits:
    """How many tokens a model's replies take on average (an exponential mean of the recent ones)."""

    _WEIGHT = 0.1

    def __init__(self, initial: int) -> None:
        self._initial = initial
        self._means: dict[str, float] = {}

    def output(self, model: str) -> int:
        """The mean so far."""
        return round(self._means.get(model, self._initial))

    def learn(self, model: str, tokens: int) -> None:
        """A reply took so many."""
        if len(self._means) < MOST or model in self._means:
            mean = self._means.get(model, float(self._initial))
            self._means[model] = mean + self._WEIGHT * (tokens - mean)

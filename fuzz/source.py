"""Decisions made of bytes: the same bytes make the same values, and few bytes make small ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import orjson

T = TypeVar("T")

_DEEPEST = 5
_NUMBERS: tuple[Any, ...] = (0, 1, -1, 2, 7, 100, 4096, 2**31, 2**53, 2**63 - 1, -(2**63), 0.5, -0.0, 1e-320, 1e308)
_TEXTS = (
    "",
    " ",
    "\x00",
    "\n\n",
    "{}",
    "[]",
    "null",
    "{",
    '{"a":1}',
    '{"input":"x"}',
    '{"input":"\\ud83d',
    "\u2028",
    "é🧥",
    "\ud7ff",
    "a" * 65,
    "x" * 3_000,
    "gw1.",
    "gw1.a.WyJhIiwiYiJd",
    "data:image/png;base64,aGk=",
    "data:,",
    "https://example.com/a.png",
    "../../etc",
    "a.b",
    "1e400",
    "-1",
)


_CARRIERS = ("signature", "encrypted_content", "data", "thought_signature")


class Source:
    """Takes decisions from the front of its bytes; when they are used up, every decision is the first choice."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether all bytes are used up."""
        return self._at >= len(self._data)

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1."""
        size = 1 if limit <= 256 else 2
        taken = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken) % limit if limit > 0 else 0

    def pick(self, choices: Sequence[T]) -> T:
        """One of these."""
        return choices[self.below(len(choices))]

    def chance(self, of: int) -> bool:
        """True once in `of` times; False when the bytes are used up."""
        return not self.over and self.below(of) == 0

    def raw(self, most: int) -> bytes:
        """Some of the bytes themselves."""
        size = self.below(most + 1)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        taken = self._data[self._at :]
        self._at = len(self._data)
        return taken

    def text(self, words: Sequence[str] = ()) -> str:
        """A word of the vocabulary, an odd text, or any."""
        match self.below(4):
            case 0 | 1 if words:
                return self.pick(words)
            case 2:
                return self.raw(24).decode("utf-8", "replace")
        return self.pick(_TEXTS)

    def json(self, words: Sequence[str] = (), depth: int = 0) -> Any:
        """A JSON value whose names and texts are mostly words of the vocabulary."""
        match self.below(8):
            case 0 | 1:
                return self.text(words)
            case 2:
                return self.pick(_NUMBERS)
            case 3:
                return self.pick((None, True, False))
            case 4 | 5 if depth < _DEEPEST:
                return {self.text(words): self.json(words, depth + 1) for _ in range(self.below(5))}
            case 6 if depth < _DEEPEST:
                return [self.json(words, depth + 1) for _ in range(self.below(5))]
            case 7 if self.chance(8):
                return self._nested()
        return self.text(words)

    def _nested(self) -> Any:
        value: Any = "x"
        for _ in range(self.pick((30, 200, 300, 900))):
            value = [value] if self._at & 1 else {"properties": value}
        return value

    def object(self, names: Sequence[str], words: Sequence[str] = ()) -> dict[str, Any]:
        """An object of these names, and sometimes of others."""
        return {
            self.text(words) if self.chance(8) else self.pick(names): self.json(words) for _ in range(self.below(7))
        }

    def bend(self, value: Any, words: Sequence[str] = (), seals: Sequence[str] = ()) -> Any:
        """The value with something wrong at one place. Changes it. `seals` are for places where state is carried."""
        holder: Any = None
        key: Any = None
        at = value
        while isinstance(at, dict | list) and at and (holder is None or not self.chance(4)):
            holder, key = at, self.pick(list(at)) if isinstance(at, dict) else self.below(len(at))
            at = holder[key]
        if holder is None:
            return self.json(words)
        if seals and key in _CARRIERS and self.chance(2):
            holder[key] = self.pick(seals)
            return value
        match self.below(7):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(self.below(len(holder) + 1), at)
            case 1 | 2 if isinstance(holder, dict):
                holder[self.text(words)] = at if self.chance(2) else self.json(words)
            case 3:
                holder[key] = [at]
            case 4 if isinstance(at, str):
                holder[key] = at[: self.below(len(at) + 1)] + self.text(words)
            case _:
                holder[key] = self.json(words)
        return value


def dumped(value: Any) -> bytes:
    """JSON as bytes. `orjson` reads deeper than it writes, and whoever sends may use another writer."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()

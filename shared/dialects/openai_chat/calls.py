"""Tool calls in the middle of a stream: which fragment belongs to which call, and whether a call is whole.

https://platform.openai.com/docs/guides/function-calling#streaming
"""

from __future__ import annotations

import orjson

from shared.canonical import Json, Opaque
from shared.dialects.openai_chat.response import arguments_text
from shared.dialects.toolnames import Unwrap


class Call:
    """One tool call on its way."""

    __slots__ = ("checked", "closed", "details", "id", "name", "native", "number", "opaque", "pieces", "unwrap")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.native = False  # of type `custom`: its text comes bare
        self.pieces: list[str] = []
        self.checked = 0  # pieces at the last look whether the arguments are whole
        self.closed = False
        self.opaque: Opaque | None = None
        self.details: list[Json] = []
        self.unwrap: Unwrap | None = None

    def is_whole(self) -> bool:
        """Whether the arguments so far are one JSON value. A bare text never tells."""
        if self.native or self.checked == len(self.pieces):
            return False
        self.checked = len(self.pieces)
        try:
            orjson.loads("".join(self.pieces))
        except ValueError:
            return False
        return True


class Calls:
    """The calls of one reply."""

    __slots__ = ("_by_key", "_last")

    def __init__(self) -> None:
        self._by_key: dict[object, Call] = {}
        self._last: object = None  # key of the call that spoke last

    def __len__(self) -> int:
        return len(self._by_key)

    def note(self, entry: Json) -> tuple[Call, str, bool]:
        """The call that a fragment belongs to, the fragment's piece of the arguments, and whether the call is new."""
        called, piece = _called(entry)
        call = self._by_key.get(self._key(entry, called))
        new = call is None
        if call is None:
            call = self._by_key[self._last] = Call(len(self._by_key))
        if not call.id and isinstance(id_ := entry.get("id"), str):
            call.id = id_
        if not call.name and isinstance(name := called.get("name"), str):
            call.name = name
        call.native = call.native or "custom" in entry
        return call, piece, new

    def unfinished(self, id_: object) -> Call | None:
        """The call of that id, if it is still on its way."""
        if not id_:
            return None
        return next((call for call in self._by_key.values() if call.id == id_ and not call.closed), None)

    def _key(self, entry: Json, called: Json) -> object:
        """What tells calls apart: the index. Gemini leaves it out, or sends 0 for all; there a new id is a new call.

        https://github.com/openai/openai-python/issues/2806, https://github.com/QuantumNous/new-api/pull/2701
        """
        index, id_ = entry.get("index"), entry.get("id")
        known = isinstance(index, int | str)
        key: object = index if known else ("id", id_) if isinstance(id_, str) and id_ else self._last
        call = self._by_key.get(key)
        if call and call.id and isinstance(id_, str) and id_ and id_ != call.id and called.get("name"):
            key = ("again", key, id_)
        self._last = key
        return key


def _called(entry: Json) -> tuple[Json, str]:
    """The named part of a fragment, and its piece of the arguments."""
    for kind, field in (("function", "arguments"), ("custom", "input")):
        if isinstance(called := entry.get(kind), dict):
            return called, arguments_text(called.get(field))
    return {}, ""

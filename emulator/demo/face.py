"""What each wire format of the demo shows to its server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from emulator.demo.reading import RefusedError
from emulator.demo.talk import Json, Prompt, Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands outside the body: headers in lower case and, for Gemini, the model's name and whether to stream."""

    headers: Mapping[str, str]
    model: str = ""
    stream: bool = False
    counting: bool = False  # only the tokens are wanted


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes of a stream. A `piece` holds content: pauses and faults are counted in pieces."""

    data: bytes
    piece: bool = False


class Stream(Protocol):
    """A reply as a stream of events."""

    def frames(self) -> Iterator[Frame]:
        """The events in order."""

    def failure(self, message: str) -> bytes:
        """The API's event for an error at this place."""


@dataclass(frozen=True, slots=True)
class Face:
    """One wire format. `read` raises `RefusedError` for a body that the real API would refuse."""

    read: Callable[[Json, Asked], Prompt]
    whole: Callable[[Prompt, Reply], Json]
    stream: Callable[[Prompt, Reply], Stream]
    count: Callable[[int], Json]
    refuse: Callable[[RefusedError], Json]


def event(data: Json, name: str = "") -> bytes:
    """One server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + orjson.dumps(data) + b"\n\n"

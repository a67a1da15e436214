"""Wire formats: a folder each, pure code. This is the face that all of them show to the rest of the gateway.

A dialect serves both sides: it reads what a client sends and writes what a client reads, and the same for a provider.
`ALL` is looked up by the catalog's name of the API; folders are imported when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Literal, Protocol, cast

from shared.canonical import Event, Json, Request, Response, Target, Usage
from shared.dialects.toolnames import ToolNames
from shared.errors import GatewayError
from shared.sse import SSE

Api = Literal["chat_completions", "messages", "responses", "gemini"]


@dataclass(frozen=True, slots=True)
class Written:
    """A request in a provider's form. `dropped` names what the target lacks, by the names of `canonical.Request`'s fields or
    of blocks (`thinking`, `citations` …). `tools` maps the names back that were flattened or shortened."""

    body: Json
    dropped: tuple[str, ...] = ()
    tools: ToolNames = field(default_factory=ToolNames)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader of a provider's reply must know: who made it, and how tool names map back."""

    target: Target
    tools: ToolNames = field(default_factory=ToolNames)


@dataclass(frozen=True, slots=True)
class Writing:
    """What a writer of a reply must know: the client's request (`body` as it came, for fields that are echoed), the model's name
    to show, the request's id (32 hex digits, source of the reply's id) and its time (seconds since 1970)."""

    request: Request
    body: Json
    model: str
    id: str
    created: int


class StreamReader(Protocol):
    """A provider's events to canonical ones. A reader refuses what breaks the grammar: it answers `Failed` and then nothing."""

    def feed(self, event: SSE) -> list[Event]:
        """The canonical events that this one completes."""

    def close(self) -> list[Event]:
        """What is left at the end of the bytes: `Finish` if the stream may end here, `Failed` if its terminal event is missing."""


class StreamWriter(Protocol):
    """Canonical events to the bytes of the client's stream; a `Failed` becomes the API's own error event."""

    def feed(self, event: Event) -> bytes:
        """Encoded events, possibly none."""


class Meter(Protocol):
    """Looks at a reply that passes through, and counts. Never raises, never changes a byte."""

    usage: Usage | None  # None: nothing was reported yet
    model: str  # as the provider names it, once seen
    ended: bool  # the terminal event was seen
    failed: bool  # an error event was seen
    output_chars: int  # characters of text, thinking and arguments, roughly: for an estimate where usage never comes

    def see(self, event: SSE) -> None:
        """One event of a stream."""

    def see_block(self, block: bytes) -> bool:
        """Whole events at once, where they are mere deltas, as nearly all are. False: they are not, and nothing was counted."""

    def whole(self, body: Json) -> None:
        """A whole reply."""

    def break_off(self, error: GatewayError) -> bytes:
        """The API's error event(s) to end a stream that broke, in step with what was seen so far."""


class Repair(Protocol):
    """Mends a provider's known faults in a reply of the client's own dialect."""

    def event(self, event: SSE) -> SSE | None:
        """The event, mended or as it is; None: the client must not see it."""

    def block(self, block: bytes) -> bytes | None:
        """Whole events at once, mended; None: they have to be looked at one by one."""

    def whole(self, body: Json) -> Json:
        """A whole reply, mended."""


def _nothing(body: Json, target: Target) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format. See the protocols above and `shared.canonical` for what goes in and out.

    `adapt` makes a client's body fit for a provider that speaks the same dialect: the model's id, quirks, sealed state of other
    makers, `stream_options`; it answers the very same object where nothing had to change, and the names of what was dropped.
    `repair` answers None where a reply needs no mending. `names` maps fields of `canonical.Request` to the client's own words.
    `lacks` tells what of the body a provider of the same dialect hasn't got although a translation can do without it: then the
    request is translated to its own dialect.
    `read_*` raise VALIDATION_ERROR for bodies that are wrong and UNSUPPORTED_BY_MODEL for what has no meaning elsewhere.
    """

    api: Api
    read_request: Callable[[Json], Request]
    write_request: Callable[[Request, Target], Written]
    read_response: Callable[[Json, Reading], Response]
    write_response: Callable[[Response, Writing], Json]
    stream_reader: Callable[[Reading], StreamReader]
    stream_writer: Callable[[Writing], StreamWriter]
    meter: Callable[[], Meter]
    adapt: Callable[[Json, Target], tuple[Json, tuple[str, ...]]]
    repair: Callable[[Json, Target], Repair | None]
    read_error: Callable[[int, bytes], GatewayError]
    write_error: Callable[[GatewayError, str], Json]
    names: dict[str, str]
    lacks: Callable[[Json, Target], str] = _nothing


FOLDERS: dict[Api, str] = {
    "chat_completions": "openai_chat",
    "messages": "anthropic",
    "responses": "openai_responses",
    "gemini": "gemini",
}
"""Wire format -> its folder here, and the folder of its recordings."""


@cache
def dialect(api: Api) -> Dialect:
    """The dialect that the catalog calls `api`."""
    return cast(Dialect, import_module(f"shared.dialects.{FOLDERS[api]}").DIALECT)

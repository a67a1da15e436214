"""The recordings of all wire formats, and how a test plays them through readers and writers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from shared.canonical import Event, Flags, Json, Limits, Request, Response, Target
from shared.dialects import FOLDERS, Api, Dialect, Reading, Writing, dialect
from shared.sse import SSE, Parser

ROOT = Path(__file__).parents[1] / "recordings"
CLIENTS: tuple[Api, ...] = ("chat_completions", "messages", "responses")
APIS: tuple[Api, ...] = (*CLIENTS, "gemini")

MAKER = Target(
    "maker",
    "model-1",
    limits=Limits(200_000, 32_000),
    flags=Flags(
        prefill=True,
        thinking="effort",
        thinking_off="none",
        effort=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        json_schema=True,
        mid_system=True,
    ),
    input=frozenset({"text", "image", "pdf", "audio"}),
)
READING = Reading(MAKER)


def names(api: Api, folder: str, suffix: str) -> list[str]:
    """What was recorded of this kind."""
    return sorted(path.stem for path in (ROOT / FOLDERS[api] / folder).glob(f"*.{suffix}"))


@cache
def raw(api: Api, folder: str, name: str) -> bytes:
    """A recording as it came."""
    return (ROOT / FOLDERS[api] / folder / name).read_bytes()


@dataclass(frozen=True)
class Recorded:
    """A reply that exists whole and streamed."""

    api: Api
    name: str

    def __str__(self) -> str:
        return f"{FOLDERS[self.api]}-{self.name}"

    @property
    def dialect(self) -> Dialect:
        return dialect(self.api)

    @property
    def body(self) -> Json:
        """The whole reply."""
        body: Json = orjson.loads(raw(self.api, "replies", f"{self.name}.json"))
        return body

    @property
    def stream(self) -> bytes:
        """The streamed one."""
        return raw(self.api, "replies", f"{self.name}.sse")

    def response(self) -> Response:
        """The whole reply in the canonical form."""
        return self.dialect.read_response(self.body, READING)


REPLIES = [Recorded(api, name) for api in APIS for name in names(api, "replies", "json")]


def parse(stream: bytes) -> list[SSE]:
    return Parser().feed(stream)


def read(api: Api, stream: list[SSE]) -> list[Event]:
    """What a reader makes of a stream and of its end."""
    reader = dialect(api).stream_reader(READING)
    return [event for sse in stream for event in reader.feed(sse)] + reader.close()


def writing(request: Request | None = None, body: Json | None = None) -> Writing:
    """For a client that wants the usage of a stream too."""
    asked = request or Request("shown-model", (), stream=True, stream_usage=True)
    return Writing(asked, body or {"model": "shown-model"}, "shown-model", "0123456789abcdef" * 2, 1_795_550_400)


def written(api: Api, found: list[Event], how: Writing | None = None) -> bytes:
    """The client's stream of these events."""
    writer = dialect(api).stream_writer(how or writing())
    return b"".join(map(writer.feed, found))


def shown(api: Api, response: Response, how: Writing | None = None) -> Json:
    """The client's whole reply, as JSON brings it."""
    body: Json = orjson.loads(orjson.dumps(dialect(api).write_response(response, how or writing())))
    return body

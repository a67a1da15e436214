"""What was recorded of each wire format: the fuzzer's first inputs, and the words of its vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from shared.canonical import Opaque
from shared.dialects import FOLDERS, Api
from shared.dialects.anthropic.reasoning import NEXT, PREVIOUS
from shared.dialects.seal import seal
from shared.sse import SSE, Parser

ROOT = Path(__file__).parents[1] / "tests" / "recordings"
CLIENTS: tuple[Api, ...] = ("chat_completions", "messages", "responses")

_LONGEST_WORD = 40
_LARGEST = 40_000  # bytes of a recording; a larger one only makes every try slower


@cache
def bodies(api: Api, *kinds: str) -> tuple[bytes, ...]:
    """Recorded JSON of these kinds (`requests`, `clients`, `replies`, `errors`)."""
    files = [path for kind in kinds for path in sorted((ROOT / FOLDERS[api] / kind).glob("*.json"))]
    found = [path.read_bytes() for path in files]
    return tuple(
        orjson.dumps(orjson.loads(one)) for one in found if one.startswith((b"{", b"[")) and len(one) <= _LARGEST
    )


@cache
def streams(api: Api) -> tuple[tuple[SSE, ...], ...]:
    """Recorded streams, event by event."""
    files = [path for kind in ("replies", "broken") for path in sorted((ROOT / FOLDERS[api] / kind).glob("*.sse"))]
    return tuple(tuple(Parser().feed(path.read_bytes())) for path in files)


@cache
def words(api: Api) -> tuple[str, ...]:
    """Names and short texts of this format's recordings."""
    found: set[str] = set()
    for raw in bodies(api, "requests", "clients", "replies", "errors"):
        found.update(_words(orjson.loads(raw)))
    for stream in streams(api):
        for event in stream:
            if event.data.startswith(b"{"):
                found.update(_words(orjson.loads(event.data)))
    return tuple(sorted(word for word in found if len(word) <= _LONGEST_WORD))


@cache
def tool_names() -> tuple[str, ...]:
    """Names of the tools that recorded replies call."""
    found = {name for api in FOLDERS for raw in bodies(api, "replies") for name in _names(orjson.loads(raw))}
    return tuple(sorted(found))


_MAKERS = ("maker", "anthropic", "google", "openai", "openrouter", "xai", "none")
_KINDS = ("signature", "redacted_thinking", "thought_signature", "media_signature", "thought", "parts", "reasoning_details",
          "responses.reasoning", "of.call", "of.text", "of.redacted", f"{NEXT}thought_signature", f"{PREVIOUS}signature", "source")  # fmt: skip
_STATES = ("", "c2ln", "[]", "{}", '["call_1","thought_signature","c2ln"]', '["","signature",""]',
           '[{"toolCall":{"id":"a","toolType":"GOOGLE_SEARCH_WEB","args":{}}},{"toolResponse":{"id":"a","response":{}}}]',
           '[{"type":"reasoning.text","text":"hm","signature":"s","index":0}]',
           '{"id":"rs_1","encrypted_content":"e","summary":[2],"content":[1]}', '{"summary":[-1],"content":[]}')  # fmt: skip


@cache
def seals() -> tuple[str, ...]:
    """State of every kind and of several makers, as clients bring it back."""
    return tuple(seal(Opaque(maker, kind, state)) for maker in _MAKERS for kind in _KINDS for state in _STATES)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from _words(below)
    elif isinstance(value, list):
        for below in value:
            yield from _words(below)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(name := value.get("name"), str) and name:
            yield name
        for below in value.values():
            yield from _names(below)
    elif isinstance(value, list):
        for below in value:
            yield from _names(below)

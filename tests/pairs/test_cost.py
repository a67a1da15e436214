"""Translation stays cheap: work grows with the size and no faster, open streams are small, and no dialect knows a provider."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import orjson
import pytest

from bench.translation import conversation, memory_of, relay, stream_of, translate
from catalog.load import load
from shared.canonical import BlockEnd as End
from shared.canonical import BlockStart, Delta, Finish, Start, Text, ToolCall, Usage
from shared.dialects import Api, dialect
from shared.relay import Relay
from tests.pairs.recorded import APIS, CLIENTS, FOLDERS, writing

every_pair = pytest.mark.parametrize(("client", "upstream"), [(c, u) for c in CLIENTS for u in APIS])


def steps(work: Callable[[], object]) -> int:
    """Function calls, Python's and C's, that a piece of work takes: a measure that no busy machine disturbs."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        if event in ("call", "c_call"):
            count += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@every_pair
def test_twice_the_conversation_is_twice_the_work(client: Api, upstream: Api) -> None:
    small, large = (orjson.dumps(conversation(client, size)) for size in (100_000, 200_000))
    translate(client, upstream, small)
    assert steps(partial(translate, client, upstream, large)) < 2.2 * steps(partial(translate, client, upstream, small))


def feed(one: Relay, pieces: list[bytes]) -> None:
    for piece in pieces:
        one.feed(piece)
    one.close()


def long_stream(api: Api, pieces: int, block: Text | ToolCall) -> list[bytes]:
    """A stream of one text, or of one call with its arguments, in many pieces."""
    events = [
        Start("x", "m"),
        BlockStart(block),
        *(Delta('{"a":"' if number == 0 else "word ") for number in range(pieces)),
        Delta('"}'),
        End(),
        Finish("tool_call" if isinstance(block, ToolCall) else "end", Usage(input=1, output=1)),
    ]
    writer = dialect(api).stream_writer(writing())
    return [raw for raw in map(writer.feed, events) if raw]


@pytest.mark.parametrize("block", [Text(""), ToolCall("call_1", "f")], ids=["text", "arguments"])
@pytest.mark.parametrize("upstream", CLIENTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_twice_the_stream_is_twice_the_work(client: Api, upstream: Api, block: Text | ToolCall) -> None:
    """Streams whose last events repeat the whole text are no exception."""
    small, large = (long_stream(upstream, pieces, block) for pieces in (500, 1000))
    feed(relay(client, upstream), small)
    counted = [steps(partial(feed, relay(client, upstream), pieces)) for pieces in (small, large)]
    assert counted[1] < 2.2 * counted[0]


@every_pair
def test_an_open_stream_holds_little(client: Api, upstream: Api) -> None:
    assert memory_of(client, upstream, open_streams=20) < 50 * 1024


@every_pair
def test_a_stream_costs_no_more_steps_than_its_length_allows(client: Api, upstream: Api) -> None:
    """About 60 events: a loop inside a loop would show here long before a clock would tell."""
    pieces = stream_of(upstream)
    feed(relay(client, upstream), pieces)
    assert steps(partial(feed, relay(client, upstream), pieces)) < 120 * len(pieces)


# ── no names of providers ────────────────────────────────────────────────────────────────────────────────────────

WIRE_KEYS = {"google"}
"""Providers' names that are fields of a wire format: `extra_content.google.thought_signature`."""


def names_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every text and every identifier of a module, with its line: no comments, no docstrings, no imports."""
    docs = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict | ast.MatchMapping) for key in node.keys}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docs and not (id(node) in keys and text in WIRE_KEYS):
                yield node.lineno, text
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.Attribute(attr=name):
                yield node.lineno, name


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_no_dialect_knows_a_provider_by_name(folder: str) -> None:
    providers = set(load().providers)
    assert {"openai", "anthropic", "google", "xai", "openrouter"} <= providers
    for file in sorted((Path(__file__).parents[2] / "shared" / "dialects" / folder).glob("*.py")):
        for line, name in names_in(ast.parse(file.read_text())):
            assert name.lower().strip("_") not in providers, f"{file.name}:{line}: {name}"

"""What the fuzzer has found, as cases that can be read; and its harnesses, each with a few inputs, so that they stay usable."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import Any

import orjson
import pytest

from catalog.load import CatalogError, load
from fuzz.harnesses import HARNESSES
from fuzz.recordings import CLIENTS
from fuzz.wire import readings, writing
from shared.canonical import Json, Target
from shared.counting import estimate
from shared.dialects import Api, dialect
from shared.errors import Code, GatewayError
from shared.relay import Passthrough, Translated


def deep(levels: int) -> Any:
    """Nested deeper than `orjson` writes, if `levels` is above 254."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def json(value: Any) -> bytes:
    """As another writer than `orjson` sends it."""
    return dumps(value).encode()


def some_bytes(number: int) -> bytes:
    return bytes((number * 37 + at * at * 11) % 256 for at in range(number * 20))


@pytest.mark.parametrize("name", HARNESSES)
def test_harnesses_run_without_a_fuzzer(name: str) -> None:
    for number in range(12):
        HARNESSES[name](some_bytes(number))


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

SCHEMA = {"type": "object", "properties": deep(300)}
COUNTED: dict[Api, list[Json]] = {
    "chat_completions": [
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
    ],
    "messages": [{"tools": [{"name": "f", "input_schema": SCHEMA}]}],
    "responses": [{"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}],
}


@pytest.mark.parametrize(("client", "more"), [(client, more) for client in CLIENTS for more in COUNTED[client]])
def test_a_prompt_that_can_be_read_but_not_written_is_not_counted(client: Api, more: Json) -> None:
    talk = {"input": "hi"} if client == "responses" else {"messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(GatewayError) as refused:
        estimate(dialect(client).read_request({"model": "m", "max_tokens": 9, **talk, **more}))
    assert refused.value.code is Code.VALIDATION_ERROR


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────

REPLIES: dict[Api, Json] = {
    "chat_completions": {"choices": [{"message": {"role": "assistant", "content": "a", "annotations": [
        {"type": "url_citation", "url_citation": {"url": "https://a.example", "x": deep(400)}}]},
        "logprobs": {"content": [{"token": "a", "logprob": -1.0, "bytes": deep(400), "top_logprobs": []}]},
        "finish_reason": "stop"}]},
    "messages": {"type": "message", "role": "assistant", "stop_reason": "end_turn", "content": [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": deep(400)}},
        {"type": "text", "text": "a", "citations": [{"type": "x", "y": deep(400)}]}], "usage": {"input_tokens": 1, "output_tokens": 1}},
    "responses": {"id": "r", "status": "completed", "output": [
        {"type": "web_search_call", "id": "w", "status": "completed", "action": {"type": "search", "query": deep(400)}}]},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP",
        "groundingMetadata": {"webSearchQueries": ["q"], "x": deep(400)}}]},
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", REPLIES)
def test_a_whole_reply_that_could_not_be_written_again_is_the_providers_fault(client: Api, upstream: Api) -> None:
    relay = Translated(dialect(client), dialect(upstream), readings()[0], writing({"model": "m"}))
    with pytest.raises(GatewayError) as told:
        relay.whole(json(REPLIES[upstream]))
    assert told.value.code is Code.PROVIDER_ERROR


EVENTS: dict[Api, list[Json]] = {
    "chat_completions": [{"id": "c", "model": "m", "choices": [
        {"index": 0, "delta": {"content": "a", "annotations": [{"x": deep(400)}]}, "logprobs": {"content": [{"token": "a", "x": deep(400)}]}}]}],
    "messages": [
        {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": deep(400)}}},
        {"type": "content_block_stop", "index": 0},
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r", "model": "m"}},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "web_search_call", "id": "w", "action": {"query": deep(400)}}},
    ],
    "gemini": [REPLIES["gemini"]],
}  # fmt: skip


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", EVENTS)
def test_an_event_that_could_not_be_written_again_ends_the_stream_in_the_clients_own_words(
    client: Api, upstream: Api
) -> None:
    relay = Translated(dialect(client), dialect(upstream), readings()[0], writing({"model": "m"}))
    out = b"".join(relay.feed(b"data: %b\n\n" % json(event)) for event in EVENTS[upstream])
    assert relay.failed is not None
    assert relay.failed.code is Code.PROVIDER_ERROR
    assert b"nested too deep" in out
    assert relay.close() == b""


def test_a_searchs_input_in_pieces_is_no_way_around_it() -> None:
    pieces = json({"query": deep(400)}).decode()
    begun = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = [
        *EVENTS["messages"][:1],
        {"type": "content_block_start", "index": 0, "content_block": begun},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}}
            for piece in (pieces[:500], pieces[500:])
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
    ]
    for client in CLIENTS:
        relay = Translated(dialect(client), dialect("messages"), readings()[0], writing({"model": "m"}))
        for event in events:
            relay.feed(b"data: %b\n\n" % json(event))
        assert relay.failed is not None


# ── replies that are mended on their way ─────────────────────────────────────────────────────────────────────────

MENDED = Target("google", "m", quirks=frozenset({"tool_call_index_missing", "finish_reason_stop_on_tool_calls"}))
CALL: Json = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def mending() -> Passthrough:
    chat = dialect("chat_completions")
    return Passthrough(chat, chat.repair({"model": "m", "stream": True}, MENDED))


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": 5, "x": {"tool_calls": [CALL]}},
        {"choices": True, "tool_calls": [CALL]},
        {"choices": [{"delta": {"tool_calls": [CALL], "x": deep(400)}}]},
    ],
    ids=["a number", "true", "deep"],
)
def test_what_cannot_be_mended_passes_as_it_came(chunk: Json) -> None:
    raw = b"data: %b\n\n" % json(chunk)
    assert mending().feed(raw.replace(b" ", b"").replace(b"data:", b"data: ")) != b""


def test_a_whole_reply_too_deep_to_mend_passes_as_it_came() -> None:
    choice = {"message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "stop"}
    raw = json({"choices": [choice], "x": deep(400)})
    assert mending().whole(raw) == raw
    assert b'"finish_reason":"tool_calls"' in mending().whole(json({"choices": [choice]}))


# ── the catalog ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("changed", [{"aliases": [["a"]]}, {"aliases": [{"a": 1}]}, {"successor": ["a"]}, {"id": 5}])
def test_names_in_the_catalog_are_texts(tmp_path: Path, changed: dict[str, Any]) -> None:
    provider = {"id": "p", "title": "P", "root": "https://p.example", "endpoints": {"messages": {"path": "/m"}}}
    offer = {"provider": "p", "id": "m-1"}
    model = {"id": "m", "name": "M", "vendor": "v", "input": ["text"], "offers": [offer]}
    for kind, row in (("providers", provider), ("models", [model])):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "one.yaml").write_bytes(orjson.dumps(row))
    assert list(load(tmp_path).models) == ["m"]
    (tmp_path / "models" / "one.yaml").write_bytes(orjson.dumps([{**model, **changed}]))
    with pytest.raises(CatalogError):
        load(tmp_path)

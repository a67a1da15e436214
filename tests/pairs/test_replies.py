"""Every recorded reply in every client API: what a client sees, and what comes back when it sends the reply on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from shared.canonical import (
    Block,
    HostedCall,
    Json,
    Opaque,
    Request,
    Response,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from shared.dialects import Api, dialect
from shared.dialects.seal import PREFIX
from shared.dialects.toolnames import wire_name, wrap
from shared.streams import fold, well_formed
from tests.pairs.recorded import APIS, CLIENTS, MAKER, READING, REPLIES, Recorded, parse, read, shown, written

every_reply = pytest.mark.parametrize("reply", REPLIES, ids=str)
every_client = pytest.mark.parametrize("client", CLIENTS)


def words(blocks: tuple[Block, ...], kind: type[Text] | type[Thinking]) -> str:
    return "".join(block.text for block in blocks if isinstance(block, kind))


def calls(client: Api, blocks: tuple[Block, ...]) -> list[tuple[str, str, str]]:
    """Calls by the names and arguments that this client's API has for them."""
    found = []
    for call in blocks:
        if not isinstance(call, ToolCall):
            continue
        name = call.name if client == "responses" else wire_name(call.name, call.namespace)
        wrapped = client == "messages" and call.kind == "custom"
        found.append((call.id, name, wrap(call.arguments) if wrapped else call.arguments))
    return found


def states(blocks: tuple[Block, ...]) -> list[Opaque]:
    signed = (block.opaque for block in blocks if isinstance(block, Text | Thinking | ToolCall))
    return [opaque for opaque in signed if opaque is not None]


def said(client: Api, response: Response) -> str:
    """The text as the client is to see it. A refusal that has no words of its own is explained: in Chat's field for it, and in
    Responses where it would be empty (a reply cut by a filter is `incomplete` there); Messages has `stop_details`."""
    text = words(response.blocks, Text)
    finish = response.finish
    explained = finish.reason == "refusal" and not any(
        isinstance(block, Text) and block.refusal for block in response.blocks
    )
    if explained and (client == "chat_completions" or (client == "responses" and not text)):
        return text + finish.detail
    return text


# ── as the client sees it ────────────────────────────────────────────────────────────────────────────────────────


@every_client
@every_reply
def test_streamed_equals_whole_for_the_client_too(reply: Recorded, client: Api) -> None:
    whole = dialect(client).read_response(shown(client, reply.response()), READING)
    events = read(client, parse(written(client, read(reply.api, parse(reply.stream)))))
    assert well_formed(events)
    streamed = fold(events)
    if client == "chat_completions":  # its messages have no order among thoughts, words and calls
        assert sorted(map(repr, arranged(streamed.blocks))) == sorted(map(repr, arranged(whole.blocks)))
        streamed = replace(streamed, blocks=whole.blocks)
    assert streamed == whole


def arranged(blocks: tuple[Block, ...]) -> list[Block]:
    """Thoughts and their states in one, as a whole message of chat completions has them."""
    signed = [block.opaque for block in blocks if isinstance(block, Thinking) and block.opaque]
    details = [orjson.loads(opaque.data) for opaque in signed if opaque.kind == "reasoning_details"]
    rest = [block for block in blocks if not isinstance(block, Thinking)]
    thoughts = words(blocks, Thinking)
    state = orjson.dumps([entry for entries in details for entry in entries]).decode()
    return [Thinking(thoughts, Opaque("", "", state)), *rest]


@every_client
@every_reply
def test_the_client_sees_what_was_said(reply: Recorded, client: Api) -> None:
    response = reply.response()
    seen = dialect(client).read_response(shown(client, response), READING)
    text = words(seen.blocks, Text)
    if not any(block for block in response.blocks if not isinstance(block, Text | Thinking | ToolCall | HostedCall)):
        assert text == said(client, response)
    else:
        assert text.startswith(said(client, response))
    assert words(seen.blocks, Thinking) == words(response.blocks, Thinking)
    assert calls(client, seen.blocks) == calls(client, response.blocks)
    assert seen.model == "shown-model"


@pytest.mark.parametrize("name", ["messages", "responses", "gemini", "chat_completions"])
def test_sources_stand_where_they_belong(name: Api) -> None:
    """Every URL that a reply cites reaches every client, with the words that it is cited for."""
    replies = [reply for reply in REPLIES if reply.api == name]
    cited = [
        (reply, citation)
        for reply in replies
        for block in reply.response().blocks
        if isinstance(block, Text)
        for citation in block.citations
        if citation.url
    ]
    assert cited
    for reply, citation in cited:
        for client in CLIENTS:
            seen = dialect(client).read_response(shown(client, reply.response()), READING)
            texts = [block for block in seen.blocks if isinstance(block, Text) and block.citations]
            found = [(text, one) for text in texts for one in text.citations if one.url == citation.url]
            assert found
            if client != "messages":  # which cites whole blocks
                assert all(0 <= (one.start or 0) < (one.end or 0) <= len(text.text) for text, one in found)


REASONS: dict[Api, dict[str, str]] = {
    "chat_completions": {"stop_sequence": "end", "context_full": "length", "paused": "length"},
    "messages": {},
    "responses": {"stop_sequence": "end", "context_full": "length"},
}


@every_client
@every_reply
def test_the_client_learns_why_it_ended_and_what_it_took(reply: Recorded, client: Api) -> None:
    finish = reply.response().finish
    seen = dialect(client).read_response(shown(client, reply.response()), READING).finish
    assert seen.reason == REASONS[client].get(finish.reason, finish.reason)
    if client == "messages":
        assert seen.sequence == finish.sequence
    assert counted(seen.usage) == counted(finish.usage)


def counted(usage: Usage) -> tuple[int, ...]:
    return usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning


@every_client
@every_reply
def test_no_state_leaves_unsealed(reply: Recorded, client: Api) -> None:
    """What only its maker can read goes out with its maker's name, whole and streamed."""
    raw = orjson.dumps(shown(client, reply.response())) + written(client, read(reply.api, parse(reply.stream)))
    for opaque in states(reply.response().blocks):
        for secret in secrets(opaque):
            assert secret not in raw
    assert raw.count(PREFIX.encode()) >= len(carried(client, reply.response().blocks))


def secrets(opaque: Opaque) -> list[bytes]:
    """The strings inside a state that a maker would recognise."""
    found: list[bytes] = []

    def look(value: Any) -> None:
        match value:
            case dict():
                for key in value.keys() & {"signature", "encrypted_content", "data", "thoughtSignature"}:
                    look(value[key])
            case list():
                for item in value:
                    look(item)
            case str() if len(value) > 12:
                found.append(value.encode())
            case _:
                pass

    try:
        look(orjson.loads(opaque.data))
    except ValueError:
        look(opaque.data)
    return found


def carried(client: Api, blocks: tuple[Block, ...]) -> list[Opaque]:
    """The states that the client can carry: a Messages reply mustn't end with a thought, so a text's last state stays behind."""
    if client != "messages":
        return states(blocks)
    return states(tuple(block for block in blocks if not isinstance(block, Text)))


# ── as it comes back ─────────────────────────────────────────────────────────────────────────────────────────────


def chat_goes_on(reply: Json) -> Json:
    message = reply["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message.get("tool_calls") or ()
    ]
    return {"messages": [{"role": "user", "content": "Hi"}, message, *results, {"role": "user", "content": "more"}]}


def messages_goes_on(reply: Json) -> Json:
    uses = [block for block in reply["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use["id"], "content": "done"} for use in uses]
    return {
        "max_tokens": 4096,
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": reply["content"]},
            {"role": "user", "content": [*results, {"type": "text", "text": "more"}]},
        ],
    }


def responses_goes_on(reply: Json) -> Json:
    results: list[Json] = []
    for item in reply["output"]:
        match item["type"]:
            case "function_call" | "custom_tool_call" as kind:
                results.append({"type": f"{kind}_output", "call_id": item["call_id"], "output": "done"})
            case "tool_search_call" if item["execution"] == "client":
                answer = {"call_id": item["call_id"], "execution": "client", "status": "completed", "tools": []}
                results.append({"type": "tool_search_output", **answer})
    return {
        "input": [{"role": "user", "content": "Hi"}, *reply["output"], *results, {"role": "user", "content": "more"}]
    }


GOES_ON: dict[Api, Callable[[Json], Json]] = {
    "chat_completions": chat_goes_on,
    "messages": messages_goes_on,
    "responses": responses_goes_on,
}


def sent_back(client: Api, response: Response) -> Request:
    body = {"model": "shown-model", **GOES_ON[client](shown(client, response))}
    return dialect(client).read_request(body)


def own(request: Request) -> tuple[Block, ...]:
    return tuple(block for turn in request.turns if turn.role == "assistant" for block in turn.blocks)


@every_client
@every_reply
def test_a_client_that_sends_the_reply_on_brings_it_back(reply: Recorded, client: Api) -> None:
    response = reply.response()
    back = own(sent_back(client, response))
    assert words(back, Thinking) == words(response.blocks, Thinking)
    assert words(back, Text).startswith(said(client, response))
    assert calls(client, back) == calls(client, response.blocks)
    assert Counter(states(back)) == Counter(carried(client, response.blocks))


@every_client
def test_thoughts_come_back_where_they_were(client: Api) -> None:
    """Their maker compares: https://platform.claude.com/docs/en/build-with-claude/extended-thinking#preserving-thinking-blocks"""
    response = Recorded("messages", "reasoning").response()
    assert [type(block).__name__ for block in response.blocks] == ["Thinking", "Text", "Thinking", "ToolCall"]
    assert own(sent_back(client, response)) == response.blocks


@every_client
@every_reply
def test_state_goes_back_to_its_maker_byte_for_byte(reply: Recorded, client: Api) -> None:
    response = reply.response()
    written = reply.dialect.write_request(sent_back(client, response), MAKER)
    raw = orjson.dumps(written.body)
    assert PREFIX.encode() not in raw
    for opaque in carried(client, response.blocks):
        if opaque.kind == "media_signature" and client != "chat_completions":
            continue  # the picture that it belongs to has no place in the client's history
        for secret in secrets(opaque):
            assert secret in raw, opaque.kind


@pytest.mark.parametrize("other", APIS)
@every_client
@every_reply
def test_state_goes_to_nobody_else_and_is_named(reply: Recorded, client: Api, other: Api) -> None:
    response = reply.response()
    written = dialect(other).write_request(sent_back(client, response), replace(MAKER, provider="stranger"))
    raw = orjson.dumps(written.body)
    assert PREFIX.encode() not in raw
    for opaque in states(response.blocks):
        for secret in secrets(opaque):
            assert secret not in raw
    if carried(client, response.blocks):
        assert "reasoning" in written.dropped

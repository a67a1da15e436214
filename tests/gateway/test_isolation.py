"""Many callers at once: nobody ever sees another's key, model, answer or usage."""

from __future__ import annotations

import asyncio
import json

import httpx

from tests.gateway.live import KEYS, Live
from tests.gateway.provider import Asked, Reply, sse_reply
from tests.gateway.wire import CHAT, MESSAGES, sse

CALLERS, EACH = 12, 30


def _echo(asked: Asked) -> Reply:
    """Streams back, in small pieces with pauses, what this very request said, and its length as usage."""
    body = asked.json
    said = body["messages"][-1]["content"]
    size = int(said.split("-")[1])
    if asked.path.endswith("/messages"):
        assert asked.headers["x-api-key"] == KEYS["ANTHROPIC_API_KEY"]
        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
        }
        usage = {"input_tokens": size, "output_tokens": 1}
        start = sse(
            {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": usage}}, "message_start"
        )
        middle = [
            sse(
                {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": c}},
                "content_block_delta",
            )
            for c in said
        ]
        begin = sse(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            "content_block_start",
        )
        end = sse(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": size},
            },
            "message_delta",
        )
        return sse_reply(start, begin, *[piece for one in middle for piece in (one, 0.001)], end, MESSAGES.events[-1])
    assert asked.headers["authorization"] == f"Bearer {KEYS['OPENAI_API_KEY']}"
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
    middle = [sse({**chunk, "choices": [{"index": 0, "delta": {"content": c}, "finish_reason": None}]}) for c in said]
    end = sse({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = sse(
        {**chunk, "choices": [], "usage": {"prompt_tokens": size, "completion_tokens": size, "total_tokens": 2 * size}}
    )
    return sse_reply(*[piece for one in middle for piece in (one, 0.001)], end, usage, b"data: [DONE]\n\n")


async def _one(http: httpx.AsyncClient, caller: int, number: int) -> int:
    api, model = (CHAT, "gpt-4o") if (caller + number) % 2 else (MESSAGES, "claude-haiku-4-5")
    size = 1000 * caller + number + 1
    said = f"caller{caller}-{size}-{'x' * (number % 7)}"
    body = {"model": model, "stream": True, "max_tokens": 9, "messages": [{"role": "user", "content": said}]}
    heard = ""
    async with http.stream("POST", api.path, json=body) as reply:
        assert reply.status_code == 200
        assert reply.headers["x-ekai-provider"] == ("openai" if api is CHAT else "anthropic")
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                choices = event.get("choices") or [{}]
                heard += choices[0].get("delta", {}).get("content") or event.get("delta", {}).get("text") or ""
    assert heard == said
    return size


async def _all(live: Live, tokens: list[str]) -> list[list[int]]:
    async def everybody(caller: int, token: str) -> list[int]:
        limits = httpx.Limits(max_connections=EACH)
        async with httpx.AsyncClient(
            base_url=live.url, headers={"authorization": token}, timeout=60, limits=limits
        ) as http:
            return list(await asyncio.gather(*[_one(http, caller, number) for number in range(EACH)]))

    return list(await asyncio.gather(*[everybody(caller, token) for caller, token in enumerate(tokens)]))


def test_hundreds_of_interleaved_streams(live: Live) -> None:
    live.provider.script = _echo
    clients = [live.caller("gpt-4o", "claude-haiku-4-5") for _ in range(CALLERS)]
    sizes = asyncio.run(_all(live, [client.headers["authorization"] for client in clients]))
    for client, expected in zip(clients, sizes, strict=True):
        rows = live.rows(client, EACH)
        assert len(rows) == EACH
        assert sorted(row["output_tokens"] for row in rows) == sorted(expected)
        assert {row["outcome"] for row in rows} == {"complete"}
        assert len({row["caller"] for row in rows}) == 1

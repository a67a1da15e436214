"""Replies of the responses API in one body (https://platform.openai.com/docs/api-reference/responses/object)."""

from __future__ import annotations

from typing import Any

import orjson

from emulator.demo.opaque import mint
from emulator.demo.talk import CREATED, Call, Json, Prompt, Reply, Search, Text, Thought, Usage, minted

# Fields of the request that a response repeats, with what stands there if the request said nothing.
_ECHOED: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.written},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def head(prompt: Prompt) -> Json:
    """A response that has only begun."""
    echoed = {name: prompt.body.get(name, usual) for name, usual in _ECHOED.items()}
    if echoed["tool_choice"] is None:
        echoed["tool_choice"] = "auto"
    reasoning = {"effort": None, "summary": None, **(prompt.body.get("reasoning") or {})}
    return {
        "id": minted("resp_", prompt.seed),
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": prompt.model,
        "output": [],
        "reasoning": reasoning,
        "service_tier": "default",
        "usage": None,
        **{name: echoed[name] if echoed[name] is not None else _ECHOED[name] for name in echoed},
    }


def whole(prompt: Prompt, reply: Reply) -> Json:
    """A reply in one body."""
    body = head(prompt)
    cut = reply.finish == "length"
    body["status"] = "incomplete" if cut else "completed"
    body["incomplete_details"] = {"reason": "max_output_tokens"} if cut else None
    body["output"] = items(prompt, reply)
    if cut and body["output"]:
        body["output"][-1]["status"] = "incomplete"
    body["usage"] = _usage(reply.usage)
    return body


def items(prompt: Prompt, reply: Reply) -> list[Json]:
    """The output items."""
    return [_item(prompt, piece, i) for i, piece in enumerate(reply.pieces)]


def _item(prompt: Prompt, piece: object, index: int) -> Json:
    seed = prompt.seed
    match piece:
        case Thought(text=text):
            return _reasoning(prompt, text, index)
        case Text():
            return {
                "id": minted("msg_", seed, index),
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [_part(prompt, piece)],
            }
        case Call(kind="search"):
            return {
                "id": minted("tsc_", seed, index),
                "type": "tool_search_call",
                "call_id": minted("call_", seed, index),
                "execution": "client",
                "status": "completed",
                "arguments": orjson.loads(piece.arguments),
            }
        case Call():
            return _call(seed, piece, index)
        case Search():
            sources = [{"type": "url", "url": source.url} for source in piece.sources]
            action = {"type": "search", "query": piece.query, "sources": sources}
            return {
                "id": minted("ws_", seed, index),
                "type": "web_search_call",
                "status": "completed",
                "action": action,
            }
        case _:
            raise TypeError(f"No item for {piece!r}")


def _reasoning(prompt: Prompt, text: str, index: int) -> Json:
    item: Json = {
        "id": minted("rs_", prompt.seed, index),
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text}] if prompt.shows_thoughts else [],
    }
    if "reasoning.encrypted_content" in (prompt.body.get("include") or ()):
        item["encrypted_content"] = mint("responses", prompt.seed)
    return item


def _part(prompt: Prompt, piece: Text) -> Json:
    if piece.refusal:
        return {"type": "refusal", "refusal": piece.text}
    notes: list[Any] = [
        {"type": "url_citation", "url": s.url, "title": s.title, "start_index": s.start, "end_index": s.end}
        for s in piece.sources
    ]
    return {"type": "output_text", "text": piece.text, "annotations": notes, "logprobs": []}


def _call(seed: str, call: Call, index: int) -> Json:
    custom = call.kind == "custom"
    item: Json = {
        "id": minted("ctc_" if custom else "fc_", seed, index),
        "type": "custom_tool_call" if custom else "function_call",
        "status": "completed",
        "call_id": minted("call_", seed, index),
        "name": call.name,
        "input" if custom else "arguments": call.arguments,
    }
    if call.namespace:
        item["namespace"] = call.namespace
    return item

"""Oddities that compatible servers are known for, on order: so that a gateway's repairs can be tried.

no-index        calls in a stream without `index` (https://ai.google.dev/gemini-api/docs/openai)
finish-stop     a turn with calls ends with "stop"
finish-empty    … or with an empty string
usage-outside   reasoning tokens stand beside `completion_tokens`, only `total_tokens` has them all
error-in-200    the error of a reply stands in a body with status 200 (https://openrouter.ai/docs/api-reference/errors)
reasoning       thoughts come as `reasoning` in place of `reasoning_content`
"""

from __future__ import annotations

from emulator.demo.talk import Json


def bent(body: Json, quirks: frozenset[str]) -> Json:
    """A body or a chunk with the oddities in it."""
    for choice in body["choices"] if quirks else ():
        said = choice.get("message") or choice.get("delta") or {}
        if "no-index" in quirks and "delta" in choice:
            for call in said.get("tool_calls", ()):
                call.pop("index", None)
        if choice["finish_reason"] == "tool_calls" and quirks & {"finish-stop", "finish-empty"}:
            choice["finish_reason"] = "stop" if "finish-stop" in quirks else ""
        if "reasoning" in quirks and "reasoning_content" in said:
            said["reasoning"] = said.pop("reasoning_content")
    usage = body.get("usage")
    if "usage-outside" in quirks and usage:
        usage["completion_tokens"] -= usage["completion_tokens_details"]["reasoning_tokens"]
    if "error-in-200" in quirks and body["object"] == "chat.completion":
        return {"error": {"code": 502, "message": "The provider behind the demo failed.", "metadata": {}}}
    return body

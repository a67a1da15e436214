"""Whole replies to a client (https://platform.openai.com/docs/api-reference/chat/object)."""

from __future__ import annotations

from collections.abc import Iterable

from shared.canonical import Audio, Block, Citation, Image, Json, Response, Text, Thinking, ToolCall
from shared.dialects import Writing
from shared.dialects.openai_chat import reasoning
from shared.dialects.openai_chat.usage import write_reason, write_usage
from shared.dialects.toolnames import wire_name


def write_response(response: Response, writing: Writing) -> Json:
    """The reply as a `chat.completion`."""
    legacy = is_legacy(writing.body)
    message = _message(response.blocks, legacy)
    finish = response.finish
    declined = message["refusal"] is not None
    if finish.detail and not declined:
        message["refusal"] = finish.detail
    return {
        "id": reply_id(writing),
        "object": "chat.completion",
        "created": writing.created,
        "model": writing.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": {"content": list(response.logprobs), "refusal": None} if response.logprobs else None,
                "finish_reason": write_reason(finish.reason, declined=declined, legacy=legacy),
            }
        ],
        "usage": write_usage(finish.usage),
        **({"service_tier": finish.usage.service_tier} if finish.usage.service_tier else {}),
    }


def reply_id(writing: Writing) -> str:
    """The reply's id."""
    return f"chatcmpl-{writing.id}"


def is_legacy(body: Json) -> bool:
    """Whether the client knows only the old `functions`."""
    return bool(body.get("functions")) and not body.get("tools")


def _message(blocks: Iterable[Block], legacy: bool) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    details: list[Json] = []
    calls: list[Json] = []
    for block in blocks:
        match block:
            case Text():
                _text(block, message, details)
            case Thinking():
                _thought(block, message, details)
            case ToolCall():
                calls.append(write_call(block))
            case Image():
                message.setdefault("images", []).append(write_image(block))
            case Audio():
                message["audio"] = write_audio(block)
    if message["content"] is None and not (calls or message["refusal"]):
        message["content"] = ""
    if details:
        message["reasoning_details"] = details
    if calls and legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message


def _text(block: Text, message: Json, details: list[Json]) -> None:
    field = "refusal" if block.refusal else "content"
    before = message[field] or ""
    cited = [write_citation(one, len(before), len(block.text)) for one in block.citations if one.url]
    if cited:
        message.setdefault("annotations", []).extend(cited)
    message[field] = before + block.text
    if block.opaque is None:
        return
    if "extra_content" in message:  # one message has room for one: the next goes where a thought's would
        details.append(reasoning.sealed_detail(block.opaque, len(details), 0, 0, False))
    else:
        message["extra_content"] = reasoning.sealed_signature(block.opaque)


def _thought(block: Thinking, message: Json, details: list[Json]) -> None:
    if block.text:
        message["reasoning_content"] = message.get("reasoning_content", "") + block.text
    if block.opaque:
        after = len(message["content"] or "")
        details.append(reasoning.sealed_detail(block.opaque, len(details), len(block.text), after, block.redacted))


def write_call(call: ToolCall) -> Json:
    """A tool call, whole or (in a stream) as it begins."""
    name = wire_name(call.name, call.namespace) if call.namespace else call.name
    if call.kind == "custom":
        entry: Json = {"id": call.id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
    else:
        function = {"name": name, "arguments": call.arguments or "{}"}
        entry = {"id": call.id, "type": "function", "function": function}
    if call.opaque:
        entry["extra_content"] = reasoning.sealed_signature(call.opaque)
    return entry


def write_citation(citation: Citation, offset: int, length: int) -> Json:
    """A source as an annotation. `offset` is where the text that cites it begins in the whole content, `length` that text's own: one
    without offsets stands for all of it."""
    source: Json = {
        "url": citation.url,
        "title": citation.title,
        "start_index": offset + (citation.start or 0),
        "end_index": offset + (length if citation.end is None else citation.end),
    }
    return {"type": "url_citation", "url_citation": source | ({"content": citation.text} if citation.text else {})}


def write_image(image: Image) -> Json:
    """A picture that the model drew."""
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def write_audio(audio: Audio) -> Json:
    """What the model spoke."""
    return {"id": audio.id, "data": audio.data, "transcript": audio.transcript, "expires_at": 0}

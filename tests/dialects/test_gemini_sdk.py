"""Google's own SDK as the judge: it sends what we send, and reads from the recordings what we read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from gemini_targets import GEMINI, GEMINI_3, GEMINI_25, asks
from google import genai
from google.genai import errors, types

from shared.canonical import (
    Document,
    FunctionTool,
    HostedTool,
    Image,
    Json,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from shared.dialects import Reading

RECORDINGS = Path(__file__).parents[1] / "recordings" / "gemini"
NAMES = sorted(path.stem for path in (RECORDINGS / "replies").glob("*.json"))
SCHEMA = {"type": "object", "properties": {"city": {"type": ["string", "null"], "pattern": "^Z"}}, "required": ["city"]}


@contextmanager
def google(status: int, body: bytes, seen: list[httpx.Request]) -> Iterator[genai.Client]:
    """The SDK's client, connected to an answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, content=body)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        yield genai.Client(api_key="AIza-test", http_options=types.HttpOptions(httpx_client=http))


def sent_by_the_sdk(body: Json) -> Any:
    config = {key: value for key, value in body.items() if key not in ("contents", "generationConfig")}
    seen: list[httpx.Request] = []
    with google(200, b'{"candidates": []}', seen) as client:
        client.models.generate_content(
            model="gemini-3.6-flash",
            contents=[types.Content.model_validate(content) for content in body["contents"]],
            config=types.GenerateContentConfig.model_validate({**config, **body.get("generationConfig", {})}),
        )
    assert seen[0].url.path.endswith("/models/gemini-3.6-flash:generateContent")
    return _camel(json.loads(seen[0].content))


def _camel(value: Any) -> Any:
    """Keys in the one spelling of the two that the SDK mixes and Google reads."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("_(.)", lambda found: found[1].upper(), key): _camel(item) for key, item in value.items()}


def everything() -> Request:
    return asks(
        Turn("user", (Text("Look"), Image("image/png", "iVBORw0KGgo="), Document(data="JVBERi0=", title="A"))),
        Turn(
            "assistant",
            (
                Thinking("Hm.", Opaque("google", "thought_signature", "c2lnMQ==")),
                Text("I look.", opaque=Opaque("google", "thought_signature", "c2lnMg==")),
                ToolCall("c1", "look", '{"at": ["sky", 1.5, null]}', opaque=Opaque("google", "thought_signature", "c2lnMw==")),
                ToolCall("c2", "look"),
            ),
        ),
        Turn("user", (ToolResult("c2", (Image("image/png", "iVBORw0KGgo="),)), ToolResult("c1", is_error=True), Text("Go on"))),
        system=(Text("Be brief."),),
        tools=(FunctionTool("look", "Looks.", SCHEMA, strict=True), HostedTool("web_search", "responses", {})),
        tool_choice=ToolChoice("tool", ("look",)),
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=20,
        stop=("END",),
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        logprobs=2,
        reasoning=Reasoning("medium", visible=True),
        format=OutputFormat("json_schema", SCHEMA),
    )  # fmt: skip


def test_the_sdk_sends_what_we_send() -> None:
    body = GEMINI.write_request(everything(), GEMINI_3).body
    again = sent_by_the_sdk(body)
    again["tools"].sort(key=lambda tool: "googleSearch" in tool)  # their order is the SDK's own
    assert again == body


def test_the_sdk_sends_what_we_send_to_an_older_model() -> None:
    request = asks(
        reasoning=Reasoning(mode="enabled", budget=4096), tools=(FunctionTool("now"),), tool_choice=ToolChoice("none")
    )
    body = GEMINI.write_request(request, GEMINI_25).body
    assert sent_by_the_sdk(body) == body


@pytest.mark.parametrize("name", NAMES)
def test_the_sdk_reads_what_we_read(name: str) -> None:
    reply = GEMINI.read_response(
        orjson.loads((RECORDINGS / "replies" / f"{name}.json").read_bytes()), Reading(GEMINI_3)
    )
    seen: list[httpx.Request] = []
    with google(200, (RECORDINGS / "replies" / f"{name}.sse").read_bytes(), seen) as client:
        chunks = list(client.models.generate_content_stream(model="gemini-3.6-flash", contents="Hi"))
    assert seen[0].url.params["alt"] == "sse"
    candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
    parts = [part for one in candidates if one.content for part in one.content.parts or ()]
    texts = "".join(part.text for part in parts if part.text and not part.thought)
    thoughts = "".join(part.text for part in parts if part.text and part.thought)
    calls = [(part.function_call.name, part.function_call.args) for part in parts if part.function_call]
    assert texts == "".join(block.text for block in reply.blocks if isinstance(block, Text))
    assert thoughts == "".join(block.text for block in reply.blocks if isinstance(block, Thinking))
    assert calls == [(block.name, json.loads(block.arguments)) for block in reply.blocks if isinstance(block, ToolCall)]
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert usage.total_token_count == reply.finish.usage.input + reply.finish.usage.output
    assert chunks[-1].response_id == reply.id


@pytest.mark.parametrize("path", sorted((RECORDINGS / "errors").glob("*.json")), ids=lambda path: path.stem)
def test_the_sdk_reads_the_same_errors(path: Path) -> None:
    body = path.read_bytes()
    status = int(path.name[:3])
    ours = GEMINI.read_error(status, body)
    with google(status, body, []) as client, pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model="gemini-3.6-flash", contents="Hi")
    if not body.startswith(b"["):
        assert caught.value.code == status
        assert str(caught.value.message)[:60] == ours.message[:60] or "(withheld)" in ours.message

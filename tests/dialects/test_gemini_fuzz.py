"""Whatever comes: writers and readers of Gemini answer, or raise the gateway's own error."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
from gemini_targets import GEMINI, GEMINI_3, GEMINI_25, judge
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Audio,
    CustomTool,
    Document,
    FunctionTool,
    HostedCall,
    HostedTool,
    Image,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolReference,
    ToolResult,
    Turn,
)
from shared.dialects import Reading
from shared.errors import GatewayError
from shared.sse import SSE
from shared.streams import fold, well_formed

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=5)
)
KEYS = st.sampled_from(
    [
        *(
            "candidates",
            "content",
            "parts",
            "text",
            "thought",
            "thoughtSignature",
            "functionCall",
            "name",
            "args",
            "id",
        ),
        *("finishReason", "usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "groundingMetadata"),
        *(
            "groundingChunks",
            "groundingSupports",
            "segment",
            "endIndex",
            "groundingChunkIndices",
            "web",
            "uri",
            "error",
        ),
        *(
            "toolCall",
            "toolResponse",
            "executableCode",
            "codeExecutionResult",
            "inlineData",
            "data",
            "mimeType",
            "code",
        ),
        *("logprobsResult", "chosenCandidates", "topCandidates", "webSearchQueries", "responseId", "details", "status"),
    ]
)
REASONS = st.sampled_from(["STOP", "MAX_TOKENS", "SAFETY", "OTHER", ""])
JSON = st.recursive(
    LEAVES | REASONS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
PARTS = st.one_of(
    st.dictionaries(KEYS, JSON, max_size=4),
    st.fixed_dictionaries(
        {"text": st.text(max_size=5)}, optional={"thought": st.booleans(), "thoughtSignature": st.sampled_from(["", "c2ln"])}
    ),
    st.fixed_dictionaries(
        {"functionCall": st.fixed_dictionaries({"name": st.sampled_from(["f", ""])}, optional={"args": JSON, "id": JSON})}
    ),
    st.sampled_from([{"toolCall": {"id": "a"}}, {"toolResponse": {"id": "a"}}, {"inlineData": {"data": "AA==", "mimeType": "image/png"}}]),
)  # fmt: skip
EVENTS = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {},
        optional={
            "candidates": st.lists(
                st.fixed_dictionaries(
                    {"content": st.fixed_dictionaries({"parts": st.lists(PARTS, max_size=4)})},
                    optional={"finishReason": REASONS, "groundingMetadata": JSON, "logprobsResult": JSON},
                ),
                max_size=1,
            ),
            "usageMetadata": JSON,
            "promptFeedback": JSON,
        },
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS, max_size=6))
def test_any_stream_is_well_formed(bodies: list[Any]) -> None:
    reader, meter = GEMINI.stream_reader(Reading(GEMINI_3)), GEMINI.meter()
    events = []
    for body in bodies:
        sse = SSE(orjson.dumps(body))
        meter.see(sse)
        events += reader.feed(sse)
    events += reader.close()
    assert well_formed(events)
    assert reader.feed(SSE(b"{}")) == reader.close() == []
    try:
        reply = fold(events)
    except GatewayError:
        return
    assert reply.finish.usage.input >= 0


@settings(deadline=None)
@given(EVENTS)
def test_any_whole_reply_is_read_or_refused(body: Any) -> None:
    try:
        GEMINI.read_response(body, Reading(GEMINI_3))
    except GatewayError:
        event("refused")
    if isinstance(body, dict):
        GEMINI.meter().whole(body)


WORDS = st.text(max_size=8)
NAMES = st.sampled_from(["f", "1f", "a b", "x" * 70, "n"])
IDS = st.sampled_from(["a", "b"])
STATES = st.none() | st.builds(
    Opaque, st.sampled_from(["google", "openai"]), st.sampled_from(["thought_signature", "other"]), st.just("c2lnc2ln")
)
PICTURES = st.one_of(
    st.builds(Image, st.sampled_from(["image/png", ""]), st.just("AA==")),
    st.builds(Document, st.sampled_from(["application/pdf", "text/plain"]), st.just("AA=="), title=WORDS),
    st.builds(Document, text=WORDS, context=WORDS),
    st.builds(Image, url=WORDS, file_id=WORDS),
)
MEDIA = PICTURES | st.builds(Audio, st.sampled_from(["AA==", ""]), st.sampled_from(["wav", ""]), WORDS)
SPOKEN = st.one_of(
    st.builds(Text, WORDS, opaque=STATES),
    st.builds(Thinking, WORDS, STATES),
    st.builds(Image, st.just("image/png"), st.just("AA==")),
    st.builds(HostedCall, IDS, NAMES, dialect=st.sampled_from(["gemini", "messages"])),
)
ARGUMENTS = st.sampled_from(["{}", "", '{"a": 1}', '{"b": {"c": []}}', "["])
CALLS = st.builds(ToolCall, IDS, NAMES, ARGUMENTS, st.sampled_from(["function", "custom"]), NAMES, STATES)
RESULTS = st.builds(
    ToolResult,
    IDS,
    st.lists(st.builds(Text, WORDS) | PICTURES | st.builds(ToolReference, NAMES), max_size=3).map(tuple),
    st.booleans(),
)
STEPS = st.one_of(
    st.builds(lambda blocks: (Turn("user", tuple(blocks)),), st.lists(st.builds(Text, WORDS) | MEDIA, max_size=3)),
    st.builds(lambda blocks: (Turn("assistant", tuple(blocks)),), st.lists(SPOKEN, max_size=3)),
    st.builds(lambda text: (Turn("system", (Text(text),)),), WORDS),
    st.builds(
        lambda said, call, result: (
            Turn("assistant", (*said, call)),
            Turn("user", (ToolResult(call.id, result.content, result.is_error),)),
        ),
        st.lists(SPOKEN, max_size=2),
        CALLS,
        RESULTS,
    ),
    st.builds(lambda blocks: (Turn("user", tuple(blocks)),), st.lists(RESULTS, max_size=1)),
)
SCHEMAS = st.none() | st.dictionaries(st.sampled_from(["type", "properties", "required"]), JSON, max_size=3)
TOOLS = st.one_of(
    st.builds(FunctionTool, NAMES, WORDS, SCHEMAS, st.booleans(), NAMES | st.just(""), deferred=st.booleans()),
    st.builds(CustomTool, NAMES, WORDS, st.none() | st.just({"type": "grammar", "definition": "x"})),
    st.builds(HostedTool, st.sampled_from(["web_search", "computer", "tool_search"]), st.just("messages"), st.just({})),
)
REQUESTS = st.builds(
    Request,
    st.just("m"),
    st.lists(STEPS, max_size=5).map(lambda steps: tuple(turn for step in steps for turn in step)),
    st.lists(st.builds(Text, WORDS), max_size=2).map(tuple),
    st.lists(TOOLS, max_size=4).map(tuple),
    st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "tool"]), st.lists(NAMES, max_size=2).map(tuple)),
    max_tokens=st.none() | st.integers(0, 10**6),
    temperature=st.none() | st.floats(-1, 3),
    seed=st.none() | st.integers(),
    logprobs=st.none() | st.integers(0, 20),
    stop=st.lists(WORDS, max_size=7).map(tuple),
    reasoning=st.builds(
        Reasoning,
        st.sampled_from([None, "none", "minimal", "high", "max"]),
        st.sampled_from([None, "enabled", "adaptive", "disabled"]),
        st.none() | st.integers(0, 100_000),
        st.sampled_from([None, True, False]),
    ),
    format=st.none() | st.builds(OutputFormat, st.sampled_from(["json_schema", "json_object"]), SCHEMAS),
)  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(REQUESTS, st.sampled_from([GEMINI_3, GEMINI_25]))
def test_any_request_is_written_well_or_refused(request_: Request, target: Any) -> None:
    try:
        out = GEMINI.write_request(request_, target)
    except GatewayError:
        event("refused")
        return
    event("written")
    orjson.dumps(out.body)
    judge(out.body)
    roles = [content["role"] for content in out.body["contents"]]
    assert roles
    assert all(one != other for one, other in pairwise(roles))
    for before, after in pairwise([{"parts": []}, *out.body["contents"]]):
        calls = [part["functionCall"]["id"] for part in before["parts"] if "functionCall" in part]
        answers = [part["functionResponse"]["id"] for part in after["parts"] if "functionResponse" in part]
        assert after["role"] == "model" or calls == answers

"""Writes docs/conformance.md: what becomes of each feature on its way from each client API to each wire format of a provider.

    python -m scripts.conformance

Every cell is the result of a run: the client's body is read, written for a capable model, and taken by the demo provider,
which is as strict as the real APIs are.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import orjson

from emulator.demo import chat, gemini, messages, responses
from emulator.demo.face import Asked, Face
from scripts.conformance_features import GROUPS, Feature
from shared.canonical import (
    EFFORTS,
    Block,
    Finish,
    Flags,
    HostedCall,
    Image,
    Json,
    Limits,
    Modality,
    Request,
    Response,
    Target,
    Text,
    Thinking,
    ToolCall,
)
from shared.dialects import FOLDERS, Api, Reading, Writing, dialect
from shared.errors import GatewayError

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
TITLES: dict[Api, str] = {
    "chat_completions": "Chat completions",
    "messages": "Messages",
    "responses": "Responses",
    "gemini": "Gemini",
}
CLIENTS: tuple[Api, ...] = ("chat_completions", "messages", "responses")
FACES: dict[Api, Face] = {
    "chat_completions": chat.FACE,
    "messages": messages.FACE,
    "responses": responses.FACE,
    "gemini": gemini.FACE,
}
_FLAGS = Flags(prefill=True, thinking="effort", thinking_off="none", effort=EFFORTS, json_schema=True, mid_system=True)
_BY_API: dict[Api, Flags] = {
    "messages": replace(_FLAGS, thinking="adaptive", thinking_off="disabled", effort=EFFORTS[2:]),
    "gemini": replace(_FLAGS, thinking="level", thinking_off="never", effort=EFFORTS[1:5]),
}
_BASE: dict[Api, Json] = {
    "chat_completions": {"model": "demo-1", "messages": [{"role": "user", "content": "hello"}]},
    "messages": {"model": "demo-1", "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}]},
    "responses": {"model": "demo-1", "input": "hello"},
}
_ABSENT = "–"
INTRO = """# Conformance

What becomes of a feature on its way from a client API to a provider's wire format. This page is written by
`python -m scripts.conformance` from a run, and a test checks that it is what a run gives.

| word | meaning |
| --- | --- |
| passes | the provider speaks the client's API: the body goes through as it is |
| mapped | the provider gets it in its own words |
| dropped | the answer is right without it; its name stands in the header `x-ekai-dropped` |
| refused | the answer would be wrong without it: 400 in the client's own error shape, and nothing is sent |

The model is one that can do all that its API has; what a lesser model lacks is dropped or refused in the same way. A feature that
a client's API has no words for has no row.
Where several providers serve a model, one that needs no refusal goes first.
"""


def target(api: Api) -> Target:
    """A model that can do what its API has."""
    flags, reads = _BY_API.get(api, _FLAGS), frozenset[Modality]({"text", "image", "pdf", "audio"})
    return Target("demo", "demo-1", Limits(200_000, 32_000), flags, reads, quirks=frozenset({"custom_tools"}))


def outcome(feature: Feature, client: Api, upstream: Api) -> str:
    """The cell of one feature."""
    fields = feature.body(client)
    if fields is None:
        return _ABSENT
    body = deepcopy({**_BASE[client], **fields})
    speaks = dialect(client)
    try:
        if client == upstream:
            return _named("passes", speaks.adapt(body, target(upstream))[1])
        request = speaks.read_request(body)
        written = dialect(upstream).write_request(request, target(upstream))
    except GatewayError as error:
        if error.status != 400:
            raise
        return "refused"
    sent = orjson.loads(orjson.dumps(written.body))
    FACES[upstream].read(sent, Asked({"anthropic-version": "2023-06-01"}, "demo-1"))
    names = (speaks.names.get(name, name) for name in (*request.dropped, *written.dropped))
    return _named("mapped", tuple(dict.fromkeys(names)))


def _named(word: str, dropped: tuple[str, ...]) -> str:
    return f"dropped: {', '.join(f'`{name}`' for name in dropped)}" if dropped else word


# ── replies ──────────────────────────────────────────────────────────────────────────────────────────────────────

REPLIES = """## Replies

What reaches the client of the replies in `tests/recordings` that have it, whole and streamed alike.
"""
RECORDINGS = Path(__file__).parents[1] / "tests" / "recordings"


def aspects(response: Response) -> dict[str, object]:
    """What a reply holds, one thing at a time; what it doesn't hold is empty."""
    blocks, usage, reason = response.blocks, response.finish.usage, response.finish.reason
    texts = [block for block in blocks if isinstance(block, Text)]
    calls = [block for block in blocks if isinstance(block, ToolCall)]
    return {
        "words": "".join(text.text for text in texts),
        "refusal, marked as one": [text.text for text in texts if text.refusal],
        "tool calls": [(call.id, call.arguments) for call in calls if call.kind == "function"],
        "free-text calls, as such": [call.arguments for call in calls if call.kind == "custom"],
        "thoughts that can be read": "".join(block.text for block in blocks if isinstance(block, Thinking)),
        "sources with a URL": {one.url for text in texts for one in text.citations if one.url},
        "searches of the provider": [
            block.name for block in blocks if isinstance(block, HostedCall) and not _drawn(block)
        ],
        "pictures": ["picture" for block in blocks if isinstance(block, Image) or _drawn(block)],
        "log probabilities": [entry.get("token") for entry in response.logprobs],
        "cached tokens": (usage.cache_read, usage.cache_write) if usage.cache_read or usage.cache_write else (),
        "reasoning tokens": usage.reasoning,
        "end: a tool call": reason if reason == "tool_call" else "",
        "end: the limit": reason if reason == "length" else "",
        "end: a refusal or a filter": reason if reason == "refusal" else "",
        "end: a stop sequence, and which": response.finish.sequence or "",
        "end: a full context": reason if reason == "context_full" else "",
        "end: a pause": reason if reason == "paused" else "",
    }


def _drawn(block: Block) -> bool:
    """The way in which Responses has pictures of the model."""
    return isinstance(block, HostedCall) and block.name == "image_generation"


def reply_rows() -> Iterator[tuple[str, list[str]]]:
    """Each aspect, with what becomes of it in each client API."""
    reading = Reading(Target("maker", "model-1"))
    asked = Request("shown", (), stream=True, stream_usage=True)
    writing = Writing(asked, {"model": "shown"}, "shown", "0123456789abcdef" * 2, 1_795_550_400)
    kept: dict[str, dict[Api, list[bool]]] = {}
    for api, folder in FOLDERS.items():
        for path in sorted((RECORDINGS / folder / "replies").glob("*.json")):
            response = dialect(api).read_response(orjson.loads(path.read_bytes()), reading)
            for client in CLIENTS:
                body = orjson.loads(orjson.dumps(dialect(client).write_response(response, writing)))
                seen = aspects(dialect(client).read_response(body, reading))
                for name, value in aspects(response).items():
                    if value:
                        kept.setdefault(name, {}).setdefault(client, []).append(_reaches(value, seen[name]))
    for name in aspects(Response("", "", (), Finish("end"))):
        yield name, [_kept(kept[name][client]) for client in CLIENTS]


def _reaches(value: object, seen: object) -> bool:
    """True where all of it is there; a client may see more, such as the reason of a refusal."""
    if isinstance(value, str | list) and isinstance(seen, str | list):
        return all(one in seen for one in value) if isinstance(value, list) else value in seen
    return value == seen


def _kept(found: list[bool]) -> str:
    if all(found):
        return "kept"
    return f"kept in {sum(found)} of {len(found)}" if any(found) else "not kept"


def page() -> str:
    """The whole page."""
    return "\n".join([INTRO, *_sections(), *_reply_section()]).rstrip() + "\n"


def _reply_section() -> Iterator[str]:
    yield REPLIES
    yield f"| | {' | '.join(f'Clients of {TITLES[api]}' for api in CLIENTS)} |"
    yield "| --- |" + " --- |" * len(CLIENTS)
    for name, cells in reply_rows():
        yield f"| {name} | {' | '.join(cells)} |"


def _sections() -> Iterator[str]:
    for client in CLIENTS:
        yield f"## Clients of {TITLES[client]}\n"
        yield f"| | {' | '.join(TITLES[api] for api in FACES)} |"
        yield "| --- |" + " --- |" * len(FACES)
        for group in GROUPS:
            rows = [(feature, [outcome(feature, client, upstream) for upstream in FACES]) for feature in group.features]
            shown = [(feature, cells) for feature, cells in rows if set(cells) != {_ABSENT}]
            if shown:
                yield f"| **{group.title}** |" + " |" * len(FACES)
            for feature, cells in shown:
                yield f"| {feature.name} | {' | '.join(cells)} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())

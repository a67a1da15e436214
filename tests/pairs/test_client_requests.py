"""What real clients sent, through every pair: written for each upstream, taken by its strict face, nothing lost in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import orjson
import pytest

from shared.canonical import Block, Json, Request, Text, ToolCall, ToolResult
from shared.dialects import Api, dialect
from shared.errors import Code, GatewayError
from tests.pairs.recorded import APIS, CLIENTS, FOLDERS, ROOT, raw
from tests.pairs.traces import lost
from tests.pairs.upstreams import sent, target


@dataclass(frozen=True)
class Asked:
    """A body as a client sent it."""

    api: Api
    folder: str
    name: str

    def __str__(self) -> str:
        return f"{FOLDERS[self.api]}-{self.name}"

    @property
    def body(self) -> Json:
        body: Json = orjson.loads(raw(self.api, self.folder, f"{self.name}.json"))
        return body

    def read(self) -> Request:
        return dialect(self.api).read_request(self.body)


ASKED = [
    Asked(api, folder, path.stem)
    for api in CLIENTS
    for folder in ("requests", "clients")
    for path in sorted((ROOT / FOLDERS[api] / folder).glob("*.json"))
]
every_request = pytest.mark.parametrize("asked", ASKED, ids=str)
every_upstream = pytest.mark.parametrize("upstream", APIS)

REFUSED: dict[tuple[str, str], str] = {
    ("openai_chat-images_and_files", "gemini"): "by URL are not fetched",
    ("openai_responses-media", "gemini"): "by URL are not fetched",
    ("openai_responses-media", "chat_completions"): "as data only",
    ("anthropic-documents", "gemini"): "by URL are not fetched",
    ("anthropic-documents", "chat_completions"): "as data only",
    ("openai_chat-mid_system_and_refusal", "messages"): "audio",
    ("openai_chat-mid_system_and_refusal", "responses"): "audio",
}
"""(request, upstream): what the refusal says. All else is served."""


@every_upstream
@every_request
def test_it_is_taken_and_nothing_is_lost_in_silence(asked: Asked, upstream: Api) -> None:
    request = asked.read()
    refusal = REFUSED.get((str(asked), upstream))
    if refusal is not None:
        with pytest.raises(GatewayError, match=refusal) as caught:
            sent(request, upstream)
        assert caught.value.code in (Code.UNSUPPORTED_BY_MODEL, Code.VALIDATION_ERROR)
        return
    written, prompt = sent(request, upstream)
    assert lost(request, written.body, (*request.dropped, *written.dropped), target(upstream)) == []
    assert prompt.stream == request.stream or upstream == "gemini"


@pytest.mark.parametrize("upstream", CLIENTS)
@every_request
def test_it_can_be_read_again_with_the_same_meaning(asked: Asked, upstream: Api) -> None:
    if (str(asked), upstream) in REFUSED:
        pytest.skip("refused")
    request = asked.read()
    again = dialect(upstream).read_request(orjson.loads(orjson.dumps(sent(request, upstream)[0].body)))
    assert meaning(again) == meaning(request)
    # and once more through the same pair: the second time nothing is left to lose
    third = dialect(upstream).read_request(orjson.loads(orjson.dumps(sent(again, upstream)[0].body)))
    assert meaning(third) == meaning(again)


def meaning(request: Request) -> Any:
    """Who said what, which tools were called and what they answered: the same in every API."""
    blocks: list[Block] = [block for turn in request.turns for block in turn.blocks]
    calls = [(spoken(block), arguments(block)) for block in blocks if isinstance(block, ToolCall)]
    order = {block.id: number for number, block in enumerate(b for b in blocks if isinstance(b, ToolCall))}
    results = [order.get(block.call_id, block.call_id) for block in blocks if isinstance(block, ToolResult)]
    said = "".join(
        block.text
        for turn in request.turns
        if turn.role == "assistant"
        for block in turn.blocks
        if isinstance(block, Text)
    )
    return calls, sorted(map(str, results)), "".join(said.split())


def spoken(call: ToolCall) -> list[str]:
    """The first words of a name, however it was flattened and shortened."""
    full = f"{call.namespace}__{call.name}" if call.namespace else call.name
    return [word[:40] for word in re.findall("[A-Za-z0-9]+", re.sub("_[0-9a-f]{8}$", "", full))]


def arguments(call: ToolCall) -> Any:
    if call.kind == "custom":
        return {"input": call.arguments}
    return orjson.loads(call.arguments or "{}")


BILLING = "x-anthropic-billing-header"
SAID = {
    *(
        "text",
        "content",
        "arguments",
        "input",
        "output",
        "name",
        "description",
        "url",
        "data",
        "image_url",
        "file_data",
    ),
    *(
        "system",
        "instructions",
        "signature",
        "encrypted_content",
        "definition",
        "title",
        "context",
        "refusal",
        "schema",
    ),
    *("file_path", "path", "query", "reasoning_content", "tool_name", "filename", "stop", "stop_sequences", "user_id"),
}
"""Fields of the three APIs whose strings mean something to the model or to the provider."""


def words_in(value: Any, key: str = "") -> Iterator[str]:
    """The strings of a body that have to be somewhere in what is read of it."""
    match value:
        case dict():
            for name, below in value.items():
                yield from words_in(below, name)
        case list():
            for below in value:
                yield from words_in(below, key)
        case str() if key in SAID and value.strip():
            yield value.partition(";base64,")[2] or value


def words_of(value: Any) -> Iterator[str]:
    """All strings of a canonical value, those inside JSON texts too."""
    if is_dataclass(value):
        for item in fields(value):
            yield from words_of(getattr(value, item.name))
    elif isinstance(value, dict):
        for name, below in value.items():
            yield from (name, *words_of(below))
    elif isinstance(value, list | tuple):
        for below in value:
            yield from words_of(below)
    elif isinstance(value, str):
        yield value
        if value.startswith("{"):
            yield from words_of(orjson.loads(value))


@every_request
def test_the_reader_keeps_what_the_client_said(asked: Asked) -> None:
    """Nothing of a body vanishes on the way in either: but for what a client tells its own provider's accountants."""
    request = asked.read()
    kept = "\0".join(words_of(request))
    gone = [word for word in words_in(asked.body) if word not in kept and not word.startswith(BILLING)]
    if "reasoning.context" in request.dropped:
        gone.remove(asked.body["reasoning"]["context"])
    assert gone == []

"""What real clients sent, through every pair: written for each upstream, taken by its strict face, nothing lost in silence."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
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


@every_request
def test_the_reader_keeps_what_the_client_said(asked: Asked) -> None:
    """Nothing of a body vanishes on the way in either: what has no place in the canonical form is named."""
    request = asked.read()
    assert len(request.turns) > 0
    assert replace(request, model="other").turns == request.turns

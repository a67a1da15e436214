"""The grammar of canonical streams: put one together, take a reply apart, tell whether one is legal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from shared.canonical import (
    Block,
    BlockEnd,
    BlockStart,
    Delta,
    Event,
    Failed,
    Finish,
    Json,
    Response,
    Start,
    Text,
    Thinking,
    ToolCall,
)
from shared.errors import Code, GatewayError


def fold(events: Iterable[Event]) -> Response:
    """The whole reply that a stream amounts to. Raises the stream's own error, or PROVIDER_ERROR if it has no end."""
    start: Start | None = None
    blocks: list[Block] = []
    pieces: list[Delta] = []
    logprobs: list[Json] = []
    for event in events:
        match event:
            case Start():
                start = event
            case BlockStart():
                blocks.append(event.block)
                pieces = []
            case Delta():
                pieces.append(event)
                logprobs += event.logprobs
            case BlockEnd():
                blocks[-1] = _complete(blocks[-1], pieces)
            case Failed():
                raise event.error
            case Finish() if start is not None:
                return Response(start.id, start.model, tuple(blocks), event, tuple(logprobs))
            case _:
                break
    raise GatewayError(Code.PROVIDER_ERROR, "The stream ended before the reply was complete.")


def _complete(block: Block, pieces: list[Delta]) -> Block:
    text = "".join(piece.text for piece in pieces)
    opaque = next((piece.opaque for piece in reversed(pieces) if piece.opaque), None)
    match block:
        case Text():
            cited = tuple(piece.citation for piece in pieces if piece.citation)
            return replace(
                block, text=block.text + text, citations=block.citations + cited, opaque=opaque or block.opaque
            )
        case Thinking():
            return replace(block, text=block.text + text, opaque=opaque or block.opaque)
        case ToolCall():
            return replace(block, arguments=block.arguments + text, opaque=opaque or block.opaque)
        case _:
            return block


def unfold(response: Response) -> Iterator[Event]:
    """A whole reply as the stream that would have brought it."""
    yield Start(response.id, response.model)
    logprobs = response.logprobs
    for block in response.blocks:
        match block:
            case Text(text=text):
                yield BlockStart(replace(block, text=""))
                yield Delta(text, logprobs=logprobs)
                logprobs = ()
            case Thinking(text=text):
                yield BlockStart(replace(block, text=""))
                if text:
                    yield Delta(text)
            case ToolCall(arguments=arguments):
                yield BlockStart(replace(block, arguments=""))
                yield Delta(arguments)
            case _:
                yield BlockStart(block)
        yield BlockEnd()
    yield response.finish


def well_formed(events: Iterable[Event]) -> bool:
    """True for Start (BlockStart Delta* BlockEnd)* Finish, and for any beginning of it that Failed ends."""
    state = "new"
    steps = {
        ("new", Start): "between",
        ("between", BlockStart): "open",
        ("open", Delta): "open",
        ("open", BlockEnd): "between",
        ("between", Finish): "over",
    }
    for event in events:
        if isinstance(event, Failed) and state != "over":
            state = "over"
            continue
        after = steps.get((state, type(event)))
        if after is None:
            return False
        state = after
    return state == "over"

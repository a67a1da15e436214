"""Where a reply ends, what it is cut into, and what it costs: tokens are words here, or sixteen characters of a long one."""

from __future__ import annotations

import re
from dataclasses import replace

import orjson

from emulator.demo.commands import Commands
from emulator.demo.talk import (
    Answered,
    Call,
    Called,
    Json,
    Media,
    Piece,
    Prompt,
    Reply,
    Said,
    Search,
    Text,
    Thought,
    Usage,
)

_TOKEN = re.compile(r"\s*\S{1,16}|\s+")
_LONG = 1024  # OpenAI and Google cache prefixes from this size on, without being asked


def tokens(text: str) -> list[str]:
    """The text in the pieces in which it is streamed."""
    return _TOKEN.findall(text)


def finished(prompt: Prompt, pieces: tuple[Piece, ...], orders: Commands) -> Reply:
    """The reply as far as stop sequences and the token limit let it come."""
    pieces, sequence = _stopped(pieces, prompt.stop)
    pieces, cut = _cut(pieces, prompt.max_tokens)
    usage = _usage(prompt, pieces, orders.usage)
    if cut:
        return Reply(pieces, "length", usage)
    if sequence:
        return Reply(pieces, "stop", usage, sequence)
    if any(isinstance(piece, Call) for piece in pieces):
        return Reply(pieces, "call", usage)
    refused = any(isinstance(piece, Text) and piece.refusal for piece in pieces)
    return Reply(pieces, "refusal" if refused else "end", usage)


def _stopped(pieces: tuple[Piece, ...], stop: tuple[str, ...]) -> tuple[tuple[Piece, ...], str]:
    for i, piece in enumerate(pieces):
        if isinstance(piece, Text):
            found = [(place, word) for word in stop if (place := piece.text.find(word)) >= 0]
            if found:
                place, word = min(found)
                before = piece.text[:place]
                kept = (*pieces[:i], replace(piece, text=before, sources=())) if before else pieces[:i]
                return kept, word
    return pieces, ""


def _cut(pieces: tuple[Piece, ...], room: int | None) -> tuple[tuple[Piece, ...], bool]:
    """As many pieces as fit. A text is cut in two; a call that doesn't fit is left out."""
    kept: list[Piece] = []
    for piece in pieces:
        size = _size(piece)
        if room is None or size <= room:
            kept.append(piece)
            room = None if room is None else room - size
            continue
        if room and isinstance(piece, Text | Thought):
            text = "".join(tokens(piece.text)[:room])
            kept.append(replace(piece, text=text, sources=()) if isinstance(piece, Text) else Thought(text))
        return tuple(kept), True
    return tuple(kept), False


def _size(piece: Piece) -> int:
    match piece:
        case Thought() | Text():
            return len(tokens(piece.text))
        case Call():
            return len(tokens(piece.arguments)) + 1
        case Search():
            return len(tokens(piece.query))


# ── money's other half ───────────────────────────────────────────────────────────────────────────────────────────


def input_tokens(prompt: Prompt) -> int:
    """The size of a prompt: four characters a token, a fixed price for media, a little for each message."""
    size = sum(4 + _turn_size(part) for turn in prompt.turns for part in turn.parts)
    for tool in prompt.tools:
        size += 8 + (len(orjson.dumps(tool.schema)) + len(tool.name)) // 4
    return size + (len(orjson.dumps(prompt.schema)) // 4 if prompt.schema else 0)


def _turn_size(part: Said | Media | Called | Answered) -> int:
    match part:
        case Said():
            return -(-len(part.text) // 4)
        case Media():
            return 258
        case Called():
            return -(-len(part.arguments) // 4) + 4
        case Answered():
            return -(-len(part.text) // 4) + 258 * len(part.media)


def _usage(prompt: Prompt, pieces: tuple[Piece, ...], fixed: Json) -> Usage:
    size = input_tokens(prompt)
    cached = size * 6 // 10 if prompt.cache or size >= _LONG else 0
    usage = Usage(
        input=size,
        output=sum(map(_size, pieces)),
        cached=cached,
        written=size * 2 // 10 if prompt.cache else 0,
        reasoning=sum(_size(piece) for piece in pieces if isinstance(piece, Thought)),
        searches=sum(isinstance(piece, Search) for piece in pieces),
    )
    known = ("input", "output", "cached", "written", "reasoning")
    return replace(usage, **{name: value for name, value in fixed.items() if name in known})

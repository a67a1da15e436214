"""The conversation as `contents`: https://ai.google.dev/api/caching#Content."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from shared.canonical import Audio, Block, Document, Image, Json, Target, Text, ToolCall, ToolResult, Turn
from shared.dialects.gemini.media import media_parts
from shared.dialects.gemini.results import write_results
from shared.dialects.gemini.said import Said, sign_current_turn
from shared.dialects.toolnames import ToolNames
from shared.errors import invalid, unsupported

Side = Literal["user", "model"]


def write_contents(turns: Iterable[Turn], names: ToolNames, target: Target, dropped: dict[str, None]) -> list[Json]:
    """`contents`: roles alternate, every call is answered in the content that follows it.

    Raises VALIDATION_ERROR where calls and results don't match, UNSUPPORTED_BY_MODEL for a prefill the model won't continue.
    """
    contents: list[Json] = []
    calls: list[tuple[ToolCall, str]] = []  # not yet answered
    for side, blocks in _sides(turns, dropped):
        if side == "model":
            said = Said(names, target, dropped)
            said.add(blocks)
            parts = said.parts
            calls += said.calls
        else:
            parts = _user(blocks, calls, target, dropped)
            calls = []
        if parts and contents and contents[-1]["role"] == side:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": side, "parts": parts})
    if calls:
        call = calls[0][0]
        raise invalid(f"messages: the tool call {call.id!r} ({call.name}) has no result.", "messages")
    if contents and contents[-1]["role"] == "model" and not target.flags.prefill:
        raise unsupported(
            f"{target.model} does not continue a message of the assistant: end with a user message.", "messages"
        )
    if target.flags.thinking == "level":
        sign_current_turn(contents)
    return contents


def _user(
    blocks: list[Block], calls: list[tuple[ToolCall, str]], target: Target, dropped: dict[str, None]
) -> list[Json]:
    results: dict[str, ToolResult] = {}
    parts: list[Json] = []
    for block in blocks:
        match block:
            case ToolResult():
                if results.setdefault(block.call_id, block) is not block:
                    raise invalid(f"messages: the tool call {block.call_id!r} has more than one result.", "messages")
                continue
            case Text():
                parts += [{"text": block.text}] if block.text else []
                if block.citations:
                    dropped["citations"] = None
            case Image() | Document() | Audio():
                parts += media_parts(block, target, dropped)
            case _:
                raise invalid(f"messages: a {type(block).__name__} block can't stand in a user message.", "messages")
        if not isinstance(block, Audio) and block.cache:
            dropped["cache"] = None
    return write_results(calls, results, target, dropped) + parts


def _sides(turns: Iterable[Turn], dropped: dict[str, None]) -> list[tuple[Side, list[Block]]]:
    """Turns of one side joined. Gemini knows no system message within the conversation: it becomes a marked user text."""
    sides: list[tuple[Side, list[Block]]] = []
    for turn in turns:
        if turn.name:
            dropped["name"] = None
        if turn.phase:
            dropped["phase"] = None
        blocks = _marked(turn.blocks) if turn.role in ("system", "developer") else turn.blocks
        side: Side = "model" if turn.role == "assistant" else "user"
        if sides and sides[-1][0] == side:
            sides[-1][1].extend(blocks)
        else:
            sides.append((side, list(blocks)))
    return sides


def _marked(blocks: tuple[Block, ...]) -> list[Block]:
    texts = [block for block in blocks if isinstance(block, Text) and block.text]
    others: list[Block] = [block for block in blocks if not isinstance(block, Text)]
    if not texts:
        return others
    marked = "\n".join(("<system>", *(block.text for block in texts), "</system>"))
    return [Text(marked, cache=next((block.cache for block in texts if block.cache), None)), *others]

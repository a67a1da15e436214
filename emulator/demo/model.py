"""The scripted model: a prompt in, a reply out. Pure, and the same every time."""

from __future__ import annotations

import re

import orjson

from emulator.demo import agent, commands
from emulator.demo.calls import wanted_calls
from emulator.demo.invention import instance
from emulator.demo.limits import finished
from emulator.demo.talk import Answered, Media, Piece, Prompt, Reply, Said, Search, Source, Text, Thought, Turn

REFUSED = "forbidden-topic"


def answer(prompt: Prompt) -> Reply:
    """What the model says to this."""
    orders = commands.parse(prompt.told)
    text = commands.without(prompt.told)
    pieces: tuple[Piece, ...] = ()
    if orders.words:
        pieces = (Text(" ".join(f"word{i}" for i in range(1, orders.words + 1))),)
    elif not orders.empty:
        pieces = _script(prompt, text)
    if prompt.thinks and pieces:
        pieces = (Thought(_thought(prompt, pieces)), *pieces)
    return finished(prompt, pieces, orders)


def _script(prompt: Prompt, text: str) -> tuple[Piece, ...]:
    if REFUSED in text:
        return (Text("I can't help with that topic.", refusal=True),)
    if (step := agent.step(prompt)) is not None:
        return step
    if calls := wanted_calls(prompt, text):
        return calls
    if prompt.wants_json:
        return (Text(orjson.dumps(_json(prompt)).decode()),)
    if (search := _search(prompt, text)) is not None:
        return search
    if results := _results(prompt.turns):
        return (Text(_closing(results)),)
    return (Text(_echo(prompt, text)),)


def _json(prompt: Prompt) -> object:
    return {"answer": "demo"} if prompt.schema is None else instance(prompt.schema, everything=True)


def _results(turns: tuple[Turn, ...]) -> list[Answered]:
    """The results that came after the model last spoke."""
    results: list[Answered] = []
    for turn in reversed(turns):
        if turn.role == "assistant":
            break
        results[:0] = [part for part in turn.parts if isinstance(part, Answered)]
    return results


def _closing(results: list[Answered]) -> str:
    said = [_quoted(result) for result in results]
    return f"The tool answered: {said[0]}." if len(said) == 1 else f"The tools answered: {', '.join(said)}."


def _quoted(result: Answered) -> str:
    text = f'"{result.text.strip()}"'
    if result.media:
        text += f" with {_counted(result.media)}"
    return f"an error, {text}" if result.is_error else text


def _echo(prompt: Prompt, text: str) -> str:
    last = next((turn for turn in reversed(prompt.turns) if turn.role == "user"), None)
    media = tuple(part for part in last.parts if isinstance(part, Media)) if last else ()
    said = f"You said: {text}" if text else "You said nothing."
    return f"{said} (I got {_counted(media)}.)" if media else said


def _counted(media: tuple[Media, ...]) -> str:
    kinds = [part.kind for part in media]
    counted = []
    for kind in dict.fromkeys(kinds):
        plural = "s" if kinds.count(kind) > 1 and kind != "audio" else ""
        counted.append(f"{kinds.count(kind)} {kind}{plural}")
    return " and ".join(counted)


def _thought(prompt: Prompt, pieces: tuple[Piece, ...]) -> str:
    plan = "call a tool" if any(not isinstance(piece, Text) for piece in pieces) else "answer in words"
    turns = sum(any(isinstance(part, Said) for part in turn.parts) for turn in prompt.turns)
    return f"There are {turns} messages to read. The best that I can do is to {plan}."


def _search(prompt: Prompt, text: str) -> tuple[Piece, ...] | None:
    hosted = any(tool.kind == "hosted" and tool.name == "web_search" for tool in prompt.tools)
    forced = prompt.choice.mode == "required" or "web_search" in prompt.choice.names
    if (
        not hosted
        or prompt.choice.mode == "none"
        or not (forced or re.search(r"\b(search|look up)\b", text, re.IGNORECASE))
    ):
        return None
    opening = "I searched the web: "
    fact = "the demo page says that all is well."
    source = Source("https://example.com/demo", "A demo page", start=len(opening), end=len(opening) + len(fact))
    return Search(text[:80] or "demo", (source,)), Text(opening + fact, (source,))

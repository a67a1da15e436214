"""The demo's strict faces as judges of what is written: they refuse what the real API would refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import orjson

from emulator.demo import chat, gemini, messages, responses
from emulator.demo.face import Asked, Face
from emulator.demo.talk import Prompt
from shared.canonical import EFFORTS, Effort, Json, Request, Target
from shared.dialects import Api, Written, dialect
from tests.pairs.recorded import MAKER

FACES: dict[Api, Face] = {
    "chat_completions": chat.FACE,
    "messages": messages.FACE,
    "responses": responses.FACE,
    "gemini": gemini.FACE,
}

_LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high")
_THINKING: dict[Api, Literal["effort", "adaptive", "level"]] = {
    "chat_completions": "effort",
    "messages": "adaptive",
    "responses": "effort",
    "gemini": "level",
}


def target(api: Api) -> Target:
    """A capable model of the demo at this API."""
    flags = replace(MAKER.flags, thinking=_THINKING[api], thinking_off="disabled" if api == "messages" else "none")
    if api == "messages":
        flags = replace(flags, effort=EFFORTS[2:])
    elif api == "gemini":
        flags = replace(flags, effort=_LEVELS, thinking_off="never")
    return replace(MAKER, provider="demo", model="demo-1", flags=flags)


def heard(api: Api, body: Json, model: str = "demo-1") -> Prompt:
    """What the upstream hears. Raises `RefusedError` where the real one would answer with an error."""
    body = orjson.loads(orjson.dumps(body))
    return FACES[api].read(body, Asked({"anthropic-version": "2023-06-01"}, model))


def sent(request: Request, api: Api) -> tuple[Written, Prompt]:
    """A request as it goes out, judged."""
    written = dialect(api).write_request(request, target(api))
    return written, heard(api, written.body)

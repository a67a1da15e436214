"""Commands in double brackets that a prompt may hold, for trying faults: `[[fail 429 retry-after=2]]`, `[[break after 5]]` …

[[fail STATUS retry-after=S html times=N]]  an error instead of a reply; `times`: the first N times only, counted for
                                            each prompt in each server process (break, cut, error, half know it too)
[[wait S]]                                  silence before the reply's headers
[[stall S after N]]                         silence after N pieces (1)
[[break after N]]                           the connection drops after N pieces (3)
[[cut after N]]                             the stream ends in good order after N pieces, without its last events
[[error after N]]                           the API's error event after N pieces
[[half after N]]                            half an event, then the end
[[slow MS]]                                 pause between pieces
[[long WORDS]], [[empty]]                   a reply of that length; one without content
[[interleave]]                              parallel calls of chat completions come in turns
[[quirk NAME …]]                            oddities of real providers: `comments` in streams, an `array` around errors,
                                            and those of chat completions (`chat.quirks`)
[[usage input=N cached=N written=N output=N reasoning=N]]   these figures instead of the counted ones
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

_COMMAND = re.compile(
    r"\[\[(fail|wait|stall|break|cut|error|half|slow|long|empty|interleave|quirk|usage)\b([^\]]*)\]\]"
)

Fault = Literal["break", "cut", "error", "half"]


@dataclass(frozen=True, slots=True)
class Commands:
    """What a prompt asks for. Times are in seconds; `fail` is a status."""

    fail: int = 0
    retry_after: str = ""
    html: bool = False
    times: int | None = None
    wait: float = 0
    stall: float = 0
    stall_after: int = 1
    fault: Fault | None = None
    fault_after: int = 3
    pause: float | None = None
    words: int = 0
    empty: bool = False
    interleave: bool = False
    quirks: frozenset[str] = frozenset()
    usage: dict[str, int] = field(default_factory=dict)


def parse(text: str) -> Commands:
    """The commands in a text."""
    found = Commands()
    for command, rest in _COMMAND.findall(text):
        found = _with(found, command, rest.split())
    return found


def without(text: str) -> str:
    """The text without its commands."""
    return _COMMAND.sub("", text).strip()


def _with(found: Commands, command: str, words: list[str]) -> Commands:
    named = dict(word.split("=", 1) for word in words if "=" in word)
    amount = next((float(word) for word in words if word.replace(".", "", 1).isdigit()), 0.0)
    after = next((int(word) for before, word in pairwise(words) if before == "after"), None)
    match command:
        case "fail":
            times = int(named["times"]) if "times" in named else None
            return replace(
                found,
                fail=int(amount) or 500,
                retry_after=named.get("retry-after", ""),
                html="html" in words,
                times=times,
            )
        case "wait":
            return replace(found, wait=amount)
        case "stall":
            return replace(found, stall=amount, stall_after=1 if after is None else after)
        case "break" | "cut" | "error" | "half" as fault:
            times = int(named["times"]) if "times" in named else found.times
            return replace(found, fault=fault, fault_after=3 if after is None else after, times=times)
        case "slow":
            return replace(found, pause=amount / 1000)
        case "long":
            return replace(found, words=int(amount))
        case "empty":
            return replace(found, empty=True)
        case "quirk":
            return replace(found, quirks=frozenset(words))
        case "interleave":
            return replace(found, interleave=True)
        case _:
            return replace(found, usage={k: int(v) for k, v in named.items() if v.isdigit()})

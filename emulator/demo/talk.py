"""What the scripted model hears and says, in no API's form: the wire faces turn their own bodies into this and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

Json = dict[str, Any]
CREATED = 1_767_225_600  # the time of every reply: the same, like everything else here
Kind = Literal["function", "custom", "search", "hosted"]
_ASIDE = re.compile(r"<(system-reminder|environment_context|system)>.*?</\1>\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """Words of anybody."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """Something that isn't text. The model counts them, and looks no closer."""

    kind: Literal["image", "document", "audio", "video"]


@dataclass(frozen=True, slots=True)
class Called:
    """A call that the model made earlier. `arguments` is JSON text, or a custom tool's raw text."""

    id: str
    name: str
    arguments: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a tool said to the call with this id."""

    id: str
    text: str
    is_error: bool = False
    media: tuple[Media, ...] = ()


Part = Said | Media | Called | Answered


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `system` stands for developers too."""

    role: Literal["user", "assistant", "system"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "\n".join(part.text for part in self.parts if isinstance(part, Said))

    @property
    def own_words(self) -> str:
        """The text without what coding agents slip in beside the user's words."""
        return _ASIDE.sub("", self.text).strip()


@dataclass(frozen=True, slots=True)
class Tool:
    """`schema` None: it takes nothing. `deferred`: it can be called once a search has `loaded` it."""

    name: str
    schema: Json | None = None
    kind: Kind = "function"
    namespace: str = ""
    deferred: bool = False
    loaded: bool = False

    @property
    def callable(self) -> bool:
        return self.kind != "hosted" and (self.loaded or not self.deferred)

    @property
    def short(self) -> str:
        """The name without the namespace that gateways and MCP clients put before it."""
        return self.name.rpartition("__")[2] or self.name

    @property
    def takes_text(self) -> bool:
        """A custom tool, or the function that stands for one where there are none."""
        properties = (self.schema or {}).get("properties") or {}
        return self.kind == "custom" or (self.kind == "function" and list(properties) == ["input"])


@dataclass(frozen=True, slots=True)
class Choice:
    """`names` is the one tool of `tool`, or the allowed subset of the others; empty: all."""

    mode: Literal["auto", "none", "required", "tool"] = "auto"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request. `seed` is a hash of the body: all ids of the reply come from it, streamed or not.

    `cache` is the time for which the caller marked a prefix, empty without a mark; `body` is for what only the face's own
    writer wants to know.
    """

    seed: str
    model: str
    turns: tuple[Turn, ...]
    body: Json
    tools: tuple[Tool, ...] = ()
    choice: Choice = Choice()
    parallel: bool = True
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = False
    shows_thoughts: bool = True
    wants_json: bool = False
    schema: Json | None = None
    stream: bool = False
    cache: Literal["", "5m", "1h"] = ""

    @property
    def told(self) -> str:
        """The user's latest own words."""
        return next((turn.own_words for turn in reversed(self.turns) if turn.role == "user" and turn.own_words), "")


# ── what comes out ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Source:
    """A page that a search found, and the words of the text that rest on it (offsets in characters)."""

    url: str
    title: str
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Thought:
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    sources: tuple[Source, ...] = ()
    refusal: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: str
    kind: Kind = "function"
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Search:
    """A search on the provider's own side."""

    query: str
    sources: tuple[Source, ...]


Piece = Thought | Text | Call | Search


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` includes `cached` and `written`, `output` includes `reasoning`."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0
    searches: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """`sequence` is the stop sequence that ended it."""

    pieces: tuple[Piece, ...]
    finish: Literal["end", "call", "length", "stop", "refusal"]
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    sequence: str = ""


def minted(prefix: str, seed: str, *salt: object) -> str:
    """An id that is the same whenever the request is the same."""
    return prefix + sha256(repr((seed, *salt)).encode()).hexdigest()[:24]

"""The one form in the middle: what a request, a reply and a stream are, whatever API they came from.

Values only: frozen, comparable, without I/O and without the name of any provider. Readers (`read_*`) make them from
a wire format, writers (`write_*`) turn them into one. Collections are tuples; JSON objects that the gateway
doesn't look into (schemas, metadata) stay dicts and must not be changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.errors import GatewayError

Json = dict[str, Any]

# ── what a model and an endpoint can do ──────────────────────────────────────────────────────────────────────────

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
Modality = Literal["text", "image", "audio", "video", "pdf"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens that a model reads (`context`) and writes (`output`); None where nobody says."""

    context: int | None = None
    output: int | None = None


@dataclass(frozen=True, slots=True)
class Flags:
    """What a model accepts, beyond its modalities. Set in the catalog, read by the dialect that writes to it."""

    sampling_params: bool = True  # temperature, top_p, top_k, penalties
    stop: bool = True  # stop sequences
    tools: bool = True
    forced_tool_choice: bool = True
    prefill: bool = False  # the last message may be the assistant's
    thinking: Literal["none", "budget", "adaptive", "level", "effort"] = "none"
    thinking_off: Literal["disabled", "between_tools", "none", "never"] | None = None
    effort: tuple[Effort, ...] = ()
    effort_without_thinking: Effort | None = None  # the highest one accepted while thinking is off; None: any
    json_schema: bool = False
    mid_system: bool = False  # role "system" inside the messages
    tools_need_responses: bool = False  # function tools with reasoning are refused by chat completions
    completion_tokens: bool = False  # wants `max_completion_tokens`, refuses `max_tokens`
    parallel_tools: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is written for, and who made the reply that is read: one offer at one endpoint of one provider.

    `provider` is a catalog id and serves one purpose here: to seal and unseal opaque reasoning for its maker.
    `quirks` are names from the catalog; the dialect that owns a quirk reads it.
    """

    provider: str
    model: str  # the provider's own id
    limits: Limits = Limits()
    flags: Flags = Flags()
    input: frozenset[Modality] = frozenset({"text"})
    output: frozenset[Modality] = frozenset({"text"})
    quirks: frozenset[str] = frozenset()


# ── blocks: what a turn holds ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CacheMark:
    """The prompt up to here may be cached, with the client's wish for how long (`5m`, `1h`, `30m` …)."""

    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """State that only its maker can read: a signature, encrypted content, a thought signature.

    `maker` is the provider's catalog id. `kind` and `data` are private to the dialect that minted it; `data` comes back to
    its maker byte for byte. Outside the gateway it travels sealed (`shared.dialects.seal`).
    """

    maker: str
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of a text: a URL, or a place in a document (`raw` keeps the wire's own object for its own dialect)."""

    url: str = ""
    title: str = ""
    text: str = ""  # the words that are cited
    start: int | None = None  # offsets in the block's text, where the wire has them
    end: int | None = None
    raw: Json | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `refusal` marks words by which the model declined (Chat and Responses have a field for it)."""

    text: str
    refusal: bool = False
    citations: tuple[Citation, ...] = ()
    cache: CacheMark | None = None
    opaque: Opaque | None = None  # Gemini signs plain text too
    phase: str = ""  # in a reply of Responses: "commentary" or "final_answer" (in a request it is the turn's)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: exactly one of `data` (base64), `url` and `file_id` is set."""

    media_type: str = ""  # "image/png"; empty with a URL
    data: str = ""
    url: str = ""
    file_id: str = ""
    detail: str = ""
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A PDF or another file (`data` base64, `url` or `file_id`), or a plain text document (`text`)."""

    media_type: str = "application/pdf"
    data: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    filename: str = ""
    title: str = ""
    context: str = ""
    citations: bool = False  # the client wants citations from it
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound: base64 `data` in `format` ("wav", "mp3"); `transcript` and `id` where a model spoke it."""

    data: str = ""
    format: str = ""
    transcript: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning: visible `text` (a summary or the thoughts themselves), opaque state, or both.

    `redacted` means that the maker shows nothing but `opaque`.
    """

    text: str = ""
    opaque: Opaque | None = None
    redacted: bool = False


ToolKind = Literal["function", "custom", "tool_search"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model calls a tool. `arguments` stays JSON text (for a custom tool: its raw text), never parsed and re-made.

    `name` and `namespace` are the client's own (what was shortened or flattened for a provider is restored by the reader).
    """

    id: str
    name: str
    arguments: str = ""
    kind: ToolKind = "function"
    namespace: str = ""
    opaque: Opaque | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class ToolReference:
    """Inside a tool result: "this deferred tool is now loaded"."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to a call. Content may hold pictures and documents as well as text; `tools` are those that a client-run
    tool search found."""

    call_id: str
    content: tuple[Text | Image | Document | ToolReference, ...] = ()
    is_error: bool = False
    kind: ToolKind = "function"
    tools: tuple[Tool, ...] = ()
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class HostedCall:
    """A tool that the provider ran itself (web search …), and what it found.

    `name` is the neutral kind ("web_search", "web_fetch", "code_execution" …), `raw` the wire's own object(s) for the dialect
    named in `dialect`; others show `input` and `results` where they can.
    """

    id: str
    name: str
    input: Json = field(default_factory=dict)
    results: tuple[Citation, ...] = ()
    dialect: str = ""
    raw: tuple[Json, ...] = ()


Block = Text | Image | Document | Audio | Thinking | ToolCall | ToolResult | HostedCall

Role = Literal["user", "assistant", "system", "developer"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. Tool results stand in user turns. Readers keep the client's messages apart; writers join what their target
    wants joined. A turn of role `system` or `developer` stands where it came in the conversation; those that lead it are in
    `Request.system` instead."""

    role: Role
    blocks: tuple[Block, ...]
    name: str = ""
    phase: str = ""  # Responses: "commentary" or "final_answer"


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool with a JSON schema. `schema` None: it takes no parameters. `deferred`: not shown to the model until a search or a
    `ToolReference` loads it. `kind` "tool_search": the client's own search among its deferred tools (Responses)."""

    name: str
    description: str = ""
    schema: Json | None = None
    strict: bool | None = None
    namespace: str = ""
    namespace_description: str = ""
    deferred: bool = False
    kind: Literal["function", "tool_search"] = "function"
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class CustomTool:
    """A tool that takes free text; `format` is the wire's object ({"type": "grammar", "syntax": "lark", "definition": …})."""

    name: str
    description: str = ""
    format: Json | None = None
    namespace: str = ""
    namespace_description: str = ""
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the provider runs: neutral `name` ("web_search" …), `raw` as its own `dialect` wrote it. `options` are the
    neutral ones: "allowed_domains", "blocked_domains", "max_uses", "user_location"."""

    name: str
    dialect: str
    raw: Json
    options: Mapping[str, Any] = field(default_factory=dict)


Tool = FunctionTool | CustomTool | HostedTool


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`auto`, `none`, `required` (any), or `tool`: exactly the one in `names`. With `auto` and `required`, `names` (where not
    empty) is the allowed subset. A name may be `namespace` + "." + name."""

    mode: Literal["auto", "none", "required", "tool"]
    names: tuple[str, ...] = ()


# ── a request ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How much to think. None everywhere: the client said nothing, and nothing is sent.

    `budget` is tokens of thinking (old Claude, Gemini 2.5); `visible`: the client wants to read a summary (None: not said);
    `summary` keeps the wire's own word for it ("auto", "detailed"); `opaque`: it wants encrypted state back.
    """

    effort: Effort | None = None
    mode: Literal["enabled", "adaptive", "disabled"] | None = None
    budget: int | None = None
    visible: bool | None = None
    summary: str = ""
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """Structured output. `json_object` has no schema."""

    kind: Literal["json_schema", "json_object"]
    schema: Json | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. A field that is None (or empty) was not sent.

    `dropped` holds the wire names of fields that the reader met and that have no place here: they are named to the client.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: int | None = None  # how many alternatives; 0: only the chosen token's
    reasoning: Reasoning = Reasoning()
    format: OutputFormat | None = None
    verbosity: str = ""
    stream: bool = False
    stream_usage: bool = False  # Chat: the client wants the usage chunk
    user: str = ""  # an id of the end user
    metadata: Mapping[str, str] | None = None
    service_tier: str = ""
    cache_key: str = ""
    cache: CacheMark | None = None  # a mark for the request as a whole
    dropped: tuple[str, ...] = ()


# ── a reply ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input` INCLUDES what was read from and written to the cache; `output` INCLUDES `reasoning`.

    `provider_cost` is what the provider says it billed, in nano-dollars; `reported` is False where no figure came and the
    numbers are ours.
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    web_searches: int = 0
    service_tier: str = ""
    provider_cost: int | None = None
    reported: bool = True

    @property
    def cache_write(self) -> int:
        """Tokens written to the cache, for whatever time."""
        return self.cache_write_5m + self.cache_write_1h


StopReason = Literal["end", "stop_sequence", "tool_call", "length", "context_full", "refusal", "paused"]


@dataclass(frozen=True, slots=True)
class Finish:
    """Why it ended, and what it took. `sequence` is the stop sequence that matched, where known; `detail` the refusal's own
    explanation. `logprobs` of a whole reply stand in `Response`."""

    reason: StopReason
    usage: Usage = Usage()
    sequence: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole reply. `logprobs` is the list of Chat's form ({"token", "logprob", "bytes", "top_logprobs"})."""

    id: str
    model: str
    blocks: tuple[Block, ...]
    finish: Finish
    logprobs: tuple[Json, ...] = ()


# ── a stream: Start (BlockStart Delta* BlockEnd)* Finish, or Failed at any place ─────────────────────────────────


@dataclass(frozen=True, slots=True)
class Start:
    """The reply begins. `usage` where the provider already tells the prompt's size."""

    id: str
    model: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class BlockStart:
    """A block begins, empty of what its deltas will bring (text, arguments). Blocks of other kinds come whole in here."""

    block: Block


@dataclass(slots=True)  # not frozen: one is made for every event, and that would take three times as long
class Delta:
    """More of the open block, not to be changed: `text` goes to a Text's or Thinking's text or to a ToolCall's arguments. `opaque` replaces the
    block's; `citation` is added; `logprobs` belong to the text of this delta."""

    text: str = ""
    opaque: Opaque | None = None
    citation: Citation | None = None
    logprobs: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockEnd:
    """The open block is whole."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream broke: nothing follows. `error` goes to the client in its own form."""

    error: GatewayError


Event = Start | BlockStart | Delta | BlockEnd | Finish | Failed

"""What the gateway remembers: tokens, preferences, usage, spending. Records and the one Protocol; see `sqlite` and `dynamo`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from shared.store.outbox import Delivery, Outbox, Receipt

Outcome = Literal["complete", "broken", "client_gone", "refused"]
Scope = Literal["public", "me", "all"]

GLOBAL = "*"
"""The spender whose cap is the gateway's own monthly budget."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a caller set: whose keys pay, and the models in order of liking (None: not set). Times are seconds since 1970."""

    address: str
    api_address: str | None = None
    models: tuple[str, ...] | None = None
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What an owner allows a delegate (`*`: everybody together). Nano-dollars for the money, None for no limit; `expires_at` is
    seconds since 1970; addresses are lower-case."""

    owner: str
    delegate: str
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    requests_per_minute: int | None = None
    models: tuple[str, ...] | None = None
    providers: tuple[str, ...] | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What one look at the store tells of a token: who, until when, that caller's preferences, the grants that bind the call (the
    payer's to this caller, and the payer's to everybody), and the gateway's cap."""

    address: str
    expires_at: int
    preferences: Preferences
    grants: tuple[Grant, ...] = ()
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts in disjoint classes, as they are billed. `output` includes `reasoning`, which is shown beside it."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def cache_write(self) -> int:
        """Tokens written to the cache, for whatever time."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def total(self) -> int:
        """All of them, each once."""
        return self.input + self.cache_read + self.cache_write + self.output


@dataclass(frozen=True, slots=True)
class Cost:
    """Nano-dollars by class; the classes sum to `total`. `fees` are per-call charges such as web searches."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    fees: int = 0

    @property
    def total(self) -> int:
        """The sum of all classes."""
        return self.input + self.cache_read + self.cache_write + self.output + self.fees


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One request. `id` is 32 hex digits, ordered by time; `at` is milliseconds since 1970; addresses are lower-case.

    `cost` is None where the model has no price; `estimated` marks tokens that no provider reported. `provider_cost` is what
    the provider says it billed. Empty strings stand for what never came to be (no caller, no provider). `receipt` is there only
    in a row that was read, if it has one.
    """

    id: str
    at: int
    api: str
    outcome: Outcome
    status: int
    caller: str = ""
    owner: str = ""
    provider: str = ""
    model: str = ""
    model_requested: str = ""
    stream: bool = False
    tokens: Tokens = Tokens()
    cost: Cost | None = None
    provider_cost: int | None = None
    estimated: bool = False
    duration_ms: int = 0
    first_byte_ms: int | None = None
    attempts: int = 0
    error: str = ""
    request_hash: str = ""
    receipt: Delivery | None = None


Unit = Literal["money", "requests", "tokens"]


@dataclass(frozen=True, slots=True)
class Hold:
    """Something set aside for a request until it is known what it took: at most `cap` may be used by `spender` in `period`."""

    spender: str
    period: str  # "2026-11", "2026-W48", "2026-11-24", "2026-11-24T22:50"
    amount: int
    cap: int
    unit: Unit = "money"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request really took from those who have a cap: the holds go, its cost is added to `spenders`, and `counted` amounts
    (requests, tokens) to theirs."""

    spenders: tuple[tuple[str, str], ...] = ()  # (spender, period)
    counted: tuple[tuple[str, str, int], ...] = ()  # (spender, period, amount)
    held: bool = True  # False: there are no holds to give back


Spending = Mapping[tuple[str, str], int]
"""(spender, period) -> what was used."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The gateway's monthly cap in nano-dollars. `alert_only`: nothing is refused."""

    amount: int | None = None
    alert_only: bool = False


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Rows of `[start, end)`, milliseconds since 1970. `who` narrows to one address's own calls and calls billed to it."""

    start: int
    end: int
    who: str | None = None
    limit: int = 1000
    with_strangers: bool = False  # rows of requests that no known caller made


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over a whole query, however many rows it lists."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
    by_provider: Mapping[str, int] = field(default_factory=dict)
    by_model: Mapping[str, int] = field(default_factory=dict)
    by_caller: Mapping[str, int] = field(default_factory=dict)
    by_time: Mapping[int, int] = field(default_factory=dict)  # quarter of an hour, by its beginning in milliseconds


class CapReachedError(Exception):
    """A hold didn't fit. `left` is what the cap still allows, in the hold's unit (money: nano-dollars)."""

    def __init__(self, hold: Hold, left: int) -> None:
        super().__init__(f"{hold.spender} has {left} left in {hold.period}")
        self.hold = hold
        self.left = left


class Store(Outbox, Protocol):
    """All that outlives a request. Every method is safe to call from many requests and processes at once."""

    async def session(self, token_hash: bytes, now: int, hint: str = "") -> Session | None:
        """The living token's session, with the caller's preferences: one look. `hint`: the address that the token names, which a
        store may read beside it, and must not believe."""

    async def add_token(self, token_hash: bytes, address: str, expires_at: int) -> None:
        """Remembers a token by its SHA-256."""

    async def end_token(self, token_hash: bytes) -> None:
        """The token is dead at once, in every process."""

    async def use_signature(self, digest: bytes, expires_at: int) -> bool:
        """True the first time; False for a signature that was used before."""

    async def preferences(self, address: str) -> Preferences:
        """The caller's preferences; empty ones if none were set."""

    async def put_preferences(self, preferences: Preferences) -> None:
        """Replaces them whole."""

    async def record(self, row: UsageRow, settlement: Settlement, receipt: Receipt | None = None) -> None:
        """One transaction: the row, the spending, the hold's release, the receipt. A row that is there already changes nothing."""

    async def usage(self, query: UsageQuery) -> tuple[Totals, Sequence[UsageRow]]:
        """Sums, and the newest rows first."""

    async def prune(self, before: int) -> int:
        """Folds rows older than `before` (milliseconds) into daily totals. Returns how many went."""

    async def expire(self, now: int) -> None:
        """Forgets tokens, signatures and holds whose time is over."""

    async def budget(self) -> Budget:
        """The gateway's cap."""

    async def put_budget(self, budget: Budget) -> None:
        """Sets it."""

    async def spent(self, spender: str, period: str) -> int:
        """Nano-dollars that `spender` has spent in `period`."""

    async def hold(self, request_id: str, holds: Sequence[Hold], expires_at: int, now: int) -> Sequence[int]:
        """Sets things aside, all or nothing; what is left of each cap then. Raises CapReachedError."""

    async def grants(self, owner: str) -> Sequence[Grant]:
        """All grants of an owner."""

    async def put_grants(
        self, owner: str, grants: Mapping[str, Grant | None], since: Mapping[str, tuple[str, int]]
    ) -> None:
        """Sets or (None) takes away grants by their delegates. `since`: for each money field the present window's name and its
        beginning in milliseconds; what was spent in it before there was a cap is counted from the rows."""

    async def ready(self) -> None:
        """Returns when the store answers and can be written."""

    async def close(self) -> None:
        """Writes what is waiting and lets go."""

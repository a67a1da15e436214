"""The outbox: receipts that wait for the chain, and how far each has come. Records and the part of the store that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

ReceiptState = Literal["pending", "sent", "logged", "dead"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the chain is told of one request. `request_id` is the usage row's; addresses are lower-case; hash and ids have 32 bytes."""

    request_id: str
    request_hash: bytes
    owner: str
    delegate: str
    provider_id: bytes
    model_id: bytes
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far a receipt has come, for people. `error` is what last stood in its way."""

    state: ReceiptState
    tx_hash: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A receipt on its way. `sent` means that it may be on chain: it is looked for there before anything else is done.

    `attempts` counts refusals by the contract; `due` (milliseconds since 1970) is when a pending one may be tried. `since` is the
    block before its first sending, None for one that was never sent; `sent_at` (milliseconds) is the last one's time, 0 for a
    sending that is known to have failed. `nonce` belongs to it alone until a block has used it up.
    """

    receipt: Receipt
    state: ReceiptState = "pending"
    attempts: int = 0
    due: int = 0
    since: int | None = None
    sent_at: int = 0
    nonce: int | None = None
    tx_hash: str = ""
    error: str = ""


class Outbox(Protocol):
    """Receipts between a request and the chain. They come in with the usage row; one holder of the lease takes them out."""

    async def lease(self, name: str, holder: str, now: int, until: int) -> bool:
        """Takes or keeps the right to do what `name` says until `until` (milliseconds); False while another has it."""

    async def release(self, name: str, holder: str) -> None:
        """Gives it back before its time."""

    async def open_receipts(self, now: int, limit: int) -> Sequence[Entry]:
        """Those that were sent, then those that are due; the oldest first in both."""

    async def put_receipts(self, entries: Sequence[Entry], lease: str, holder: str) -> bool:
        """Writes all of them, or none and False when `holder` no longer has `lease`."""

    async def requeue_dead(self, request_ids: Sequence[str] | None = None) -> int:
        """Gives dead ones (all, or these) another chance. Returns how many."""

    async def receipt_counts(self) -> Mapping[ReceiptState, int]:
        """How many there are in each state."""

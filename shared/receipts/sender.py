"""What brings receipts onto the chain looks like this from outside; and what may become of one of them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from shared.store.outbox import Entry

ALREADY_LOGGED = "ReceiptAlreadyLogged"
HOPELESS = frozenset({"DelegateNeverPermitted", "ZeroAddress"})
"""Refusals that will never be otherwise: the contract looks at nothing but the receipt and the past."""
UNAUTHORIZED = frozenset({"NotAuthorized", "RoflOriginNotAuthorizedForApp"})
"""Refusals of the sender: they meet every receipt alike, until the administrator names the gateway."""

_SHOWN = 200

Save = Callable[[Sequence[Entry]], Awaitable[None]]
"""Writes entries to the outbox. Raises LeaseLostError when another process delivers now: then nothing may be sent."""


class DeliveryError(Exception):
    """The chain can't be reached, or takes nothing now. It says nothing against a single receipt."""


class LeaseLostError(Exception):
    """Another process delivers now."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often the contract may refuse a receipt before it is given up, and how long the pauses between are (seconds)."""

    attempts: int = 8
    first_wait: float = 5.0
    longest_wait: float = 300.0


class Sender(Protocol):
    """One of the two ways onto the chain."""

    room: int
    """How many entries it wants to see at a time."""

    async def deliver(self, entries: Sequence[Entry], save: Save) -> bool:
        """Brings entries a step further, and saves what it is about to do before it does it.

        Returns whether some are under way. Raises DeliveryError and LeaseLostError; whatever was saved until then holds.
        """

    async def close(self) -> None:
        """Frees connections."""


def pause(times: int, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time, up to `longest`, with jitter."""
    full = min(first * 2.0 ** min(times, 30), longest)
    return full * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)


def logged(entry: Entry, tx_hash: str) -> Entry:
    """It stands on chain."""
    return replace(entry, state="logged", nonce=None, tx_hash=tx_hash or entry.tx_hash, error="")


def again(entry: Entry, error: str = "") -> Entry:
    """It doesn't stand on chain, and what was sent can't bring it there any more."""
    return replace(entry, state="pending", nonce=None, tx_hash="", sent_at=0, error=error[:_SHOWN])


def refused(entry: Entry, cause: str, now: int, patience: Patience) -> Entry:
    """The contract said no: for good, or until a later try (`now` in milliseconds)."""
    attempts = entry.attempts + 1
    tried = replace(entry, attempts=attempts, nonce=None, error=cause[:_SHOWN])
    if cause in HOPELESS or attempts >= patience.attempts:
        return replace(tried, state="dead")
    wait = pause(entry.attempts, patience.first_wait, patience.longest_wait)
    return replace(tried, state="pending", due=now + round(wait * 1000), sent_at=0)

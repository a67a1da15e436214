"""Provider keys that were opened, in memory only: each ciphertext once, a few thousand of them, an hour at most."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from shared.keys.envelope import MAX_ENVELOPE_BYTES, EnvelopeError, Reason, open_for

Slot = tuple[str, bytes]
"""Whose key it is: the owner's address in lower case and the provider's id. A key is never found by its ciphertext alone,
so an owner who copies somebody's ciphertext finds nothing here that was opened for the other."""

Open = Callable[[str, bytes, bytes, tuple[bytes, ...]], str]


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    opening: asyncio.Future[str | EnvelopeError] = field(repr=False)
    until: float


class Vault:
    """The cache of opened keys. A new ciphertext in a slot replaces the old key at once."""

    def __init__(
        self,
        *,
        entries: int = 4096,
        seconds: float = 3600.0,
        open_: Open = open_for,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries: OrderedDict[Slot, _Entry] = OrderedDict()
        self._most = entries
        self._seconds = seconds
        self._open = open_
        self._clock = clock

    async def open(self, slot: Slot, ciphertext: bytes, private_keys: tuple[bytes, ...]) -> str:
        """The key in `ciphertext`, opened at most once however many ask. Raises EnvelopeError, which is kept as well."""
        if len(ciphertext) > MAX_ENVELOPE_BYTES:
            raise EnvelopeError(Reason.TOO_LARGE)
        digest = sha256(ciphertext).digest()
        entry = self._entries.get(slot)
        if entry is None or entry.digest != digest or entry.until <= self._clock():
            # In a thread: Deoxys-II in Python takes milliseconds, and streams go on meanwhile.
            opening = asyncio.ensure_future(asyncio.to_thread(self._try, slot, ciphertext, private_keys))
            entry = _Entry(digest, opening, self._clock() + self._seconds)
            self._entries[slot] = entry
        self._entries.move_to_end(slot)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
        try:
            opened = await asyncio.shield(entry.opening)
        except Exception:  # a fault of ours, not of the envelope: the next one tries again
            self.forget(slot)
            raise
        if isinstance(opened, EnvelopeError):
            raise EnvelopeError(opened.reason)
        return opened

    def forget(self, slot: Slot) -> None:
        """Drops the key of a secret that is no longer there."""
        self._entries.pop(slot, None)

    def _try(self, slot: Slot, ciphertext: bytes, private_keys: tuple[bytes, ...]) -> str | EnvelopeError:
        try:
            return self._open(*slot, ciphertext, private_keys)
        except EnvelopeError as error:
            return error

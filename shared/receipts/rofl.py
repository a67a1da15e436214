"""Receipts from inside ROFL: appd signs and submits, one transaction after the other, so each carries as many as fit.

https://github.com/oasisprotocol/oasis-sdk/blob/main/docs/rofl/features/appd.md
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from shared.keys.appd import Appd, AppdError, Executed, Failed
from shared.receipts.calldata import MULTICALL, aggregate, write_receipt
from shared.receipts.register import Head, Register
from shared.receipts.sender import (
    ALREADY_LOGGED,
    UNAUTHORIZED,
    DeliveryError,
    Patience,
    Save,
    again,
    logged,
    refused,
)
from shared.store.outbox import Entry

MOST = 50
GAS_ALONE = 500_000
GAS_EACH = 60_000
GAS_AROUND = 100_000

_OF_THE_CALL = frozenset({"evm", "core"})
"""Modules whose failures tell of the call itself; others tell of the app's account or its standing."""


@dataclass(frozen=True, slots=True)
class Delays:
    """In seconds: how long a transaction of unknown fate is waited for, by what the contract does with doubles (appd itself gives
    up after 60, and a block may follow), and how long a node may take to see a block that appd has seen."""

    refused_doubles: float = 10.0
    taken_doubles: float = 90.0
    node: float = 15.0
    look: float = 0.5


class RoflSender:
    """Multicall3 with up to MOST receipts per transaction. appd tells nothing of the single calls: the chain is asked which ones
    stand. What a transaction left out goes alone, straight to the contract, which then says why.

    After a transaction that did nothing at all the next one is smaller, down to a single receipt, and after one that did its work
    twice as large: where Multicall3 is missing, or the gas for many, receipts still come through.
    """

    room = 2 * MOST

    def __init__(
        self,
        appd: Appd,
        register: Register,
        *,
        patience: Patience | None = None,
        delays: Delays | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._appd = appd
        self._register = register
        self._patience = patience or Patience()
        self._delays = delays or Delays()
        self._clock = clock
        self._size = MOST

    async def deliver(self, entries: Sequence[Entry], save: Save) -> bool:
        """See `Sender`. Nothing is sent while the fate of an earlier transaction is unknown."""
        head = await self._register.head()
        doubtful = [entry for entry in entries if entry.since is not None]
        standing = await self._register.standing(doubtful, head)
        looked = [self._judged(entry, standing) for entry in entries]
        await save([new for old, new in zip(entries, looked, strict=True) if new != old])
        if any(entry.state == "sent" for entry in looked):
            return True
        batch = self._batch([entry for entry in looked if entry.state == "pending"])
        if batch:
            await self._submit(batch, head, save)
        return False

    async def close(self) -> None:
        """Frees connections."""
        await self._appd.close()
        await self._register.close()

    def _judged(self, entry: Entry, standing: dict[bytes, str]) -> Entry:
        """The entry as it is after a look at the chain."""
        if (transaction := standing.get(entry.receipt.request_hash)) is not None:
            return logged(entry, transaction)
        if entry.state == "pending":
            return entry
        wait = self._delays.refused_doubles if self._register.refuses_doubles else self._delays.taken_doubles
        over = self._clock() * 1000 - entry.sent_at >= wait * 1000
        return again(entry, entry.error) if over else entry

    def _batch(self, pending: Sequence[Entry]) -> list[Entry]:
        """The oldest ones together, up to the first that was refused before; such a one goes alone."""
        batch: list[Entry] = []
        for entry in pending:
            if entry.attempts or len(batch) == self._size:
                return batch or [entry]
            batch.append(entry)
        return batch

    async def _submit(self, batch: Sequence[Entry], head: Head, save: Save) -> None:
        now = round(self._clock() * 1000)
        since = [entry.since if entry.since is not None else head.block for entry in batch]
        sent = [replace(one, state="sent", since=at, sent_at=now) for one, at in zip(batch, since, strict=True)]
        await save(sent)
        contract, calls = self._register.contract, [write_receipt(entry.receipt) for entry in batch]
        try:
            if len(calls) == 1:
                result = await self._appd.sign_submit(contract, calls[0], GAS_ALONE)
            else:
                gas = GAS_AROUND + GAS_EACH * len(calls)
                result = await self._appd.sign_submit(MULTICALL, aggregate(contract, calls), gas)
        except AppdError as error:
            unknown = error.failure == "unknown"
            await save([replace(one, error=str(error)) if unknown else again(one, str(error)) for one in sent])
            if error.status == 413:
                self._shrink()
            raise DeliveryError(str(error)) from None
        match result:
            case Executed():
                await self._verify(sent, save)
            case Failed():
                await self._take_back(sent, result, save)

    async def _verify(self, sent: Sequence[Entry], save: Save) -> None:
        """Which receipts of an executed transaction stand? The others were refused."""
        standing = await self._seen(sent)
        done = [logged(one, standing[one.receipt.request_hash]) for one in sent if one.receipt.request_hash in standing]
        left = [one for one in sent if one.receipt.request_hash not in standing]
        if done:
            self._size = min(self._size * 2, MOST)
        elif len(sent) > 1:
            self._shrink()
            await save([again(one) for one in left])
            return
        now = round(self._clock() * 1000)
        told = "the transaction passed, but the contract logged nothing"
        if len(sent) > 1:  # alone, and at once, they will hear why
            await save([*done, *(replace(again(one, told), attempts=one.attempts + 1) for one in left)])
        else:
            await save([*done, *(refused(one, told, now, self._patience) for one in left)])

    async def _seen(self, sent: Sequence[Entry]) -> dict[bytes, str]:
        """What stands. Where nothing does, the node may not have seen the block yet: it is asked for a while."""
        end = time.monotonic() + self._delays.node
        while True:
            standing = await self._register.standing(sent, await self._register.head())
            if standing or time.monotonic() > end:
                return standing
            await asyncio.sleep(self._delays.look)

    async def _take_back(self, sent: Sequence[Entry], failed: Failed, save: Save) -> None:
        """A transaction that did nothing: several receipts go apart, a single one knows why."""
        cause = failed.cause or f"{failed.module} error {failed.code}"
        if failed.module not in _OF_THE_CALL:
            await save([again(one, cause) for one in sent])
            raise DeliveryError(cause)
        if len(sent) > 1:
            self._shrink()
            await save([again(one, cause) for one in sent])
            return
        if cause == ALREADY_LOGGED:
            standing = await self._register.standing(sent, await self._register.head())
            await save([logged(one, standing.get(one.receipt.request_hash, "")) for one in sent])
            return
        now = round(self._clock() * 1000)
        await save([refused(one, cause, now, self._patience) for one in sent])
        if cause in UNAUTHORIZED:
            raise DeliveryError(cause)

    def _shrink(self) -> None:
        self._size = max(self._size // 4, 1)

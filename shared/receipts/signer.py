"""Receipts from outside ROFL: signed with PRIVATE_KEY, many transactions on their way at once.

https://ethereum.org/developers/docs/transactions/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from shared.keys.rpc import Answer, Fault
from shared.receipts.calldata import write_receipt
from shared.receipts.register import Head, Register
from shared.receipts.sender import ALREADY_LOGGED, DeliveryError, Patience, Save, again, logged, refused
from shared.receipts.transaction import Account, Signed
from shared.store.outbox import Entry

IN_FLIGHT = 32
GAS = 500_000
SILENCE = 20.0
"""Seconds after which a transaction that no block took is handed to the node again."""

_DEARER = 1.25
_MOST_DEAR = 16.0


class SignerSender:
    """One transaction for each receipt. Its nonce is written down before it is sent, and is its own until a block has used it up: two
    transactions with one nonce can't both happen, so sending again is always safe. The next nonce follows from what is written
    down and what the chain has seen; no counter in memory can go wrong.
    """

    room = 2 * IN_FLIGHT

    def __init__(
        self,
        account: Account,
        register: Register,
        *,
        patience: Patience | None = None,
        silence: float = SILENCE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._register = register
        self._patience = patience or Patience()
        self._silence = silence
        self._clock = clock
        self._dearer = 1.0

    async def deliver(self, entries: Sequence[Entry], save: Save) -> bool:
        """See `Sender`."""
        head = await self._register.head()
        nonce = await self._register.nonce(self._account.address, head)
        doubtful = [entry for entry in entries if entry.since is not None]
        standing = await self._register.standing(doubtful, head)
        looked = [await self._judged(entry, standing, nonce, head) for entry in entries]
        await save([new for old, new in zip(entries, looked, strict=True) if new != old])
        flying = [entry for entry in looked if entry.state == "sent"]
        now = round(self._clock() * 1000)
        silent = [entry for entry in flying if now - entry.sent_at >= self._silence * 1000]
        waiting = [entry for entry in looked if entry.state == "pending" and entry.due <= now]
        first = max([nonce, *(entry.nonce + 1 for entry in flying if entry.nonce is not None)])
        fresh = [
            replace(entry, state="sent", nonce=first + place, since=head.block if entry.since is None else entry.since)
            for place, entry in enumerate(waiting[: max(IN_FLIGHT - len(flying), 0)])
        ]
        if silent or fresh:
            await self._send([*silent, *fresh], head, now, save)
        return bool(flying or fresh)

    async def close(self) -> None:
        """Frees connections."""
        await self._register.close()

    async def _judged(self, entry: Entry, standing: dict[bytes, str], nonce: int, head: Head) -> Entry:
        """The entry as it is after a look at the chain."""
        if (transaction := standing.get(entry.receipt.request_hash)) is not None:
            return logged(entry, transaction)
        if entry.state == "pending":
            return entry
        if entry.nonce is None:  # another way of sending is in charge now
            return again(entry, entry.error)
        if entry.nonce >= nonce:
            return entry
        return await self._mourned(entry, head)

    async def _mourned(self, entry: Entry, head: Head) -> Entry:
        """An entry whose nonce is used up and whose receipt doesn't stand."""
        succeeded = await self._register.outcome(entry.tx_hash) if entry.tx_hash else None
        if succeeded is None:
            return again(entry, "another transaction of this account took its nonce")
        cause = "the transaction passed, but the contract logged nothing"
        if not succeeded:
            calldata = write_receipt(entry.receipt)
            cause = await self._register.cause(entry.receipt, calldata, self._account.address, head)
        if cause == ALREADY_LOGGED:
            return logged(entry, "")
        return refused(entry, cause, round(self._clock() * 1000), self._patience)

    async def _send(self, entries: Sequence[Entry], head: Head, now: int, save: Save) -> None:
        price = round(head.gas_price * self._dearer)
        signed = [self._signed(entry, price) for entry in entries]
        sent = [replace(one, tx_hash=by.hash, sent_at=now) for one, by in zip(entries, signed, strict=True)]
        await save(sent)
        answers = await self._register.send(by.raw for by in signed)
        failures = [(one, why) for one, answer in zip(sent, answers, strict=True) if (why := self._failure(answer))]
        if not failures:
            self._dearer = 1.0
            return
        await save([replace(one, sent_at=0, error=why) for one, why in failures])
        raise DeliveryError(failures[0][1])

    def _signed(self, entry: Entry, price: int) -> Signed:
        if entry.nonce is None:
            raise ValueError("A receipt without a nonce can't be signed.")
        calldata = write_receipt(entry.receipt)
        contract, chain = self._register.contract, self._register.chain_id
        return self._account.sign(entry.nonce, price, GAS, contract, calldata, chain)

    def _failure(self, answer: Answer) -> str:
        """Why the node didn't take a transaction; empty where it has it, or where only the chain can tell."""
        if not isinstance(answer, Fault):
            return ""
        said = answer.message.lower()
        if "already known" in said or "nonce too low" in said or "replacement" in said:
            return ""
        if "underpriced" in said or "base fee" in said or "gas price" in said:
            self._dearer = min(self._dearer * _DEARER, _MOST_DEAR)
        return f"the node takes no transaction: {answer.message[:120]}"

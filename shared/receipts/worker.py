"""Takes receipts out of the outbox, in every process that serves; only the one that holds the lease delivers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_hex

from shared.keys.appd import Appd
from shared.keys.rpc import Rpc
from shared.receipts.register import Register
from shared.receipts.rofl import RoflSender
from shared.receipts.sender import DeliveryError, LeaseLostError, Sender, pause
from shared.receipts.signer import SignerSender
from shared.receipts.transaction import Account
from shared.settings import Settings
from shared.store.outbox import Entry, Outbox

LEASE = "receipts"

_RPC_SECONDS = 15.0
_LEASE_SECONDS = 1.0

log = logging.getLogger("ekai.receipts")


@dataclass(frozen=True, slots=True)
class Pace:
    """In seconds: how often an empty outbox is looked at, and the chain while something is on its way; how long the lease outlives
    its holder; the pauses while the chain can't be reached."""

    idle: float = 1.0
    flying: float = 1.5
    lease: float = 15.0
    first_wait: float = 2.0
    longest_wait: float = 60.0


class Worker:
    """Delivers until it is stopped. Nothing that happens to the chain, the node or the store ends it."""

    def __init__(
        self, outbox: Outbox, sender: Sender, *, pace: Pace | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._pace = pace or Pace()
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
        self._held = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    def start(self) -> None:
        """Begins, in the running event loop."""
        self._tasks = (asyncio.create_task(self._deliver()), asyncio.create_task(self._keep_lease()))

    async def stop(self, grace: float) -> None:
        """Delivers what is there, for at most `grace` seconds, and leaves the rest to whoever comes next."""
        self._stopping.set()
        if self._tasks:
            await asyncio.wait(self._tasks[:1], timeout=grace if self._held.is_set() else 0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._outbox.release(LEASE, self._holder)
        except Exception as error:  # it runs out by itself
            log.warning("the lease could not be given back: %s", error)
        await self._sender.close()

    async def drain(self, seconds: float) -> None:
        """Delivers what is there, and ends: for processes that don't last. Does nothing while another one delivers."""
        self.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._held.wait(), min(seconds, _LEASE_SECONDS))
        await self.stop(seconds)

    async def _keep_lease(self) -> None:
        while True:
            now = self._clock()
            try:
                held = await self._outbox.lease(
                    LEASE, self._holder, round(now * 1000), round((now + self._pace.lease) * 1000)
                )
            except Exception as error:  # the store may be locked for a moment; without the lease nothing is sent
                log.warning("the lease could not be kept: %s", error)
                held = False
            if held != self._held.is_set():
                log.info("delivers receipts" if held else "another process delivers receipts")
            self._held.set() if held else self._held.clear()
            await asyncio.sleep(self._pace.lease / 3)

    async def _deliver(self) -> None:
        failures = 0
        while not self._stopping.is_set() or self._held.is_set():
            await self._held.wait()
            wait: float | None = 0.0
            try:
                wait = await self._round()
                failures = 0
            except LeaseLostError:
                self._held.clear()
            except Exception as error:
                wait = pause(failures, self._pace.first_wait, self._pace.longest_wait)
                failures += 1
                await self._failed(error, wait)
            if not self._stopping.is_set():
                await self._rest(self._pace.idle if wait is None else wait)
            elif failures or wait is None:
                return
            else:
                await asyncio.sleep(wait)

    async def _rest(self, seconds: float) -> None:
        """Waits, but not once it is to stop: then whatever waits is tried at once."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _round(self) -> float | None:
        """One step. Returns how long to wait before the next, None where there was nothing to do."""
        entries = await self._outbox.open_receipts(round(self._clock() * 1000), self._sender.room)
        if not entries:
            return None
        return self._pace.flying if await self._sender.deliver(entries, self._save) else 0.0

    async def _failed(self, error: Exception, wait: float) -> None:
        if isinstance(error, DeliveryError):
            log.warning("receipts wait for %.0f s: %s", wait, error)
            await self._note(str(error))
        else:
            log.error("receipts wait for %.0f s", wait, exc_info=error)

    async def _save(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        if not await self._outbox.put_receipts(entries, LEASE, self._holder):
            raise LeaseLostError
        for entry in entries:
            if entry.state == "dead":
                log.error("a receipt is given up: %s", entry.error, extra={"request_id": entry.receipt.request_id})

    async def _note(self, error: str) -> None:
        """Leaves the reason with those that wait, for whoever looks at them."""
        try:
            entries = await self._outbox.open_receipts(round(self._clock() * 1000), self._sender.room)
            await self._save([replace(entry, error=error) for entry in entries if entry.error != error])
        except LeaseLostError:
            self._held.clear()
        except Exception as failure:  # a note is not worth a delivery
            log.warning("the reason could not be noted: %s", failure)


def worker_for(
    settings: Settings, outbox: Outbox, clock: Callable[[], float] = time.time, pace: Pace | None = None
) -> Worker | None:
    """The worker that these settings ask for; None where receipts are off, or nobody is there to sign them."""
    sender = _sender_for(settings, clock) if settings.receipts_on else None
    return None if sender is None else Worker(outbox, sender, pace=pace, clock=clock)


def _sender_for(settings: Settings, clock: Callable[[], float]) -> Sender | None:
    inside, key = settings.inside_rofl, settings.private_key
    if key is None and not inside:
        log.warning("receipts are kept, but not sent: there is neither appd's socket nor PRIVATE_KEY")
        return None
    rpc = Rpc(settings.sapphire_rpc_url, seconds=_RPC_SECONDS)
    register = Register(rpc, settings.control_plane, settings.sapphire_chain_id)
    if key is None or inside:
        return RoflSender(Appd.at(settings.rofl_socket_path), register, clock=clock)
    return SignerSender(Account.read(key.get_secret_value()), register, clock=clock)

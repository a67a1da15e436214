"""A worker in a process of its own, to be killed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from multiprocessing.connection import Connection

from shared.keys.appd import Appd
from shared.keys.rpc import Rpc
from shared.receipts.register import Register
from shared.receipts.rofl import Delays, RoflSender
from shared.receipts.sender import Sender
from shared.receipts.signer import SignerSender
from shared.receipts.transaction import Account
from shared.receipts.worker import Pace, Worker
from shared.store.sqlite import SqliteStore

PACE = Pace(idle=0.01, flying=0.01, lease=0.15, first_wait=0.02, longest_wait=0.1)
DELAYS = Delays(refused_doubles=2.5, taken_doubles=2.5, node=0.3, look=0.02)


@dataclass(frozen=True)
class Place:
    """Where a worker finds its outbox, its chain, and who signs: appd at a socket, or a key."""

    database: str
    node: str
    contract: str
    chain_id: int
    socket: str = ""
    private_key: str = ""

    def sender(self) -> Sender:
        register = Register(Rpc(self.node), self.contract, self.chain_id)
        if self.socket:
            return RoflSender(Appd.at(self.socket), register, delays=DELAYS)
        return SignerSender(Account.read(self.private_key), register, silence=0.3)


def run(place: Place, begun: Connection) -> None:
    """Delivers until it is killed, and says when it begins."""
    asyncio.run(_run(place, begun))


async def _run(place: Place, begun: Connection) -> None:
    worker = Worker(SqliteStore(place.database), place.sender(), pace=PACE)
    worker.start()
    begun.send_bytes(b"!")
    await asyncio.Event().wait()

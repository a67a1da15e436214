"""A chain with two contracts (ours, and one that takes every receipt as often as it comes), and faults that can be ordered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import function_signature_to_4byte_selector as selector

from emulator.appd import FakeAppd, on_chain
from emulator.devchain import DevChain
from emulator.devchain.client import ask
from shared.chain import model_ids, provider_id
from shared.keys.appd import Appd
from shared.keys.rpc import Answer, Ask, Rpc
from shared.receipts import hash_of, receipt_of
from shared.receipts.calldata import RECEIPT_LOGGED
from shared.receipts.register import Register
from shared.receipts.rofl import Delays, RoflSender
from shared.receipts.sender import Patience, Sender
from shared.receipts.signer import SignerSender
from shared.receipts.transaction import Account
from shared.receipts.worker import Pace, Worker
from shared.store import Settlement, Tokens, UsageQuery, UsageRow
from shared.store.sqlite import SqliteStore

APP = bytes.fromhex("00" + "5a" * 20)
FAST = Pace(idle=0.02, flying=0.02, lease=0.6, first_wait=0.02, longest_wait=0.1)
IMPATIENT = Patience(attempts=3, first_wait=0.01, longest_wait=0.02)
SHORT = Delays(refused_doubles=0.3, taken_doubles=0.6, node=0.2, look=0.02)
FIELDS = ["bytes32", "bytes32", "uint32", "uint32", "uint64", "uint64", "uint64"]

# logReceipt as the contracts before ours have it: an event for every call. Shorter calldata reverts, so there is no view.
CARELESS = (
    bytes.fromhex("3660e41160005760806064600037604435602435600435" + "7f")
    + RECEIPT_LOGGED
    + bytes.fromhex("60e06000a400" + "5b60006000fd")
)


def careless_code() -> bytes:
    """The runtime code with its jump's destination, behind code that puts it in place."""
    place = CARELESS.rindex(b"\x5b")
    code = CARELESS[:5] + bytes([place]) + CARELESS[6:]
    return bytes.fromhex(f"60{len(code):02x}80600b6000396000f3") + code


class World:
    """The contract in use is `contract`; `careless` is the other one."""

    def __init__(self, chain: DevChain) -> None:
        self.chain = chain
        self.admin, self.owner, self.friend, self.instance, self.gateway, self.stranger = chain.accounts[:6]
        self.contract = chain.deploy()
        self.first_block = self.block()
        self.do(self.admin.address, "setGateway(address)", self.gateway.address)
        self.do(self.admin.address, "setRoflAppId(bytes21)", APP)
        self.do(self.owner.address, "addDelegate(address)", self.friend.address)
        self.authorize(True)
        self._count = 0

    def authorize(self, authorized: bool) -> None:
        """The instance, and address 0 with it: the fake appd finds out why a call failed by a read, which has no sender."""
        for address in (self.instance.address, "0x" + "00" * 20):
            self.chain.authorize_origin(APP, address, authorized=authorized)

    def careless(self) -> World:
        """The same world with the contract that takes doubles."""
        sent = ask(
            self.chain.url,
            "eth_sendTransaction",
            {"from": self.admin.address, "data": f"0x{careless_code().hex()}", "gas": hex(500_000)},
        )
        self.contract = self._included(sent)["contractAddress"]
        return self

    def block(self) -> int:
        return int(ask(self.chain.url, "eth_blockNumber"), 16)

    def do(self, sender: str, signature: str, *values: Any) -> None:
        types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
        data = selector(signature) + encode(types, values)
        transaction = {"from": sender, "to": self.contract, "data": f"0x{data.hex()}", "gas": hex(1_000_000)}
        sent = ask(self.chain.url, "eth_sendTransaction", transaction)
        assert self._included(sent)["status"] == "0x1"

    def _included(self, sent: str) -> dict[str, Any]:
        while (receipt := ask(self.chain.url, "eth_getTransactionReceipt", sent)) is None:
            self.chain.mine()
        return dict(receipt)

    def row(self, *, delegate: str | None = None) -> UsageRow:
        """A request that used tokens; the next one has one token more."""
        self._count += 1
        at = 1_795_000_000_000 + self._count
        request_id = f"{at:012x}" + f"{self._count:020x}"
        who, owner = (delegate or self.friend.address).lower(), self.owner.address.lower()
        hashed = hash_of(request_id, owner, who, "openai", "gpt-4o", at)
        return UsageRow(
            request_id, at, "messages", "complete", 200, who, owner, "openai", "gpt-4o",
            tokens=Tokens(input=self._count, output=7), request_hash=f"0x{hashed.hex()}",
        )  # fmt: skip

    async def enqueue(self, store: SqliteStore, count: int, *, delegate: str | None = None) -> list[str]:
        """Puts receipts into the outbox; their hashes."""
        rows = [self.row(delegate=delegate) for _ in range(count)]
        for row in rows:
            await store.record(row, Settlement(), receipt_of(row))
        return [row.request_hash for row in rows]

    def logs(self) -> list[dict[str, Any]]:
        """All receipts on chain, in order."""
        found: list[dict[str, Any]] = []
        for start in range(self.first_block, self.block() + 1, 100):
            query = {
                "address": self.contract,
                "fromBlock": hex(start),
                "toBlock": hex(min(start + 99, self.block())),
                "topics": [f"0x{RECEIPT_LOGGED.hex()}"],
            }
            found += ask(self.chain.url, "eth_getLogs", query)
        return found

    def logged(self) -> list[str]:
        """The hashes on chain, in order; one that was logged twice stands there twice."""
        return [log["topics"][1] for log in self.logs()]

    def node(self) -> Node:
        return Node(self.chain.url)

    def signer(self, node: Node | None = None, *, silence: float = 0.2, **more: Any) -> SignerSender:
        register = Register(node or self.node(), self.contract, self.chain.chain_id)
        return SignerSender(
            Account.read(self.gateway.private_key), register, patience=IMPATIENT, silence=silence, **more
        )

    def rofl(self, appd: Appd, node: Node | None = None, **more: Any) -> RoflSender:
        register = Register(node or self.node(), self.contract, self.chain.chain_id)
        return RoflSender(appd, register, **{"patience": IMPATIENT, "delays": SHORT, **more})

    def appd(self, folder: Path, **more: Any) -> AbstractAsyncContextManager[FakeAppd]:
        fake = FakeAppd(on_chain(self.chain.url, self.instance.address), **more)
        return fake.serve(str(folder / "appd.sock"))


Plain = Callable[[Sequence[Ask]], Awaitable[list[Answer]]]


class Node(Rpc):
    """A node that can be told to fail: `before` may raise instead of asking, `after` may raise although the node has heard,
    `answers` may change what it says, and `instead` does what it likes."""

    __slots__ = ("after", "answers", "asked", "before", "instead")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.before: Callable[[Sequence[Ask]], None] = lambda calls: None
        self.after: Callable[[Sequence[Ask]], None] = lambda calls: None
        self.answers: Callable[[Ask, Answer], Answer] = lambda call, answer: answer
        self.instead: Callable[[Sequence[Ask], Plain], Awaitable[list[Answer]]] = lambda calls, plain: plain(calls)
        self.asked: list[str] = []

    async def ask(self, calls: Sequence[Ask]) -> list[Answer]:
        self.before(calls)
        self.asked += [call.method for call in calls]
        answers = await self.instead(calls, super().ask)
        self.after(calls)
        return [self.answers(call, answer) for call, answer in zip(calls, answers, strict=True)]


def sends(calls: Sequence[Ask]) -> bool:
    """Whether a request hands in transactions."""
    return any(call.method == "eth_sendRawTransaction" for call in calls)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it didn't come to that"
        await asyncio.sleep(0.02)


@dataclass
class Running:
    """A worker, and the outbox that it empties."""

    store: SqliteStore
    worker: Worker

    async def states(self, **expected: int) -> None:
        """Waits until so many receipts are in these states."""

        async def reached() -> bool:
            counts: dict[str, int] = {str(name): count for name, count in (await self.store.receipt_counts()).items()}
            return all(counts[name] == count for name, count in expected.items())

        await until(reached)

    async def shown(self) -> list[tuple[str, str, str]]:
        """State, transaction and error of every row that has a receipt, the oldest first."""
        _, rows = await self.store.usage(UsageQuery(0, 2**62))
        found = [row.receipt for row in reversed(rows) if row.receipt is not None]
        return [(one.state, one.tx_hash, one.error) for one in found]


def live(folder: Path, sender: Callable[[], Sender], work: Callable[[Running], Awaitable[None]]) -> None:
    """Runs `work` beside a worker of its own."""

    async def inner() -> None:
        store = SqliteStore(str(folder / "gateway.db"))
        worker = Worker(store, sender(), pace=FAST)
        worker.start()
        try:
            await work(Running(store, worker))
        finally:
            await worker.stop(0)
            await store.close()

    asyncio.run(inner())


def values(log: dict[str, Any]) -> tuple[Any, ...]:
    """Provider, model, tokens in and out of a receipt on chain."""
    decoded: tuple[Any, ...] = decode(FIELDS, bytes.fromhex(log["data"][2:]))
    return decoded[:4]


def named(tokens: int) -> tuple[Any, ...]:
    """What a receipt of `World.row` says."""
    return provider_id("openai"), model_ids("gpt-4o")[2], tokens, 7

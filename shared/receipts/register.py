"""What a node says of the chain: its head, which receipts stand in it, and why a transaction came to nothing.

https://ethereum.github.io/execution-apis/, https://docs.oasis.io/node/web3/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.control_plane import AbiError, is_delegate_permitted, read_bool
from shared.keys.appd import REVERTS
from shared.keys.rpc import Answer, Ask, Fault, Rpc, RpcError
from shared.receipts.calldata import GATEWAY, RECEIPT_LOGGED, receipt_block
from shared.receipts.sender import UNAUTHORIZED, DeliveryError
from shared.store.outbox import Entry, Receipt

LOG_BLOCKS = 100
"""Sapphire's nodes give logs of at most so many blocks at a time (`get_logs_max_rounds`)."""

LONG_AGO = 100 * LOG_BLOCKS
"""Blocks beyond which the contract is asked itself, where it can tell."""

LOWEST_GAS_PRICE = 10**9


@dataclass(frozen=True, slots=True)
class Head:
    """The newest block a node knows, and what gas costs now (wei)."""

    block: int
    gas_price: int


class Register:
    """The contract's receipts. Every answer that says "not there" is bound to the block of a head: another node behind the same
    address, one that lags behind, can't say it."""

    def __init__(self, rpc: Rpc, contract: str, chain_id: int) -> None:
        self.contract = contract
        self.chain_id = chain_id
        self.refuses_doubles: bool | None = None
        """Whether the contract takes a hash only once; None while nobody had to know."""
        self._rpc = rpc

    async def head(self) -> Head:
        """Raises DeliveryError, also for a node of another chain."""
        chain, block, price = await self._ask([Ask("eth_chainId"), Ask("eth_blockNumber"), Ask("eth_gasPrice")])
        if _quantity(chain) != self.chain_id:
            raise DeliveryError(f"the node is not on chain {self.chain_id}")
        return Head(_quantity(block), max(_quantity(price), LOWEST_GAS_PRICE))

    async def nonce(self, account: str, head: Head) -> int:
        """The first nonce of `account` that no block up to the head has used."""
        [answer] = await self._ask([Ask("eth_getTransactionCount", (account, hex(head.block)))])
        return _quantity(answer)

    async def standing(self, entries: Sequence[Entry], head: Head) -> dict[bytes, str]:
        """Those of `entries` (all sent once) that stand in the chain up to the head: request hash -> transaction's hash, empty where
        it can't be told."""
        if not entries:
            return {}
        hashes = [entry.receipt.request_hash for entry in entries]
        sent = [entry.since or 0 for entry in entries]
        if max(sent) > head.block:
            raise DeliveryError("the node lags behind what was seen before")
        if head.block - min(sent) > LONG_AGO:
            viewed = await self._viewed(hashes, head)
            if self.refuses_doubles:
                return viewed
        starts = range(min(sent), head.block + 1, LOG_BLOCKS)
        queries = [self._logs(hashes, start, min(start + LOG_BLOCKS - 1, head.block)) for start in starts]
        *logs, block = await self._ask([*queries, Ask("eth_blockNumber")])
        if _quantity(block) < head.block:
            raise DeliveryError("the node lags behind itself")
        found = _read_logs(logs)
        missing = [one for one in hashes if one not in found]
        return found | await self._viewed(missing, head)

    async def _viewed(self, hashes: Sequence[bytes], head: Head) -> dict[bytes, str]:
        """The same from the contract's own memory, where it has one: no index of events can hide a receipt."""
        if not hashes or self.refuses_doubles is False:
            return {}
        answers = await self._ask([self._call(receipt_block(one), head) for one in hashes])
        if all(answer == "0x" or (isinstance(answer, Fault) and answer.reverted) for answer in answers):
            self.refuses_doubles = False
            return {}
        self.refuses_doubles = True
        blocks = {one: number for one, answer in zip(hashes, answers, strict=True) if (number := _quantity(answer))}
        logs = await self._ask([self._logs([one], number, number) for one, number in blocks.items()])
        return dict.fromkeys(blocks, "") | _read_logs(logs)

    async def send(self, raws: Iterable[bytes]) -> list[Answer]:
        """Hands signed transactions to the node, in order. An answer is a hash or a Fault."""
        return await self._once([Ask("eth_sendRawTransaction", (f"0x{raw.hex()}",)) for raw in raws])

    async def outcome(self, tx_hash: str) -> bool | None:
        """Whether a transaction succeeded; None where no block has it."""
        [receipt] = await self._ask([Ask("eth_getTransactionReceipt", (tx_hash,))])
        return None if not isinstance(receipt, dict) else receipt.get("status") == "0x1"

    async def cause(self, receipt: Receipt, calldata: bytes, sender: str, head: Head) -> str:
        """Why `logReceipt` failed, by the name of the contract's error where it can be found out.

        On Sapphire an unsigned call has no sender, so its word on who is authorised is not taken.
        """
        permitted = is_delegate_permitted(receipt.owner, receipt.delegate)
        asked = [self._call(calldata, head, sender), self._call(GATEWAY, head), self._call(permitted, head)]
        simulated, gateway, permission = await self._ask(asked)
        if isinstance(gateway, str) and len(gateway) == 66 and gateway[-40:].lower() != sender[2:].lower():
            return "NotAuthorized"
        if isinstance(simulated, Fault):
            name = REVERTS.get(_bytes(simulated.data)[:4], "")
            if name and name not in UNAUTHORIZED:
                return name
        return "DelegateNeverPermitted" if _is_no(permission) else "the transaction was reverted"

    async def close(self) -> None:
        """Frees the connections."""
        await self._rpc.close()

    async def _ask(self, calls: Sequence[Ask]) -> list[Answer]:
        """Reads, at the second try if need be: a step needs several answers in a row."""
        if not calls:
            return []
        try:
            return await self._rpc.ask(calls)
        except RpcError:
            return await self._once(calls)

    async def _once(self, calls: Sequence[Ask]) -> list[Answer]:
        try:
            return await self._rpc.ask(calls)
        except RpcError as error:
            raise DeliveryError(str(error)) from None

    def _call(self, data: bytes, head: Head, sender: str | None = None) -> Ask:
        call = {"to": self.contract, "data": f"0x{data.hex()}", **({"from": sender} if sender else {})}
        return Ask("eth_call", (call, hex(head.block)))

    def _logs(self, hashes: Sequence[bytes], first: int, last: int) -> Ask:
        topics = [f"0x{RECEIPT_LOGGED.hex()}", [f"0x{one.hex()}" for one in hashes]]
        query = {"address": self.contract, "fromBlock": hex(first), "toBlock": hex(last), "topics": topics}
        return Ask("eth_getLogs", (query,))


def _read_logs(answers: Iterable[Answer]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for answer in answers:
        if not isinstance(answer, list):
            raise DeliveryError(f"the node gives no logs{_why(answer)}")
        for log in answer:
            topic, transaction = _read_log(log)
            found.setdefault(topic, transaction)
    return found


def _read_log(log: Any) -> tuple[bytes, str]:
    match log:
        case {"topics": [_, str() as topic, *_], "transactionHash": str() as transaction}:
            return _bytes(topic), transaction
        case _:
            raise DeliveryError("the node's logs are none")


def _quantity(answer: Answer) -> int:
    if isinstance(answer, str) and answer.startswith("0x"):
        try:
            return int(answer, 16)
        except ValueError:
            pass
    raise DeliveryError(f"the node's answer is not a number{_why(answer)}")


def _bytes(answer: Answer) -> bytes:
    try:
        return bytes.fromhex(answer.removeprefix("0x")) if isinstance(answer, str) else b""
    except ValueError:
        return b""


def _is_no(answer: Answer) -> bool:
    try:
        return not read_bool(_bytes(answer))
    except AbiError:
        return False


def _why(answer: Answer) -> str:
    return f" ({answer.message[:100]})" if isinstance(answer, Fault) else ""

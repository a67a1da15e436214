"""The JSON-RPC methods of the dev chain, as a Sapphire node answers them.

https://ethereum.org/developers/docs/apis/json-rpc/
https://docs.oasis.io/build/sapphire/develop/authentication
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final

from eth.abc import BlockHeaderAPI
from eth_keys.datatypes import PrivateKey

from emulator.devchain import views
from emulator.devchain.blockchain import Blockchain
from emulator.devchain.filters import read_filter
from emulator.devchain.records import Call, RefusedError
from emulator.devchain.wire import (
    RpcError,
    invalid,
    read_bytes,
    read_object,
    read_quantity,
    write_bytes,
    write_quantity,
)

# Sapphire's lowest gas price; any price from the base fee (at most 1 gwei here) on is taken.
GAS_PRICE: Final = 100 * 10**9
PRIORITY_FEE: Final = 10**9
# `get_logs_max_rounds` of the web3 gateway: https://docs.oasis.io/node/web3/
LOG_ROUNDS: Final = 100
ANONYMOUS: Final = bytes(20)


class Node:
    """Answers one method after the other; `methods` names them.

    Like Sapphire, and unlike most chains: a call or an estimate that isn't signed comes from address zero whatever
    its `from` says, an estimate doesn't tell of a revert, and logs are given for at most 100 rounds at a time. Unlike
    Sapphire it signs for the accounts of `keys` (`eth_sendTransaction`), and `evm_mine` makes a block.
    """

    def __init__(self, chain: Blockchain, keys: tuple[PrivateKey, ...]) -> None:
        self._chain = chain
        self._keys = {key.public_key.to_canonical_address(): key for key in keys}
        self._lock = Lock()

    @property
    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """JSON-RPC name -> what answers it, called with the parameters in their order."""
        return {
            "eth_accounts": lambda: [write_bytes(address) for address in self._keys],
            "eth_blockNumber": lambda: write_quantity(self._chain.head.block_number),
            "eth_call": self.call,
            "eth_chainId": lambda: write_quantity(self._chain.chain_id),
            "eth_estimateGas": self.estimate_gas,
            "eth_feeHistory": self.fee_history,
            "eth_gasPrice": lambda: write_quantity(GAS_PRICE),
            "eth_getBalance": self.get_balance,
            "eth_getBlockByHash": self.get_block_by_hash,
            "eth_getBlockByNumber": self.get_block_by_number,
            "eth_getCode": self.get_code,
            "eth_getLogs": self.get_logs,
            "eth_getTransactionByHash": self.get_transaction_by_hash,
            "eth_getTransactionCount": self.get_transaction_count,
            "eth_getTransactionReceipt": self.get_transaction_receipt,
            "eth_maxPriorityFeePerGas": lambda: write_quantity(PRIORITY_FEE),
            "eth_sendRawTransaction": self.send_raw_transaction,
            "eth_sendTransaction": self.send_transaction,
            "eth_syncing": lambda: False,
            "evm_mine": self.mine,
            "net_version": lambda: str(self._chain.chain_id),
            "web3_clientVersion": lambda: "ekai-devchain/py-evm",
        }

    def answer(self, method: Callable[..., Any], params: list[Any]) -> Any:
        """Runs a method, one at a time: any thread may ask."""
        with self._lock:
            try:
                return method(*params)
            except RefusedError as refusal:
                raise RpcError(refusal.code, str(refusal)) from refusal

    def mine(self) -> str:
        """Makes a block of whatever waits."""
        self._chain.mine()
        return "0x0"

    def call(self, transaction: object, block: object = "latest") -> str:
        """Makes a call; a revert is error 3 and carries the revert's data."""
        outcome = self._chain.call(_read_call(transaction), self._header(block))
        if outcome.failure is not None:
            raise RpcError(3, outcome.failure, write_bytes(outcome.output))
        return write_bytes(outcome.output)

    def estimate_gas(self, transaction: object, block: object = "latest") -> str:
        """The gas that a transaction needs."""
        return write_quantity(self._chain.estimate(_read_call(transaction), self._header(block)))

    def fee_history(self, count: object, newest: object, percentiles: object = None) -> dict[str, Any]:
        """Base fees of the last blocks. There is one price here, so every percentile is the same."""
        blocks = count if isinstance(count, int) and not isinstance(count, bool) else read_quantity(count)
        last = self._header(newest).block_number
        if not 1 <= blocks <= 1024:
            raise invalid("block count must be 1 to 1024")
        first = max(0, last - blocks + 1)
        headers = [self._header(write_quantity(number)) for number in range(first, last + 1)]
        base_fees = [write_quantity(header.base_fee_per_gas or 0) for header in headers]
        history: dict[str, Any] = {
            "oldestBlock": write_quantity(first),
            "baseFeePerGas": [*base_fees, base_fees[-1]],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        }
        if isinstance(percentiles, list) and percentiles:
            history["reward"] = [[write_quantity(PRIORITY_FEE)] * len(percentiles) for _ in headers]
        return history

    def get_balance(self, address: object, block: object = "latest") -> str:
        """What an account holds."""
        return write_quantity(self._chain.balance(read_bytes(address, 20), self._header(block)))

    def get_code(self, address: object, block: object = "latest") -> str:
        """The contract at an address."""
        return write_bytes(self._chain.code(read_bytes(address, 20), self._header(block)))

    def get_transaction_count(self, address: object, block: object = "latest") -> str:
        """The nonce of an account's next transaction; `pending` counts those that wait."""
        account = read_bytes(address, 20)
        if block == "pending":
            return write_quantity(self._chain.next_nonce(account))
        return write_quantity(self._chain.nonce(account, self._header(block)))

    def get_block_by_number(self, block: object, full: object = False) -> dict[str, Any] | None:
        """A block, null when there is none of this number."""
        header = self._chain.header(self._number(block))
        return None if header is None else self._block(header, full)

    def get_block_by_hash(self, block_hash: object, full: object = False) -> dict[str, Any] | None:
        """A block, null when there is none of this hash."""
        header = self._chain.header_by_hash(read_bytes(block_hash, 32))
        return None if header is None else self._block(header, full)

    def get_transaction_by_hash(self, transaction_hash: object) -> dict[str, Any] | None:
        """A transaction, mined or waiting, null when it is unknown."""
        wanted = read_bytes(transaction_hash, 32)
        if (mined := self._chain.mined(wanted)) is not None:
            return views.write_transaction(mined.transaction, mined)
        waiting = self._chain.waiting(wanted)
        return None if waiting is None else views.write_transaction(waiting, None)

    def get_transaction_receipt(self, transaction_hash: object) -> dict[str, Any] | None:
        """What came of a transaction, null while it isn't in a block."""
        mined = self._chain.mined(read_bytes(transaction_hash, 32))
        return None if mined is None else views.write_receipt(mined)

    def get_logs(self, query: object) -> list[dict[str, Any]]:
        """The events that a filter takes."""
        wanted = read_filter(read_object(query), self._number, self._number_by_hash)
        if wanted.last - wanted.first > LOG_ROUNDS:
            raise RpcError(-32000, f"invalid request: max allowed of rounds in logs query is: {LOG_ROUNDS}")
        return [views.write_log(log) for log in self._chain.logs if wanted.takes(log)]

    def send_raw_transaction(self, raw: object) -> str:
        """Takes a signed transaction."""
        return write_bytes(self._chain.submit(read_bytes(raw)))

    def send_transaction(self, transaction: object) -> str:
        """Signs for one of the chain's own accounts and takes the transaction."""
        fields = read_object(transaction)
        call = _read_call(transaction, sender=read_bytes(fields.get("from"), 20))
        if (key := self._keys.get(call.sender)) is None:
            raise RpcError(-32000, "unknown account")
        nonce = None if fields.get("nonce") is None else read_quantity(fields["nonce"])
        return write_bytes(self._chain.send(call, key, nonce, GAS_PRICE))

    def _header(self, block: object) -> BlockHeaderAPI:
        header = self._chain.header(self._number(block))
        if header is None:
            raise RpcError(-32000, "header not found")
        return header

    def _number(self, block: object) -> int:
        match block:
            case None | "latest" | "pending" | "safe" | "finalized":
                return self._chain.head.block_number
            case "earliest":
                return 0
            case {"blockNumber": number}:
                return read_quantity(number)
            case {"blockHash": block_hash}:
                return self._number_by_hash(read_bytes(block_hash, 32))
            case _:
                return read_quantity(block)

    def _number_by_hash(self, block_hash: bytes) -> int:
        header = self._chain.header_by_hash(block_hash)
        if header is None:
            raise RpcError(-32000, "unknown block")
        return header.block_number

    def _block(self, header: BlockHeaderAPI, full: object) -> dict[str, Any]:
        return views.write_block(header, self._chain.transactions(header.block_number), full=full is True)


def _read_call(value: object, sender: bytes = ANONYMOUS) -> Call:
    fields = read_object(value)
    if fields.get("from") is not None:
        read_bytes(fields["from"], 20)
    data = fields.get("input", fields.get("data"))
    return Call(
        sender=sender,
        to=None if fields.get("to") is None else read_bytes(fields["to"], 20),
        data=b"" if data is None else read_bytes(data),
        value=read_quantity(fields.get("value", "0x0")),
        gas=None if fields.get("gas") is None else read_quantity(fields["gas"]),
    )

"""A chain in memory: py-evm (https://py-evm.readthedocs.io) executes, blocks are made as transactions arrive."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Final, cast

from eth.abc import BlockHeaderAPI, ComputationAPI, ReceiptAPI, SignedTransactionAPI
from eth.chains.base import MiningChain
from eth.constants import ZERO_ADDRESS, ZERO_HASH32
from eth.db import get_db_backend
from eth.estimators.gas import binary_gas_search_exact
from eth.exceptions import HeaderNotFound, Revert, VMError
from eth.typing import AccountDetails, HeaderParams
from eth.vm.forks.paris import ParisVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.datatypes import PrivateKey
from eth_typing import Address, BlockNumber, Hash32
from eth_utils.exceptions import ValidationError

from emulator.devchain.pool import Pool, read_transaction
from emulator.devchain.records import Call, Log, Mined, Outcome, RefusedError

# Of a block: room for some hundred receipts in one transaction.
GAS_LIMIT: Final = 15_000_000
# Selector of `Error(string)`: https://docs.soliditylang.org/en/v0.8.24/control-structures.html#revert
ERROR_STRING: Final = bytes.fromhex("08c379a0")
BALANCE: Final = 1_000_000 * 10**18

log = logging.getLogger(__name__)


class Blockchain:
    """The state of one chain. Not safe for threads: its owner holds a lock.

    `codes` are contracts that stand at their addresses from the beginning. With `automine` every transaction gets a
    block of its own at once; without, transactions wait for `mine`.
    """

    def __init__(
        self, chain_id: int, funded: tuple[bytes, ...], codes: Mapping[bytes, bytes], *, automine: bool = True
    ) -> None:
        self.chain_id = chain_id
        self.automine = automine
        self.logs: list[Log] = []
        self._mined: dict[bytes, Mined] = {}
        self._blocks: dict[int, list[Mined]] = {}
        self._pool = Pool()
        chain = MiningChain.configure("DevMiningChain", chain_id=chain_id, vm_configuration=((0, ParisVM),))
        self._chain = cast(MiningChain, chain.from_genesis(get_db_backend(), *_genesis(funded, codes)))

    @property
    def head(self) -> BlockHeaderAPI:
        """The newest block."""
        return self._chain.get_canonical_head()

    def header(self, number: int) -> BlockHeaderAPI | None:
        """The block of a number, None when there is none (yet)."""
        if number > self.head.block_number:
            return None
        return self._chain.get_canonical_block_header_by_number(BlockNumber(number))

    def header_by_hash(self, block_hash: bytes) -> BlockHeaderAPI | None:
        """The block of a hash, None when there is none."""
        try:
            return self._chain.get_block_header_by_hash(Hash32(block_hash))
        except HeaderNotFound:
            return None

    def mined(self, transaction_hash: bytes) -> Mined | None:
        """A transaction that is in a block."""
        return self._mined.get(transaction_hash)

    def waiting(self, transaction_hash: bytes) -> SignedTransactionAPI | None:
        """A transaction that waits for its block."""
        return self._pool.find(transaction_hash)

    def transactions(self, number: int) -> list[Mined]:
        """The transactions of a block, in their order."""
        return self._blocks.get(number, [])

    def nonce(self, account: bytes, at: BlockHeaderAPI) -> int:
        """The nonce of an account's next transaction as of a block."""
        return self._chain.get_vm(at).state.get_nonce(Address(account))

    def next_nonce(self, account: bytes) -> int:
        """The nonce of an account's next transaction, those that wait for their block counted in."""
        return self._pool.after(account, self.nonce(account, self.head))

    def balance(self, account: bytes, at: BlockHeaderAPI) -> int:
        """What an account holds as of a block, in wei."""
        return self._chain.get_vm(at).state.get_balance(Address(account))

    def code(self, account: bytes, at: BlockHeaderAPI) -> bytes:
        """The contract at an address as of a block, empty for none."""
        return self._chain.get_vm(at).state.get_code(Address(account))

    def call(self, call: Call, at: BlockHeaderAPI) -> Outcome:
        """Makes a call on top of a block and forgets what it changed."""
        transaction = self._spoof(call, at)
        with self._chain.get_vm(at).in_costless_state() as state:
            try:
                computation = state.costless_execute_transaction(transaction)
            except ValidationError as fault:
                raise RefusedError(str(fault)) from fault
        # Refunds are left out: what a transaction must be given is the peak, not what it is charged in the end.
        return Outcome(computation.output, _gas_used(transaction, computation), _failure(computation))

    def estimate(self, call: Call, at: BlockHeaderAPI) -> int:
        """The least gas with which a call succeeds. A call that never does costs what it took until it failed."""
        outcome = self.call(call, at)
        if outcome.failure is not None:
            return outcome.gas_used
        with self._chain.get_vm(at).in_costless_state() as state:
            try:
                return int(binary_gas_search_exact(state, self._spoof(call, at)))
            except VMError as fault:
                raise RefusedError(str(fault)) from fault

    def submit(self, raw: bytes) -> bytes:
        """Takes a signed transaction; gives its hash.

        Raises: RefusedError, with the words of a node.
        """
        return self.accept(read_transaction(self._chain.get_vm().get_transaction_builder(), raw))

    def accept(self, transaction: SignedTransactionAPI) -> bytes:
        """Takes a transaction that is decoded already; gives its hash."""
        if transaction.hash in self._mined or self.waiting(transaction.hash) is not None:
            raise RefusedError("already known")
        self._check(transaction)
        self._pool.add(transaction)
        if self.automine:
            while self._ready():
                self.mine()
        return transaction.hash

    def send(self, call: Call, key: PrivateKey, nonce: int | None, gas_price: int) -> bytes:
        """Signs a call as a transaction (the next nonce unless one is given), takes it, gives its hash."""
        unsigned = self._chain.create_unsigned_transaction(
            nonce=self.next_nonce(call.sender) if nonce is None else nonce,
            gas_price=gas_price,
            gas=call.gas or GAS_LIMIT // 5,
            to=Address(call.to or b""),
            value=call.value,
            data=call.data,
        )
        return self.accept(unsigned.as_signed_transaction(key, chain_id=self.chain_id))

    def mine(self) -> BlockHeaderAPI:
        """Makes one block of the transactions that are ready, as many as fit."""
        chain = self._chain
        # A block is at least a second younger than its parent, so a burst of blocks runs ahead of the clock.
        chain.set_header_timestamp(max(self.head.timestamp + 1, int(time.time())))
        chain.header = chain.header.copy(
            gas_limit=GAS_LIMIT
        )  # py-evm would let small blocks shrink it, down to nothing in hours
        done: list[tuple[SignedTransactionAPI, ReceiptAPI, ComputationAPI]] = []
        for transaction in self._ready():
            if chain.header.gas_used + transaction.gas > GAS_LIMIT:
                break
            self._pool.drop(transaction)
            try:
                _, receipt, computation = chain.apply_transaction(transaction)
            except ValidationError as fault:
                log.warning("dropped transaction 0x%s: %s", transaction.hash.hex(), fault)
                continue
            done.append((transaction, receipt, computation))
        chain.mine_block()
        self._record(done)
        return self.head

    def _ready(self) -> list[SignedTransactionAPI]:
        head = self.head
        return list(self._pool.ready(lambda account: self.nonce(account, head)))

    def _record(self, done: list[tuple[SignedTransactionAPI, ReceiptAPI, ComputationAPI]]) -> None:
        header, cumulative = self.head, 0
        self._blocks[header.block_number] = block = []
        first_log = 0
        for index, (transaction, receipt, computation) in enumerate(done):
            logs = tuple(_logs(receipt, header, transaction.hash, index, first_log))
            first_log += len(logs)
            mined = Mined(
                transaction=transaction,
                header=header,
                index=index,
                succeeded=computation.is_success,
                gas_used=receipt.gas_used - cumulative,
                cumulative_gas_used=receipt.gas_used,
                gas_price=_gas_price(transaction, header.base_fee_per_gas or 0),
                contract=computation.msg.storage_address if not transaction.to else None,
                bloom=receipt.bloom,
                logs=logs,
            )
            cumulative = receipt.gas_used
            block.append(mined)
            self._mined[transaction.hash] = mined
            self.logs.extend(logs)

    def _check(self, transaction: SignedTransactionAPI) -> None:
        """What a node looks at before it takes a transaction; messages as in go-ethereum's `core/error.go`."""
        if transaction.chain_id is None:
            raise RefusedError("only replay-protected (EIP-155) transactions allowed over RPC")
        if transaction.chain_id != self.chain_id:
            raise RefusedError("invalid chain id for signer")
        if transaction.gas > GAS_LIMIT:
            raise RefusedError("exceeds block gas limit")
        head = self.head
        nonce = self.nonce(transaction.sender, head)
        if transaction.nonce < nonce:
            raise RefusedError(f"nonce too low: next nonce {nonce}, tx nonce {transaction.nonce}")
        if transaction.max_fee_per_gas < (head.base_fee_per_gas or 0):
            raise RefusedError("max fee per gas less than block base fee", -32003)
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if self.balance(transaction.sender, head) < cost:
            raise RefusedError("insufficient funds for gas * price + value", -32003)

    def _spoof(self, call: Call, at: BlockHeaderAPI) -> SignedTransactionAPI:
        unsigned = self._chain.create_unsigned_transaction(
            nonce=self.nonce(call.sender, at),
            gas_price=0,
            gas=min(call.gas or GAS_LIMIT, GAS_LIMIT),
            to=Address(call.to or b""),
            value=call.value,
            data=call.data,
        )
        return cast(SignedTransactionAPI, SpoofTransaction(unsigned, from_=Address(call.sender)))


def _genesis(
    funded: tuple[bytes, ...], codes: Mapping[bytes, bytes]
) -> tuple[dict[str, HeaderParams], dict[Address, AccountDetails]]:
    params: dict[str, HeaderParams] = {
        "coinbase": ZERO_ADDRESS,
        "difficulty": 0,
        "extra_data": b"",
        "gas_limit": GAS_LIMIT,
        "mix_hash": ZERO_HASH32,
        "nonce": bytes(8),
        "timestamp": int(time.time()) - 1,
    }
    state: dict[Address, AccountDetails] = {
        Address(address): {"balance": BALANCE, "nonce": 0, "code": b"", "storage": {}} for address in funded
    }
    for address, code in codes.items():
        state[Address(address)] = {"balance": 0, "nonce": 1, "code": code, "storage": {}}
    return params, state


def _logs(receipt: ReceiptAPI, header: BlockHeaderAPI, hash_: bytes, index: int, first: int) -> Iterator[Log]:
    for place, entry in enumerate(receipt.logs, first):
        yield Log(
            address=entry.address,
            topics=tuple(topic.to_bytes(32, "big") for topic in entry.topics),
            data=entry.data,
            block_number=header.block_number,
            block_hash=header.hash,
            transaction_hash=hash_,
            transaction_index=index,
            index=place,
        )


def _gas_price(transaction: SignedTransactionAPI, base_fee: int) -> int:
    return min(transaction.max_fee_per_gas, base_fee + transaction.max_priority_fee_per_gas)


def _gas_used(transaction: SignedTransactionAPI, computation: ComputationAPI) -> int:
    return transaction.gas - computation.get_gas_remaining()


def _failure(computation: ComputationAPI) -> str | None:
    if computation.is_success:
        return None
    if not isinstance(computation.error, Revert):
        return str(computation.error)
    output = computation.output
    if not output.startswith(ERROR_STRING):
        return "execution reverted"
    length = int.from_bytes(output[36:68], "big")
    return f"execution reverted: {output[68 : 68 + length].decode(errors='replace')}"

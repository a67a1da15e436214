"""What a chain remembers: transactions that were mined, and their logs."""

from __future__ import annotations

from dataclasses import dataclass

from eth.abc import BlockHeaderAPI, SignedTransactionAPI


@dataclass(frozen=True, slots=True)
class Log:
    """One event, where it stands in its block included."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    transaction_hash: bytes
    transaction_index: int
    index: int


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction in its block, with what came of it. `contract` is the address that it created, if any."""

    transaction: SignedTransactionAPI
    header: BlockHeaderAPI
    index: int
    succeeded: bool
    gas_used: int
    cumulative_gas_used: int
    gas_price: int
    contract: bytes | None
    bloom: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that changes nothing. `to` is None for the creation of a contract; `gas` None for as much as fits."""

    sender: bytes
    to: bytes | None
    data: bytes
    value: int
    gas: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call gave: its output or, when it failed, what it reverted with (`failure` says why)."""

    output: bytes
    gas_used: int
    failure: str | None


class RefusedError(Exception):
    """The chain doesn't take this transaction or call. `code` and message are what a node would answer."""

    def __init__(self, message: str, code: int = -32000) -> None:
        super().__init__(message)
        self.code = code

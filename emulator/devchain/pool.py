"""Transactions that wait for their block: one per account and nonce, and a gap holds back what comes after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from eth.abc import SignedTransactionAPI, TransactionBuilderAPI
from eth.exceptions import UnrecognizedTransactionType
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.exceptions import DecodingError, DeserializationError  # type: ignore[import-untyped]  # rlp has no types

from emulator.devchain.records import RefusedError


class Pool:
    """Waiting transactions by sender and nonce, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: defaultdict[bytes, dict[int, SignedTransactionAPI]] = defaultdict(dict)

    def add(self, transaction: SignedTransactionAPI) -> None:
        """Takes a transaction; one with the same nonce isn't replaced, whatever it would pay."""
        of_sender = self._waiting[transaction.sender]
        if transaction.nonce in of_sender:
            raise RefusedError("replacement transaction underpriced", -32003)
        of_sender[transaction.nonce] = transaction

    def drop(self, transaction: SignedTransactionAPI) -> None:
        """Lets go of a transaction."""
        del self._waiting[transaction.sender][transaction.nonce]

    def find(self, transaction_hash: bytes) -> SignedTransactionAPI | None:
        """The waiting transaction of this hash."""
        everything = (transaction for waiting in self._waiting.values() for transaction in waiting.values())
        return next((transaction for transaction in everything if transaction.hash == transaction_hash), None)

    def after(self, account: bytes, nonce: int) -> int:
        """The first nonce from `nonce` on that no waiting transaction of the account has."""
        while nonce in self._waiting.get(account, ()):
            nonce += 1
        return nonce

    def ready(self, nonce_of: Callable[[bytes], int]) -> Iterator[SignedTransactionAPI]:
        """What could go into a block now, each account's in the order of its nonces. The pool may shrink meanwhile."""
        for account, waiting in list(self._waiting.items()):
            nonce = nonce_of(account)
            while (transaction := waiting.get(nonce)) is not None:
                yield transaction
                nonce += 1


def read_transaction(builder: type[TransactionBuilderAPI], raw: bytes) -> SignedTransactionAPI:
    """A signed transaction from its bytes, legacy or typed (EIP-2718)."""
    if not raw:
        raise RefusedError("typed transaction too short")
    try:
        transaction = builder.decode(raw)
        if transaction.gas < transaction.intrinsic_gas:
            raise RefusedError("intrinsic gas too low")
        transaction.validate()
        # Without a look at the sender a signature that recovers to nobody would be found only in the block.
        _ = transaction.sender
    except (DecodingError, DeserializationError, UnrecognizedTransactionType) as fault:
        raise RefusedError(f"rlp: {fault}") from fault
    except (ValidationError, BadSignature) as fault:
        raise RefusedError("invalid sender") from fault
    return transaction

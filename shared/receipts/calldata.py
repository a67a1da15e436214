"""Calls that carry receipts: `logReceipt` of one, Multicall3's `aggregate3` of many, and the views that tell of them.

https://www.multicall3.com, https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.chain import keccak256
from shared.control_plane import log_receipt
from shared.store.outbox import Receipt

MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11"
"""Stands at this address on Sapphire, mainnet and testnet, as on most chains."""

RECEIPT_LOGGED = keccak256(b"ReceiptLogged(bytes32,address,address,bytes32,bytes32,uint32,uint32,uint64,uint64,uint64)")
"""First topic of the event; the second is the request's hash."""

GATEWAY = keccak256(b"gateway()")[:4]
"""The view that names the address which may log receipts."""

_AGGREGATE3 = keccak256(b"aggregate3((address,bool,bytes)[])")[:4]
_RECEIPT_BLOCK = keccak256(b"receiptBlock(bytes32)")[:4]


def write_receipt(receipt: Receipt) -> bytes:
    """`logReceipt` of this receipt."""
    return log_receipt(
        receipt.request_hash,
        receipt.owner,
        receipt.delegate,
        receipt.provider_id,
        receipt.model_id,
        receipt.prompt_tokens,
        receipt.completion_tokens,
    )


def aggregate(target: str, calls: Sequence[bytes]) -> bytes:
    """`aggregate3` of calls to one contract; one that fails leaves the others alone."""
    address = bytes.fromhex(target.removeprefix("0x")).rjust(32, b"\0")
    tuples = [address + _word(1) + _word(96) + _word(len(call)) + _padded(call) for call in calls]
    offsets, place = [], 32 * len(tuples)
    for one in tuples:
        offsets.append(_word(place))
        place += len(one)
    return b"".join((_AGGREGATE3, _word(32), _word(len(tuples)), *offsets, *tuples))


def receipt_block(request_hash: bytes) -> bytes:
    """`receiptBlock(bytes32) -> uint256`: the block in which a receipt was logged, 0 for none. Older contracts lack it."""
    return _RECEIPT_BLOCK + request_hash


def _word(number: int) -> bytes:
    return number.to_bytes(32)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 32)

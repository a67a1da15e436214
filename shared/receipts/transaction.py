"""Signed transactions of the plainest kind: RLP, and a signature that is good for one chain.

https://ethereum.org/developers/docs/data-structures-and-encoding/rlp/, https://eips.ethereum.org/EIPS/eip-155
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey

from shared.chain import keccak256


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as a node takes it, and the hash by which the node knows it (0x and 64 hex digits)."""

    raw: bytes = field(repr=False)
    hash: str


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs and pays. No repr shows the key. `address` is lower-case."""

    key: PrivateKey = field(repr=False)
    address: str

    @classmethod
    def read(cls, text: str) -> Account:
        """From 32 bytes of hex, with or without 0x. The ValueError doesn't repeat what was given."""
        try:
            raw = bytes.fromhex(text.strip().removeprefix("0x"))
            key = PrivateKey(raw)
        except ValueError:
            raw = b""
        if len(raw) != 32:  # coincurve fills up what is too short
            raise ValueError("PRIVATE_KEY is not a private key (32 bytes of hex)")
        return cls(key, "0x" + keccak256(key.public_key.format(compressed=False)[1:])[-20:].hex())

    def sign(self, nonce: int, gas_price: int, gas: int, to: str, data: bytes, chain_id: int) -> Signed:
        """A call without value. The same arguments always give the same transaction (RFC 6979)."""
        fields = (nonce, gas_price, gas, bytes.fromhex(to.removeprefix("0x")), 0, data)
        digest = keccak256(rlp((*fields, chain_id, 0, 0)))
        signature = self.key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        raw = rlp((*fields, signature[64] + 35 + 2 * chain_id, r, s))
        return Signed(raw, f"0x{keccak256(raw).hex()}")


def rlp(items: Sequence[int | bytes]) -> bytes:
    """A flat list of numbers and byte strings."""
    payload = b"".join(_item(item) for item in items)
    return _length(len(payload), 0xC0) + payload


def _item(item: int | bytes) -> bytes:
    data = item if isinstance(item, bytes) else _number(item)
    if len(data) == 1 and data[0] < 0x80:
        return data
    return _length(len(data), 0x80) + data


def _length(size: int, kind: int) -> bytes:
    if size < 56:
        return bytes([kind + size])
    digits = _number(size)
    return bytes([kind + 55 + len(digits)]) + digits


def _number(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)

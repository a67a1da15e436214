"""Names on chain: Keccak-256, checksummed addresses and the ids of providers and models.

https://eips.ethereum.org/EIPS/eip-55
"""

from __future__ import annotations

import re
from functools import lru_cache

from Crypto.Hash import keccak

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_CHECKSUMS = 4096
_IDS = 4096


def keccak256(data: bytes) -> bytes:
    """The 32 bytes of Keccak-256 as Ethereum uses it (not NIST's SHA3-256, which pads otherwise)."""
    return keccak.new(digest_bits=256, data=data).digest()


@lru_cache(_CHECKSUMS)
def checksum_address(address: str) -> str:
    """`address` in the mixed case of EIP-55. Any case is taken; ValueError unless it is 0x and 40 hex digits."""
    if not _ADDRESS.fullmatch(address):
        raise ValueError("An address is 0x and 40 hex digits.")
    digits = address[2:].lower()
    marks = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= "8" else digit for digit, mark in zip(digits, marks[:40], strict=True)
    )


@lru_cache(_IDS)
def provider_id(name: str) -> bytes:
    """The 32 bytes by which the control plane knows a provider ("openai" and "OPENAI" are the same one)."""
    return keccak256(name.upper().encode())


@lru_cache(_IDS)
def model_ids(name: str) -> tuple[bytes, bytes, bytes]:
    """The three 32-byte ids in use for a model: hash of the name, hash of the NAME, the padded name.

    Owners' tools write one or another, so all three are asked for. Receipts carry the last one.
    """
    raw = name.encode()
    padded = raw.ljust(32, b"\0") if len(raw) <= 32 else keccak256(raw)
    return keccak256(raw), keccak256(name.upper().encode()), padded

"""Why the control plane refuses a transaction, in a line for people.

https://docs.soliditylang.org/en/v0.8.24/abi-spec.html#errors
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import contracts
from shared.chain import checksum_address, keccak256

TEXTS: Mapping[str, str] = {
    "NotAuthorized": "this wallet is not the administrator of the contract",
    "ContractPaused": "the control plane is paused, and nothing can be added until `ekai admin unpause`",
    "ZeroAddress": "the zero address is nobody's",
    "ZeroId": "an id of zeros means nothing",
    "UnknownProvider": "the provider is not registered; the administrator can do that with `ekai admin add-provider`",
    "InvalidRoflKey": "a gateway key has 32 bytes, not all of them zero",
    "UnknownRoflKey": "there is no gateway key of version {0}",
    "NoActiveRoflKey": "the gateway key is switched off, so there is nothing that a key could be encrypted to",
    "EmptyCiphertext": "there is no ciphertext",
    "CiphertextTooLarge": "the key is too long: encrypted it has {0} bytes, and the contract takes 1,024",
    "SecretNotFound": "there is no key for this provider",
    "DelegateNotFound": "{0} is not a delegate of this wallet",
    "ModelNotFound": "this model is not allowed",
    "DelegateNeverPermitted": "{1} has never been a delegate of {0}",
    "ReceiptAlreadyLogged": "there is a receipt with this hash already",
}
"""By the name of the contract's error. `{0}`, `{1}` are its arguments."""

OF_SENDER = frozenset({"NotAuthorized", "SecretNotFound", "DelegateNotFound", "ModelNotFound"})
"""Errors that hang on who asks. A node that makes every unsigned call in nobody's name, as Sapphire's do, raises them wrongly:
https://docs.oasis.io/build/sapphire/develop/authentication"""

_WORD = 32


@dataclass(frozen=True, slots=True)
class Refusal:
    """The name of the contract's error (empty for an unknown one), and what it means."""

    name: str
    text: str


def read_refusal(data: str, message: str = "") -> Refusal:
    """From a revert's data (0x and hex) and the node's own message, which serves where the data says nothing."""
    try:
        raw = bytes.fromhex(data.removeprefix("0x"))
    except ValueError:
        raw = b""
    if (found := _errors().get(raw[:4])) is None:
        return Refusal("", message.removeprefix("execution reverted: ") or "the contract gave no reason")
    name, types = found
    if len(raw) != 4 + _WORD * len(types):
        return Refusal(name, name)
    words = [raw[start : start + _WORD] for start in range(4, len(raw), _WORD)]
    return Refusal(name, TEXTS[name].format(*map(_shown, types, words)))


@lru_cache(1)
def _errors() -> Mapping[bytes, tuple[str, tuple[str, ...]]]:
    """The contract's errors by their selectors."""
    found: dict[bytes, tuple[str, tuple[str, ...]]] = {}
    for entry in contracts.control_plane().abi:
        if entry["type"] == "error":
            types = tuple(field["type"] for field in entry["inputs"])
            found[keccak256(f"{entry['name']}({','.join(types)})".encode())[:4]] = (entry["name"], types)
    return found


def _shown(kind: str, word: bytes) -> str:
    if kind == "address":
        return checksum_address(f"0x{word[-20:].hex()}")
    return f"{int.from_bytes(word):,}" if kind.startswith("uint") else f"0x{word.hex()}"

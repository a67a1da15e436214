"""The EkaiControlPlane contract by hand: calldata out, answers in. No call needs more than this, so no web3.

https://docs.soliditylang.org/en/latest/abi-spec.html
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.chain import keccak256

_WORD = 32
_UINT32 = 1 << 32
_UINT64 = 1 << 64


class AbiError(Exception):
    """Bytes that the contract can't have returned."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What an owner stored for a provider. `version` counts the owner's changes. `key_version` is the gateway key's to which
    it was sealed; contracts before ours tell the present one's instead."""

    ciphertext: bytes
    version: int
    key_version: int


@dataclass(frozen=True, slots=True)
class RoflKey:
    """The gateway's key as registered: X25519 public key (empty before the first), version, whether it may be sealed to."""

    public: bytes
    version: int
    active: bool


# ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_paused() -> bytes:
    """`isPaused() -> bool`."""
    return _IS_PAUSED


def is_delegate_permitted(owner: str, delegate: str) -> bytes:
    """`isDelegatePermitted(address owner, address delegate) -> bool`."""
    return _IS_DELEGATE_PERMITTED + _address(owner) + _address(delegate)


def is_model_permitted(owner: str, provider_id: bytes, model_id: bytes) -> bytes:
    """`isModelPermitted(address owner, bytes32 providerId, bytes32 modelId) -> bool`."""
    return _IS_MODEL_PERMITTED + _address(owner) + _fixed(provider_id) + _fixed(model_id)


def get_secret_ciphertext(owner: str, provider_id: bytes) -> bytes:
    """`getSecretCiphertext(address, bytes32) -> (bytes ciphertext, uint64 secretVersion, bool exists, uint64 roflKeyVersion)`."""
    return _GET_SECRET_CIPHERTEXT + _address(owner) + _fixed(provider_id)


def get_rofl_key() -> bytes:
    """`getRoflKey() -> (bytes pubkey, uint64 version, bool active)`."""
    return _GET_ROFL_KEY


def log_receipt(
    request_hash: bytes,
    owner: str,
    delegate: str,
    provider_id: bytes,
    model_id: bytes,
    prompt_tokens: int,
    completion_tokens: int,
) -> bytes:
    """`logReceipt(bytes32, address, address, bytes32, bytes32, uint32, uint32)`. Counts beyond 32 bits stay at the most."""
    return b"".join(
        (
            _LOG_RECEIPT,
            _fixed(request_hash),
            _address(owner),
            _address(delegate),
            _fixed(provider_id),
            _fixed(model_id),
            min(prompt_tokens, _UINT32 - 1).to_bytes(_WORD),
            min(completion_tokens, _UINT32 - 1).to_bytes(_WORD),
        )
    )


def request_hash(
    request_id: bytes, owner: str, delegate: str, provider_id: bytes, model_id: bytes, timestamp_ms: int
) -> bytes:
    """The hash by which a receipt is found: `keccak256(abi.encode(bytes16, address, address, bytes32, bytes32, uint64))`."""
    if len(request_id) != 16:
        raise ValueError("A request id has 16 bytes.")
    if not 0 <= timestamp_ms < _UINT64:
        raise ValueError("A time is a uint64 in milliseconds.")
    return keccak256(
        b"".join(
            (
                request_id.ljust(_WORD, b"\0"),
                _address(owner),
                _address(delegate),
                _fixed(provider_id),
                _fixed(model_id),
                timestamp_ms.to_bytes(_WORD),
            )
        )
    )


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_bool(returned: bytes) -> bool:
    """One bool. Raises AbiError for anything else, so that no odd answer can mean yes."""
    if len(returned) != _WORD:
        raise AbiError("a bool has 32 bytes")
    return _flag(returned)


def read_secret(returned: bytes) -> Secret | None:
    """The answer of `getSecretCiphertext`; None where nothing is stored that may be used. Raises AbiError."""
    ciphertext, (version, exists, key_version) = _read_tuple(returned, 3)
    secret = Secret(ciphertext, _uint64(version), _uint64(key_version))
    return secret if _flag(exists) else None


def read_rofl_key(returned: bytes) -> RoflKey:
    """The answer of `getRoflKey`. Raises AbiError."""
    public, (version, active) = _read_tuple(returned, 2)
    return RoflKey(public, _uint64(version), _flag(active))


def _read_tuple(returned: bytes, words: int) -> tuple[bytes, list[bytes]]:
    # A tuple of bytes and then `words` values of a word each: the offset of the bytes, the values, the length, the bytes.
    if len(returned) < (words + 2) * _WORD or len(returned) % _WORD:
        raise AbiError("the answer is too short")
    offset, *values, length = (returned[start : start + _WORD] for start in range(0, (words + 2) * _WORD, _WORD))
    size = int.from_bytes(length)
    tail = returned[(words + 2) * _WORD :]
    if int.from_bytes(offset) != (words + 1) * _WORD or len(tail) != -(-size // _WORD) * _WORD or any(tail[size:]):
        raise AbiError("the bytes don't stand where they should")
    return tail[:size], values


def _selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def _address(address: str) -> bytes:
    raw = bytes.fromhex(address.removeprefix("0x"))
    if len(raw) != 20:
        raise ValueError("An address has 20 bytes.")
    return raw.rjust(_WORD, b"\0")


def _fixed(value: bytes) -> bytes:
    if len(value) != _WORD:
        raise ValueError("An id or a hash has 32 bytes.")
    return value


def _flag(word: bytes) -> bool:
    number = int.from_bytes(word)
    if number > 1:
        raise AbiError("a bool is 0 or 1")
    return number == 1


def _uint64(word: bytes) -> int:
    number = int.from_bytes(word)
    if number >= _UINT64:
        raise AbiError("a version has 64 bits")
    return number


_IS_PAUSED = _selector("isPaused()")
_IS_DELEGATE_PERMITTED = _selector("isDelegatePermitted(address,address)")
_IS_MODEL_PERMITTED = _selector("isModelPermitted(address,bytes32,bytes32)")
_GET_SECRET_CIPHERTEXT = _selector("getSecretCiphertext(address,bytes32)")
_GET_ROFL_KEY = _selector("getRoflKey()")
_LOG_RECEIPT = _selector("logReceipt(bytes32,address,address,bytes32,bytes32,uint32,uint32)")

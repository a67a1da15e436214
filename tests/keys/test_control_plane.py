"""Calldata and answers of the control plane, against eth_abi."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.control_plane import (
    AbiError,
    RoflKey,
    Secret,
    get_rofl_key,
    get_secret_ciphertext,
    is_delegate_permitted,
    is_model_permitted,
    is_paused,
    log_receipt,
    read_bool,
    read_rofl_key,
    read_secret,
    request_hash,
)

addresses = st.binary(min_size=20, max_size=20).map(lambda raw: f"0x{raw.hex()}")
words = st.binary(min_size=32, max_size=32)
uint64 = st.integers(0, 2**64 - 1)
uint32 = st.integers(0, 2**32 - 1)
A, B = "0x" + "aa" * 20, "0x" + "bb" * 20
P, M, H = b"p" * 32, b"m" * 32, b"h" * 32


def _call(signature: str, values: list[object]) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return function_signature_to_4byte_selector(signature) + encode([kind for kind in types if kind], values)


@given(addresses, addresses, words, words, words, uint32, uint32)
def test_calldata_equals_the_judge(
    owner: str, other: str, hashed: bytes, provider: bytes, model: bytes, prompt: int, completion: int
) -> None:
    assert is_paused() == _call("isPaused()", [])
    assert is_delegate_permitted(owner, other) == _call("isDelegatePermitted(address,address)", [owner, other])
    assert is_model_permitted(owner, provider, model) == _call(
        "isModelPermitted(address,bytes32,bytes32)", [owner, provider, model]
    )
    assert get_secret_ciphertext(owner, provider) == _call("getSecretCiphertext(address,bytes32)", [owner, provider])
    assert log_receipt(hashed, owner, other, provider, model, prompt, completion) == _call(
        "logReceipt(bytes32,address,address,bytes32,bytes32,uint32,uint32)",
        [hashed, owner, other, provider, model, prompt, completion],
    )


@given(st.binary(min_size=16, max_size=16), addresses, addresses, words, words, uint64)
def test_request_hash_equals_the_judge(
    identifier: bytes, owner: str, other: str, provider: bytes, model: bytes, when: int
) -> None:
    encoded = encode(
        ["bytes16", "address", "address", "bytes32", "bytes32", "uint64"],
        [identifier, owner, other, provider, model, when],
    )
    assert request_hash(identifier, owner, other, provider, model, when) == keccak(encoded)


def test_case_of_addresses_does_not_matter() -> None:
    mixed = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    assert is_delegate_permitted(mixed, mixed) == is_delegate_permitted(mixed.lower(), mixed.lower())


def test_counts_beyond_32_bits_stay_at_the_most() -> None:
    most = 2**32 - 1
    assert log_receipt(H, A, B, P, M, 2**40, most) == log_receipt(H, A, B, P, M, most, most)


@pytest.mark.parametrize(
    ("identifier", "owner", "provider", "when"),
    [
        (b"x" * 15, A, P, 0),
        (b"x" * 16, A[:-2], P, 0),
        (b"x" * 16, A, P[:-1], 0),
        (b"x" * 16, A, P, 2**64),
        (b"x" * 16, A, P, -1),
    ],
)
def test_odd_values_are_not_hashed(identifier: bytes, owner: str, provider: bytes, when: int) -> None:
    with pytest.raises(ValueError):
        request_hash(identifier, owner, B, provider, M, when)


@given(st.booleans())
def test_bools_come_back(value: bool) -> None:
    assert read_bool(encode(["bool"], [value])) is value


@pytest.mark.parametrize(
    "odd",
    [b"", b"\x01", bytes(31) + b"\x02", b"\x01" + bytes(31), b"\xff" * 32, bytes(64), bytes(31) + b"\x01" + bytes(32)],
)
def test_odd_bools_are_refused(odd: bytes) -> None:
    with pytest.raises(AbiError):
        read_bool(odd)


SECRET_TYPES = ["bytes", "uint64", "bool", "uint64"]


@given(st.binary(max_size=300), uint64, uint64)
def test_secrets_come_back(ciphertext: bytes, version: int, key_version: int) -> None:
    assert read_secret(encode(SECRET_TYPES, [ciphertext, version, True, key_version])) == Secret(
        ciphertext, version, key_version
    )
    assert read_secret(encode(SECRET_TYPES, [ciphertext, version, False, key_version])) is None


@given(st.binary(max_size=100), uint64, st.booleans())
def test_the_registered_key_comes_back(public: bytes, version: int, active: bool) -> None:
    assert get_rofl_key() == _call("getRoflKey()", [])
    assert read_rofl_key(encode(["bytes", "uint64", "bool"], [public, version, active])) == RoflKey(
        public, version, active
    )


@settings(max_examples=300)
@given(st.data())
def test_a_secret_that_is_bent_is_refused_or_another(data: st.DataObject) -> None:
    honest = encode(SECRET_TYPES, [b"c" * 45, 3, True, 2])
    cut = data.draw(st.integers(0, len(honest) - 1))
    with pytest.raises(AbiError):
        read_secret(honest[:cut])
    with pytest.raises(AbiError):
        read_secret(honest + bytes(data.draw(st.integers(1, 64))))
    position = data.draw(st.integers(0, len(honest) - 1))
    bent = bytearray(honest)
    bent[position] ^= data.draw(st.integers(1, 255))
    try:
        read = read_secret(bytes(bent))
    except AbiError:
        return
    assert read != Secret(b"c" * 45, 3, 2)
    assert read is None or len(read.ciphertext) == 45


def test_a_length_that_runs_past_the_end_is_refused() -> None:
    honest = bytearray(encode(SECRET_TYPES, [b"c" * 45, 3, True, 2]))
    honest[128:160] = (2**255).to_bytes(32)
    with pytest.raises(AbiError):
        read_secret(bytes(honest))

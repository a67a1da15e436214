"""Hashes, addresses and ids, against known answers and against eth_utils."""

from __future__ import annotations

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from shared.chain import checksum_address, keccak256, model_ids, provider_id

PROVIDERS = {
    "anthropic": "ee2176d5e35f81b98746f5f98677beb44f0167ae70b6518fbb5b5bdc65da8fdd",
    "openai": "bfe1b9d697e35df099bb4711224ecb98f2ce33a5a09fa3cf15dfb83fc9ec3cd9",
    "google": "8d64c731d2bd8929a57e4e35e8601e083683ca97e6aba0a069dd9d834c2fd55a",
    "xai": "ab4a61c96fe0766f6f7056ae37b2e7de8d74b81bacd68b17469a5b9a21cb6bc5",
    "openrouter": "d0f31b87c4cf7bda675be9207f049b5b6037e624f544b5d709354ab549b4763f",
    "groq": "5e0b9ad434d1a642b1459f330d1ea8d096efc67cde57d90282d89929c471b1f4",
    "zai": "eb1bb57c1443943f8d5a1ac39cb2cc2557542d59c57893075baf48d55c783d2c",
}
MODELS = {
    "gpt-4o": (
        "98c7013af37ed2b6efac38044502e8adbad9fc8af18e143eb8d24f98c02bb056",
        "c9799213efb38d92e82472f634bc1bd7b5ca2692e188210028cfa21437305fb3",
        "6770742d346f" + "00" * 26,
    ),
    "claude-sonnet-4-20250514": (
        "258d0fbc3e7ce470310f30016082795f409b02c3b6f49c54e9a2f4f18d6cec65",
        "2b314d6adafd4398efbe1194f1060aba5ae3206f84e679b93ff4aa596be54976",
        "636c617564652d736f6e6e65742d342d32303235303531340000000000000000",
    ),
}


@pytest.mark.parametrize(("name", "expected"), PROVIDERS.items())
def test_provider_ids(name: str, expected: str) -> None:
    assert provider_id(name).hex() == expected
    assert provider_id(name.upper()) == provider_id(name)


@pytest.mark.parametrize(("name", "expected"), MODELS.items())
def test_model_ids(name: str, expected: tuple[str, str, str]) -> None:
    assert tuple(id_.hex() for id_ in model_ids(name)) == expected


def test_a_padded_name_ends_at_32_bytes() -> None:
    assert model_ids("m" * 32)[2] == b"m" * 32
    assert model_ids("m" * 33)[2] == keccak256(b"m" * 33)


@given(st.binary(max_size=400))
def test_keccak_equals_the_judge(data: bytes) -> None:
    assert keccak256(data) == keccak(data)


@given(st.binary(min_size=20, max_size=20), st.booleans())
def test_checksums_equal_the_judge(raw: bytes, upper: bool) -> None:
    digits = raw.hex().upper() if upper else raw.hex()
    assert checksum_address("0x" + digits) == to_checksum_address("0x" + raw.hex())


@pytest.mark.parametrize(
    "odd", ["", "0x", "70997970C51812dc3A010C7d01b50e0d17dc79C8", "0x" + "g" * 40, "0x" + "a" * 41]
)
def test_odd_addresses_are_refused(odd: str) -> None:
    with pytest.raises(ValueError, match="40 hex"):
        checksum_address(odd)


def test_a_trailing_newline_is_not_part_of_an_address() -> None:
    with pytest.raises(ValueError, match="40 hex"):
        checksum_address("0x" + "a" * 40 + "\n")

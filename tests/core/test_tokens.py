"""Tokens that name their address, and older ones that don't."""

from __future__ import annotations

import re

import pytest

from shared.callers import hint_in, new_token, token_hash

ADDRESS = "0x00C0FFEEbaDc0ffeE00000000000000000000001"


def test_a_token_is_64_digits_with_its_address_at_the_end() -> None:
    token = new_token(ADDRESS)
    assert re.fullmatch(r"[0-9a-f]{64}", token)
    assert hint_in(token) == ADDRESS.lower()


def test_its_secret_is_96_random_bits_and_comes_first() -> None:
    secrets = {new_token(ADDRESS)[:24] for _ in range(500)}
    assert len(secrets) == 500
    for place in range(24):
        assert len({secret[place] for secret in secrets}) == 16, f"digit {place} is not random"


def test_whoever_knows_the_address_alone_has_nothing() -> None:
    one, other = new_token(ADDRESS), new_token(ADDRESS)
    assert one != other
    assert token_hash(one) != token_hash(other)


@pytest.mark.parametrize("token", ["ab" * 32, "0" * 64])
def test_an_older_token_names_somebody_or_nobody(token: str) -> None:
    assert re.fullmatch(r"0x[0-9a-f]{40}", hint_in(token))

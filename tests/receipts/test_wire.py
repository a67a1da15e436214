"""Hashes, calldata and transactions, with eth_abi and eth_account as judges."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_account import Account as Judge
from eth_utils.abi import function_signature_to_4byte_selector as selector
from hypothesis import given
from hypothesis import strategies as st

from shared.chain import checksum_address, keccak256, model_ids, provider_id
from shared.receipts import hash_of, receipt_of
from shared.receipts.calldata import aggregate, receipt_block, write_receipt
from shared.receipts.transaction import Account, rlp
from shared.store import Tokens, UsageRow

OWNER, FRIEND = "0x" + "a1" * 20, "0x" + "b2" * 20
LONG = "a-model-whose-name-is-longer-than-thirty-two-bytes"
LOG_RECEIPT = "logReceipt(bytes32,address,address,bytes32,bytes32,uint32,uint32)"
TYPES = ["bytes32", "address", "address", "bytes32", "bytes32", "uint32", "uint32"]


TOKENS = Tokens(input=60, cache_read=30, cache_write_5m=6, output=20)


def row(model: str = "gpt-4o", tokens: Tokens = TOKENS) -> UsageRow:
    request_id = "0199c0ffee00" + "5a" * 10
    hashed = hash_of(request_id, OWNER, FRIEND, "openai", model, 1_795_000_000_123)
    return UsageRow(
        request_id, 1_795_000_000_123, "messages", "complete", 200, FRIEND, OWNER, "openai", model,
        tokens=tokens, request_hash=f"0x{hashed.hex()}",
    )  # fmt: skip


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-20250514", LONG])
def test_the_hash_is_the_contracts_page(model: str) -> None:
    padded = model.encode().ljust(32, b"\0") if len(model) <= 32 else keccak256(model.encode())
    values = (bytes.fromhex(row().id), OWNER, FRIEND, keccak256(b"OPENAI"), padded, 1_795_000_000_123)
    encoded = encode(["bytes16", "address", "address", "bytes32", "bytes32", "uint64"], values)
    assert row(model).request_hash == f"0x{keccak256(encoded).hex()}"


def test_the_hash_tells_everything_apart() -> None:
    said = (row().id, OWNER, FRIEND, "openai", "gpt-4o", 5)
    others = ("f" * 32, FRIEND, OWNER, "anthropic", "gpt-4", 6)
    hashes = {hash_of(*said)}
    for place, other in enumerate(others):
        changed: list[Any] = list(said)
        changed[place] = other
        hashes.add(hash_of(*changed))
    assert len(hashes) == 1 + len(others)


@pytest.mark.parametrize("most", [False, True])
def test_a_receipt_counts_what_was_sent_and_what_came(most: bool) -> None:
    big = Tokens(input=2**32, cache_read=1, output=2**40)
    receipt = receipt_of(row(tokens=big) if most else row())
    call = write_receipt(receipt)
    assert call[:4] == selector(LOG_RECEIPT)
    counts = (2**32 - 1, 2**32 - 1) if most else (96, 20)
    assert decode(TYPES, call[4:]) == (
        bytes.fromhex(row().request_hash[2:]), OWNER, FRIEND, provider_id("openai"), model_ids("gpt-4o")[2], *counts,
    )  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 50])
def test_many_calls_in_one(count: int) -> None:
    calls = [write_receipt(receipt_of(row()))[: 200 + number] for number in range(count)]
    data = aggregate(checksum_address(OWNER), calls)
    expected = encode(["(address,bool,bytes)[]"], [[(OWNER, True, call) for call in calls]])
    assert data == selector("aggregate3((address,bool,bytes)[])") + expected
    assert len(data) * 2 < 1 << 20


def test_the_view_of_a_receipt() -> None:
    assert receipt_block(b"h" * 32) == selector("receiptBlock(bytes32)") + b"h" * 32


@given(st.integers(0, 2**64), st.integers(1, 2**70), st.binary(max_size=700), st.integers(1, 2**31))
def test_transactions_are_those_of_eth_account(nonce: int, price: int, data: bytes, chain_id: int) -> None:
    key = keccak256(data + bytes([1]))
    ours = Account.read(f"0x{key.hex()}")
    signed = ours.sign(nonce, price, 500_000, OWNER, data, chain_id)
    transaction = {
        "nonce": nonce, "gasPrice": price, "gas": 500_000, "to": checksum_address(OWNER), "value": 0, "data": data,
        "chainId": chain_id,
    }  # fmt: skip
    judged = Judge.sign_transaction(transaction, key)
    assert signed.raw == bytes(judged.raw_transaction)
    assert signed.hash == "0x" + bytes(judged.hash).hex()
    assert ours.address == Judge.from_key(key).address.lower()


def test_rlp_of_edges() -> None:
    assert rlp(()) == b"\xc0"
    assert rlp((0, b"", 127, 128, b"\0")) == bytes.fromhex("c6 80 80 7f 81 80 00")
    assert rlp((b"x" * 55,)).startswith(b"\xf8\x38\xb7")
    assert rlp((b"x" * 56,)).startswith(b"\xf8\x3a\xb8\x38")


@pytest.mark.parametrize("text", ["", "0x", "zz", "ab" * 31, "00" * 32, "ff" * 32, "ab" * 33])
def test_a_bad_private_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="PRIVATE_KEY") as caught:
        Account.read(text)
    assert len(text) < 8 or text not in str(caught.value)
    assert caught.value.__context__ is None


def test_no_repr_shows_a_key() -> None:
    account = Account.read("ab" * 32)
    assert "ab" * 8 not in repr(account)
    assert "raw" not in repr(account.sign(1, 1, 1, OWNER, b"", 1))

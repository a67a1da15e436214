"""Envelopes against the official packages' vectors, and everything that a strict reader refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.chain import provider_id
from shared.keys.envelope import (
    MAX_ENVELOPE_BYTES,
    EnvelopeError,
    Reason,
    decrypt,
    encrypt,
    open_envelope,
    open_for,
    public_key,
    seal_envelope,
    seal_for,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "deoxysii_envelopes.json").read_bytes())
VALID: list[dict[str, Any]] = VECTORS["valid"]
INVALID: list[dict[str, Any]] = VECTORS["invalid"]

PRIVATE = bytes(range(0x10, 0x30))
PUBLIC = public_key(PRIVATE)
GOOD = cbor2.loads(bytes.fromhex(VALID[4]["envelope"]))
OWNER, OPENAI = "0x" + "aa" * 20, provider_id("openai")
CANARY = "sk-canary-5f0c1b7e"

# What each class of the vectors means here. A bare "sk-…" happens to be well-formed CBOR text.
REASONS = {
    "cbor": {Reason.NOT_CBOR, Reason.TRAILING_BYTES},
    "envelope": {Reason.NOT_AN_ENVELOPE},
    "format": {Reason.FORMAT},
    "format_or_ok": {Reason.FORMAT},
    "pk": {Reason.PUBLIC_KEY},
    "nonce": {Reason.NONCE},
    "data": {Reason.DATA},
    "decrypt": {Reason.TAG},
    "low_order": {Reason.LOW_ORDER},
    "empty_plaintext": {Reason.EMPTY},
    "utf8": {Reason.NOT_UTF8},
    "header_chars": {Reason.CONTROL_CHARACTERS},
}
EXCEPTIONS = {
    "non_cbor_plain_key": Reason.NOT_AN_ENVELOPE,
    "pk_all_zero": Reason.LOW_ORDER,
    "trailing_bytes": Reason.TRAILING_BYTES,
}


def _raw(vector: dict[str, Any], field: str) -> bytes:
    return bytes.fromhex(vector[field])


def _key_in(vector: dict[str, Any]) -> str:
    return str(vector.get("inner_cbor_body_utf8") or vector["plaintext_utf8"]).strip()


def _refusal(envelope: bytes, private: bytes = PRIVATE) -> Reason:
    with pytest.raises(EnvelopeError) as caught:
        open_envelope(envelope, private)
    return caught.value.reason


def test_all_vectors_are_here() -> None:
    assert (len(VALID), len(INVALID)) == (20, 38)


@pytest.mark.parametrize("vector", VALID, ids=lambda v: v["name"])
def test_good_vectors_open(vector: dict[str, Any]) -> None:
    envelope, private = _raw(vector, "envelope"), _raw(vector, "recipient_private_key")
    assert public_key(private) == _raw(vector, "recipient_public_key")
    assert decrypt(envelope, private) == _raw(vector, "plaintext_hex")
    assert open_envelope(envelope, private) == _key_in(vector)


@pytest.mark.parametrize("vector", VALID, ids=lambda v: v["name"])
def test_good_vectors_are_reproduced(vector: dict[str, Any]) -> None:
    made = encrypt(
        _raw(vector, "plaintext_hex"),
        _raw(vector, "recipient_public_key"),
        ephemeral_private_key=_raw(vector, "ephemeral_private_key"),
        nonce=_raw(vector, "nonce"),
        epoch=int(vector["epoch"]) if "epoch" in vector else None,
    )
    expected = _raw(vector, "envelope")
    if vector["name"] in ("extra_fields", "encryptCall_inner_cbor"):  # entries that only the official package writes
        theirs = cbor2.loads(expected)
        assert cbor2.dumps(theirs, canonical=True) == expected
        ours = cbor2.loads(made)
        assert theirs["format"] == ours["format"]
        assert theirs["body"].items() >= ours["body"].items()
    else:
        assert made == expected


@pytest.mark.parametrize("vector", [v for v in VALID if "plaintext_utf8" in v][:12], ids=lambda v: v["name"])
def test_sealing_text_gives_the_same_bytes(vector: dict[str, Any]) -> None:
    assert seal_envelope(
        vector["plaintext_utf8"],
        _raw(vector, "recipient_public_key"),
        ephemeral_private_key=_raw(vector, "ephemeral_private_key"),
        nonce=_raw(vector, "nonce"),
    ) == _raw(vector, "envelope")


@pytest.mark.parametrize("vector", INVALID, ids=lambda v: v["name"])
def test_bad_vectors_are_refused_for_the_right_reason(vector: dict[str, Any]) -> None:
    reason = _refusal(_raw(vector, "envelope"), _raw(vector, "recipient_private_key"))
    if expected := EXCEPTIONS.get(vector["name"]):
        assert reason is expected
    else:
        assert reason in REASONS[vector["class"]]


def test_size_is_looked_at_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.keys.envelope.cbor2.CBORDecoder", None)  # would raise TypeError
    assert _refusal(b"\xff" * 24_576) is Reason.TOO_LARGE
    assert _refusal(_raw(VALID[0], "envelope") + bytes(MAX_ENVELOPE_BYTES)) is Reason.TOO_LARGE


def test_a_key_that_is_too_long_is_not_sealed() -> None:
    with pytest.raises(EnvelopeError) as caught:
        seal_envelope("k" * MAX_ENVELOPE_BYTES, PUBLIC)
    assert caught.value.reason is Reason.TOO_LARGE


def test_repeated_entries_are_refused() -> None:
    inner = cbor2.dumps(GOOD["body"], canonical=True)
    outer = b"\xa3\x64body" + inner + b"\x66format\x01" + b"\x66format\x01"
    assert _refusal(outer) is Reason.DUPLICATE_KEY
    twice = b"\xa4" + inner[1:] + b"\x62pk" + cbor2.dumps(bytes(32))
    assert _refusal(b"\xa2\x64body" + twice + b"\x66format\x01") is Reason.DUPLICATE_KEY


@pytest.mark.parametrize(
    "raw",
    [
        b"\xbf\x64body\xa0\x66format\x01\xff",  # indefinite length
        b"\x81" * 200 + b"\x01",  # deep
        b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff",  # claims 2^40 items
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",  # claims 2^63 bytes
        b"\xa1\x80\x01",  # a map with an array as key
        b"\xa1\x01\x01",
    ],
)
def test_costly_and_odd_cbor_is_refused(raw: bytes) -> None:
    assert _refusal(raw) is Reason.NOT_CBOR


# https://cr.yp.to/ecdh.html#validate lists the points of small order; the last ones are the same, not reduced.
LOW_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", LOW_ORDER)
def test_points_of_low_order_are_refused(point: str) -> None:
    body = {**GOOD["body"], "pk": bytes.fromhex(point)}
    assert _refusal(cbor2.dumps({"format": 1, "body": body})) is Reason.LOW_ORDER
    with pytest.raises(EnvelopeError):
        seal_envelope("sk-x", bytes.fromhex(point))


@pytest.mark.parametrize(
    ("plaintext", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \r\n", Reason.EMPTY),
        (b"\xff\xfe", Reason.NOT_UTF8),
        (b"\xed\xa0\x80", Reason.NOT_UTF8),
        (b"sk\r\nx: y", Reason.CONTROL_CHARACTERS),
        (b"sk\nx", Reason.CONTROL_CHARACTERS),
        (b"sk\0", Reason.CONTROL_CHARACTERS),
        (b"sk\x7f", Reason.CONTROL_CHARACTERS),
        ("sk\x85x".encode(), Reason.CONTROL_CHARACTERS),
        (b"\xa1\x64body\x01", Reason.NOT_UTF8),
        (b"\xa1\x64body\x40", Reason.EMPTY),
        (b"\xa1\x64body\x43a\nb", Reason.CONTROL_CHARACTERS),
    ],
)
def test_a_right_tag_does_not_make_a_key(plaintext: bytes, reason: Reason) -> None:
    assert _refusal(encrypt(plaintext, PUBLIC)) is reason


def test_no_key_in_an_exception() -> None:
    for plaintext in (f"{CANARY}\r\nx: y", f"{CANARY}\0"):
        with pytest.raises(EnvelopeError) as caught:
            open_envelope(encrypt(plaintext.encode(), PUBLIC), PRIVATE)
        seen = f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"
        assert CANARY not in seen
        assert PRIVATE.hex() not in seen


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_private_key_of_another_length_is_our_own_mistake(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        open_envelope(_raw(VALID[0], "envelope"), bytes(length))


@settings(max_examples=30, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=120),
    st.binary(min_size=32, max_size=32),
)
def test_there_and_back(key: str, private: bytes) -> None:
    if not key.strip(" "):
        return
    assert open_envelope(seal_envelope(key, public_key(private)), private) == key.strip(" ")


def test_a_bound_envelope_is_one_like_any_other() -> None:
    sealed = seal_for(OWNER, OPENAI, "sk-bound", PUBLIC)
    assert open_envelope(sealed, PRIVATE) == "sk-bound"
    assert open_for(OWNER.upper().replace("0X", "0x"), OPENAI, sealed, [PRIVATE]) == "sk-bound"
    assert seal_for(OWNER, OPENAI, "sk-bound", PUBLIC) != sealed


@pytest.mark.parametrize(("owner", "provider"), [("0x" + "bb" * 20, OPENAI), (OWNER, b"x" * 32)])
def test_a_bound_envelope_opens_in_its_own_slot_only(owner: str, provider: bytes) -> None:
    sealed = seal_for(OWNER, OPENAI, "sk-bound", PUBLIC)
    with pytest.raises(EnvelopeError) as caught:
        open_for(owner, provider, sealed, [PRIVATE])
    assert caught.value.reason is Reason.FOREIGN


def test_the_binding_cannot_be_taken_off() -> None:
    body = cbor2.loads(seal_for(OWNER, OPENAI, "sk-bound", PUBLIC))["body"]
    for nonce in (bytes(15), b"EKAI" + bytes(11), b"FREE" + body["nonce"][4:]):
        stripped = cbor2.dumps({"format": 1, "body": {**body, "nonce": nonce}}, canonical=True)
        with pytest.raises(EnvelopeError) as caught:
            open_for("0x" + "bb" * 20, OPENAI, stripped, [PRIVATE])
        assert caught.value.reason in (Reason.TAG, Reason.FOREIGN)


def test_the_first_key_that_fits_opens() -> None:
    old, older = b"o" * 32, b"p" * 32
    sealed = seal_envelope("sk-x", public_key(older))
    assert open_for(OWNER, OPENAI, sealed, [PRIVATE, old, older]) == "sk-x"
    with pytest.raises(EnvelopeError) as caught:
        open_for(OWNER, OPENAI, sealed, [PRIVATE, old])
    assert caught.value.reason is Reason.TAG
    low = cbor2.dumps({"format": 1, "body": {**GOOD["body"], "pk": bytes(32)}}, canonical=True)
    with pytest.raises(EnvelopeError) as caught:
        open_for(OWNER, OPENAI, low, [old, PRIVATE])
    assert caught.value.reason is Reason.LOW_ORDER


def test_two_seals_of_one_key_differ() -> None:
    assert seal_envelope("sk-x", PUBLIC) != seal_envelope("sk-x", PUBLIC)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_end_in_a_reason(raw: bytes) -> None:
    _refusal(raw)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 146), st.integers(0, 255))
def test_any_changed_byte_is_noticed(position: int, value: int) -> None:
    envelope = bytearray(_raw(VALID[4], "envelope"))
    if envelope[position] == value:
        return
    envelope[position] = value
    try:
        opened = open_envelope(bytes(envelope), PRIVATE)
    except EnvelopeError:
        return
    # X25519 ignores the public key's highest bit, so that one alone changes nothing.
    assert opened == VALID[4]["plaintext_utf8"]
    assert bytes(envelope[13:45])[:-1] == _raw(VALID[4], "ephemeral_public_key")[:-1]


def test_the_module_does_not_pull_web3() -> None:
    code = (
        "import sys; from shared.keys.envelope import *; open_envelope(seal_envelope('sk-x', public_key(bytes(32))), bytes(32));"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'web3', 'eth_account', 'eth_abi', 'eth_utils'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

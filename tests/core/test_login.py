"""Login: who may have a token, and who may not (https://eips.ethereum.org/EIPS/eip-712)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from coincurve import PrivateKey

from cli.wallet import Wallet
from shared.callers import Callers, ContractWallet, Issued, token_hash, tokens_in
from shared.chain import checksum_address
from shared.errors import Code, GatewayError
from shared.login import check_times, digest, read_login, recover
from shared.settings import Settings
from shared.store import Store
from tests.core.memory import MemoryStore

KEY = PrivateKey.from_hex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
EXPIRATION, CHAIN = 1_800_000_000, 23295
SIGNATURE = (
    "0xa0784cc254db6c0372640f40908b3e42f453986aade4efb4565e2399182515ab"
    "5dab28e502871d36db5e28894d0e8cf8ea5657e9c7b822e5f6bfa9b9224a20e91b"
)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TTL = 604_800
NOW = EXPIRATION - TTL


def signed(message: bytes, key: PrivateKey = KEY) -> str:
    raw = key.sign_recoverable(message, hasher=None)
    return "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()


def body(**changed: Any) -> dict[str, Any]:
    return {"address": ADDRESS, "expiration": EXPIRATION, "signature": SIGNATURE, **changed}


def make_callers(
    now: float = NOW, wallet: ContractWallet | None = None, **settings: Any
) -> tuple[Callers, MemoryStore]:
    store = MemoryStore()
    made = Settings(_env_file=None, host="127.0.0.1", **settings)  # type: ignore[call-arg]  # pydantic-settings' own
    return Callers(cast(Store, store), made, lambda: now, wallet), store


def refusal(work: Awaitable[Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        asyncio.run(cast(Any, work))
    return caught.value


# ── the message ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_known_answer() -> None:
    assert (
        digest(ADDRESS.lower(), EXPIRATION, CHAIN).hex()
        == "54adae04abc50100b53df04fbb70b03d7ce3e96b0ca901fd0eff6c3231233a5a"
    )
    assert recover(SIGNATURE, digest(ADDRESS.lower(), EXPIRATION, CHAIN)) == ADDRESS.lower()
    assert signed(digest(ADDRESS.lower(), EXPIRATION, CHAIN)) == SIGNATURE  # RFC 6979: the same for everybody


def test_the_command_signs_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("0x" + KEY.secret.hex())
    monkeypatch.setattr("cli.wallet.time.time", lambda: float(NOW))
    made = Wallet.read(tmp_path / "key").login(CHAIN, TTL)
    assert made == body(address=ADDRESS.lower())


def _high_s() -> str:
    s = ORDER - int(SIGNATURE[66:130], 16)
    return f"{SIGNATURE[:66]}{s:064x}{'1c' if SIGNATURE[-2:] == '1b' else '1b'}"


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(_high_s(), id="high s"),
        pytest.param(SIGNATURE[:-2] + "00", id="v 0"),
        pytest.param(SIGNATURE[:-2] + "01", id="v 1"),
        pytest.param(SIGNATURE[:-2] + "1d", id="v 29"),
        pytest.param(SIGNATURE[:-2] + "1c", id="the other v"),
        pytest.param(SIGNATURE[:-2], id="64 bytes"),
        pytest.param(SIGNATURE + "00", id="66 bytes"),
        pytest.param(SIGNATURE[2:], id="without 0x"),
        pytest.param(SIGNATURE[:-1], id="half a byte"),
        pytest.param("0x", id="empty"),
        pytest.param("0x" + "0" * 128 + "1b", id="zeros"),
        pytest.param("0x" + "f" * 128 + "1b", id="ones"),
        pytest.param(f"0x{'f' * 64}{SIGNATURE[66:]}", id="r beyond the field"),
        pytest.param(f"{SIGNATURE[:66]}{'0' * 64}1b", id="s 0"),
        pytest.param(SIGNATURE.replace("a", "g"), id="no hex"),
        pytest.param(SIGNATURE + "\n", id="a line break"),
        pytest.param("0x" + "ab" * 5000, id="far too long"),
    ],
)
def test_malformed_signatures(signature: str) -> None:
    callers, store = make_callers()
    error = refusal(callers.login(body(signature=signature)))
    assert (error.code, error.status) == (Code.AUTHENTICATION_ERROR, 401)
    assert not store.tokens
    assert not store.signatures


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"address": ADDRESS[2:]}, id="no 0x"),
        pytest.param({"address": ADDRESS[:-1]}, id="short"),
        pytest.param({"address": ADDRESS + "0"}, id="long"),
        pytest.param({"address": "0x" + "g" * 40}, id="no hex"),
        pytest.param({"address": ADDRESS.replace("C8", "c8")}, id="wrong checksum"),
        pytest.param({"address": None}, id="null"),
        pytest.param({"address": 7}, id="a number"),
        pytest.param({"address": ADDRESS + "\n"}, id="a line break"),
        pytest.param({"expiration": "1800000000"}, id="text"),
        pytest.param({"expiration": 1.8e9}, id="a float"),
        pytest.param({"expiration": True}, id="true"),
        pytest.param({"expiration": -1}, id="negative"),
        pytest.param({"expiration": 2**64 - 1}, id="huge"),
        pytest.param({"signature": None}, id="no signature"),
        pytest.param({"signature": 5}, id="signature a number"),
    ],
)
def test_malformed_bodies(changed: dict[str, Any]) -> None:
    callers, store = make_callers()
    error = refusal(callers.login(body(**changed)))
    assert (error.code, error.status) == (Code.VALIDATION_ERROR, 400)
    assert not store.signatures


@pytest.mark.parametrize("wrong", [None, [], "x", 5, {}, {"address": ADDRESS}, [["address", ADDRESS]]])
def test_bodies_that_are_no_login(wrong: object) -> None:
    with pytest.raises(GatewayError) as caught:
        read_login(wrong)
    assert caught.value.code is Code.VALIDATION_ERROR


@pytest.mark.parametrize("spelling", [ADDRESS, ADDRESS.lower(), "0x" + ADDRESS[2:].upper()])
def test_addresses_are_compared_without_regard_to_case(spelling: str) -> None:
    callers, _ = make_callers()
    assert asyncio.run(callers.login(body(address=spelling))).address == ADDRESS.lower()


# ── when ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "accepted"),
    [
        (NOW, True),
        (NOW + 300, True),
        (NOW + 301, False),  # too old
        (NOW - 1, False),  # further ahead than a token lives
        (EXPIRATION - 1, False),
        (EXPIRATION, False),  # over
        (EXPIRATION + 1, False),
        (0, False),
    ],
)
def test_times(now: int, accepted: bool) -> None:
    login = read_login(body())
    if accepted:
        check_times(login, now, TTL, 300)
        return
    with pytest.raises(GatewayError) as caught:
        check_times(login, now, TTL, 300)
    assert (caught.value.code, caught.value.param) == (Code.VALIDATION_ERROR, "expiration")


def test_a_short_ttl_still_refuses_what_is_over() -> None:
    login = read_login(body())
    with pytest.raises(GatewayError, match="has expired"):
        check_times(login, EXPIRATION, 10, 300)
    check_times(login, EXPIRATION - 1, 10, 300)


# ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_login() -> None:
    callers, store = make_callers()
    granted = asyncio.run(callers.login(body()))
    assert granted.address == ADDRESS.lower()
    assert granted.expires_at == NOW + TTL
    assert len(bytes.fromhex(granted.token)) == 32
    assert list(store.tokens) == [sha256(granted.token.encode()).digest()]
    assert granted.token not in repr(store.tokens)
    assert asyncio.run(callers.login(body(signature=_other(callers)))).token != granted.token


def _other(callers: Callers) -> str:
    """A second good signature of the same message, made with another nonce."""
    message = digest(ADDRESS.lower(), EXPIRATION, callers.settings.sapphire_chain_id)
    from coincurve._libsecp256k1 import ffi, lib  # the nonce's extra data has no place in the Python face

    raw = ffi.new("secp256k1_ecdsa_recoverable_signature *")
    lib.secp256k1_ecdsa_sign_recoverable(
        KEY.context.ctx, raw, message, KEY.secret, ffi.NULL, ffi.new("char[32]", b"1" * 32)
    )
    out, recovery = ffi.new("unsigned char[64]"), ffi.new("int *")
    lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(KEY.context.ctx, out, recovery, raw)
    return "0x" + (bytes(ffi.buffer(out)) + bytes([recovery[0] + 27])).hex()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(digest(ADDRESS.lower(), EXPIRATION, 23294), id="another chain"),
        pytest.param(digest(ADDRESS.lower(), EXPIRATION + 1, CHAIN), id="another expiration"),
        pytest.param(digest("0x" + "11" * 20, EXPIRATION, CHAIN), id="another address"),
        pytest.param(bytes(32), id="something else"),
    ],
)
def test_a_signature_of_another_message(message: bytes) -> None:
    callers, store = make_callers()
    assert refusal(callers.login(body(signature=signed(message)))).code is Code.AUTHENTICATION_ERROR
    assert not store.tokens


def test_the_chain_id_is_the_settings() -> None:
    callers, _ = make_callers(sapphire_chain_id=23294)
    assert refusal(callers.login(body())).code is Code.AUTHENTICATION_ERROR
    assert asyncio.run(callers.login(body(signature=signed(digest(ADDRESS.lower(), EXPIRATION, 23294)))))


def test_somebody_elses_signature() -> None:
    callers, _ = make_callers()
    message = digest(ADDRESS.lower(), EXPIRATION, CHAIN)
    assert refusal(callers.login(body(signature=signed(message, PrivateKey())))).status == 401


def test_a_signature_serves_once() -> None:
    callers, store = make_callers()
    asyncio.run(callers.login(body()))
    again = refusal(callers.login(body(signature="0x" + SIGNATURE[2:].upper(), address=ADDRESS.lower())))
    assert (again.code, "used before" in again.message) == (Code.AUTHENTICATION_ERROR, True)
    assert len(store.tokens) == 1


def test_only_listed_addresses() -> None:
    callers, store = make_callers(allowed_addresses=("0x" + "11" * 20,))
    error = refusal(callers.login(body()))
    assert (error.code, "ALLOWED_ADDRESSES" in error.message) == (Code.AUTHENTICATION_ERROR, True)
    assert not store.signatures  # nothing is used up by a refusal
    callers, _ = make_callers(allowed_addresses=f"0x{'11' * 20}, {ADDRESS.upper().replace('0X', '0x')}")
    assert asyncio.run(callers.login(body()))


# ── wallets that are contracts ───────────────────────────────────────────────────────────────────────────────────


def test_a_contract_wallet_is_asked_once_and_its_word_counts() -> None:
    asked: list[tuple[str, bytes, bytes]] = []

    async def accepts(address: str, message: bytes, signature: bytes) -> bool:
        asked.append((address, message, signature))
        return signature == b"\x12" * 200

    contract = "0x" + "ab" * 20
    callers, _ = make_callers(wallet=accepts)
    granted = asyncio.run(callers.login(body(address=contract, signature="0x" + "12" * 200)))
    assert granted.address == contract
    assert asked == [(contract, digest(contract, EXPIRATION, CHAIN), b"\x12" * 200)]
    assert refusal(callers.login(body(address=contract, signature="0x" + "13" * 200))).status == 401
    assert refusal(callers.login(body(address=contract, signature="0x" + "12" * 200))).status == 401  # used before


def test_a_wallet_with_a_key_needs_no_chain() -> None:
    async def never(*_: object) -> bool:
        raise AssertionError("the chain was asked")

    callers, _ = make_callers(wallet=never)
    assert asyncio.run(callers.login(body()))


def test_a_chain_that_is_down_is_no_yes() -> None:
    async def down(*_: object) -> bool:
        raise GatewayError(Code.SAPPHIRE_UNAVAILABLE, "The chain could not be asked.")

    callers, store = make_callers(wallet=down)
    assert refusal(callers.login(body(address="0x" + "ab" * 20))).code is Code.SAPPHIRE_UNAVAILABLE
    assert not store.tokens


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _granted(clock: Callable[[], float]) -> tuple[Callers, Issued]:
    made, _ = make_callers()
    callers = Callers(made.store, made.settings, clock)
    return callers, asyncio.run(callers.issue(ADDRESS.lower()))


def test_a_token_lives_for_its_time_and_no_longer() -> None:
    now = [float(NOW)]
    callers, granted = _granted(lambda: now[0])
    shown = {"authorization": f"Bearer {granted.token}"}
    assert asyncio.run(callers.identify(shown)).address == ADDRESS.lower()
    now[0] = NOW + TTL - 0.5
    assert asyncio.run(callers.identify(shown)).owner == ADDRESS.lower()
    now[0] = NOW + TTL
    assert refusal(callers.identify(shown)).code is Code.AUTHENTICATION_ERROR
    assert refusal(callers.logout(shown)).code is Code.AUTHENTICATION_ERROR


def test_logout_ends_every_token_that_is_shown() -> None:
    callers, first = _granted(lambda: NOW)
    second = asyncio.run(callers.issue(ADDRESS.lower()))
    third = asyncio.run(callers.issue(ADDRESS.lower()))
    asyncio.run(callers.logout({"authorization": f"Bearer {first.token}", "x-api-key": f"sk-ant-{second.token}"}))
    for gone in (first, second):
        assert refusal(callers.identify({"x-api-key": gone.token})).status == 401
    assert asyncio.run(callers.identify({"x-api-key": third.token}))


@pytest.mark.parametrize(
    ("headers", "tokens"),
    [
        ({}, ()),
        ({"authorization": "Bearer abc"}, ("abc",)),
        ({"authorization": "bearer   abc  "}, ("abc",)),
        ({"authorization": "BEARER sk-ant-abc"}, ("abc",)),
        ({"authorization": "Basic abc"}, ()),
        ({"authorization": "abc"}, ()),
        ({"authorization": "Bearer"}, ()),
        ({"x-api-key": "sk-ant-abc"}, ("abc",)),
        ({"x-api-key": " abc ", "authorization": "Bearer abc"}, ("abc",)),
        ({"x-api-key": "one", "authorization": "Bearer two"}, ("two", "one")),
        ({"x-api-key": "sk-ant-sk-ant-abc"}, ("sk-ant-abc",)),
    ],
)
def test_where_tokens_stand(headers: dict[str, str], tokens: tuple[str, ...]) -> None:
    assert tokens_in(headers) == tokens


def test_the_operators_token() -> None:
    callers, _ = make_callers()
    assert not callers.is_operator({"authorization": "Bearer "})
    assert not callers.is_operator({"authorization": "Bearer None"})
    callers, _ = make_callers(operator_token="s3cret-ü")
    assert callers.is_operator({"x-api-key": "s3cret-ü"})
    assert not callers.is_operator({"x-api-key": "s3cret"})
    assert not callers.is_operator({})
    assert make_callers(operator_token=" ")[0].settings.operator_token is None


def test_what_the_store_knows_of_a_token_is_a_hash() -> None:
    assert token_hash("ab") == sha256(b"ab").digest()


def test_addresses_are_shown_checksummed() -> None:
    assert checksum_address(ADDRESS.lower()) == ADDRESS

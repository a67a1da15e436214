"""Login with a wallet: an EIP-712 message, signed, says who somebody is (https://eips.ethereum.org/EIPS/eip-712)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from coincurve import PublicKey

from shared.chain import checksum_address, keccak256
from shared.errors import Code, GatewayError, invalid

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SIGNATURE = re.compile(r"0x[0-9a-fA-F]{130}")
_BYTES = re.compile(r"0x(?:[0-9a-fA-F]{2}){1,4096}")
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId)")
_LOGIN_TYPE = keccak256(b"Login(address address,uint256 expiration)")
_NAME = keccak256(b"Ekai Gateway")
_VERSION = keccak256(b"1")


@dataclass(frozen=True, slots=True)
class Login:
    """What a client sends to /auth/login. `expiration` is in seconds since 1970; `address` is lower-case."""

    address: str
    expiration: int
    signature: str


def read_login(body: object) -> Login:
    """Our own JSON form, checked strictly. Raises VALIDATION_ERROR."""
    match body:
        case {"address": str(address), "expiration": int(expiration), "signature": str(signature)} if not isinstance(
            expiration, bool
        ):
            pass
        case _:
            raise invalid("Send {address: string, expiration: integer (seconds), signature: string} as JSON.")
    if not _ADDRESS.fullmatch(address):
        raise invalid("address: 0x and 40 hex digits are needed.", "address")
    if address not in (address.lower(), "0x" + address[2:].upper()) and address != checksum_address(address):
        raise invalid("address: its checksum is wrong.", "address")
    if not 0 <= expiration < 2**63:
        raise invalid("expiration: seconds since 1970 are needed.", "expiration")
    if not _BYTES.fullmatch(signature):
        raise refused("signature: 0x and hex digits are needed.")
    return Login(address.lower(), expiration, signature)


def check_times(login: Login, now: int, token_ttl: int, max_age: int) -> None:
    """Raises VALIDATION_ERROR for a message from the past, from the future, or older than `max_age` seconds."""
    if login.expiration <= now:
        raise invalid("expiration: the message has expired; sign a new one.", "expiration")
    age = now - (login.expiration - token_ttl)
    if age < 0:
        raise invalid(f"expiration: at most {token_ttl} seconds ahead are accepted.", "expiration")
    if age > max_age:
        raise invalid(
            f"expiration: the message is {age} seconds old, {max_age} are accepted; sign a new one.", "expiration"
        )


def digest(address: str, expiration: int, chain_id: int) -> bytes:
    """The 32 bytes that a wallet signs."""
    domain = keccak256(_DOMAIN_TYPE + _NAME + _VERSION + chain_id.to_bytes(32, "big"))
    struct = keccak256(_LOGIN_TYPE + bytes(12) + bytes.fromhex(address[2:]) + expiration.to_bytes(32, "big"))
    return keccak256(b"\x19\x01" + domain + struct)


def recover(signature: str, message: bytes) -> str:
    """The lower-case address that signed `message`. Raises AUTHENTICATION_ERROR for anything but a strict 65-byte signature."""
    if not _SIGNATURE.fullmatch(signature):
        raise refused("The signature must be 0x and 130 hex digits.")
    raw = bytes.fromhex(signature[2:])
    r, s, v = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64]
    if v not in (27, 28) or not r or not 0 < s <= _HALF_ORDER:
        raise refused("The signature is malformed.")
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([v - 27]), message, hasher=None)
    except Exception as error:  # the library raises its own and ValueError for points off the curve
        raise refused("The signature is malformed.") from error
    return "0x" + keccak256(key.format(compressed=False)[1:])[-20:].hex()


def refused(message: str) -> GatewayError:
    """Who they say they are is not proven (401)."""
    return GatewayError(Code.AUTHENTICATION_ERROR, message)

"""A client of rofl-appd, the daemon beside every ROFL app: keys from the app's identity, transactions in its name.

https://github.com/oasisprotocol/oasis-sdk/blob/main/docs/rofl/features/appd.md
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import cbor2
import httpx
import orjson

from shared.chain import keccak256

SUBMIT_SECONDS = 65.0  # appd gives up by itself after 60, counted from before its queue

_CALL_SECONDS = 5.0
_SHOWN = 200
_REVERTED = "reverted: "
_ERROR_STRING = keccak256(b"Error(string)")[:4]

_ERRORS = (
    "RoflOriginNotAuthorizedForApp()",
    "NotAuthorized()",
    "ContractPaused()",
    "ReceiptAlreadyLogged(bytes32)",
    "DelegateNeverPermitted(address,address)",
)
REVERTS: Mapping[bytes, str] = {keccak256(error.encode())[:4]: error.partition("(")[0] for error in _ERRORS}
"""The contract's errors that a transaction of the gateway can meet, by their selector."""

Failure = Literal["unreachable", "refused", "unknown"]


class AppdError(Exception):
    """appd said no, or nothing.

    `failure`: `unreachable` (nothing was sent), `refused` (appd did nothing), `unknown` (a transaction may be on its way:
    look for it on chain before it is sent again). `status` is 0 where there was no reply.
    """

    def __init__(self, failure: Failure, text: str, status: int = 0) -> None:
        super().__init__(f"appd: {text[:_SHOWN]}")
        self.failure = failure
        self.text = text[:_SHOWN]
        self.status = status


@dataclass(frozen=True, slots=True)
class Executed:
    """A transaction that stands in a block and did what it should. `data` is what the call returned."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A transaction that stands in a block and did nothing. `revert` is the EVM's own data, empty for other failures."""

    module: str
    code: int
    message: str
    revert: bytes = b""

    @property
    def cause(self) -> str:
        """The revert by its name or text, where it has one; else the message."""
        if self.revert[:4] == _ERROR_STRING and len(self.revert) >= 68:
            length = int.from_bytes(self.revert[36:68])
            return self.revert[68 : 68 + length].decode(errors="replace")
        return REVERTS.get(self.revert[:4], self.message)


SubmitResult = Executed | Failed


@dataclass(frozen=True, slots=True)
class Appd:
    """appd behind its UNIX socket. One HTTP client for the life of the process: a new one for every call costs 30 ms."""

    http: httpx.AsyncClient = field(repr=False)

    @classmethod
    def at(cls, socket_path: str) -> Appd:
        """Nothing is connected before the first call."""
        transport = httpx.AsyncHTTPTransport(uds=socket_path)
        return cls(httpx.AsyncClient(transport=transport, base_url="http://appd", timeout=_CALL_SECONDS))

    async def app_id(self) -> str:
        """The app's bech32 identifier, `rofl1…`."""
        return (await self._call("GET", "/rofl/v1/app/id")).text.strip()

    async def derive_key(self, key_id: str, kind: str = "raw-256") -> bytes:
        """The key that this app, and no other, always gets for `key_id`."""
        reply = await self._call("POST", "/rofl/v1/keys/generate", {"key_id": key_id, "kind": kind})
        try:
            return bytes.fromhex(orjson.loads(reply.content)["key"])
        except (ValueError, KeyError, TypeError):
            raise AppdError("refused", "the reply holds no key", reply.status_code) from None

    async def sign_submit(self, to: str, data: bytes, gas_limit: int, value: str = "0") -> SubmitResult:
        """Signs a call in the app's name and returns once it stands in a block (some 6 s, one call after the other).

        `value` is in wei, as text. Raises AppdError; after `unknown` the call may still have been made.
        """
        call = {"gas_limit": gas_limit, "to": to.removeprefix("0x"), "value": value, "data": data.hex()}
        body = {"encrypt": True, "tx": {"kind": "eth", "data": call}}
        reply = await self._call("POST", "/rofl/v1/tx/sign-submit", body, SUBMIT_SECONDS)
        try:
            return _read_result(bytes.fromhex(orjson.loads(reply.content)["data"]))
        except (ValueError, KeyError, TypeError):
            raise AppdError("unknown", "the reply holds no result", reply.status_code) from None

    async def close(self) -> None:
        """Frees the connections."""
        await self.http.aclose()

    async def _call(self, method: str, path: str, body: Any = None, seconds: float = _CALL_SECONDS) -> httpx.Response:
        content = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            reply = await self.http.request(method, path, content=content, headers=headers, timeout=seconds)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise AppdError("unreachable", _named(error)) from None
        except httpx.HTTPError as error:
            raise AppdError("unknown", _named(error)) from None
        if reply.status_code == 200:
            return reply
        # A 400 may come after the submission; what is malformed gets 413 or 422 before it.
        failure: Failure = "refused" if reply.status_code != 400 or "malformed" in reply.text else "unknown"
        raise AppdError(failure, reply.text.strip(), reply.status_code)


def _named(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__} {error}".strip()


def _read_result(raw: bytes) -> SubmitResult:
    try:
        result = cbor2.loads(raw)
    except cbor2.CBORDecodeError:
        raise AppdError("unknown", "the result is not CBOR") from None
    match result:
        case {"ok": data}:
            return Executed(data if isinstance(data, bytes) else b"")
        case {"fail": {"module": str() as module, "code": int() as code, **rest}}:
            message = str(rest.get("message") or "")
            return Failed(module, code, message, _read_revert(message))
        case _:
            raise AppdError("unknown", "the result is neither ok nor fail")


def _read_revert(message: str) -> bytes:
    head, found, encoded = message.rpartition(_REVERTED)
    if not found or head:
        return b""
    try:
        return b64decode(encoded, validate=True)
    except Base64Error:  # older runtimes put the reason there in clear
        return b""

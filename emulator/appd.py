"""rofl-appd without a TEE: the same routes, keys and refusals over a real UNIX socket, for local use and tests.

Its keys are those of appd's own mock KMS, so they are known to everybody.
https://github.com/oasisprotocol/oasis-sdk/tree/main/rofl-appd
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import cbor2
import httpx
import orjson
import uvicorn
from Crypto.Hash import cSHAKE256
from Crypto.Hash.KMAC128 import KMAC_Hash
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

APP_ID = "rofl1qqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf"
MAX_BODY = 1 << 20

_ROOT = b"oasis-runtime-sdk/rofl-appd: mock root key"
_PURPOSE = b"oasis-runtime-sdk/rofl-appd: "
_KINDS = {"raw-256": (1, 32), "raw-384": (2, 48), "ed25519": (3, 32), "secp256k1": (4, 32)}
_KMAC256_RATE = 136
_POLL_SECONDS = 0.02


class RevertedError(Exception):
    """A call that the contract refused, with the EVM's revert data."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data.hex())
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A transaction that was handed in to be signed. `to` is empty for a new contract."""

    to: bytes
    data: bytes
    gas_limit: int
    value: int


Execute = Callable[[Call], Awaitable[bytes]]


class _RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


async def _nothing_happens(call: Call) -> bytes:
    return b""


@dataclass(slots=True)
class FakeAppd:
    """Knobs and memory of the fake. `boot_seconds`: how long it says `not initialized yet`; `block_seconds`: how long a
    transaction takes, one after the other; `queue_seconds`: appd's own limit, which starts before its queue."""

    execute: Execute = _nothing_happens
    boot_seconds: float = 0.0
    block_seconds: float = 0.0
    queue_seconds: float = 60.0
    calls: list[Call] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _chain: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def app_id(self, request: Request) -> Response:
        """`GET /rofl/v1/app/id`."""
        return PlainTextResponse(APP_ID)

    async def generate(self, request: Request) -> Response:
        """`POST /rofl/v1/keys/generate`."""
        match await _read_json(request):
            case {"key_id": str() as key_id, "kind": str() as kind} if kind in _KINDS:
                if time.monotonic() - self._started < self.boot_seconds:
                    raise _RefusedError(400, "not initialized yet")
                return JSONResponse({"key": derive_key(key_id, kind).hex()})
            case _:
                raise _RefusedError(422, "The request could not be understood.")

    async def sign_submit(self, request: Request) -> Response:
        """`POST /rofl/v1/tx/sign-submit`: answers when the call stands in a block."""
        call = _read_call(await _read_json(request))
        try:
            async with asyncio.timeout(self.queue_seconds):
                async with self._chain:
                    result = await self._include(call)
        except TimeoutError:
            raise _RefusedError(400, "timed out while waiting for the transaction") from None
        return JSONResponse({"data": cbor2.dumps(result, canonical=True).hex()})

    async def _include(self, call: Call) -> dict[str, object]:
        await asyncio.sleep(self.block_seconds)
        self.calls.append(call)
        try:
            return {"ok": await self.execute(call)}
        except RevertedError as revert:
            message = f"reverted: {b64encode(revert.data).decode()}"
            return {"fail": {"module": "evm", "code": 8, "message": message}}

    async def get_metadata(self, request: Request) -> Response:
        """`GET /rofl/v1/metadata`."""
        return JSONResponse(self.metadata)

    async def set_metadata(self, request: Request) -> Response:
        """`POST /rofl/v1/metadata`: replaces all of it."""
        match await _read_json(request):
            case dict() as pairs if all(isinstance(value, str) for value in pairs.values()):
                self.metadata = dict(pairs)
                return Response(status_code=200)
            case _:
                raise _RefusedError(422, "The request could not be understood.")

    def app(self) -> Starlette:
        """The routes, ready to be served."""
        return Starlette(
            routes=[
                Route("/rofl/v1/app/id", self.app_id),
                Route("/rofl/v1/keys/generate", self.generate, methods=["POST"]),
                Route("/rofl/v1/tx/sign-submit", self.sign_submit, methods=["POST"]),
                Route("/rofl/v1/metadata", self.get_metadata, methods=["GET"]),
                Route("/rofl/v1/metadata", self.set_metadata, methods=["POST"]),
            ],
            exception_handlers={_RefusedError: _write_refusal},
        )

    @asynccontextmanager
    async def serve(self, socket_path: str) -> AsyncIterator[FakeAppd]:
        """Listens at `socket_path` until the block ends."""
        config = uvicorn.Config(self.app(), uds=socket_path, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.005)
                if serving.done():
                    serving.result()
            yield self
        finally:
            server.should_exit = True
            await serving


def on_chain(rpc_url: str, sender: str) -> Execute:
    """Executes calls as transactions of `sender`, an unlocked account of a development chain, and waits for their blocks."""

    async def execute(call: Call) -> bytes:
        transaction = {
            "from": sender,
            "to": f"0x{call.to.hex()}",
            "data": f"0x{call.data.hex()}",
            "gas": hex(call.gas_limit),
            "value": hex(call.value),
        }
        # trust_env: a proxy in the environment is never meant for a chain on this machine.
        async with httpx.AsyncClient(base_url=rpc_url, timeout=30.0, trust_env=False) as http:
            sent = await _ask(http, "eth_sendTransaction", transaction)
            receipt = await _included(http, sent)
            if receipt["status"] != "0x1":
                await _ask(http, "eth_call", transaction, "latest")  # a receipt doesn't hold the revert's data
                raise RevertedError(b"")
        return b""

    return execute


async def _included(http: httpx.AsyncClient, transaction_hash: str) -> dict[str, Any]:
    while True:
        receipt = await _ask(http, "eth_getTransactionReceipt", transaction_hash)
        if receipt is not None:
            return dict(receipt)
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(http: httpx.AsyncClient, method: str, *params: object) -> Any:
    reply = await http.post("", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    match reply.json():
        case {"error": {"data": str() as data}}:
            raise RevertedError(bytes.fromhex(data.removeprefix("0x")))
        case {"error": error}:
            raise _RefusedError(400, str(error))
        case {"result": result}:
            return result
        case other:
            raise _RefusedError(400, str(other))


def derive_key(key_id: str, kind: str) -> bytes:
    """What the mock KMS derives: a key from the root, a subkey from that, both by KMAC256 (NIST SP 800-56C, 800-108)."""
    number, size = _KINDS[kind]
    context = bytes([number]) + key_id.encode()
    middle = _kmac256(context, _PURPOSE + b"derive key derivation key", _ROOT, 32)
    return _kmac256(middle, _PURPOSE + b"derive subkey " + kind.encode(), context, size)


def _kmac256(key: bytes, custom: bytes, data: bytes, size: int) -> bytes:
    # The library's front door refuses keys under 32 bytes, and a key id used as salt may be shorter.
    return KMAC_Hash(data, key, size, custom, "20", cSHAKE256, _KMAC256_RATE).digest()


async def _read_json(request: Request) -> object:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise _RefusedError(413, "The request payload is too large.")
    try:
        return orjson.loads(body)
    except ValueError:
        raise _RefusedError(400, "The request could not be understood by the server due to malformed syntax.") from None


def _read_call(body: object) -> Call:
    match body:
        case {
            "tx": {"kind": "eth", "data": {"gas_limit": int() as gas, "to": str(to), "value": value, "data": str(data)}}
        }:
            call = Call(_read_hex(to), _read_hex(data), gas, _read_value(value))
        case _:
            raise _RefusedError(422, "The request could not be understood.")
    if call.to and len(call.to) != 20:
        raise _RefusedError(400, "malformed address")
    return call


def _read_hex(text: str) -> bytes:
    digits = text.removeprefix("0x")
    if text == "0x":
        raise _RefusedError(422, "The request could not be understood.")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise _RefusedError(422, "The request could not be understood.") from None


def _read_value(value: object) -> int:
    if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit()):
        return int(value)
    raise _RefusedError(422, "The request could not be understood.")


async def _write_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, _RefusedError):
        raise error
    return PlainTextResponse(error.text, error.status)

"""A JSON-RPC node on a real socket that knows one control plane, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from eth_abi.abi import decode, encode

from shared.chain import keccak256, model_ids, provider_id

CHAIN_ID = 23295
CONTRACT = "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268"

Reply = bytes | None
"""A body, or None to hang up without a word."""


def address(number: int) -> str:
    """A wallet for tests."""
    return f"0x{number:040x}"


def _selector(signature: str) -> str:
    return keccak256(signature.encode())[:4].hex()


@dataclass
class FakeNode:
    """`secrets` holds ciphertext and version by owner and provider id; `models` (owner, provider id, model id)."""

    chain_id: int = CHAIN_ID
    paused: bool = False
    key_version: int = 1
    registered: bytes = bytes(32)
    sealed_to: int | None = None  # None: the present version, as contracts before ours answer
    delegates: set[tuple[str, str]] = field(default_factory=set)
    models: set[tuple[str, bytes, bytes]] = field(default_factory=set)
    secrets: dict[tuple[str, bytes], tuple[bytes, int]] = field(default_factory=dict)
    known_providers: set[bytes] | None = None  # None: all; others revert

    delay: float = 0.0
    batches: bool = True
    max_batch: int = 1000
    shuffled: bool = False
    status: int = 200
    spoil: Callable[[int, Any, bytes], Reply] | None = None  # number of the request, what was asked, the honest body
    bend: Callable[[dict[str, Any]], dict[str, Any] | None] | None = (
        None  # one answer of a batch, honest; None: left out
    )
    requests: int = 0
    open_requests: int = 0
    most_open: int = 0
    calls: int = 0
    url: str = ""

    def store(self, owner: str, provider: str, ciphertext: bytes, version: int = 1) -> None:
        """As the owner would by setSecret."""
        self.secrets[owner.lower(), provider_id(provider)] = (ciphertext, version)

    def allow(self, owner: str, provider: str, model: str, encoding: int = 0) -> None:
        """As the owner would by addAllowedModel, with one of the three ids."""
        self.models.add((owner.lower(), provider_id(provider), model_ids(model)[encoding]))

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeNode]:
        """Listens on a free port."""
        connections: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            connections.add(task)
            try:
                await self._talk(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/rpc"
        try:
            yield self
        finally:
            server.close()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(size)
            self.requests += 1
            self.open_requests += 1
            self.most_open = max(self.most_open, self.open_requests)
            number = self.requests
            try:
                await asyncio.sleep(self.delay)
                reply = self._answer(number, orjson.loads(body))
            finally:
                self.open_requests -= 1
            if reply is None:
                return
            writer.write(f"HTTP/1.1 {self.status} OK\r\ncontent-length: {len(reply)}\r\n\r\n".encode() + reply)
            await writer.drain()

    def _answer(self, number: int, asked: Any) -> Reply:
        if isinstance(asked, list) and (not self.batches or len(asked) > self.max_batch):
            error = {"code": -32600, "message": "batch requests are not supported"}
            return orjson.dumps({"jsonrpc": "2.0", "id": None, "error": error})
        several = asked if isinstance(asked, list) else [asked]
        answers = [answer for call in several if (answer := self._bent(self._one(call))) is not None]
        if self.shuffled:
            random.Random(number).shuffle(answers)
        honest = orjson.dumps(answers if isinstance(asked, list) else answers[0] if answers else {})
        return self.spoil(number, asked, honest) if self.spoil else honest

    def _bent(self, answer: dict[str, Any]) -> dict[str, Any] | None:
        return self.bend(answer) if self.bend else answer

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        answer = {"jsonrpc": "2.0", "id": call["id"]}
        if call["method"] == "eth_chainId":
            return {**answer, "result": hex(self.chain_id)}
        assert call["method"] == "eth_call"
        transaction, block = call["params"]
        assert block == "latest"
        if transaction["to"].lower() != CONTRACT.lower():
            return {**answer, "result": "0x"}
        try:
            return {**answer, "result": f"0x{self._contract(bytes.fromhex(transaction['data'][2:])).hex()}"}
        except ValueError:
            return {**answer, "error": {"code": 3, "message": "execution reverted", "data": "0x"}}

    def _contract(self, data: bytes) -> bytes:
        selector, rest = data[:4].hex(), data[4:]
        if selector == _selector("isPaused()"):
            return encode(["bool"], [self.paused])
        if selector == _selector("isDelegatePermitted(address,address)"):
            owner, caller = decode(["address", "address"], rest)
            return encode(["bool"], [(owner.lower(), caller.lower()) in self.delegates])
        if selector == _selector("isModelPermitted(address,bytes32,bytes32)"):
            owner, provider, model = decode(["address", "bytes32", "bytes32"], rest)
            self._known(provider)
            return encode(["bool"], [(owner.lower(), provider, model) in self.models])
        if selector == _selector("getRoflKey()"):
            return encode(["bytes", "uint64", "bool"], [self.registered, self.key_version, True])
        assert selector == _selector("getSecretCiphertext(address,bytes32)")
        owner, provider = decode(["address", "bytes32"], rest)
        self._known(provider)
        ciphertext, version = self.secrets.get((owner.lower(), provider), (b"", 0))
        sealed_to = self.key_version if self.sealed_to is None else self.sealed_to
        return encode(["bytes", "uint64", "bool", "uint64"], [ciphertext, version, version > 0, sealed_to])

    def _known(self, provider: bytes) -> None:
        if self.known_providers is not None and provider not in self.known_providers:
            raise ValueError(provider)

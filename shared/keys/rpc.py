"""Many questions to an Ethereum node in one HTTP request.

https://www.jsonrpc.org/specification#batch, https://ethereum.org/developers/docs/apis/json-rpc/
"""

from __future__ import annotations

import asyncio
import itertools
import zlib
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from shared.client import Client
from shared.connection import BrokenError

MAX_BATCH = 100  # nodes refuse larger ones; the parts travel side by side, so it stays one round trip
MAX_REPLY_BYTES = 4 << 20  # a hundred ciphertexts of 16 KiB, in hex

_SECONDS = 5.0
_MOST_AT_ONCE = 256  # requests to the node
# Nodes say with these that they take no batches; 401, 403 and 429 mean the caller instead.
_NO_BATCHES = frozenset({400, 404, 405, 406, 413, 415, 422, 501})
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}


class RpcError(Exception):
    """The node gave no answer that could be used. The text holds nothing of the reply and no address."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: a method of the node and its parameters."""

    method: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """The node's refusal of one call. `data` is the revert's, in hex, where there is one."""

    code: int
    message: str
    data: str = ""

    @property
    def reverted(self) -> bool:
        """The contract itself said no (https://github.com/ethereum/execution-apis: code 3), not the node."""
        return self.code == 3 or "revert" in self.message.lower()


T = TypeVar("T")
Answer = str | int | bool | list[Any] | dict[str, Any] | Fault | None


class Rpc:
    """A node behind its URL. Batches are tried first; a node that takes none is asked one by one, all at once."""

    __slots__ = ("_batches", "_client", "_free", "_ids", "_seconds", "_url")

    def __init__(self, url: str, *, seconds: float = _SECONDS) -> None:
        self._client = Client(seconds)
        self._free = asyncio.Semaphore(_MOST_AT_ONCE)
        self._url = url
        self._seconds = seconds
        self._ids = itertools.count(
            1
        )  # never the same twice, so that a reply to another request can't be taken for ours
        self._batches = True

    async def ask(self, calls: Sequence[Ask]) -> list[Answer]:
        """The answers, in the order of `calls`. Raises RpcError unless every call got exactly one."""
        parts = [calls[start : start + MAX_BATCH] for start in range(0, len(calls), MAX_BATCH)]
        try:
            async with asyncio.timeout(self._seconds):
                answers = await _together([self._part(part) for part in parts])
        except TimeoutError:
            raise RpcError(f"the node didn't answer within {self._seconds:g} s") from None
        return [answer for part in answers for answer in part]

    async def close(self) -> None:
        """Frees the connections."""
        await self._client.close()

    async def _part(self, calls: Sequence[Ask]) -> list[Answer]:
        if not self._batches or len(calls) == 1:
            return await self._singly(calls)
        asked = [_write(next(self._ids), call) for call in calls]
        status, body = await self._post(orjson.dumps(asked))
        reply = _read_json(status, body) if status not in _NO_BATCHES else {}
        if isinstance(reply, list):
            return _match(asked, reply)
        answers = await self._singly(calls)
        self._batches = False  # only now: a passing fault refuses single calls as well
        return answers

    async def _singly(self, calls: Sequence[Ask]) -> list[Answer]:
        return await _together([self._single(call) for call in calls])

    async def _single(self, call: Ask) -> Answer:
        asked = _write(next(self._ids), call)
        status, body = await self._post(orjson.dumps(asked))
        return _match([asked], [_read_json(status, body)])[0]

    async def _post(self, content: bytes) -> tuple[int, bytes]:
        try:
            with suppress(BrokenError):  # a node that fell over in mid-reply: reading twice does no harm
                return await self._send(content)
            return await self._send(content)
        except (OSError, ValueError, zlib.error) as error:
            raise RpcError(f"the node can't be reached ({type(error).__name__})") from None

    async def _send(self, content: bytes) -> tuple[int, bytes]:
        body = bytearray()
        async with self._free:
            reply = await self._client.post(self._url, _HEADERS, content, self._seconds)
            try:
                while piece := await reply.read():
                    body += piece
                    if len(body) > MAX_REPLY_BYTES:
                        raise RpcError("the node's reply is too large")
            finally:
                reply.close()
        return reply.status, bytes(body)


async def _together(waiting: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    tasks = [asyncio.create_task(one) for one in waiting]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _write(number: int, call: Ask) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": call.method, "params": call.params}


def _read_json(status: int, body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise RpcError(f"the node answered {status} with something that isn't JSON") from None


def _match(asked: Sequence[dict[str, Any]], replies: Sequence[Any]) -> list[Answer]:
    found: dict[int, Answer] = {}
    for reply in replies:
        match reply:
            case {"id": int() as number, "error": {"code": int() as code, "message": str() as message, **rest}}:
                data = rest.get("data")
                answer: Answer = Fault(code, message, data if isinstance(data, str) else "")
            case {"id": int() as number, "result": result} if reply.get("error") is None:
                answer = result
            case _:
                raise RpcError("the node's reply is not one to our calls")
        if number in found:
            raise RpcError("the node answered one call twice")
        found[number] = answer
    if found.keys() != {call["id"] for call in asked}:
        raise RpcError("the node left calls unanswered, or answered others")
    return [found[call["id"]] for call in asked]

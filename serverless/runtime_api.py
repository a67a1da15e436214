"""The Runtime API of AWS Lambda: takes invocations and answers them, streamed, over one kept connection.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html,
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

PRELUDE_END = bytes(8)
"""What parts status and headers (JSON) from the body in a reply for an HTTP front door."""

_ROOT = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
_STREAMED = {
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Transfer-Encoding": "chunked",
    "Trailer": f"{_ERROR_TYPE}, {_ERROR_BODY}",
}
_MOST_HEAD = 1024 * 1024
"""Bytes of a reply's head: a client context may be large."""


class RuntimeApiError(Exception):
    """The Runtime API answered what it never should. The process is of no use any more."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event and what belongs to it. `deadline` is seconds since 1970. Handed to Mangum as the context."""

    aws_request_id: str
    deadline: float
    invoked_function_arn: str = ""
    raw: bytes = field(default=b"", repr=False)

    def event(self) -> Any:
        """The event. Raises ValueError for one that isn't JSON."""
        return orjson.loads(self.raw)

    def get_remaining_time_in_millis(self) -> int:
        """As the managed runtime's context tells it."""
        return max(round((self.deadline - time.time()) * 1000), 0)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told of an error. `kind` is `Category.Reason`; nothing in it comes from a request."""

    kind: str
    message: str

    def body(self) -> bytes:
        """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror"""
        return orjson.dumps({"errorMessage": self.message, "errorType": self.kind, "stackTrace": []})


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Streaming:
    """A response on its way, piece by piece. After `end` or `fail` it is over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._answer = asyncio.ensure_future(_read_reply(reader))

    async def write(self, piece: bytes) -> None:
        """Waits while the platform doesn't read. Raises ConnectionResetError once it takes no more (the function's time is up, or
        the reply is larger than it may be)."""
        if self._answer.done():
            raise ConnectionResetError("Lambda takes no more of this response.")
        if piece:
            self._writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await self._writer.drain()

    async def end(self) -> int:
        """The status with which the response was taken: 202."""
        self._writer.write(b"0\r\n\r\n")
        return await self._taken()

    async def fail(self, failure: Failure) -> int:
        """Ends the response as broken, by the trailers that were announced."""
        encoded = b64encode(failure.body()).decode()
        self._writer.write(f"0\r\n{_ERROR_TYPE}: {failure.kind}\r\n{_ERROR_BODY}: {encoded}\r\n\r\n".encode())
        return await self._taken()

    async def _taken(self) -> int:
        await self._writer.drain()
        return (await self._answer).status

    def abandon(self) -> None:
        """Stops waiting for an answer that nobody needs."""
        self._answer.cancel()


class RuntimeApi:
    """`host:port` of AWS_LAMBDA_RUNTIME_API. One request at a time, as there is one invocation at a time."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def next(self) -> Invocation:
        """Waits for an event; the process may be frozen meanwhile."""
        reply = await self._request("GET", "/invocation/next")
        if reply.status != 200:
            raise RuntimeApiError(f"no invocation: {reply.status}")
        headers = reply.headers
        return Invocation(
            aws_request_id=headers["lambda-runtime-aws-request-id"],
            deadline=int(headers["lambda-runtime-deadline-ms"]) / 1000,
            invoked_function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
            raw=reply.body,
        )

    async def stream(self, invocation: Invocation) -> Streaming:
        """Begins the response."""
        reader, writer = await self._open()
        writer.write(self._head("POST", f"/invocation/{invocation.aws_request_id}/response", _STREAMED.items()))
        return Streaming(reader, writer)

    async def fail(self, invocation: Invocation, failure: Failure) -> None:
        """The invocation has no response."""
        await self._request("POST", f"/invocation/{invocation.aws_request_id}/error", failure)

    async def fail_to_start(self, failure: Failure) -> None:
        """There will be no invocation."""
        await self._request("POST", "/init/error", failure)

    def drop(self) -> None:
        """Forgets a connection whose state isn't known."""
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None

    async def _request(self, method: str, path: str, failure: Failure | None = None) -> _Reply:
        body = failure.body() if failure else b""
        headers = {"Content-Length": str(len(body))}
        if failure:
            headers |= {"Content-Type": "application/json", _ERROR_TYPE: failure.kind}
        try:
            return await self._exchange(self._head(method, path, headers.items()) + body)
        except (ConnectionError, asyncio.IncompleteReadError):
            # A kept connection may be gone after a thaw: once more on a new one.
            self.drop()
            return await self._exchange(self._head(method, path, headers.items()) + body)

    async def _exchange(self, request: bytes) -> _Reply:
        reader, writer = await self._open()
        try:
            writer.write(request)
            await writer.drain()
            return await _read_reply(reader)
        except asyncio.CancelledError:
            self.drop()
            raise

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._connection is None or self._connection[0].at_eof():
            self.drop()
            host, _, port = self._address.rpartition(":")
            self._connection = await asyncio.open_connection(host, int(port), limit=_MOST_HEAD)
        return self._connection

    def _head(self, method: str, path: str, headers: Iterable[tuple[str, str]]) -> bytes:
        lines = [f"{method} {_ROOT}{path} HTTP/1.1", f"Host: {self._address}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _read_reply(reader: asyncio.StreamReader) -> _Reply:
    """A whole reply. Raises IncompleteReadError and OSError when the connection ends before it does."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _Reply(status, headers, await _read_chunks(reader))
    return _Reply(status, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        continue  # trailers
    return b"".join(pieces)

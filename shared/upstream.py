"""The HTTP client for providers: sends a call and tells failures apart. It follows nothing; what is tried again is routing's affair."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from io import BytesIO

import aiohttp
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from aiohttp.connector import Connection

from shared.errors import Code, GatewayError
from shared.plan import Call

MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a whole reply that are held in memory at most."""
MAX_ERROR = 256 * 1024
_READ_BUFFER = 256 * 1024
_AT_ONCE = 1024 * 1024
"""Bytes that are written in one piece; larger bodies go out in pieces, so that other requests get their turn."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until connected, and until the reply's head (for a whole reply: all of it)."""

    connect: float
    reply: float


class Answer:
    """A provider's reply whose head has come. To be closed in every case."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in the pieces in which it comes. Raises PROVIDER_ERROR when the connection breaks."""
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except (ClientError, OSError, ValueError) as error:
            raise _broken("The connection to the provider broke") from error

    async def whole(self) -> bytes:
        """The whole body. Raises PROVIDER_ERROR when it breaks off or is larger than `MAX_REPLY`, unpacked."""
        pieces: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > MAX_REPLY:
                raise _broken("The provider's reply is larger than the gateway accepts")
            pieces.append(chunk)
        return b"".join(pieces)

    async def error_body(self) -> bytes:
        """What there is of an error's body, cut where it gets too long; never raises for a broken one."""
        pieces: list[bytes] = []
        try:
            async for chunk in self.chunks():
                pieces.append(chunk)
                if sum(map(len, pieces)) > MAX_ERROR:
                    break
        except GatewayError:
            return b"".join(pieces)
        return b"".join(pieces)[:MAX_ERROR]

    def close(self) -> None:
        """Gives the connection back if the body was read to its end, and ends it otherwise."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Connector(TCPConnector):
    """A pool from which no connection comes on which a provider has spoken unasked: the next caller would take it for an answer."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109  (aiohttp names it)
    ) -> Connection:
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()


class Upstream:
    """One pool of connections for a process (made when it is first used: it belongs to the running event loop)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session: ClientSession | None = None

    def _open(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                connector=_Connector(limit=0, ttl_dns_cache=300, keepalive_timeout=60),
                timeout=ClientTimeout(total=None, sock_connect=self._limits.connect),
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept-Encoding",),
                read_bufsize=_READ_BUFFER,
            )
        return self._session

    async def send(self, call: Call) -> Answer:
        """The reply's head. Raises PROVIDER_ERROR: 502 where there was no answer, 504 where it took too long."""
        try:
            async with asyncio.timeout(self._limits.reply):
                return Answer(await self._post(call))
        except TimeoutError as error:  # also aiohttp's own for connecting
            raise GatewayError(
                Code.PROVIDER_ERROR, f"The provider did not answer within {self._limits.reply:g} seconds.", status=504
            ) from error
        except (ClientError, OSError, ValueError) as error:
            raise _broken(f"The provider could not be reached ({type(error).__name__})") from error

    async def _post(self, call: Call) -> aiohttp.ClientResponse:
        try:
            return await self._once(call)
        except aiohttp.ServerDisconnectedError:
            # A kept connection that the provider closed at the same moment: no byte of a reply came, so once more on a new one.
            return await self._once(call)

    async def _once(self, call: Call) -> aiohttp.ClientResponse:
        data = call.body if len(call.body) <= _AT_ONCE else BytesIO(call.body)
        return await self._open().post(call.url, data=data, headers=call.headers, allow_redirects=False)

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()


def _broken(message: str) -> GatewayError:
    return GatewayError(Code.PROVIDER_ERROR, f"{message}.")

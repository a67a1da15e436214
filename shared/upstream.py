"""The HTTP client for providers: sends a call and tells failures apart. It follows nothing; what is tried again is routing's affair."""

from __future__ import annotations

import zlib

from shared.client import Client
from shared.connection import LateError, Reply
from shared.errors import Code, GatewayError
from shared.plan import Call

MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a whole reply that are held in memory at most."""
MAX_ERROR = 256 * 1024


class Answer:
    """A provider's reply whose head has come. To be closed in every case."""

    __slots__ = ("_reply", "_seconds", "close", "headers", "in_time", "status")

    def __init__(self, reply: Reply, seconds: float) -> None:
        self._reply = reply
        self._seconds = seconds
        self.in_time = reply.in_time
        self.status = reply.status
        self.headers = reply.headers
        self.close = reply.close

    async def read(self) -> bytes:
        """The next piece of the body as it came; empty at its end. Raises PROVIDER_ERROR when the connection breaks."""
        try:
            return await self._reply.read()
        except LateError as error:
            raise late(self._seconds) from error
        except (OSError, zlib.error) as error:
            raise _broken("The connection to the provider broke") from error

    async def whole(self) -> bytes:
        """The whole body. Raises PROVIDER_ERROR when it breaks off or is larger than `MAX_REPLY`, unpacked."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read():
            size += len(piece)
            if size > MAX_REPLY:
                raise _broken("The provider's reply is larger than the gateway accepts")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def error_body(self) -> bytes:
        """What there is of an error's body, cut where it gets too long; never raises for a broken one."""
        pieces: list[bytes] = []
        size = 0
        try:
            while size < MAX_ERROR and (piece := await self.read()):
                pieces.append(piece)
                size += len(piece)
        except GatewayError:
            return b"".join(pieces)
        return b"".join(pieces)[:MAX_ERROR]


class Upstream:
    """The providers, over one pool of connections."""

    def __init__(self, connect_seconds: float) -> None:
        self._client = Client(connect_seconds)

    async def send(self, call: Call, seconds: float) -> Answer:
        """The reply's head. Raises PROVIDER_ERROR: 502 where there was none, 504 where it took longer than so many seconds, as `Answer`
        does until it is told that what came was in time."""
        try:
            return Answer(await self._client.post(call.url, call.headers, call.body, seconds), seconds)
        except LateError as error:
            raise late(seconds) from error
        except (OSError, ValueError) as error:
            raise _broken(f"The provider could not be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.close()


def late(seconds: float) -> GatewayError:
    """What a client is told of a provider that takes too long."""
    return GatewayError(Code.PROVIDER_ERROR, f"The provider did not answer within {seconds:g} seconds.", status=504)


def _broken(message: str) -> GatewayError:
    return GatewayError(Code.PROVIDER_ERROR, f"{message}.")

"""Posts over HTTP/1.1 to whoever is asked all the time, providers and the chain's node: kept connections, one try more where one had died."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress

from shared.connection import Connection, LateError, Reply, UnansweredError
from shared.pool import Address, Pool, address_of

_LINE_END = re.compile(r"[\r\n\0]")


class Client:
    """One pool of connections (made when it is first used: it belongs to the running event loop)."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._opened: Pool | None = None

    @property
    def _pool(self) -> Pool:
        if self._opened is None:
            self._opened = Pool()
        return self._opened

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, seconds: float) -> Reply:
        """The reply, once its head has come; to be closed in every case. Raises OSError where there was none, LateError where it took
        longer than so many seconds (as the reply does until it is told that it came in time), ValueError for what can't be sent."""
        address = address_of(url)
        head = _head(address, headers, len(body))
        kept = self._pool.idle(address.origin)
        if kept is not None:
            with suppress(UnansweredError):  # then once more, on a new connection
                return await kept.ask(head, body, seconds)
        connection = await self._connected(address)
        return await connection.ask(head, body, seconds)

    async def _connected(self, address: Address) -> Connection:
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await self._pool.connect(address.origin)
        except TimeoutError:
            raise LateError("nobody was reached in time") from None

    async def close(self) -> None:
        """Ends all connections."""
        if self._opened is not None:
            await self._opened.close()


def _head(address: Address, headers: Mapping[str, str], size: int) -> bytes:
    """The request's head. Raises ValueError for a header with a line end in it, without a word of its value."""
    if address.authorization and "authorization" not in headers:
        headers = {**headers, "authorization": address.authorization}
    if _LINE_END.search("".join(headers.values())):
        raise ValueError("a header must be one line")
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{address.head}{lines}content-length: {size}\r\n\r\n".encode()

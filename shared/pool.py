"""Connections to providers, kept between requests: who resolves, connects, and gives away what is idle."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection

from shared.connection import Connection

KEPT_SECONDS = 60.0
"""How long a connection may be idle."""
ADDRESS_SECONDS = 300.0
"""How long a name's addresses are believed."""
_SECOND_ADDRESS = 0.25
"""Seconds until the next address is tried beside the first (https://www.rfc-editor.org/rfc/rfc8305#section-8)."""
_ALIVE = (
    ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 60), (socket.TCP_KEEPCNT, 5))
    if hasattr(socket, "TCP_KEEPIDLE")
    else ()
)
"""A model may think for minutes without a byte; what lies between forgets connections over which nothing goes."""
_NOT_IN_A_TARGET = re.compile(r"[^\x21-\x7e]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a connection leads."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart once: where to connect to, the first lines of a request's head, and the `authorization` of a user that the
    URL names (empty without one)."""

    origin: Origin
    head: str
    authorization: str = field(repr=False)


@lru_cache(maxsize=4096)
def address_of(url: str) -> Address:
    """Raises ValueError for what is no http or https URL."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http or https URL")
    tls, target = parts.scheme == "https", parts.path or "/"
    if parts.query:
        target += f"?{parts.query}"
    if _NOT_IN_A_TARGET.search(target):
        raise ValueError("a URL's path must be percent-encoded")
    name = parts.hostname.encode("idna").decode("ascii") if not parts.hostname.isascii() else parts.hostname
    shown = f"[{name}]" if ":" in name else name
    host = shown if parts.port is None else f"{shown}:{parts.port}"
    user = ""
    if parts.username is not None:
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        user = f"Basic {b64encode(who.encode()).decode('ascii')}"
    origin = Origin(name, parts.port or (443 if tls else 80), tls)
    return Address(origin, f"POST {target} HTTP/1.1\r\nhost: {host}\r\n", user)


class Pool:
    """Idle connections by where they lead, the latest used first. Belongs to one event loop."""

    def __init__(self) -> None:
        self._idle: dict[Origin, dict[Connection, None]] = {}
        self._all: dict[Connection, Origin] = {}
        self._names: dict[tuple[str, int], tuple[float, list[AddrInfoType]]] = {}
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None

    def idle(self, origin: Origin) -> Connection | None:
        """A connection that was used before, if there is one."""
        kept = self._idle.get(origin)
        while kept:
            connection, _ = kept.popitem()
            if not connection.closed:
                return connection
        return None

    async def connect(self, origin: Origin) -> Connection:
        """A new connection. Raises OSError (a refused certificate is one)."""
        addresses = await self._addresses(origin)
        try:
            link = await start_connection(addresses, happy_eyeballs_delay=_SECOND_ADDRESS, loop=self._loop)
        except OSError:
            self._names.pop((origin.host, origin.port), None)  # they may have moved
            raise
        try:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in _ALIVE:
                link.setsockopt(socket.IPPROTO_TCP, option, value)
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._left, self._lost),
                sock=link,
                ssl=self._context() if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            link.close()
            raise
        if not connection.closed:
            self._all[connection] = origin
        return connection

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        name, now = (origin.host, origin.port), self._loop.time()
        known = self._names.get(name)
        if known is None or known[0] < now:
            found = await self._loop.getaddrinfo(*name, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            known = self._names[name] = (now + ADDRESS_SECONDS, [*found])
        return known[1]

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _left(self, connection: Connection) -> None:
        connection.idle_since = self._loop.time()
        self._idle.setdefault(self._all[connection], {})[connection] = None
        if self._sweep is None:
            self._sweep = self._loop.call_later(KEPT_SECONDS, self._close_idle)

    def _lost(self, connection: Connection) -> None:
        origin = self._all.pop(connection, None)
        if origin is not None:
            self._idle.get(origin, {}).pop(connection, None)

    def _close_idle(self) -> None:
        """Those that have been idle for too long; the others are looked at when the next of them may be."""
        now = self._loop.time()
        kept = [connection for idle in self._idle.values() for connection in idle]
        for connection in kept:
            if connection.idle_since + KEPT_SECONDS <= now:
                connection.close()
        waiting = [connection.idle_since for connection in kept if not connection.closed]
        self._sweep = self._loop.call_at(min(waiting) + KEPT_SECONDS, self._close_idle) if waiting else None

    async def close(self) -> None:
        """Ends all connections, and returns when their sockets are closed."""
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in list(self._all):
            connection.close()
        while self._all:  # noqa: ASYNC110  (asyncio closes a socket in its next round, and TLS in the one after it)
            await asyncio.sleep(0)

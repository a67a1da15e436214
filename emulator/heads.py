"""uvicorn's HTTP protocol, with limits for the head of a request: its size and the time that it may take.

uvicorn with httptools has neither (https://www.uvicorn.org/server-behavior/#timeouts): whoever can connect could keep connections
open with heads that never end, or fill the memory with one.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MOST_BYTES = 65_536
"""Of request line and headers together."""
SECONDS = 75.0
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedHeads(HttpToolsProtocol):
    """Closes a connection whose next head is too large, or doesn't come to its end in time."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._head = 0  # bytes that came while a head was open
        self._open = True  # a head is awaited or under way
        self._late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        super().connection_made(transport)
        self._late = self.loop.call_later(SECONDS, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._open:
            self._head += len(data)
        super().data_received(data)
        if self._open and self._head > MOST_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL)
            self._close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._late is None:  # on a kept connection: between two requests uvicorn's own keep-alive time runs
            self._late = self.loop.call_later(SECONDS, self._close)

    def on_headers_complete(self) -> None:
        self._open = False
        self._in_time()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._open, self._head = True, 0

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

"""How a reply gets to the caller: piece by piece with pauses, or broken in the way that the prompt asked for."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from emulator.demo.commands import Commands
from emulator.demo.face import Frame, Stream


class Streamed(Response):
    """A stream of events. An early `return` without the last message makes the server drop the connection."""

    media_type = "text/event-stream"

    def __init__(
        self, stream: Stream, orders: Commands, pause: float, headers: dict[str, str], *, faulty: bool
    ) -> None:
        super().__init__(None, 200, {**headers, "cache-control": "no-cache"})
        del self.headers["content-length"]
        self._stream, self._orders, self._pause = stream, orders, pause
        self._fault = orders.fault if faulty else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_hung_up(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            if await self._send_frames(send, gone):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()

    async def _send_frames(self, send: Send, gone: asyncio.Task[None]) -> bool:
        """True if the stream ended in good order (as far as HTTP is concerned)."""
        pieces = 0
        if "comments" in self._orders.quirks:
            await send({"type": "http.response.body", "body": b": DEMO PROCESSING\n\n", "more_body": True})
        for frame in self._stream.frames():
            if gone.done():
                return False
            if self._fault and (pieces >= self._orders.fault_after or _is_last(frame)):
                return await self._break(frame, send)
            await send({"type": "http.response.body", "body": frame.data, "more_body": True})
            if frame.piece:
                pieces += 1
                await self._rest(pieces)
        return True

    async def _rest(self, pieces: int) -> None:
        """The pause after a piece."""
        if self._orders.stall and pieces == self._orders.stall_after:
            await asyncio.sleep(self._orders.stall)
        await asyncio.sleep(self._pause)

    async def _break(self, frame: Frame, send: Send) -> bool:
        match self._fault:
            case "error":
                last = self._stream.failure("The server had an error while processing your request.")
            case "half":
                last = frame.data[: len(frame.data) // 2]
            case _:
                last = b""
        if last:
            await send({"type": "http.response.body", "body": last, "more_body": True})
        return self._fault != "break"


def _is_last(frame: Frame) -> bool:
    """Events that end a reply are never sent by a faulty stream, however short it was."""
    return any(
        word in frame.data
        for word in (
            b'"type":"message_delta"',
            b'"type":"response.completed"',
            b'"type":"response.incomplete"',
            b'"finish_reason":"',
            b'"finishReason"',
        )
    )


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Torn(Response):
    """A whole reply of which only half comes: the connection drops, or the body ends where it shouldn't."""

    media_type = "application/json"

    def __init__(self, body: bytes, headers: dict[str, str], *, close: bool) -> None:
        super().__init__(body[: len(body) // 2], 200, headers)
        self._close = close
        if close:
            self.headers["content-length"] = str(len(body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": self._close})

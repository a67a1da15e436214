"""One invocation as an ASGI app sees it: the event as its request, its reply as a streamed response.

https://asgi.readthedocs.io/en/latest/specs/www.html,
https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import orjson
from starlette.types import ASGIApp, Message, Scope

from serverless.runtime_api import PRELUDE_END, Failure, Invocation, RuntimeApi, Streaming
from shared.errors import Code, GatewayError
from shared.web import error_reply

log = logging.getLogger("ekai.serverless")

UNHANDLED = Failure("Function.Unhandled", "The function failed; it has logged why.")
OUT_OF_TIME = Failure("Function.OutOfTime", "The function's time was over before the reply was complete.")

_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
"""The front door frames the reply anew."""


class Turn:
    """Status and headers are held back until the first piece, and go out together with it."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, scope: Scope, body: bytes) -> None:
        self._api = api
        self._invocation = invocation
        self._scope = scope
        self._body: bytes | None = body
        self._prelude: bytes | None = None
        self._streaming: Streaming | None = None
        self._complete = False
        self._over = asyncio.Event()
        self.out_of_time = False

    async def play(self, app: ASGIApp) -> None:
        """Runs the app and ends the response in every case. Raises OSError where Lambda can't be reached any more."""
        failure = UNHANDLED
        try:
            await app(self._scope, self._receive, self._send)
        except Exception:
            log.exception("a request failed", extra={"aws_request_id": self._invocation.aws_request_id})
        if self._complete:
            return
        if self.out_of_time:
            failure = OUT_OF_TIME
        await self._break_off(failure)

    def run_out(self) -> None:
        """There is little time left: the app is told that its client is gone, so that it stops and writes its row."""
        self.out_of_time = True
        self._over.set()

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._prelude = write_prelude(message["status"], message.get("headers", ()))
            return
        piece, more = message.get("body", b""), message.get("more_body", False)
        if self._prelude is None or self._complete:
            raise RuntimeError(f"An app can't send {message['type']} now.")
        if self._streaming is None:
            self._streaming = await self._api.stream(self._invocation)
            piece = self._prelude + piece
        await self._streaming.write(piece)
        if not more:
            self._complete = True
            self._over.set()
            self._judge(await self._streaming.end())

    async def _break_off(self, failure: Failure) -> None:
        if self._streaming is not None:
            self._judge(await self._streaming.fail(failure))
        elif failure is OUT_OF_TIME:
            await self._refuse(GatewayError(Code.PROVIDER_ERROR, failure.message, status=504))
        else:
            await self._api.fail(self._invocation, failure)

    async def _refuse(self, error: GatewayError) -> None:
        """A whole error in the shape of the client's API, where the app has said nothing."""
        reply = error_reply(error, self._scope["path"], "")
        fields = {**reply.headers, "content-type": reply.content_type}
        headers = [(name.encode(), value.encode()) for name, value in fields.items()]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": orjson.dumps(reply.body)})

    def _judge(self, status: int) -> None:
        if status != 202:
            log.error(
                "Lambda took a response with %d", status, extra={"aws_request_id": self._invocation.aws_request_id}
            )
            self._api.drop()

    def abandon(self) -> None:
        """Lets go of a response that can't be ended."""
        if self._streaming is not None:
            self._streaming.abandon()


def write_prelude(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """`{"statusCode", "headers", "cookies"}` and 8 NUL bytes. A header that comes twice is joined, as HTTP allows; cookies aren't."""
    joined: dict[str, str] = {}
    cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name == "set-cookie":
            cookies.append(value)
        elif name not in _FRAMING:
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return orjson.dumps({"statusCode": status, "headers": joined, "cookies": cookies}) + PRELUDE_END

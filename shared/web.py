"""The glue to Starlette: completions and JSON routes as ASGI endpoints, one place for errors, one app per function."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from shared.context import Gateway, build
from shared.dialects import Api, dialect
from shared.errors import Code, GatewayError
from shared.exchange import ClientGoneError, Exchange
from shared.gateway import complete
from shared.ledger import request_id
from shared.plan import read_json
from shared.settings import Settings

log = logging.getLogger("ekai.web")

_SHOWN_TO_BROWSERS = [
    "x-request-id", "x-ekai-provider", "x-ekai-model", "x-ekai-model-requested", "x-ekai-attempts", "x-ekai-dropped",
    "x-ekai-request-hash", "x-ekai-cost-usd", "x-ekai-estimated", "retry-after",
]  # fmt: skip
_MESSAGES = "/v1/messages"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a JSON route answers: an object, or bytes of another `content_type`."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


Handler = Callable[[Exchange, Gateway], Awaitable[Reply]]


class Completion:
    """The ASGI endpoint of one client API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await complete(Exchange(scope, receive, send), gateway_of(scope), dialect(self._api))


class Endpoint:
    """The ASGI endpoint of a JSON route of our own."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            gateway = gateway_of(scope)
            try:
                reply = await self._handler(exchange, gateway)
            except GatewayError as error:
                reply = error_reply(error, scope["path"], request_id(int(gateway.clock() * 1000)))
        except ClientGoneError:
            return
        except Exception:
            log.exception("an unexpected error in %s", scope["path"])
            failed = GatewayError(Code.INTERNAL_ERROR, "The gateway failed; it has logged why.")
            reply = error_reply(failed, scope["path"], "")
        with suppress(ClientGoneError):
            await _send(exchange, reply)


async def _send(exchange: Exchange, reply: Reply) -> None:
    raw = reply.body if isinstance(reply.body, bytes) else b"" if reply.body is None else orjson.dumps(reply.body)
    headers = dict(reply.headers)
    if reply.body is not None:  # a reply without a body (204) has no length either
        headers |= {"content-length": str(len(raw)), "content-type": reply.content_type}
    exchange.start(reply.status, headers.items())
    await exchange.finish(b"" if exchange.scope["method"] == "HEAD" else raw)


def error_reply(error: GatewayError, path: str, request: str) -> Reply:
    """The error in the shape of the API that the path belongs to (ours is OpenAI's)."""
    api: Api = "messages" if path.startswith(_MESSAGES) else "chat_completions"
    headers = {**error.headers, **({"x-request-id": request} if request else {})}
    return Reply(dialect(api).write_error(error, request), error.status, headers)


def query_of(exchange: Exchange) -> dict[str, str]:
    """The query string; of a name that comes twice the last one counts."""
    return dict(parse_qsl(exchange.scope["query_string"].decode("latin-1"), keep_blank_values=True))


async def json_of(exchange: Exchange, gateway: Gateway) -> dict[str, Any]:
    """The body of a JSON route of our own. Raises VALIDATION_ERROR and REQUEST_TOO_LARGE."""
    return read_json(await exchange.body(min(gateway.settings.max_body_bytes, 1_048_576)))


def gateway_of(scope: Scope) -> Gateway:
    """The process's gateway; built at the first request where no lifespan built it (AWS Lambda)."""
    state = scope["app"].state
    gateway: Gateway | None = getattr(state, "gateway", None)
    if gateway is None:
        gateway = state.gateway = build(Settings())
    return gateway


class App(Starlette):
    """Routes with errors and CORS in one place. Completions don't pass through them: they see to their own errors, and the layers
    take as long as all else that a short reply needs here."""

    def __init__(self, routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette] | None) -> None:
        handlers: Mapping[Any, Any] = {404: _not_found, 405: _not_allowed}
        super().__init__(
            routes=list(routes), exception_handlers=handlers, lifespan=lifespan, middleware=[Middleware(_Cors)]
        )
        self._completions = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, Route) and isinstance(route.endpoint, Completion)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and not _from_a_browser(scope):
            completion = self._completions.get(scope["path"])
            if completion is not None:
                scope["app"] = self
                await completion(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def serve(routes: Sequence[BaseRoute], lifespan: Lifespan[Starlette] | None = None) -> App:
    """An app for these routes."""
    return App(routes, lifespan)


def _from_a_browser(scope: Scope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


async def _not_found(request: Request, _: Exception) -> Response:
    return _as_response(GatewayError(Code.NOT_FOUND, f"There is nothing at {request.url.path}."), request)


async def _not_allowed(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None) or {}
    message = f"{request.method} is not what {request.url.path} takes."
    return _as_response(GatewayError(Code.METHOD_NOT_ALLOWED, message, headers=headers), request)


def _as_response(error: GatewayError, request: Request) -> Response:
    reply = error_reply(error, request.url.path, "")
    return Response(orjson.dumps(reply.body), reply.status, dict(reply.headers), "application/json")


class _Cors:
    """CORS as the settings have it, which are known when the gateway is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._wrapped: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _from_a_browser(scope):
            await self._app(scope, receive, send)
            return
        if self._wrapped is None:
            self._wrapped = CORSMiddleware(
                self._app,
                allow_origins=gateway_of(scope).settings.cors_origins,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=_SHOWN_TO_BROWSERS,
            )
        await self._wrapped(scope, receive, send)

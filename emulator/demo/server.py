"""The demo provider's HTTP: one endpoint for each wire format, with the faults that a prompt asks for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulator.demo import chat, gemini, messages, responses
from emulator.demo.commands import Commands, parse
from emulator.demo.delivery import Streamed, Torn
from emulator.demo.face import Asked, Face
from emulator.demo.limits import input_tokens
from emulator.demo.model import answer
from emulator.demo.reading import RefusedError
from emulator.demo.talk import CREATED, Json, Prompt, minted

# Addresses as the real providers have them below their roots, so that any of them can be pointed here.
_CHAT = (
    *("/v1/chat/completions", "/openai/v1/chat/completions", "/api/v1/chat/completions"),
    *("/v1beta/openai/chat/completions", "/api/paas/v4/chat/completions"),
)
_MESSAGES = ("/v1/messages", "/api/v1/messages", "/api/anthropic/v1/messages")
_RESPONSES = ("/v1/responses", "/openai/v1/responses", "/api/v1/responses")
_GEMINI = ("/v1beta/models/{model}:", "/v1/models/{model}:")
MODELS = ("demo-1", "demo-chat", "demo-messages", "demo-responses", "demo-gemini")
_REMEMBERED = 4096
_HTML = b"<html><head><title>Error</title></head><body><h1>The server had an accident</h1></body></html>"

Endpoint = Callable[[Request], Awaitable[Response]]


class Faults:
    """Counts how often a prompt was failed, for `times=`. The only thing that outlives a request."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def due(self, prompt: Prompt, orders: Commands) -> bool:
        """Whether this request is to fail."""
        if orders.times is None or not (orders.fail or orders.fault):
            return True
        told = sha256(prompt.told.encode()).hexdigest()
        seen = self._seen.pop(told, 0)
        self._seen[told] = seen + 1
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen < orders.times


def demo_routes(pause: float = 0.015) -> list[Route]:
    """The provider's routes. `pause` is the time between two pieces of a stream, in seconds."""
    faults = Faults()

    def route(path: str, face: Face, **how: bool) -> Route:
        return Route(path, _endpoint(face, pause, faults, **how), methods=["POST"])

    return [
        *(route(path, chat.FACE) for path in _CHAT),
        *(route(path, messages.FACE) for path in _MESSAGES),
        *(route(f"{path}/count_tokens", messages.FACE, counting=True) for path in _MESSAGES),
        *(route(path, responses.FACE) for path in _RESPONSES),
        *(route(path + "generateContent", gemini.FACE) for path in _GEMINI),
        *(route(path + "streamGenerateContent", gemini.FACE, stream=True) for path in _GEMINI),
        *(route(path + "countTokens", gemini.FACE, counting=True) for path in _GEMINI),
        Route("/v1/models", _models, methods=["GET"]),
    ]


def _endpoint(face: Face, pause: float, faults: Faults, stream: bool = False, counting: bool = False) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        asked = Asked(request.headers, request.path_params.get("model", ""), stream, counting)
        try:
            prompt = face.read(_parsed(await request.body()), asked)
            if counting:
                return _json(face.count(input_tokens(prompt)), 200, _headers(request, prompt.seed))
            return await _reply(face, prompt, pause, faults, _headers(request, prompt.seed))
        except RefusedError as error:
            return _json(face.refuse(error), error.status, _headers(request, error.message))

    return endpoint


def _parsed(raw: bytes) -> Json:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError(f"We could not parse the JSON body of your request: {error}") from error
    if not isinstance(body, dict):
        raise RefusedError("The body of your request must be a JSON object.")
    return body


async def _reply(face: Face, prompt: Prompt, pause: float, faults: Faults, headers: dict[str, str]) -> Response:
    orders = parse(prompt.told)
    due = faults.due(prompt, orders)
    if orders.wait:
        await asyncio.sleep(orders.wait)
    if orders.fail and due:
        return _failure(face, orders, headers)
    reply = answer(prompt)
    if prompt.stream:
        stream = face.stream(prompt, reply)
        return Streamed(stream, orders, orders.pause if orders.pause is not None else pause, headers, faulty=due)
    if orders.stall:
        await asyncio.sleep(orders.stall)
    if orders.fault == "error" and due:
        raise RefusedError("The server had an error while processing your request.", status=500)
    body = orjson.dumps(face.whole(prompt, reply))
    if orders.fault and due:
        return Torn(body, headers, close=orders.fault == "break")
    return Response(body, 200, headers, media_type="application/json")


def _failure(face: Face, orders: Commands, headers: dict[str, str]) -> Response:
    if orders.retry_after:
        headers = {**headers, "retry-after": orders.retry_after}
    if orders.html:
        return Response(_HTML, orders.fail, headers, media_type="text/html")
    texts = {429: "Rate limit reached for demo.", 529: "Overloaded", 401: "The key was refused."}
    error = RefusedError(texts.get(orders.fail, f"The prompt asked for status {orders.fail}."), status=orders.fail)
    body = face.refuse(error)
    return _json([body] if "array" in orders.quirks else body, orders.fail, headers)


def _json(body: Json | list[Json], status: int, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def _headers(request: Request, seed: str) -> dict[str, str]:
    """The request's id, and which key came: as a hash, for tests that keys go where they belong."""
    headers = {"x-request-id": minted("req_", seed), "request-id": minted("req_", seed)}
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    key = token if scheme.lower() == "bearer" else ""
    key = key or request.headers.get("x-api-key") or request.headers.get("x-goog-api-key") or ""
    key = key or request.query_params.get("key", "")
    if key:
        headers["x-demo-key-hash"] = key_hash(key)
    return headers


def key_hash(key: str) -> str:
    """What `x-demo-key-hash` shows for a key."""
    return sha256(key.encode()).hexdigest()[:12]


async def _models(request: Request) -> Response:
    data: list[dict[str, Any]] = [
        {"id": name, "object": "model", "created": CREATED, "owned_by": "demo"} for name in MODELS
    ]
    return _json({"object": "list", "data": data}, 200, _headers(request, "models"))

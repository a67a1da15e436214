"""JSON-RPC 2.0 over HTTP: single calls and batches.

https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anyio
import orjson
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulator.devchain.node import Node
from emulator.devchain.wire import RpcError, invalid

BATCH_LIMIT: Final = 1000

log = logging.getLogger(__name__)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method:
    """What answers a method, and how many params it takes."""

    run: Callable[..., Any]
    least: int
    most: int


def rpc_app(node: Node, delay: float = 0) -> Starlette:
    """The node behind HTTP, at `/`. Every answer waits `delay` seconds, as one from far away would."""
    methods = methods_of(node)

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        if delay:
            await anyio.sleep(delay)
        answer = await run_sync(respond, body, node, methods)
        if answer is None:
            return Response(status_code=204)
        return Response(orjson.dumps(answer), media_type="application/json")

    return Starlette(routes=[Route("/", endpoint, methods=["POST"])])


def methods_of(node: Node) -> Mapping[str, Method]:
    """The methods of a node by their names."""
    return {name: Method(run, *_arity(run)) for name, run in node.methods.items()}


def respond(body: bytes, node: Node, methods: Mapping[str, Method]) -> Json | list[Json] | None:
    """Answers a body: one call or a batch, None when it holds notifications only."""
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _failure(None, RpcError(-32700, "parse error"))
    if not isinstance(message, list):
        return _one(message, node, methods)
    if not message:
        return _failure(None, RpcError(-32600, "empty batch"))
    if len(message) > BATCH_LIMIT:
        return _failure(None, RpcError(-32600, "batch too large"))
    answers = [answer for one in message if (answer := _one(one, node, methods)) is not None]
    return answers or None


def _one(message: object, node: Node, methods: Mapping[str, Method]) -> Json | None:
    match message:
        case {"jsonrpc": "2.0", "method": str(name), **rest}:
            wanted, id_, params = "id" in rest, rest.get("id"), rest.get("params", [])
        case _:
            return _failure(None, RpcError(-32600, "invalid request"))
    if not isinstance(id_, str | int | float | None):
        return _failure(None, RpcError(-32600, "invalid request"))
    try:
        result = _run(name, params, node, methods)
    except RpcError as error:
        return _failure(id_, error) if wanted else None
    return {"jsonrpc": "2.0", "id": id_, "result": result} if wanted else None


def _run(name: str, params: object, node: Node, methods: Mapping[str, Method]) -> Any:
    if (method := methods.get(name)) is None:
        raise RpcError(-32601, f"the method {name} does not exist/is not available")
    if not isinstance(params, list):
        raise invalid("params must be a list")
    if not method.least <= len(params) <= method.most:
        raise invalid(f"{name} takes {method.least} to {method.most} params, not {len(params)}")
    try:
        return node.answer(method.run, params)
    except RpcError:
        raise
    except Exception as fault:
        log.exception("%s failed", name)
        raise RpcError(-32603, "internal error") from fault


def _arity(run: Callable[..., Any]) -> tuple[int, int]:
    parameters = inspect.signature(run).parameters.values()
    return sum(parameter.default is parameter.empty for parameter in parameters), len(parameters)


def _failure(id_: str | int | float | None, error: RpcError) -> Json:
    body: Json = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "id": id_, "error": body}

"""A streaming runtime loop for the managed Python runtime, which has none of its own: `serverless/stream` starts it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from importlib import import_module

from mangum import Mangum
from pydantic import ValidationError
from starlette.applications import Starlette

from serverless.environment import prepare
from serverless.runtime_api import Failure, Invocation, RuntimeApi, RuntimeApiError
from serverless.turn import Turn
from shared.context import Gateway, build, close
from shared.logs import configure
from shared.settings import Settings, problems

log = logging.getLogger("ekai.serverless")

MARGIN = 2.0
"""Seconds before the function's end at which a request is broken off: enough for its row."""

_NOT_HTTP = Failure("Function.NotHttp", "This function answers HTTP events only.")


class Loop:
    """Plays one invocation after the other, in one event loop, with one gateway."""

    def __init__(self, api: RuntimeApi, handler: Mangum) -> None:
        self._api = api
        self._handler = handler
        self._waiting: asyncio.Task[Invocation] | None = None
        self._turn: Turn | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`. Raises RuntimeApiError and OSError: then only a new process helps."""
        while not self._stopping.is_set():
            self._waiting = asyncio.create_task(self._api.next())
            try:
                invocation = await self._waiting
            except asyncio.CancelledError:
                if self._stopping.is_set():
                    return
                raise
            finally:
                self._waiting = None
            await self._play(invocation)

    def stop(self) -> None:
        """What runs is broken off in order, with its row; nothing new is taken."""
        self._stopping.set()
        if self._waiting is not None:
            self._waiting.cancel()
        if self._turn is not None:
            self._turn.run_out()

    async def _play(self, invocation: Invocation) -> None:
        try:
            request = self._handler.infer(invocation.event(), invocation)  # type: ignore[arg-type]  # all that Mangum asks of it
            now = asyncio.get_running_loop().time()
            end = now + max(invocation.deadline - time.time() - MARGIN, 0.0)
            # `request.scope` is made anew each time it is asked for.
            turn = Turn(self._api, invocation, {**request.scope, "ekai.deadline": end}, request.body)
        except Exception:
            log.exception("an event that is no HTTP request", extra={"aws_request_id": invocation.aws_request_id})
            await self._api.fail(invocation, _NOT_HTTP)
            return
        timer = asyncio.get_running_loop().call_at(end + MARGIN / 2, turn.run_out)
        self._turn = turn
        try:
            await turn.play(self._handler.app)
        except (OSError, asyncio.IncompleteReadError) as error:
            log.warning("a response could not be ended: %s", error, extra={"aws_request_id": invocation.aws_request_id})
            turn.abandon()
            self._api.drop()
        finally:
            self._turn = None
            timer.cancel()


def load(name: str) -> Mangum:
    """The handler that `_HANDLER` names (`functions.messages.app.handler`)."""
    module, _, attribute = name.rpartition(".")
    handler = getattr(import_module(module), attribute)
    if not isinstance(handler, Mangum) or not isinstance(handler.app, Starlette):
        raise TypeError(f"{name} is no handler of an ASGI app.")
    return handler


def start(handler: Mangum) -> Gateway:
    """The process's gateway, built before the first request comes."""
    settings = Settings()
    configure(settings)
    gateway = build(settings)
    app = handler.app
    if isinstance(app, Starlette):
        app.state.gateway = gateway
    return gateway


async def main(address: str, name: str) -> int:
    """Runs until the environment is shut down. Returns the process's exit status."""
    api = RuntimeApi(address)
    try:
        prepare(os.environ)
        handler = load(name)
        gateway = start(handler)
    except Exception as error:
        told = problems(error) if isinstance(error, ValidationError) else type(error).__name__
        log.exception("the function could not start")
        await api.fail_to_start(Failure(f"Runtime.{type(error).__name__}", f"The function could not start: {told}"))
        return 1
    loop = Loop(api, handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, loop.stop)
    try:
        await loop.run()
    except (RuntimeApiError, OSError, asyncio.IncompleteReadError):
        log.exception("the Runtime API is gone")
        return 1
    finally:
        api.drop()
        await close(gateway)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(os.environ["AWS_LAMBDA_RUNTIME_API"], os.environ["_HANDLER"])))

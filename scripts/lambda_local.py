"""`make lambda-local`: the built artefact without AWS. DynamoDB is moto, every function runs under AWS's runtime emulator, and the
demo walks through all of it: login, preferences, three APIs streamed, usage; then housekeeping.

http://docs.getmoto.org/en/latest/docs/server_mode.html
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import boto3
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import functions
from cli.client import CommandError
from cli.stage import log_in, ok, refused, show, stream, tell, wallet
from emulator.demo import routes as demo_routes
from scripts.lambda_rie import Emulated, Place, emulated, emulator_in, event_of, free_port, response_of
from shared.store.dynamo_table import create_table

TABLE = "ekai-gateway"
STREAMED = ("chat_completions", "messages", "responses")
_KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
_CALLER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
_CHAIN_ID = 23295
_START_SECONDS = 60
_SESSION = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "eu-central-1"}
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "eu-central-1"}


def main() -> None:
    """The command."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--artefact", type=Path, required=True)
    options.add_argument("--sam", type=Path, required=True, help="the environment with aws-sam-cli")
    options.add_argument("--runtime", type=Path, required=True, help="the folder with awslambdaric")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="ekai-lambda-") as folder:
        place = Place(given.artefact.resolve(), emulator_in(given.sam.resolve()), given.runtime.resolve(), Path(folder))
        try:
            walk(place)
        except BaseException:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"── {log.name}\n{log.read_text()[-3000:]}", file=sys.stderr)
            raise


def walk(place: Place) -> None:
    """Everything, from an empty table on."""
    with ExitStack() as stack:
        aws = stack.enter_context(moto(place.work))
        create_table(boto3.client("dynamodb", endpoint_url=aws, **_SESSION), TABLE)
        demo = stack.enter_context(serving(demo_routes))
        settings = {
            **_CREDENTIALS, "STORE": "dynamodb", "DYNAMODB_TABLE": TABLE, "AWS_ENDPOINT_URL": aws, "KEYS": "env",
            "ALLOWED_ADDRESSES": _CALLER, "DEMO_UPSTREAM_URL": demo, "LOG_LEVEL": "warning",
        }  # fmt: skip
        tell("1. DynamoDB (moto), the demo provider, and every function under AWS's runtime emulator.")
        running = {
            name: stack.enter_context(emulated(name, f"functions.{name}.app.handler", wrapper(name), place, settings))
            for name in sorted(module.name for module in iter_modules(functions.__path__) if module.ispkg)
        }
        show(f"{len(running)} functions, from {place.artefact}")
        url = stack.enter_context(serving(front_door(running)))
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
            through_the_functions(http, place.work)
        tell("5. The scheduled one: housekeeping.")
        house = stack.enter_context(emulated("house", "serverless.housekeeping.handler", "buffered", place, settings))
        reply = asyncio.run(_once(house))
        if reply.text != "null":
            raise CommandError(f"Housekeeping answered {reply.text}")
        show("done")


def through_the_functions(http: httpx.Client, folder: Path) -> None:
    """Login, preferences, the three APIs streamed, usage, logout."""
    tell("2. A wallet logs in and picks its models.")
    show(f"Logged in as {log_in(http, wallet(folder, 'caller', _KEY), _CHAIN_ID)}")
    chosen = ok(http.put("/user/preferences", json={"model_preferences": ["demo-1", "demo-messages"]}))
    show(", ".join(chosen["model_preferences"]))
    tell("3. OpenAI chat completions, Anthropic messages, OpenAI responses, all in the streamed form:")
    stream(http, "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello from the chat API."}]})
    messages = [{"role": "user", "content": "Hello from the messages API."}]
    stream(http, "/v1/messages", {"max_tokens": 200, "messages": messages})
    stream(http, "/v1/responses", {"input": "Hello from the responses API."})
    tell("4. Usage, the other functions, logout.")
    used = ok(http.get("/usage", params={"scope": "me"}))
    if used["totalRequests"] != 3:
        raise CommandError(f"Expected 3 rows, found {used['totalRequests']}.")
    show(f"{used['totalRequests']} requests, {used['totalTokens']} tokens, ${used['totalCost']}")
    for path in ("/health/ready", "/v1/models", "/budget", "/user/grants"):
        ok(http.get(path))
    show(f"{ok(http.post('/v1/route', json={'model': 'demo-1', 'messages': []}))['model']} would be chosen again")
    http.post("/auth/logout").raise_for_status()
    refused(http.get("/user/preferences"), 401, "AUTHENTICATION_ERROR")


async def _once(function: Emulated) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await function.invoke({"source": "aws.events"}, client)


def wrapper(name: str) -> str:
    """Completions stream."""
    return "stream" if name in STREAMED else "buffered"


def front_door(running: Mapping[str, Emulated]) -> list[BaseRoute]:
    """Every function's routes, each in front of its function."""
    client = httpx.AsyncClient(trust_env=False)

    def behind(function: Emulated) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return response_of(await function.invoke(await event_of(request), client), function.streams)

        return endpoint

    return [
        Route(route.path, behind(function), methods=sorted(route.methods or ()))
        for name, function in running.items()
        for route in import_module(f"functions.{name}.app").routes
    ]


@contextmanager
def serving(routes: Sequence[BaseRoute]) -> Iterator[str]:
    """An app in a thread, at this address."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=list(routes)), port=port, log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def moto(work: Path) -> Iterator[str]:
    """A moto server, at this address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (work / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until(lambda: httpx.get(f"http://127.0.0.1:{port}/moto-api/", trust_env=False).is_success)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def until(ready: Callable[[], bool]) -> None:
    """Returns once it is ready. Raises TimeoutError."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        try:
            if ready():
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("A server did not start.")


if __name__ == "__main__":
    main()

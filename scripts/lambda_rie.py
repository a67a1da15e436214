"""Functions under AWS's own runtime emulator, from the built artefact, behind a front door that makes events of requests.

https://github.com/aws/aws-lambda-runtime-interface-emulator
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.requests import Request
from starlette.responses import Response

from serverless.runtime_api import PRELUDE_END

_INVOKE = "/2015-03-31/functions/function/invocations"
_START_SECONDS = 20
_NO_RUNTIME = "import sys\nfrom awslambdaric.__main__ import main\nmain(sys.argv)\n"


@dataclass(frozen=True)
class Place:
    """Where things are: the artefact, the emulator, AWS's client of the managed runtime, and the interpreter."""

    artefact: Path
    emulator: Path
    runtime: Path
    work: Path
    base: Path = field(default_factory=lambda: Path(sys._base_executable))  # type: ignore[attr-defined]  # not in typeshed

    def interpreter(self) -> Path:
        """Python without a site: what the artefact lacks is missing."""
        script = self.work / "python"
        script.write_text(f'#!/bin/sh\nexec {self.base} -S -s "$@"\n')
        script.chmod(0o755)
        return script

    def bootstrap(self) -> Path:
        """As the managed runtime has one in /var/runtime: https://github.com/aws/aws-lambda-python-runtime-interface-client"""
        self.runtime.mkdir(parents=True, exist_ok=True)
        script = self.runtime / "bootstrap.py"
        script.write_text(_NO_RUNTIME)
        return script


def emulator_in(packages: Path) -> Path:
    """The emulator inside aws-sam-cli, for this machine. Raises SystemExit where it isn't."""
    name = "aws-lambda-rie-arm64" if platform.machine() in ("aarch64", "arm64") else "aws-lambda-rie-x86_64"
    found = sorted(packages.glob(f"lib/python*/site-packages/samcli/local/rapid/{name}"))
    if not found:
        sys.exit(f"aws-sam-cli in {packages} has no {name}.")
    found[0].chmod(0o755)
    return found[0]


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Emulated:
    """One function under the emulator; it takes one event at a time, as an environment of Lambda does."""

    def __init__(self, name: str, handler: str, wrapper: str, place: Place, settings: Mapping[str, str]) -> None:
        self.streams = wrapper == "stream"
        self._port, runtime_port = free_port(), free_port()
        self._turn = asyncio.Lock()
        environment = {
            **settings, "PATH": os.environ["PATH"], "_HANDLER": handler, "LAMBDA_TASK_ROOT": str(place.artefact),
            "AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_TIMEOUT": "60", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        }  # fmt: skip
        # The emulator stays alive for as long as its process does: it is asked for nothing but to run.
        addresses = ["--runtime-api-address", f"127.0.0.1:{runtime_port}"]
        addresses += ["--runtime-interface-emulator-address", f"127.0.0.1:{self._port}"]
        started = [place.artefact / "serverless" / wrapper, place.interpreter(), place.bootstrap(), handler]
        self._log = (place.work / f"{name}.log").open("wb")
        self._process = subprocess.Popen(
            [str(place.emulator), "--log-level", "error", *addresses, *map(str, started)],
            cwd=place.work, env=environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._await()

    def _await(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("The emulator did not start.")

    async def invoke(self, event: Any, client: httpx.AsyncClient) -> httpx.Response:
        """The emulator's reply: the function's, or its error."""
        async with self._turn:
            return await client.post(f"http://127.0.0.1:{self._port}{_INVOKE}", json=event, timeout=60)

    def stop(self) -> None:
        """Ends the emulator and with it the function."""
        os.killpg(self._process.pid, 15)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait(5)
        self._log.close()


@contextmanager
def emulated(name: str, handler: str, wrapper: str, place: Place, settings: Mapping[str, str]) -> Iterator[Emulated]:
    """A function for as long as the block lasts."""
    function = Emulated(name, handler, wrapper, place, settings)
    try:
        yield function
    finally:
        function.stop()


async def event_of(request: Request) -> dict[str, Any]:
    """A request as API Gateway's REST API hands it to a function (payload 1.0)."""
    headers = dict(request.headers)
    raw = await request.body()
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    return {
        "resource": "/{proxy+}", "path": request.url.path, "httpMethod": request.method,
        "headers": headers, "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": {name: [v for n, v in pairs if n == name] for name, _ in pairs} or None,
        "requestContext": {"stage": "live", "requestId": "local", "identity": {"sourceIp": "127.0.0.1"}},
        "body": raw.decode() if raw else None, "isBase64Encoded": False,
    }  # fmt: skip


def response_of(answer: httpx.Response, streams: bool) -> Response:
    """A function's reply as the front door sends it on."""
    if streams and PRELUDE_END in answer.content:
        head, _, body = answer.content.partition(PRELUDE_END)
        prelude = json.loads(head)
        return Response(body, prelude["statusCode"], prelude["headers"])
    reply = json.loads(answer.content)
    if "statusCode" not in reply:
        return Response(answer.content, 502)
    body = base64.b64decode(reply["body"]) if reply.get("isBase64Encoded") else reply["body"].encode()
    return Response(body, reply["statusCode"], reply["headers"])

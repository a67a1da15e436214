"""A gateway with the demo provider, and users of it: each with a wallet, a home and a folder to work in."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from coincurve import PrivateKey

from cli.wallet import Wallet

REPOSITORY = Path(__file__).parents[2]
NPM = Path(__file__).parent / "npm"
UPSTREAMS = ("demo-chat", "demo-messages", "demo-responses", "demo-gemini")
FAULTS = {
    "429_with_retry_after": "[[fail 429 retry-after=1 times=1]]",
    "429": "[[fail 429 times=1]]",
    "529": "[[fail 529 times=1]]",
    "dropped_stream": "[[break after 3 times=1]]",
    "error_in_stream": "[[error after 3 times=1]]",
    "401": "[[fail 401 times=1]]",
}
PIXEL = b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_LIMIT = 90  # seconds for one run of a client

_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "AI_SDK_LOG_WARNINGS": "false",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ran:
    """How a client ended, and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@dataclass(frozen=True, slots=True)
class Desk:
    """`work` holds the user's files. `variables` is the whole environment of what is run here."""

    client: httpx.Client
    token: str
    home: Path
    work: Path
    variables: dict[str, str]

    def prefer(self, *models: str) -> None:
        self.client.put("/user/preferences", json={"model_preferences": list(models)}).raise_for_status()

    def run(self, *command: str, **more: str) -> Ran:
        """A client, without a terminal. It is killed, with all that it started, after a while."""
        variables = {**self.variables, **more}
        process = subprocess.Popen(
            command, cwd=self.work, env=variables, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, err = process.communicate()
            raise AssertionError(f"{command[0]} was still running after {_LIMIT} s\n{out}\n{err}") from None
        return Ran(process.returncode, out, err)

    def ekai(self, *arguments: str, **more: str) -> Ran:
        return self.run(sys.executable, "-m", "cli.main", *arguments, **more)

    def outcomes(self) -> list[str]:
        """What became of this user's requests, the earliest first."""
        used = self.client.get("/usage", params={"scope": "me", "limit": 1000}).raise_for_status().json()
        return [record["outcome"] for record in reversed(used["records"])]


@dataclass(frozen=True, slots=True)
class Task:
    """An edit that the demo knows how to do with a client's own tools. The name is the user's alone: the demo counts its
    faults for each prompt, and every test wants its own."""

    file: Path

    def __post_init__(self) -> None:
        self.file.write_text("one apple\ntwo plums\n")

    def prompt(self, command: str = "") -> str:
        return f'DEMO TASK: edit {self.file.name} replace "apple" with "pear" {command}'.strip()

    @property
    def done(self) -> bool:
        return self.file.read_text() == "one pear\ntwo plums\n"


def task(desk: Desk) -> Task:
    return Task(desk.work / f"fruit-{os.urandom(4).hex()}.txt")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running one. `strayed` are the hosts that clients asked the proxy for, which is the only way out that they know."""

    url: str
    exit: str
    strayed: list[str] = field(default_factory=list)

    @contextmanager
    def desk(self, folder: Path) -> Iterator[Desk]:
        home, work = folder / "home", folder / "work"
        home.mkdir()
        work.mkdir()
        key = folder / "wallet.key"
        key.write_text(PrivateKey().secret.hex())
        with httpx.Client(base_url=self.url, timeout=30) as client:
            login = client.post("/auth/login", json=Wallet.read(key).login(23295, 604_800)).raise_for_status().json()
            client.headers["authorization"] = f"Bearer {login['token']}"
            yield Desk(client, login["token"], home, work, self._variables(home, login["token"]))

    def _variables(self, home: Path, token: str) -> dict[str, str]:
        proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), self.exit)
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        return {
            **_QUIET, **proxies, **direct,
            "PATH": f"{NPM / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY), "EKAI_URL": self.url, "EKAI_TOKEN": token, "EKAI_CONFIG_DIR": str(home / "ekai"),
        }  # fmt: skip


@contextmanager
def serve(folder: Path) -> Iterator[Gateway]:
    """`ekai serve` without any provider key, on a port of its own."""
    variables = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(REPOSITORY), "HOST": "127.0.0.1", "PORT": "0",
        "WORKERS": "1", "KEYS": "env", "LOGIN_ATTEMPTS": "0", "DATABASE_PATH": str(folder / "gateway.db"), "EKAI_CONFIG_DIR": str(folder / "config"),
        "COOLDOWN_SECONDS": "0", "DEMO_PAUSE_MS": "1", "LOG_LEVEL": "warning",
    }  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "serve"]
    process = subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        with _exit() as (address, strayed):
            _await(url, process)
            yield Gateway(url, address, strayed)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _await(url: str, process: subprocess.Popen[str]) -> None:
    while True:
        assert process.poll() is None, "the gateway has stopped"
        try:
            httpx.get(f"{url}/health").raise_for_status()
            return
        except httpx.TransportError:
            continue


@contextmanager
def _exit() -> Iterator[tuple[str, list[str]]]:
    """A proxy that lets nobody through, and notes who came."""
    strayed: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return  # it was closed
                with caller:
                    caller.settimeout(5)
                    strayed.append(caller.recv(4096).split(b"\r\n")[0].decode(errors="replace"))
                    caller.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", strayed
        listener.shutdown(socket.SHUT_RDWR)


def json_lines(text: str) -> list[dict[str, Any]]:
    """The events of a client that prints one JSON object a line; other lines are for people."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

"""`make bench-quick`: the gateway as users run it (token, preferences, routing, row) on a fake provider, in under a minute.

Prints requests a second, latency, and the gateway's own CPU time per request, which counts more than the rate on a busy machine.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import uvloop
from coincurve import PrivateKey
from rich.console import Console
from rich.table import Table

from bench.load import Figures, request, run
from cli.wallet import Wallet

ROOT = Path(__file__).parents[1]
SECONDS = 2.0
_TICK = os.sysconf("SC_CLK_TCK")
_KEYS = ("OPENAI", "ANTHROPIC", "GOOGLE")


@dataclass(frozen=True)
class Case:
    """What is asked for. `model` pins the provider, so that the lane is the one in the name."""

    name: str
    path: str
    model: str
    connections: int = 64
    stream: bool = False

    @property
    def body(self) -> bytes:
        asked: dict[str, object] = {"model": self.model, "max_tokens": 100, "stream": self.stream}
        talk = [{"role": "user", "content": "Say sixty words about a word. " * 10}]
        return orjson.dumps(
            {**asked, **({"input": talk, "max_output_tokens": 100} if "responses" in self.path else {"messages": talk})}
        )


CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
CASES = [
    Case("chat, whole", CHAT, "openai/gpt-4o"),
    Case("chat, whole, 1 connection", CHAT, "openai/gpt-4o", connections=1),
    Case("messages, whole", MESSAGES, "anthropic/claude-haiku-4-5"),
    Case("responses, whole", RESPONSES, "openai/gpt-4o"),
    Case("chat, streamed", CHAT, "openai/gpt-4o", 32, True),
    Case("messages, streamed", MESSAGES, "anthropic/claude-haiku-4-5", 32, True),
    Case("responses, streamed", RESPONSES, "openai/gpt-4o", 32, True),
    Case("messages → chat, streamed", MESSAGES, "openai/gpt-4o", 32, True),
    Case("chat → messages, streamed", CHAT, "anthropic/claude-haiku-4-5", 32, True),
    Case("responses → messages, streamed", RESPONSES, "anthropic/claude-haiku-4-5", 32, True),
    Case("messages → gemini, streamed", MESSAGES, "google/gemini-2.5-flash", 32, True),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
    running = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, env={**kept, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(40)


@contextmanager
def gateway(provider: int, folder: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a gateway with one worker."""
    port = free_port()
    keys = {f"{name}_API_KEY": "sk-bench" for name in _KEYS} | {
        f"{name}_UPSTREAM_URL": f"http://127.0.0.1:{provider}" for name in _KEYS
    }
    settings = {
        "PORT": str(port),
        "WORKERS": "1",
        "DATABASE_PATH": f"{folder}/bench.db",
        "EKAI_CONFIG_DIR": folder,
        "LOG_LEVEL": "warning",
    }
    with process("cli.main", "serve", **keys, **settings) as server:
        for _ in range(400):
            try:
                httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield port, server.pid


def log_in(port: int, folder: str) -> str:
    file = Path(folder) / "bench.key"
    file.write_text(PrivateKey().secret.hex())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        token = str(
            client.post("/auth/login", json=Wallet.read(file).login(23295, 604_800)).raise_for_status().json()["token"]
        )
        models = list(dict.fromkeys(case.model for case in CASES))
        client.put(
            "/user/preferences", json={"model_preferences": models}, headers={"authorization": f"Bearer {token}"}
        ).raise_for_status()
    return token


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_of(pid: int) -> int:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_048_576


def measure(port: int, pid: int, token: str, case: Case, seconds: float) -> tuple[Figures, float]:
    """The figures of a run, and CPU microseconds of the gateway per request."""
    raw = request(case.path, token, case.body)
    uvloop.run(run(port, raw, case.connections, 0.3))
    before = cpu_of(pid)
    figures = uvloop.run(run(port, raw, case.connections, seconds))
    return figures, (cpu_of(pid) - before) / max(figures.requests, 1) * 1e6


def main() -> None:
    table = Table(
        "case", "connections", "requests/s", "ms (median)", "first byte ms", "gateway CPU µs/request", "failures"
    )
    provider = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process("bench.upstream", str(provider)),
        gateway(provider, folder) as (port, pid),
    ):
        token = log_in(port, folder)
        for case in CASES:
            figures, cpu = measure(port, pid, token, case, SECONDS)
            median, first = (statistics.median(times) * 1000 for times in (figures.latencies, figures.first_bytes))
            table.add_row(
                case.name,
                str(case.connections),
                f"{figures.rate:,.0f}",
                f"{median:.2f}",
                f"{first:.2f}",
                f"{cpu:,.0f}",
                str(figures.failures),
            )
        memory = memory_of(pid)
    Console().print(table)
    Console().print(f"Resident after the load: {memory} MB")


if __name__ == "__main__":
    main()

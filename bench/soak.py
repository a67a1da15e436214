"""`make soak`: mixed traffic with faults for a minute (or an hour), then the books are compared. Exit code 1 if anything is off.

python -m bench.soak [--seconds 60] [--workers 1] [--clients 40]

The load comes in rounds with a rest after each; what is measured at rest (memory, file descriptors, connections) must not grow once
the gateway is warm. In the end every request has exactly one row, and the rows' tokens and money equal the provider's own ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvloop
from coincurve import PrivateKey
from rich.console import Console
from rich.table import Table

from bench.processes import family, free_port, process
from bench.soak_books import Check, answers, books
from bench.soak_provider import Ledger, Provider
from bench.soak_traffic import MODELS, Crowd, Log
from cli.wallet import Wallet

ROUNDS = 8
WARM = 3
"""Rounds after which caches, pools and the allocator have their size."""
_REST = 3.0
_OPERATOR = "soak-operator"
_ALLOWED_MB = 6.0
_ALLOWED_FDS = 4
_KEYS = ("OPENAI", "ANTHROPIC", "GOOGLE", "OPENROUTER")


@dataclass(frozen=True, slots=True)
class Rest:
    """The gateway between two rounds: memory of its own in MB, open files that aren't connections to the provider."""

    megabytes: float
    files: int
    connections: int
    under_way: int


def _own_memory(pid: int) -> float:
    """Anonymous memory in MB: what the process itself made, without the files that it maps."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def measure(pid: int, ledger: Ledger) -> Rest:
    """What the processes hold now."""
    pids = family(pid)
    files = sum(len(os.listdir(f"/proc/{one}/fd")) for one in pids)
    return Rest(sum(map(_own_memory, pids)), files - ledger.connections, ledger.connections, ledger.under_way)


def resting(rests: Sequence[Rest], clients: int) -> list[Check]:
    """Nothing grows once it is warm, and nothing is under way when nobody asks."""
    warm, last = rests[WARM:-1], rests[-1]
    memory, files = max(rest.megabytes for rest in warm), max(rest.files for rest in warm)
    peak, busy = max(rest.connections for rest in rests), max(rest.under_way for rest in rests)
    course = " ".join(f"{rest.megabytes:.1f}" for rest in rests)
    return [
        Check("memory at rest (MB)", course, f"the last <= {memory:.1f} + {_ALLOWED_MB:g}", last.megabytes <= memory + _ALLOWED_MB),
        Check("open files at rest", " ".join(str(rest.files) for rest in rests), f"the last <= {files} + {_ALLOWED_FDS}", last.files <= files + _ALLOWED_FDS),
        Check("connections to the provider at rest, most", str(peak), f"<= {clients}", peak <= clients),
        Check("calls still under way at rest", str(busy), "0", busy == 0),
    ]  # fmt: skip


@contextmanager
def gateway(provider: int, folder: str, workers: int) -> Iterator[tuple[int, int]]:
    """Port and process id of a gateway that has a budget to keep."""
    port = free_port()
    keys = {f"{name}_API_KEY": "sk-soak" for name in _KEYS} | {
        f"{name}_UPSTREAM_URL": f"http://127.0.0.1:{provider}/{name.lower()}" for name in _KEYS
    }
    settings = {
        "PORT": str(port), "WORKERS": str(workers), "DATABASE_PATH": f"{folder}/soak.db", "EKAI_CONFIG_DIR": folder,
        "LOG_LEVEL": "error", "STREAM_IDLE_TIMEOUT": "2", "PING_INTERVAL": "0.3", "OPERATOR_TOKEN": _OPERATOR,
    }  # fmt: skip
    with process("cli.main", "serve", **keys, **settings) as server:
        end = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
                break
            except httpx.HTTPError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield port, server.pid
        server.send_signal(signal.SIGTERM)
        if code := server.wait(40):
            raise SystemExit(f"the gateway ended with {code}")


def _log_in(port: int, folder: str) -> str:
    file = Path(folder) / "soak.key"
    file.write_text(PrivateKey().secret.hex())
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        login = client.post("/auth/login", json=Wallet.read(file).login(23295, 604_800)).raise_for_status()
        token = str(login.json()["token"])
        mine, operators = ({"authorization": f"Bearer {shown}"} for shown in (token, _OPERATOR))
        client.put("/user/preferences", json={"model_preferences": MODELS}, headers=mine).raise_for_status()
        client.put("/budget", json={"amountUsd": 100_000}, headers=operators).raise_for_status()
    return token


async def soak(options: argparse.Namespace, folder: str, log: Log, ledger: Ledger) -> list[Rest]:
    """The rounds. Returns the rests after them."""
    server = await asyncio.get_running_loop().create_server(lambda: Provider(ledger), "127.0.0.1", 0)
    rests: list[Rest] = []
    with gateway(server.sockets[0].getsockname()[1], folder, options.workers) as (port, pid):
        crowd = Crowd(port, _log_in(port, folder), options.clients, log)
        for _ in range(ROUNDS):
            await crowd.ask(max(options.seconds / ROUNDS - _REST, 1.0))
            await asyncio.sleep(_REST)
            rests.append(measure(pid, ledger))
    server.close()
    return rests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, default=40)
    options = parser.parse_args()
    log, ledger = Log(), Ledger()
    with tempfile.TemporaryDirectory() as folder:
        rests = uvloop.run(soak(options, folder, log, ledger))
        checks = [*resting(rests, options.clients), *answers(log), *books(f"{folder}/soak.db", log, ledger)]
    table = Table("check", "found", "expected", "")
    for check in checks:
        table.add_row(check.name, check.found, check.expected, "ok" if check.holds else "VIOLATED")
    out = Console(width=150)
    out.print(table)
    out.print(f"{len(log.seen):,} requests: " + ", ".join(f"{name} {n:,}" for name, n in log.names.most_common()))
    for line in log.wrong[:10]:
        out.print(line, markup=False)
    sys.exit(not all(check.holds for check in checks))


if __name__ == "__main__":
    main()

"""The processes that are measured: started on the cores they may use, awaited, measured from outside, stopped.

https://man7.org/linux/man-pages/man5/proc_pid_smaps.5.html
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
_STOP_SECONDS = 40
_CPUCLOCK_SCHED = 2


class StartError(Exception):
    """Something can't be measured here; the message says why."""


def cores() -> tuple[int, int]:
    """The core of what is measured, and the core of the load and the provider."""
    first, *others = sorted(os.sched_getaffinity(0))
    return first, others[-1] if others else first


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def pinned(where: Sequence[int]) -> Iterator[None]:
    """What is started meanwhile keeps to these cores, all its threads and children too."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, where)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


@contextmanager
def command(
    words: Sequence[str],
    *,
    where: Sequence[int] | None = None,
    folder: Path = ROOT,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process of its own, with nothing of our environment but the paths. `log`: where its words go."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LD_LIBRARY_PATH")}
    with open(log or os.devnull, "ab") as told, pinned(where or sorted(os.sched_getaffinity(0))):
        running = subprocess.Popen(
            words, cwd=folder, env={**kept, **(environment or {})}, stdout=told, stderr=told if log else None
        )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def process(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module in a process of its own."""
    with command([sys.executable, "-m", *words], environment=environment) as running:
        yield running


def wait_for(
    url: str, running: subprocess.Popen[bytes], seconds: float, headers: Mapping[str, str] | None = None
) -> None:
    """Returns when something answers there. Raises StartError."""
    end = time.monotonic() + seconds
    with httpx.Client(trust_env=False, timeout=5, headers=headers) as client:
        while time.monotonic() < end:
            if running.poll() is not None:
                raise StartError(f"it ended with {running.returncode} before it served")
            try:
                if client.get(url).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
    raise StartError(f"it did not serve within {seconds:g} seconds")


def family(pid: int) -> list[int]:
    """A process and its children, and theirs."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(grand for child in children for grand in family(int(child)))]


def cpu_of(pid: int) -> float:
    """Seconds of processor time that a process has used, with all its threads, to the nanosecond.

    The id of another process's clock is made as `clock_getcpuclockid` makes it:
    https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def idle_time() -> float:
    """Seconds that the cores of this machine were idle, all together.

    https://man7.org/linux/man-pages/man5/proc_stat.5.html
    """
    _, _, _, _, idle, waiting, *_ = Path("/proc/stat").read_text().split(maxsplit=8)
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Proportional memory in MB: what is shared by several is counted once, over all of them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))

"""A fake provider in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.figures import Provider
from bench.processes import free_port, wait_for


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.upstream", str(port)], cwd=Path(__file__).parents[2]
    ) as running:
        try:
            wait_for(f"http://127.0.0.1:{port}/asked", running, 20)
            yield Provider(port, running.pid)
        finally:
            running.terminate()

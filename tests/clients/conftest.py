"""Real clients against a real gateway: `make test-clients`, or a part with `TEST_CLIENTS=1 .venv/bin/pytest tests/clients -k codex`.

They are left out of an ordinary run, since npm brings them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.desk import Desk, Gateway, serve

collect_ignore_glob = [] if os.environ.get("TEST_CLIENTS") else ["test_*.py"]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serve(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def desk(gateway: Gateway, tmp_path: Path) -> Iterator[Desk]:
    """A user who has nothing but a token; which models the user prefers is up to the test."""
    gateway.strayed.clear()
    with gateway.desk(tmp_path) as ready:
        yield ready
        assert not gateway.strayed, f"it wanted to leave this machine: {gateway.strayed}"

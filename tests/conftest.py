"""What holds for every test."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import hypothesis
import pytest

from emulator.app import found

os.environ["COLUMNS"] = "200"  # tables are read by tests, not by people; rich looks when the command is imported
hypothesis.settings.register_profile("gateway", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("gateway")


@pytest.fixture(scope="session", autouse=True)
def _loop_of_the_handlers() -> Iterator[None]:
    """Mangum makes an event loop for the main thread when a function is imported; it is kept, and closed at the end."""
    found()
    loop = asyncio.get_event_loop_policy().get_event_loop()
    yield
    loop.close()

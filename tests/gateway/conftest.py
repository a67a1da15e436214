"""A gateway for the tests of a module, and what they need to know of the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.live import Live, gateway


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(
        tmp_path_factory.mktemp("gateway"), COOLDOWN_SECONDS="0", OPERATOR_TOKEN="operator-canary-8"
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def _rested(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "live" in request.fixturenames:
        request.getfixturevalue("live").rest()

"""Loads eth_account once, past a warning that isn't ours."""

import warnings

with warnings.catch_warnings():
    # eth_account brings an old client of websockets along: https://github.com/ethereum/web3.py/issues/3713
    warnings.filterwarnings("ignore", "websockets.legacy is deprecated", DeprecationWarning)
    import eth_account  # noqa: F401

from collections.abc import Iterator

import pytest

from emulator.devchain import PY_EVM, DevChain
from tests.receipts.world import World


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with DevChain(engine=PY_EVM) as running:
        yield running


@pytest.fixture
def world(chain: DevChain) -> World:
    return World(chain)

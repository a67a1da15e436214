"""What can serve the dev chain's JSON-RPC: py-evm in a thread of this process, or an anvil process."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import uvicorn

from emulator.devchain.accounts import ACCOUNTS
from emulator.devchain.client import ask

if TYPE_CHECKING:
    from emulator.devchain.node import Node

PY_EVM: Final = "py-evm"
START_LIMIT: Final = 20.0

log = logging.getLogger(__name__)


class DevChainError(RuntimeError):
    """The chain didn't come up."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a chain is to be like. Times are in seconds; `block_time` 0 makes a block per transaction at once, `port` 0
    takes a free one, `delay` holds back every answer (py-evm only), `codes` stand at their addresses from the start.
    """

    chain_id: int
    port: int
    block_time: float
    delay: float
    codes: Mapping[str, bytes]


def start(name: str, terms: Terms) -> Engine:
    """A running chain: py-evm, or the anvil of this name or path."""
    if name != PY_EVM:
        return Anvil(terms, name)
    try:
        return PyEvm(terms)
    except ModuleNotFoundError as fault:
        raise DevChainError(
            "the dev chain needs py-evm (pip install 'ekai-gateway[chain]') or anvil on PATH"
        ) from fault


def find_anvil() -> str | None:
    """The anvil on PATH."""
    return shutil.which("anvil")


class Engine(Protocol):
    """A running chain."""

    @property
    def url(self) -> str:
        """Where its JSON-RPC is."""

    def stop(self) -> None:
        """Ends it; its state is gone."""


class PyEvm:
    """py-evm behind uvicorn on loopback; a second thread makes blocks when there is a block time."""

    def __init__(self, terms: Terms) -> None:
        # py-evm is an extra, and needed only here: with anvil nobody has to have it.
        from eth_keys.datatypes import PrivateKey

        from emulator.devchain.blockchain import Blockchain
        from emulator.devchain.jsonrpc import rpc_app
        from emulator.devchain.node import Node

        keys = tuple(PrivateKey(bytes.fromhex(account.private_key[2:])) for account in ACCOUNTS)
        chain = Blockchain(
            terms.chain_id,
            tuple(bytes.fromhex(account.address[2:]) for account in ACCOUNTS),
            {bytes.fromhex(address[2:]): code for address, code in terms.codes.items()},
            automine=terms.block_time == 0,
        )
        node = Node(chain, keys)
        self._socket = socket.create_server(("127.0.0.1", terms.port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            rpc_app(node, terms.delay), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)]
        if terms.block_time:
            self._threads.append(threading.Thread(target=self._tick, args=(node, terms.block_time), daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the server and its threads."""
        self._server.should_exit = True
        self._ended.set()
        for thread in self._threads:
            thread.join(START_LIMIT)
        self._socket.close()

    def _tick(self, node: Node, block_time: float) -> None:
        while not self._ended.wait(block_time):
            node.answer(node.mine, [])


class Anvil:
    """An anvil process on loopback: https://getfoundry.sh/anvil/reference."""

    def __init__(self, terms: Terms, binary: str) -> None:
        port = terms.port or _free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [binary, "--silent", "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(terms.chain_id)]
        command += ["--hardfork", "paris", "--order", "fifo"]
        if terms.block_time:
            command += ["--block-time", str(terms.block_time)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (named by who starts us)
        except OSError as fault:
            raise DevChainError(f"can't run {binary}: {fault.strerror}") from fault
        try:
            self._wait(port)
        except DevChainError:
            self.stop()
            raise
        for address, code in terms.codes.items():
            ask(self.url, "anvil_setCode", address, f"0x{code.hex()}")

    def stop(self) -> None:
        """Ends the process, by force when it doesn't listen."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise DevChainError(f"anvil ended with {code}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise DevChainError("anvil didn't listen in time")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])

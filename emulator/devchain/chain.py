"""A chain of one's own, with the control plane on it: for `make demo`, for development, and for tests."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Final, Self

import contracts
from emulator.devchain import engines
from emulator.devchain.accounts import ACCOUNTS, Account
from emulator.devchain.client import ask
from emulator.devchain.engines import DevChainError, Engine, Terms
from shared.chain import checksum_address, keccak256

# Where it stands on Sapphire and most other chains: https://www.multicall3.com
MULTICALL: Final = "0xcA11bde05977b3631167028862bE2a173976CA11"
SUBCALL: Final = "0x0100000000000000000000000000000000000103"
AUTHORIZE: Final = keccak256(b"authorize(bytes21,address,bool)")[:4]
SAPPHIRE_TESTNET: Final = 23295
SETTLING: Final = 10.0


class DevChain:
    """A local chain behind JSON-RPC on loopback, with `EkaiControlPlane`, Multicall3 and a stand-in for Sapphire's
    subcall precompile.

    `engine`: `"py-evm"`, the path of an anvil binary, or None for the anvil on PATH and py-evm where there is none.
    `block_time` 0 gives every transaction a block of its own at once, else a block is made every so many seconds.
    `delay` (seconds, py-evm only) holds back every answer, as a node far away would. Starting and stopping block the
    caller for a moment; in async code use `asyncio.to_thread`.

        with DevChain() as chain:
            Web3(Web3.HTTPProvider(chain.url))
    """

    def __init__(
        self,
        *,
        chain_id: int = SAPPHIRE_TESTNET,
        engine: str | None = None,
        port: int = 0,
        block_time: float = 0,
        delay: float = 0,
    ) -> None:
        self.chain_id = chain_id
        self.accounts: tuple[Account, ...] = ACCOUNTS
        self.multicall = MULTICALL
        codes = {MULTICALL: contracts.multicall().runtime, SUBCALL: contracts.subcall().runtime}
        self._terms = Terms(chain_id=chain_id, port=port, block_time=block_time, delay=delay, codes=codes)
        self._engine_name = engine
        self._engine: Engine | None = None
        self._control_plane: str | None = None

    @property
    def admin(self) -> Account:
        """The account that deploys and administers the contract."""
        return self.accounts[0]

    @property
    def url(self) -> str:
        """Where the JSON-RPC is."""
        if self._engine is None:
            raise DevChainError("the dev chain isn't running")
        return self._engine.url

    @property
    def control_plane(self) -> str:
        """Address of the newest `EkaiControlPlane`."""
        if self._control_plane is None:
            raise DevChainError("no control plane has been deployed")
        return self._control_plane

    def start(self) -> Self:
        """Starts the chain and deploys the contract."""
        if self._engine is not None:
            raise DevChainError("the dev chain is running already")
        self._engine = engines.start(self._engine_name or engines.find_anvil() or engines.PY_EVM, self._terms)
        try:
            self.deploy()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops the chain, if it runs; what was on it is gone."""
        engine, self._engine, self._control_plane = self._engine, None, None
        if engine is not None:
            engine.stop()

    def deploy(self) -> str:
        """Puts a new `EkaiControlPlane` on the chain, administered by `admin`; gives its address."""
        owner = bytes.fromhex(self.admin.address[2:]).rjust(32, b"\0")
        receipt = self._transact(None, contracts.control_plane().bytecode + owner, gas=4_000_000)
        self._control_plane = checksum_address(receipt["contractAddress"])
        return self._control_plane

    def authorize_origin(self, app_id: bytes, address: str, *, authorized: bool = True) -> None:
        """Makes transactions of `address` count as coming from an instance of a ROFL app (21 bytes), or no longer."""
        words = (
            app_id.ljust(32, b"\0") + bytes.fromhex(address[2:]).rjust(32, b"\0") + bytes([authorized]).rjust(32, b"\0")
        )
        self._transact(SUBCALL, AUTHORIZE + words, gas=100_000)

    def mine(self) -> None:
        """Makes a block now."""
        ask(self.url, "evm_mine")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _transact(self, to: str | None, data: bytes, *, gas: int) -> dict[str, Any]:
        transaction = {"from": self.admin.address, "data": f"0x{data.hex()}", "gas": hex(gas)}
        if to is not None:
            transaction["to"] = to
        sent = ask(self.url, "eth_sendTransaction", transaction)
        deadline = time.monotonic() + SETTLING
        while (receipt := ask(self.url, "eth_getTransactionReceipt", sent)) is None:
            if time.monotonic() > deadline:
                raise DevChainError(f"transaction {sent} isn't in a block")
            # With a block time it would wait for the next tick.
            self.mine()
        receipt = dict(receipt)
        if receipt["status"] != "0x1":
            raise DevChainError(f"transaction {sent} failed")
        return receipt

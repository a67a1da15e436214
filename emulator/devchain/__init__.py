"""A local chain with the control plane on it, for `make demo`, development and tests."""

from emulator.devchain.accounts import ACCOUNTS, Account
from emulator.devchain.chain import MULTICALL, SUBCALL, DevChain
from emulator.devchain.engines import PY_EVM, DevChainError

__all__ = ["ACCOUNTS", "MULTICALL", "PY_EVM", "SUBCALL", "Account", "DevChain", "DevChainError"]

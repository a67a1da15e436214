"""Wallets that are contracts: whether one accepts a signature (https://eips.ethereum.org/EIPS/eip-1271)."""

from __future__ import annotations

from shared.chain import checksum_address
from shared.errors import Code, GatewayError
from shared.keys.rpc import Ask, Rpc, RpcError

_IS_VALID_SIGNATURE = bytes.fromhex("1626ba7e")  # isValidSignature(bytes32,bytes); a yes is the selector again


class ContractWallets:
    """Asks the chain, one call for each signature."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def accepts(self, address: str, digest: bytes, signature: bytes) -> bool:
        """Whether the contract at `address` accepts `signature` for `digest` (32 bytes); False where there is no contract.
        Raises SAPPHIRE_UNAVAILABLE."""
        padded = signature + bytes(-len(signature) % 32)
        head = digest + (64).to_bytes(32, "big") + len(signature).to_bytes(32, "big")
        call = {"to": checksum_address(address), "data": "0x" + (_IS_VALID_SIGNATURE + head + padded).hex()}
        try:
            [answer] = await self._rpc.ask([Ask("eth_call", (call, "latest"))])
        except RpcError as error:
            raise GatewayError(Code.SAPPHIRE_UNAVAILABLE, f"The chain could not be asked: {error}.") from error
        return isinstance(answer, str) and answer.lower() == "0x" + _IS_VALID_SIGNATURE.hex().ljust(64, "0")

"""The compiled contracts, read from the artifacts beside their sources (README.md tells how those are made)."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract.

    `abi` is the JSON ABI (https://docs.soliditylang.org/en/v0.8.24/abi-spec.html#json), `bytecode` is what a deploying
    transaction carries (constructor arguments are appended), `runtime` is what then stands at the address.
    """

    name: str
    abi: list[dict[str, Any]] = field(repr=False)
    bytecode: bytes = field(repr=False)
    runtime: bytes = field(repr=False)


def read_artifact(path: str) -> Artifact:
    """The artifact at `path`, relative to this folder and without `.json`."""
    content = orjson.loads(resources.files(__name__).joinpath(f"{path}.json").read_bytes())
    return Artifact(
        name=content["contractName"],
        abi=content["abi"],
        bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
        runtime=bytes.fromhex(content["deployedBytecode"].removeprefix("0x")),
    )


def control_plane() -> Artifact:
    """`EkaiControlPlane`: constructor `(address initialOwner)`."""
    return read_artifact("EkaiControlPlane")


def multicall() -> Artifact:
    """`Multicall3` of the dev chain: `aggregate3`, `tryAggregate`, `aggregate`."""
    return read_artifact("devchain/Multicall3")


def subcall() -> Artifact:
    """The dev chain's stand-in for Sapphire's subcall precompile."""
    return read_artifact("devchain/Subcall")

"""The contract in a bare chain, without HTTP: who sends is told apart, and reverts and events are decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode, encode
from eth_keys.datatypes import PrivateKey

import contracts
from emulator.devchain import ACCOUNTS, MULTICALL, SUBCALL
from emulator.devchain.blockchain import Blockchain
from emulator.devchain.records import Call, Mined
from shared.chain import checksum_address, keccak256

KEYS = [PrivateKey(bytes.fromhex(account.private_key[2:])) for account in ACCOUNTS]
ADDRESSES = [account.address for account in ACCOUNTS]
ADMIN, OWNER, FRIEND, GATEWAY, STRANGER, HEIR, RELAYER, OTHER = ADDRESSES[:8]
GAS_PRICE = 10**10


class RevertedError(Exception):
    """A call reverted with this error: its name and arguments."""

    def __init__(self, name: str, *args: object) -> None:
        super().__init__(name, *args)
        self.name = name


@dataclass(frozen=True)
class Signature:
    """One entry of an ABI, as text and as types."""

    text: str
    entry: Mapping[str, Any]

    @property
    def selector(self) -> bytes:
        return keccak256(self.text.encode())[:4]

    def encode(self, *args: object) -> bytes:
        return self.selector + encode(types(self.entry["inputs"]), args)


def types(params: list[dict[str, Any]]) -> list[str]:
    return [_type(param) for param in params]


def _type(param: dict[str, Any]) -> str:
    if not param["type"].startswith("tuple"):
        return str(param["type"])
    return f"({','.join(types(param['components']))}){param['type'].removeprefix('tuple')}"


def signatures(abi: list[dict[str, Any]], kind: str) -> dict[str, Signature]:
    found = [entry for entry in abi if entry["type"] == kind]
    return {entry["name"]: Signature(f"{entry['name']}({','.join(types(entry['inputs']))})", entry) for entry in found}


ARTIFACT = contracts.control_plane()
FUNCTIONS = signatures(ARTIFACT.abi, "function")
ERRORS = {error.selector: error for error in signatures(ARTIFACT.abi, "error").values()}
EVENTS = {keccak256(event.text.encode()): event for event in signatures(ARTIFACT.abi, "event").values()}
MULTICALL_FUNCTIONS = signatures(contracts.multicall().abi, "function")
SUBCALL_FUNCTIONS = signatures(contracts.subcall().abi, "function")


def shown(value: object) -> object:
    """Addresses with their checksum, everything else as it is."""
    if isinstance(value, str) and value.startswith("0x") and len(value) == 42:
        return checksum_address(value)
    return tuple(shown(one) for one in value) if isinstance(value, tuple) else value


class Plane:
    """A control plane, administered by ADMIN, in a chain of its own."""

    def __init__(self, subcall: bytes | None = None) -> None:
        codes = {_raw(MULTICALL): contracts.multicall().runtime}
        if subcall is None:
            subcall = contracts.subcall().runtime
        if subcall:
            codes[_raw(SUBCALL)] = subcall
        self.chain = Blockchain(23295, tuple(map(_raw, ADDRESSES)), codes)
        deployed = self.transact(ADMIN, None, ARTIFACT.bytecode + encode(["address"], [ADMIN]), gas=4_000_000)
        assert deployed.contract is not None
        self.address = f"0x{deployed.contract.hex()}"

    def send(self, sender: str, function: str, *args: object) -> list[tuple[str, dict[str, object]]]:
        """Sends a transaction that must succeed; gives its events."""
        return events(self.transact(sender, self.address, FUNCTIONS[function].encode(*args)))

    def read(self, function: str, *args: object) -> Any:
        """What a view says; alone when it says one thing."""
        signature = FUNCTIONS[function]
        outcome = self.chain.call(
            Call(bytes(20), _raw(self.address), signature.encode(*args), 0, None), self.chain.head
        )
        if outcome.failure is not None:
            raise reverted(outcome.output)
        values = tuple(map(shown, decode(types(signature.entry["outputs"]), outcome.output)))
        return values[0] if len(values) == 1 else values

    def transact(self, sender: str, to: str | None, data: bytes, gas: int = 500_000) -> Mined:
        """A transaction in its block. RevertedError, before it is sent, when it would fail."""
        call = Call(_raw(sender), None if to is None else _raw(to), data, 0, gas)
        outcome = self.chain.call(call, self.chain.head)
        if outcome.failure is not None:
            raise reverted(outcome.output)
        mined = self.chain.mined(self.chain.send(call, KEYS[ADDRESSES.index(sender)], None, GAS_PRICE))
        assert mined is not None
        assert mined.succeeded
        return mined

    def authorize(self, app_id: bytes, origin: str) -> None:
        """Makes an account an instance of a ROFL app."""
        self.transact(OTHER, SUBCALL, SUBCALL_FUNCTIONS["authorize"].encode(app_id, origin, True))


def events(mined: Mined) -> list[tuple[str, dict[str, object]]]:
    """Name and arguments of each event of a transaction."""
    return [event(log.topics, log.data) for log in mined.logs]


def event(topics: tuple[bytes, ...], data: bytes) -> tuple[str, dict[str, object]]:
    entry = EVENTS[topics[0]].entry
    indexed = [one for one in entry["inputs"] if one["indexed"]]
    plain = [one for one in entry["inputs"] if not one["indexed"]]
    values = {one["name"]: decode([one["type"]], topic)[0] for one, topic in zip(indexed, topics[1:], strict=True)}
    values |= dict(zip([one["name"] for one in plain], decode(types(plain), data), strict=True))
    return entry["name"], {one["name"]: shown(values[one["name"]]) for one in entry["inputs"]}


def reverted(output: bytes) -> RevertedError:
    """The error behind a revert's data."""
    error = ERRORS.get(output[:4])
    if error is None:
        return RevertedError(f"0x{output.hex()}")
    return RevertedError(error.entry["name"], *map(shown, decode(types(error.entry["inputs"]), output[4:])))


def _raw(address: str) -> bytes:
    return bytes.fromhex(address[2:])

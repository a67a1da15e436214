"""Where the control plane stands, from the options and the gateway's settings; and addresses as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from cli.client import CommandError
from cli.wallet import Wallet
from shared.chain import checksum_address
from shared.settings import Settings, problems


@dataclass(frozen=True, slots=True)
class Place:
    """A chain behind its RPC, and the control plane on it."""

    rpc_url: str
    contract: str
    chain_id: int

    @property
    def host(self) -> str:
        """The RPC's address without what may be a key of its user."""
        return urlsplit(self.rpc_url).netloc.rpartition("@")[2] or self.rpc_url


def place(rpc_url: str | None = None, contract: str | None = None, chain_id: int | None = None) -> Place:
    """What is named here, else in the gateway's settings. Raises CommandError."""
    named = {"sapphire_rpc_url": rpc_url, "ekai_control_plane_address": contract, "sapphire_chain_id": chain_id}
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    try:
        settings = Settings(keys="chain", **given)
    except ValidationError as error:
        raise CommandError(problems(error)) from None
    return Place(settings.sapphire_rpc_url, read_address(settings.control_plane), settings.sapphire_chain_id)


def read_address(text: str) -> str:
    """An address with its checksum. One that is written in both cases must have the right one: it may be mistyped."""
    try:
        address = checksum_address(text)
    except ValueError:
        raise CommandError(f"{text} is not an address (0x and 40 hex digits).") from None
    if text[2:] not in (address[2:], text[2:].lower(), text[2:].upper()):
        raise CommandError(f"{text} has a wrong checksum: is a digit mistyped? (https://eips.ethereum.org/EIPS/eip-55)")
    return address


def whose(owner: str | None, key_file: Path) -> str:
    """The address that is named, else the wallet's. Raises CommandError."""
    return read_address(owner) if owner else checksum_address(Wallet.read(key_file).address)

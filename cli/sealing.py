"""A provider key on its way out of here: to which gateway key it is encrypted, and the encryption itself."""

from __future__ import annotations

from cli.client import Client, CommandError
from cli.onchain import ControlPlane
from cli.wallet import Wallet
from shared.chain import provider_id
from shared.control_plane import RoflKey
from shared.keys.envelope import EnvelopeError, seal_for


def gateway_key(plane: ControlPlane, client: Client) -> RoflKey:
    """The gateway's key, if the gateway and the chain name the same one and it is active. Raises CommandError.

    Each of them could be a stranger's: whoever encrypts to a stranger's key has given the provider key away.
    """
    registered = registered_key(plane)
    if not registered.version:
        raise CommandError(
            "No gateway key is registered on chain: the administrator does it with `ekai admin set-rofl-key`."
        )
    if not registered.active:
        raise CommandError(
            f"Version {registered.version} of the gateway key is switched off: nothing is encrypted to it."
        )
    held = held_key(client)
    if held != registered.public:
        raise CommandError(
            f"The gateway at {client.url} has the key 0x{held.hex()}, but on chain (version {registered.version}) stands "
            f"0x{registered.public.hex()}. Nothing was encrypted: one of the two is not the gateway that you mean."
        )
    return registered


def registered_key(plane: ControlPlane) -> RoflKey:
    """What stands on chain; version 0 before the first key."""
    [public, version, active] = plane.read("getRoflKey")
    return RoflKey(bytes(public), int(version), bool(active))


def held_key(client: Client) -> bytes:
    """The X25519 public key that the gateway tells. Raises CommandError."""
    told = client.call("GET", "/rofl/public-key", login=False)
    try:
        public = bytes.fromhex(told["publicKey"].removeprefix("0x"))
    except (TypeError, KeyError, AttributeError, ValueError):
        public = b""
    if len(public) != 32:
        raise CommandError(f"What answers at {client.url} doesn't tell a gateway key.")
    return public


def seal(wallet: Wallet, provider: str, key: str, public: bytes) -> bytes:
    """The envelope of a provider key, which only the wallet's own slot makes usable. Raises CommandError without the key."""
    if not key.strip():
        raise CommandError("No key was given: pipe it in (`ekai keys set openai < file`), or type it when asked.")
    try:
        return seal_for(wallet.address, provider_id(provider), key.strip(), public)
    except EnvelopeError as error:
        raise CommandError(f"This can't be stored: {error.reason.value}.") from None

"""An owner's provider keys on chain: `ekai keys set`, `revoke`, `list`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typer
from rich.table import Table

from catalog.load import load
from catalog.types import Provider
from cli.client import Client, CommandError
from cli.names import read_provider
from cli.onchain import Act, ControlPlane, RefusedError, at_once, carry_out
from cli.options import (
    URL,
    ChainId,
    Contract,
    Json,
    KeyFile,
    MaybeProvider,
    Owner,
    ProviderName,
    RpcUrl,
    Url,
    console,
    print_json,
)
from cli.place import place, whose
from cli.sealing import gateway_key, seal
from cli.wallet import LOCAL_KEY, Wallet
from shared.chain import checksum_address, provider_id

keys = typer.Typer(help="Your provider keys on chain, encrypted to the gateway.", no_args_is_help=True)

_LONGEST = 16_384


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(keys, name="keys")


@dataclass(frozen=True, slots=True)
class Stored:
    """What stands on chain for a provider, but for the ciphertext. `version` counts the owner's changes, `key_version` is the
    gateway key to which it was encrypted (0: nothing is stored), `why` says why it can't be used now."""

    provider: str
    version: int
    key_version: int
    usable: bool
    why: str
    models: int


@keys.command("set", context_settings={"allow_extra_args": True})
def set_key(
    context: typer.Context,
    provider: ProviderName,
    url: Url = URL,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Encrypt a provider key to the gateway and store it on chain, in place of the one before.

    The key is read from standard input (`ekai keys set openai < file`), or asked for without showing it.
    """
    if context.args:
        raise CommandError(
            "A key is not taken from the command line, where the shell and other users see it: pipe it in, or type it when asked."
        )
    found, wallet = read_provider(provider, load()), Wallet.read(key_file)
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    to = gateway_key(plane, Client(url))
    act = Act("setSecret", (provider_id(found.id), seal(wallet, found.id, _typed(found), to.public)))
    carry_out(plane, wallet, [act])
    stored = read_stored(plane, checksum_address(wallet.address), [found])[0]
    if stored.key_version != to.version:
        raise CommandError(f"The gateway key was changed meanwhile: run `ekai keys set {found.id}` again.")
    typer.echo(f"Stored: {found.id}, version {stored.version}, encrypted to version {to.version} of the gateway key.")
    if not stored.models:
        typer.echo(f"No model is allowed yet, not even to you: `ekai allow {found.id} MODEL …`.")


@keys.command("revoke")
def revoke_key(
    provider: ProviderName,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Delete a provider key from the chain: the very next request can't use it."""
    found, wallet = read_provider(provider, load()), Wallet.read(key_file)
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    if not read_stored(plane, checksum_address(wallet.address), [found])[0].key_version:
        raise CommandError(f"There is no key for {found.id} to revoke.")
    tells = f"Revoked: {found.id}. The very next request can't use it."
    carry_out(plane, wallet, [Act("revokeSecret", (provider_id(found.id),), tells)])
    typer.echo(
        "The ciphertext stays in the chain's history: have the provider cancel the key as well if it may be known."
    )


@keys.command("list")
def list_keys(
    provider: MaybeProvider = None,
    owner: Owner = None,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
    as_json: Json = False,
) -> None:
    """List the provider keys that are stored, and whether they can be used now. Never the keys themselves."""
    catalog = load()
    chosen = [read_provider(provider, catalog)] if provider else list(catalog.providers.values())
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    stored = read_stored(plane, whose(owner, key_file), chosen)
    if provider is None:
        stored = [one for one in stored if one.version]
    if as_json:
        print_json([asdict(one) for one in stored])
        return
    table = Table("provider", "version", "gateway key", "usable now", "models allowed", box=None, pad_edge=False)
    for one in stored:
        usable = "yes" if one.usable else f"no: {one.why}"
        table.add_row(one.provider, str(one.version), str(one.key_version or "–"), usable, str(one.models))
    console.print(table if stored else "No keys yet: `ekai keys set PROVIDER`.")


def read_stored(plane: ControlPlane, owner: str, providers: Sequence[Provider]) -> list[Stored]:
    """What `owner` has stored for each of `providers`."""
    paused = bool(plane.read("isPaused"))
    ids = [provider_id(provider.id) for provider in providers]
    registered = plane.read_all([("isValidProvider", id_) for id_ in ids])
    return at_once(
        lambda pair: _read_stored(plane, owner, pair[0].id, bool(pair[1]), paused),
        list(zip(providers, registered, strict=True)),
    )


def _read_stored(plane: ControlPlane, owner: str, provider: str, registered: bool, paused: bool) -> Stored:
    id_ = provider_id(provider)
    try:
        [_, version, exists, key_version] = plane.read("getSecretCiphertext", owner, id_)
        models = int(plane.read("modelCount", owner, id_))
    except RefusedError:
        if registered:
            raise
        return Stored(provider, 0, 0, False, "not registered", 0)  # contracts before ours revert for those
    if not key_version:
        why = "revoked" if version else "nothing stored"
    elif paused:
        why = "the contract is paused"
    elif not registered:
        why = "the provider is not registered"
    else:
        why = f"version {key_version} of the gateway key is off"
    return Stored(provider, int(version), int(key_version), bool(exists), "" if exists else why, models)


def _typed(provider: Provider) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"Key of {provider.title} (not shown)", hide_input=True, err=True))
    try:
        return sys.stdin.read(_LONGEST)
    except UnicodeDecodeError:
        raise CommandError("What was piped in is no text.") from None

"""Whom an owner lets use the provider keys, and which models: `ekai delegates`, `allow`, `disallow`, `allowed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from catalog.load import load
from catalog.types import Catalog, Provider
from cli.client import CommandError
from cli.names import names_at, read_model, read_model_or_id, read_provider, shown
from cli.onchain import Act, ControlPlane, carry_out
from cli.options import (
    ChainId,
    Contract,
    Json,
    KeyFile,
    MaybeProvider,
    Owner,
    ProviderName,
    RpcUrl,
    console,
    print_json,
)
from cli.place import place, read_address, whose
from cli.wallet import LOCAL_KEY, Wallet
from shared.chain import checksum_address, provider_id

delegates = typer.Typer(help="Who may use your provider keys.", no_args_is_help=True)

ModelNames = Annotated[list[str], typer.Argument(help="Names as in `ekai models`, aliases and snapshots included.")]
Addresses = Annotated[list[str], typer.Argument(help="Wallet addresses.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(delegates, name="delegates")
    app.command()(allow)
    app.command()(disallow)
    app.command()(allowed)


# ── delegates ────────────────────────────────────────────────────────────────────────────────────────────────────


@delegates.command("add")
def add_delegates(
    addresses: Addresses,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Let others use your keys, with the models that you allow."""
    named, wallet = [read_address(address) for address in addresses], Wallet.read(key_file)
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    carry_out(plane, wallet, [Act("addDelegate", (one,), f"{one} may use your keys.") for one in dict.fromkeys(named)])


@delegates.command("remove")
def remove_delegates(
    addresses: Addresses,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Take it back: their very next request is refused."""
    named, wallet = list(dict.fromkeys(map(read_address, addresses))), Wallet.read(key_file)
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    owner = checksum_address(wallet.address)
    permitted = plane.read_all([("isDelegatePermitted", owner, one) for one in named])
    for one, yes in zip(named, permitted, strict=True):
        if not yes or one == owner:
            raise CommandError(f"Nothing was sent: {one} is not a delegate of {owner}.")
    carry_out(plane, wallet, [Act("removeDelegate", (one,), f"{one} may no longer use your keys.") for one in named])


@delegates.command("list")
def list_delegates(
    owner: Owner = None,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
    as_json: Json = False,
) -> None:
    """List those who may use your keys."""
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    found = sorted(plane.read("delegatesOf", whose(owner, key_file)))
    if as_json:
        print_json(found)
        return
    for address in found:
        typer.echo(address)
    if not found:
        typer.echo("No delegates yet: `ekai delegates add ADDRESS`.")


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


def allow(
    provider: ProviderName,
    models: ModelNames,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Allow models of a provider, to you and all your delegates. What is stored is the keccak256 of the canonical name."""
    catalog, wallet = load(), Wallet.read(key_file)
    found = read_provider(provider, catalog)
    named = list(dict.fromkeys(read_model(name, found, catalog) for name in models))
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    owner, id_ = checksum_address(wallet.address), provider_id(found.id)
    acts: list[Act] = []
    for model in named:
        if any(plane.read_all([("isModelPermitted", owner, id_, known) for known in model.known_as])):
            typer.echo(f"{model.name} is allowed already.")
        else:
            acts.append(Act("addAllowedModel", (id_, model.id), f"Allowed: {model.name} at {found.id}."))
    carry_out(plane, wallet, acts)


def disallow(
    provider: ProviderName,
    models: ModelNames,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Disallow models, under whichever names and ids they were allowed. Ids as `ekai allowed` shows them are taken too."""
    catalog, wallet = load(), Wallet.read(key_file)
    found = read_provider(provider, catalog)
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    id_ = provider_id(found.id)
    stored = set(plane.read("modelsOf", checksum_address(wallet.address), id_))
    acts: dict[bytes, Act] = {}
    for name in models:
        model = read_model_or_id(name, found, catalog)
        if not (there := model.known_as & stored):
            raise CommandError(f"Nothing was sent: {model.name} is not allowed at {found.id}.")
        acts |= {one: Act("removeAllowedModel", (id_, one), f"Disallowed: {model.name}.") for one in sorted(there)}
    carry_out(plane, wallet, list(acts.values()))


def allowed(
    provider: MaybeProvider = None,
    owner: Owner = None,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
    as_json: Json = False,
) -> None:
    """List the models that you allow, by their names; an id that no known name gives shows as `?`."""
    catalog = load()
    chosen = [read_provider(provider, catalog)] if provider else list(catalog.providers.values())
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    rows = _read_allowed(plane, whose(owner, key_file), chosen, catalog)
    if as_json:
        print_json(rows)
        return
    table = Table("provider", "model", "id", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    console.print(table if rows else "No models yet: `ekai allow PROVIDER MODEL …`.")


def _read_allowed(
    plane: ControlPlane, owner: str, providers: Sequence[Provider], catalog: Catalog
) -> list[dict[str, Any]]:
    found = plane.read_all([("modelsOf", owner, provider_id(provider.id)) for provider in providers])
    return [
        {"provider": provider.id, "model": name, "id": id_}
        for provider, ids in zip(providers, found, strict=True)
        for name, id_ in (shown(ids, names_at(provider, catalog)) if ids else ())
    ]

"""The administrator's side of the control plane: `ekai admin …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.load import load
from cli.appid import NO_APP, read_app_id, write_app_id
from cli.client import Client, CommandError
from cli.names import read_provider
from cli.onchain import Act, ControlPlane, carry_out, deploy
from cli.options import URL, ChainId, Contract, Json, KeyFile, RpcUrl, Url, console, print_json
from cli.place import Place, place, read_address
from cli.sealing import held_key, registered_key
from cli.wallet import LOCAL_KEY, Wallet
from shared.chain import checksum_address, provider_id

admin = typer.Typer(help="Deploy and administer a control plane.", no_args_is_help=True)

_NOBODY = "0x" + "00" * 20

Providers = Annotated[list[str], typer.Argument(help="As in the catalog: openai, anthropic …")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(admin, name="admin")


@admin.command("deploy")
def deploy_contract(
    administrator: Annotated[str | None, typer.Option(help="Who administers it. Without it: your wallet.")] = None,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    chain_id: ChainId = None,
) -> None:
    """Put a new control plane on the chain."""
    wallet = Wallet.read(key_file)
    named = read_address(administrator) if administrator else checksum_address(wallet.address)
    address = deploy(place(rpc_url, None, chain_id), wallet, named)
    typer.echo(f"EKAI_CONTROL_PLANE_ADDRESS={address}")
    typer.echo(
        f"Administered by {named}. Next: `ekai admin set-rofl-key`, `add-provider`, `set-app-id` or `set-gateway`."
    )


@admin.command("show")
def show(rpc_url: RpcUrl = None, contract: Contract = None, chain_id: ChainId = None, as_json: Json = False) -> None:
    """Show the state of the control plane."""
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    administrator, gateway, app, paused, registered = plane.read_all(
        [("owner",), ("gateway",), ("roflAppId",), ("isPaused",), ("providers",)]
    )
    key = registered_key(plane)
    names = {provider_id(name): name for name in load().providers}
    state = {
        "contract": plane.place.contract,
        "chain_id": plane.place.chain_id,
        "administrator": administrator,
        "paused": paused,
        "gateway": None if gateway == _NOBODY else gateway,
        "rofl_app": None if app == NO_APP else write_app_id(app),
        "gateway_key": f"0x{key.public.hex()}" if key.version else None,
        "gateway_key_version": key.version,
        "gateway_key_active": key.active,
        "providers": sorted(names.get(id_, f"0x{id_.hex()}") for id_ in registered),
    }
    if as_json:
        print_json(state)
        return
    for name, value in state.items():
        told = ", ".join(value) if isinstance(value, list) else value
        console.print(
            f"{name.replace('_', ' '):<20}{'–' if told in (None, '') else told}", highlight=False, soft_wrap=True
        )


@admin.command("set-rofl-key")
def set_rofl_key(
    key: Annotated[str | None, typer.Argument(help="32 bytes of hex. Without it: what the gateway tells.")] = None,
    version: Annotated[int | None, typer.Option(help="Switch a version that is registered, old or present.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Switch off: what is encrypted to it is not given out.")] = False,
    url: Url = URL,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Register the gateway's key, to which owners encrypt; or switch a registered one on or off.

    A new key gets the next version. Older ones stay on until `--version N --off`, so that owners have time to encrypt anew.
    """
    if version is not None and key is not None:
        raise CommandError("Name a key or a --version, not both.")
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    state = "off" if off else "on"
    if version is not None:
        if not 1 <= version <= registered_key(plane).version:
            raise CommandError(f"Nothing was sent: there is no gateway key of version {version}.")
        tells = f"Version {version} of the gateway key is {state}."
        carry_out(plane, wallet, [Act("setRoflKeyActive", (version, not off), tells)])
        return
    public = held_key(Client(url)) if key is None else _read_key(key)
    if off and public != registered_key(plane).public:
        raise CommandError(f"Nothing was sent: 0x{public.hex()} is not the present gateway key. Use --version N --off.")
    carry_out(plane, wallet, [Act("setRoflKey", (public, not off))])
    typer.echo(f"0x{public.hex()} is version {registered_key(plane).version} of the gateway key, and {state}.")


@admin.command("add-provider")
def add_providers(
    providers: Providers,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Register providers, so that owners can store keys for them."""
    names = _names(providers)
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    carry_out(plane, wallet, [Act("addProvider", (provider_id(name),), f"Registered: {name}.") for name in names])


@admin.command("remove-provider")
def remove_providers(
    providers: Providers,
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Remove providers: their keys can't be used until they are registered again."""
    names = _names(providers)
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    registered = plane.read_all([("isValidProvider", provider_id(name)) for name in names])
    for name, there in zip(names, registered, strict=True):
        if not there:
            raise CommandError(f"Nothing was sent: {name} is not registered.")
    carry_out(plane, wallet, [Act("removeProvider", (provider_id(name),), f"Removed: {name}.") for name in names])


@admin.command("set-gateway")
def set_gateway(
    address: Annotated[
        str, typer.Argument(help="The account that logs receipts (PRIVATE_KEY of the gateway), or `none`.")
    ],
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Say which account may log receipts, for a gateway outside ROFL."""
    named = _NOBODY if address == "none" else read_address(address)
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    if named != _NOBODY and plane.has_code(named):
        raise CommandError(
            f"Nothing was sent: {named} is a contract, and whoever can call through it could log receipts."
        )
    tells = "No account may log receipts." if named == _NOBODY else f"{named} may log receipts."
    carry_out(plane, wallet, [Act("setGateway", (named,), tells)])


@admin.command("set-app-id")
def set_app_id(
    app_id: Annotated[str, typer.Argument(help="`rofl1…`, 21 bytes of hex, or `none`.")],
    key_file: KeyFile = LOCAL_KEY,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
) -> None:
    """Say which ROFL app may log receipts."""
    raw = read_app_id(app_id)
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    tells = "No ROFL app may log receipts." if raw == NO_APP else f"Instances of {write_app_id(raw)} may log receipts."
    carry_out(plane, wallet, [Act("setRoflAppId", (raw,), tells)])


@admin.command("pause")
def pause(
    key_file: KeyFile = LOCAL_KEY, rpc_url: RpcUrl = None, contract: Contract = None, chain_id: ChainId = None
) -> None:
    """End the use of all keys, until `unpause`."""
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    carry_out(
        plane, wallet, [Act("pause", (), "Paused: nobody's key can be used. Receipts of calls already made pass.")]
    )


@admin.command("unpause")
def unpause(
    key_file: KeyFile = LOCAL_KEY, rpc_url: RpcUrl = None, contract: Contract = None, chain_id: ChainId = None
) -> None:
    """End a pause."""
    wallet, plane = _administer(key_file, place(rpc_url, contract, chain_id))
    carry_out(plane, wallet, [Act("unpause", (), "Keys can be used again.")])


def _administer(key_file: Path, where: Place) -> tuple[Wallet, ControlPlane]:
    """The administrator's wallet and the contract. Raises CommandError for any other wallet: on Sapphire the node, which makes
    unsigned calls in nobody's name, couldn't tell before gas is spent."""
    wallet, plane = Wallet.read(key_file), ControlPlane(where)
    if (administrator := plane.read("owner")) != (own := checksum_address(wallet.address)):
        raise CommandError(f"Nothing was sent: the contract is administered by {administrator}, not by {own}.")
    return wallet, plane


def _names(providers: list[str]) -> list[str]:
    catalog = load()
    return list(dict.fromkeys(read_provider(name, catalog).id for name in providers))


def _read_key(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 32 or not any(raw):
        raise CommandError("A gateway key is 32 bytes of hex, not all of them zero.")
    return raw

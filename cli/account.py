"""Who you are to a gateway: login, logout, token, preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.client import Client
from cli.config import save_token
from cli.options import URL, Json, Url, console, print_json
from cli.wallet import LOCAL_KEY, Wallet

prefs = typer.Typer(help="Your models, in order of liking, and whose keys pay.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(login)
    app.command()(logout)
    app.command()(token)
    app.add_typer(prefs, name="prefs")


def login(
    private_key_file: Annotated[Path, typer.Option(help="A file with your wallet's private key in hex.")] = LOCAL_KEY,
    chain_id: Annotated[int, typer.Option(envvar="SAPPHIRE_CHAIN_ID", help="The gateway's chain.")] = 23295,
    ttl: Annotated[
        int, typer.Option(envvar="AUTH_TOKEN_TTL", help="The gateway's token lifetime in seconds.")
    ] = 604_800,
    url: Url = URL,
) -> None:
    """Log in with a wallet: signs a message (no transaction) and keeps the token."""
    client = Client(url)
    granted = client.call("POST", "/auth/login", login=False, json=Wallet.read(private_key_file).login(chain_id, ttl))
    save_token(url, granted["token"])
    hours = round(granted["expiresIn"] / 3600)
    typer.echo(f"Logged in at {url} as {granted['address']}; the token lives for {hours} hours.")


def logout(url: Url = URL) -> None:
    """End the token, here and at the gateway."""
    Client(url).call("POST", "/auth/logout")
    save_token(url, None)
    typer.echo(f"Logged out at {url}.")


def token(url: Url = URL) -> None:
    """Print the token, for other programs."""
    typer.echo(Client(url).token())


@prefs.command("show")
def show_prefs(url: Url = URL, as_json: Json = False) -> None:
    """Show your preferences."""
    _print(Client(url).call("GET", "/user/preferences"), as_json)


@prefs.command("set")
def set_prefs(
    models: Annotated[list[str], typer.Argument(help="Model names, the one you like best first.")],
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Set the models that you want to use."""
    _print(Client(url).call("PUT", "/user/preferences", json={"model_preferences": models}), as_json)


@prefs.command("clear")
def clear_prefs(url: Url = URL, as_json: Json = False) -> None:
    """Forget your models."""
    _print(Client(url).call("PUT", "/user/preferences", json={"model_preferences": None}), as_json)


@prefs.command("pay-with")
def pay_with(
    owner: Annotated[str, typer.Argument(help="The owner's address, or `own`.")], url: Url = URL, as_json: Json = False
) -> None:
    """Choose whose keys pay: your own, or an owner's who made you a delegate."""
    body = {"api_address": None if owner == "own" else owner}
    _print(Client(url).call("PUT", "/user/preferences", json=body), as_json)


def _print(preferences: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(preferences)
        return
    models = preferences["model_preferences"]
    console.print(f"[bold]{preferences['address']}[/bold], keys of {preferences['api_address']}")
    if not isinstance(models, list):
        console.print("No models yet: `ekai prefs set MODEL …`; `ekai models` lists them.")
        return
    for number, name in enumerate(models, 1):
        console.print(f"{number:>3}  {name}", highlight=False)

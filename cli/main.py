"""The `ekai` command: its subcommands, and the one place where errors become a line."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from cli import account, admin, grants, keys, owner, receipts, routes, show, store, walk
from cli.client import CommandError
from cli.config import save_token, saved_token
from cli.run import add_to as add_agents_to
from shared.version import VERSION

app = typer.Typer(
    name="ekai",
    help="Share LLM keys without showing them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
account.add_to(app)
show.add_to(app)
routes.add_to(app)
keys.add_to(app)
owner.add_to(app)
grants.add_to(app)
receipts.add_to(app)
admin.add_to(app)
store.add_to(app)
walk.add_to(app)
add_agents_to(app)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="HOST")] = None,
    port: Annotated[int | None, typer.Option(help="PORT")] = None,
    workers: Annotated[int | None, typer.Option(help="WORKERS")] = None,
) -> None:
    """Run the gateway. Settings come from the environment and .env; see docs/settings.md."""
    import asyncio

    from emulator.local import Local, Place, settle_in, welcome
    from emulator.server import AddressError, run
    from shared.settings import Settings, problems
    from shared.store.opening import StoreError

    for name, value in (("HOST", host), ("PORT", port), ("WORKERS", workers)):
        if value is not None:
            os.environ[name] = str(value)
    try:
        settings = Settings()
    except ValidationError as error:
        raise CommandError(problems(error)) from None

    def announce(place: Place) -> None:
        local: Local | None = None
        if settings.key_source == "env" and settings.loopback:
            local = asyncio.run(settle_in(place, saved_token(place.url)))
            if local.token is not None:
                save_token(place.url, local.token)
        typer.echo(welcome(place, local))

    try:
        run(settings, announce)
    except (AddressError, StoreError) as error:
        raise CommandError(str(error)) from None


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(VERSION)


def run() -> None:
    """The entry point: a problem is one clear line on standard error, and exit 1."""
    try:
        app()
    except CommandError as error:
        _end(str(error))
    except OSError as error:  # a folder that can't be written, a full disk
        place = f": {error.filename}" if error.filename else ""
        _end(f"{error.strerror or error}{place}")


def _end(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    run()

"""`ekai store`: a table made, a whole store moved into another one."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.client import CommandError
from cli.options import console
from shared.errors import GatewayError
from shared.store.copying import CopyError, Side, Sums, copy

_PLACE = "sqlite:PATH or dynamodb:TABLE"

app = typer.Typer(help="Where the gateway keeps its records.", no_args_is_help=True)


def add_to(main: typer.Typer) -> None:
    """Adds these commands."""
    main.add_typer(app, name="store")


@app.command()
def create(place: Annotated[str, typer.Argument(help=_PLACE)]) -> None:
    """Make an empty store: a SQLite file, or a DynamoDB table with its indexes."""
    kind, name = _read(place)
    if kind == "sqlite":
        from shared.store.sqlite_file import prepare

        prepare(name)
    else:
        _make_table(name)
    typer.echo(f"{place} is there.")


@app.command("copy")
def copy_all(
    source: Annotated[str, typer.Option("--from", help=_PLACE)],
    target: Annotated[str, typer.Option("--to", help=f"{_PLACE}; made if it is missing, must be empty.")],
) -> None:
    """Copy everything from one store to another, and compare. Stop the gateway first; run it again if it was interrupted."""
    if _read(source) == _read(target):
        raise CommandError("--from and --to are the same.")
    try:
        _show(asyncio.run(_copied(source, target)))
    except (CopyError, LookupError) as error:
        raise CommandError(str(error)) from None
    except GatewayError as error:
        raise CommandError(f"{error.message} Run the same command again to go on.") from None


async def _copied(source: str, target: str) -> Sums:
    now = int(time.time())
    begin, end = _side(source, now, new=False), _side(target, now, new=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("rows", total=None)
            return await copy(begin, end, lambda done, total: progress.update(task, completed=done, total=total))
    finally:
        await begin.close()
        await end.close()


def _show(sums: Sums) -> None:
    table = Table("", "rows", "amounts", box=None, pad_edge=False)
    for name, (count, *amounts) in sums.items():
        table.add_row(name, f"{count:,}", " ".join(f"{amount:,}" for amount in amounts if amount))
    console.print(table)
    console.print("Both are the same.", style="bold")


def _read(place: str) -> tuple[str, str]:
    kind, _, name = place.partition(":")
    if kind not in ("sqlite", "dynamodb") or not name:
        raise CommandError(f"`{place}` is no store: {_PLACE}.")
    return kind, name


def _side(place: str, now: int, *, new: bool) -> Side:
    kind, name = _read(place)
    if kind == "sqlite":
        from shared.store.copying_sqlite import SqliteSide

        return SqliteSide(name, now, new=new)
    client = _make_table(name) if new else _client()
    from shared.store.copying_dynamo import DynamoSide
    from shared.store.dynamo_client import Table as DynamoTable

    return DynamoSide(DynamoTable(name, client), now)


def _make_table(name: str) -> Any:
    client = _client()
    from botocore.exceptions import BotoCoreError, ClientError

    from shared.store.dynamo_table import create_table

    try:
        create_table(client, name)
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"the DynamoDB table {name} can't be made: {error}") from None
    return client


def _client() -> Any:
    try:
        from shared.store.dynamo_client import connect
    except ImportError:
        raise CommandError("DynamoDB needs boto3: pip install 'ekai-gateway[aws]'") from None
    from botocore.exceptions import BotoCoreError

    try:
        return connect()
    except (BotoCoreError, ValueError) as error:  # no region, an address that is none
        raise CommandError(f"DynamoDB can't be used: {error}") from None

"""`ekai receipts queue` and `requeue`: the gateway's outbox, for its operator. They work on the store that the settings name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from cli.client import CommandError
from cli.options import Json, print_json
from shared.errors import GatewayError
from shared.settings import Settings, problems
from shared.store import Store
from shared.store.opening import StoreError, open_store
from shared.store.outbox import ReceiptState

T = TypeVar("T")

_STATES: tuple[ReceiptState, ...] = ("pending", "sent", "logged", "dead")


def add_to(group: typer.Typer) -> None:
    """Adds these commands."""
    group.command()(queue)
    group.command()(requeue)


def queue(as_json: Json = False) -> None:
    """Count the gateway's receipts by state. For its operator: with its settings, on its machine."""
    counts = _with_store(lambda store: store.receipt_counts())
    if as_json:
        print_json(_all(counts))
    else:
        typer.echo(_told(counts))


def requeue(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Requests, as in `ekai receipts --json`. Without: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put receipts that were given up back into the queue; the running gateway sends them. For its operator, as `queue`.

    Exit code 1 when one that was named isn't dead.
    """
    wanted = list(dict.fromkeys(ids)) if ids else None
    number, counts = _with_store(lambda store: _requeued(store, wanted))
    if as_json:
        print_json({"requeued": number, **_all(counts)})
    else:
        typer.echo(f"{number:,} back in the queue. Now {_told(counts)}.")
    if wanted and number < len(wanted):
        typer.echo(f"error: {len(wanted) - number:,} of {len(wanted):,} are not dead, or unknown.", err=True)
        sys.exit(1)


async def _requeued(store: Store, ids: Sequence[str] | None) -> tuple[int, Mapping[ReceiptState, int]]:
    number = await store.requeue_dead(ids)
    return number, await store.receipt_counts()


def _with_store(work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    """What comes of it. Raises CommandError where there is no store: none is made here."""
    try:
        settings = Settings()
    except ValidationError as error:
        raise CommandError(problems(error)) from None
    if settings.store == "sqlite" and not Path(settings.database_path).is_file():
        raise CommandError(f"There is no database at {settings.database_path} (DATABASE_PATH).")
    try:
        return asyncio.run(_done(settings, work))
    except (StoreError, LookupError) as error:
        raise CommandError(str(error)) from None
    except GatewayError as error:
        raise CommandError(f"the store can't be used: {error.message}") from None


async def _done(settings: Settings, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
    store = open_store(settings)
    try:
        return await work(store)
    finally:
        await store.close()


def _all(counts: Mapping[ReceiptState, int]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in _STATES}


def _told(counts: Mapping[ReceiptState, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in _all(counts).items())

"""`ekai grants`: what you, as an owner of keys, allow each delegate."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from cli.client import Client
from cli.options import URL, Json, Url, console, money, print_json

grants = typer.Typer(
    help="Caps for those who use your keys: money, pace, models, providers, time.", no_args_is_help=True
)
Delegate = Annotated[str, typer.Argument(help="The delegate's address, or * for everybody together.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(grants, name="grants")


@grants.command("list")
def list_grants(url: Url = URL, as_json: Json = False) -> None:
    """List your grants and what was spent of them."""
    _print(Client(url).call("GET", "/user/grants"), as_json)


@grants.command("set")
def set_grant(
    delegate: Delegate,
    daily: Annotated[float | None, typer.Option(help="Dollars a day (UTC).")] = None,
    weekly: Annotated[float | None, typer.Option(help="Dollars a week, from Monday on.")] = None,
    monthly: Annotated[float | None, typer.Option(help="Dollars a month.")] = None,
    per_minute: Annotated[int | None, typer.Option(help="Requests a minute.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="An allowed model; may be repeated.")] = None,
    provider: Annotated[list[str] | None, typer.Option(help="An allowed provider; may be repeated.")] = None,
    expires: Annotated[str | None, typer.Option(help="Until when (RFC 3339).")] = None,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Set a grant whole: what isn't named has no limit of yours."""
    wish: dict[str, Any] = {
        "dailyUsd": daily, "weeklyUsd": weekly, "monthlyUsd": monthly, "requestsPerMinute": per_minute,
        "models": model or None, "providers": provider or None, "expiresAt": expires,
    }  # fmt: skip
    _print(Client(url).call("PUT", "/user/grants", json={"grants": {delegate: wish}}), as_json)


@grants.command("remove")
def remove_grant(delegate: Delegate, url: Url = URL, as_json: Json = False) -> None:
    """Take a grant away: only the chain's permissions are left."""
    _print(Client(url).call("PUT", "/user/grants", json={"grants": {delegate: None}}), as_json)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(
        "delegate", "day", "week", "month", "a minute", "models", "providers", "until", box=None, pad_edge=False
    )
    for delegate, grant in found["grants"].items():
        caps = [_cap(grant, window) for window in ("daily", "weekly", "monthly")]
        lists = [", ".join(grant[name]) if grant[name] is not None else "all" for name in ("models", "providers")]
        table.add_row(delegate, *caps, str(grant["requestsPerMinute"] or "–"), *lists, grant["expiresAt"] or "–")
    console.print(table)


def _cap(grant: dict[str, Any], window: str) -> str:
    cap = grant[f"{window}Usd"]
    return "–" if cap is None else f"{money(grant['spentUsd'][window])} of {money(cap)}"

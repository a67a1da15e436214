"""`ekai route`: which provider would serve a request, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli.client import Client, CommandError
from cli.options import URL, Json, Url, console, money, print_json


def add_to(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(route)


def route(
    model: Annotated[str, typer.Argument(help="The model that you would ask for.")],
    body: Annotated[Path | None, typer.Option(help="A request's JSON; without it, a short question.")] = None,
    endpoint: Annotated[str, typer.Option(help="chat_completions, messages or responses.")] = "",
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show which provider would serve a request, and why. Nothing is sent to any."""
    asked = _read(body) if body else {"messages": [{"role": "user", "content": "Hello"}]}
    found = Client(url).call("POST", "/v1/route", params={"endpoint": endpoint}, json={**asked, "model": model})
    if as_json:
        print_json(found)
        return
    table = Table("", "provider", "id", "over", "may cost", "why", box=None, pad_edge=False)
    for row in found["routes"]:
        over = f"{row['endpoint']}{'' if row['native'] else ' (translated)'}" if "endpoint" in row else ""
        cost = money(row.get("estimated_cost_usd"))
        table.add_row("→" if row["taken"] else "", row["provider"], row["id"], over, cost, row["reason"])
    served = f", instead of {found['requested']}" if found["substituted"] else ""
    console.print(f"[bold]{found['model']}[/bold]{served}", highlight=False)
    console.print(table)


def _read(file: Path) -> dict[str, object]:
    try:
        body = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} can't be read as JSON: {error}") from None
    if not isinstance(body, dict):
        raise CommandError(f"{file} does not hold a JSON object.")
    return body

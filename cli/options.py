"""Options that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.config import DEFAULT_URL

Url = Annotated[str, typer.Option("--url", envvar="EKAI_URL", help="The gateway's address.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
URL = DEFAULT_URL

console = Console()


def print_json(value: Any) -> None:
    """JSON for other programs."""
    typer.echo(json.dumps(value, indent=2))


def money(value: float | None) -> str:
    """Dollars for a table."""
    return "–" if value is None else f"${value:,.6f}"

"""Options that several commands share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cli.config import DEFAULT_URL

Url = Annotated[str, typer.Option("--url", envvar="EKAI_URL", help="The gateway's address.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
URL = DEFAULT_URL

KeyFile = Annotated[
    Path, typer.Option("--private-key-file", help="A file with your wallet's private key in hex; it pays for gas.")
]
RpcUrl = Annotated[str | None, typer.Option("--rpc-url", help="SAPPHIRE_RPC_URL")]
Contract = Annotated[str | None, typer.Option("--contract", help="EKAI_CONTROL_PLANE_ADDRESS")]
ChainId = Annotated[int | None, typer.Option("--chain-id", help="SAPPHIRE_CHAIN_ID")]
ProviderName = Annotated[str, typer.Argument(help="As in `ekai models`: openai, anthropic …")]
MaybeProvider = Annotated[str | None, typer.Argument(help="Only this one.")]
Owner = Annotated[str | None, typer.Option("--owner", help="Whose. Without it: the wallet in --private-key-file.")]

console = Console()


def print_json(value: Any) -> None:
    """JSON for other programs."""
    typer.echo(json.dumps(value, indent=2))


def money(value: float | None) -> str:
    """Dollars for a table."""
    return "–" if value is None else f"${value:,.6f}"

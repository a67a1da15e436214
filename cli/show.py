"""What there is and what it cost: models, usage."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.client import Client, CommandError
from cli.config import saved_token
from cli.options import URL, Json, Url, console, money, print_json

_GROUPS = {"model": "costByModel", "provider": "costByProvider", "delegate": "costByDelegate", "day": "costByDay"}
_BAR = 40


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(models)
    app.command()(usage)


def models(
    search: Annotated[str, typer.Argument(help="Part of a name.")] = "",
    provider: Annotated[str, typer.Option(help="Only models of this provider.")] = "",
    mine: Annotated[bool, typer.Option(help="Only your preferences.")] = False,
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """List the models that the gateway serves."""
    query = {name: value for name, value in (("search", search), ("provider", provider)) if value}
    found = Client(url).call("GET", "/v1/models", login=mine, params=query)
    if not isinstance(found.get("data"), list):
        raise CommandError(f"What answers at {url} lists no models.")
    if as_json:
        print_json(found)
        return
    table = Table("model", "context", "output", "providers", "native APIs", box=None, pad_edge=False)
    for model in found["data"]:
        table.add_row(
            _plain(str(model.get("id"))),
            _size(model.get("context_length")),  # other servers that speak OpenAI's API list ids alone
            _size(model.get("max_output_tokens")),
            ", ".join(model.get("providers", ())),
            ", ".join(model.get("endpoints", ())),
        )
    console.print(table)
    console.print(f"{found.get('total', len(found['data']))} models", style="dim")


def _plain(text: str) -> str:
    """What others wrote, fit for a terminal: no control sequences and no markup."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))


def _size(tokens: int | None) -> str:
    return "–" if tokens is None else f"{tokens:,}"


def usage(
    scope: Annotated[str, typer.Option(help="me, public or all.")] = "me",
    start: Annotated[str, typer.Option(help="From this time on (RFC 3339).")] = "",
    end: Annotated[str, typer.Option(help="Up to this time (RFC 3339).")] = "",
    limit: Annotated[int, typer.Option(help="How many requests to list.")] = 20,
    by: Annotated[str, typer.Option(help="Sum up by model, provider, delegate or day, as a chart.")] = "",
    url: Url = URL,
    as_json: Json = False,
) -> None:
    """Show what you used and what it cost (the last 7 days, unless you say otherwise)."""
    if by and by not in _GROUPS:
        raise CommandError(f"--by takes {', '.join(_GROUPS)}.")
    query = {"scope": scope, "startTime": start, "endTime": end, "limit": limit}
    login = scope != "public" or saved_token(url) is not None
    found = Client(url).call("GET", "/usage", login=login, params={key: value for key, value in query.items() if value})
    if as_json:
        print_json(found)
        return
    if by:
        console.print(_chart(found.get(_GROUPS[by], {})))
    else:
        console.print(_requests(found["records"]))
    console.print(
        f"{found['totalRequests']:,} requests, {found['totalTokens']:,} tokens, {money(found['totalCost'])}",
        style="bold",
    )


def _chart(costs: dict[str, float]) -> Table:
    """A bar for each group, the days in their order, all else by cost."""
    table = Table("", "cost", "", box=None, pad_edge=False, show_header=False)
    most = max(costs.values(), default=0.0) or 1.0
    dated = all(len(name) == len("2026-11-24") and name[4] == "-" for name in costs)
    for name, cost in costs.items() if dated else sorted(costs.items(), key=lambda item: -item[1]):
        table.add_row(name, money(cost), "█" * round(_BAR * cost / most))
    return table


def _requests(records: list[dict[str, Any]]) -> Table:
    table = Table("time", "model", "provider", "outcome", "in", "cached", "out", "cost", "ms", box=None, pad_edge=False)
    for record in records:
        table.add_row(
            record["timestamp"].replace("T", " ")[:19],
            _plain(record["model"] or record["model_requested"]),
            record["provider"],
            record["outcome"],
            f"{record['input_tokens']:,}",
            f"{record['cache_read_input_tokens']:,}",
            f"{record['output_tokens']:,}",
            money(record["total_cost"]),
            f"{record['duration_ms']:,}",
        )
    return table

"""`ekai receipts`: what stands on chain of your requests, compared with what the gateway says of them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from cli import outbox
from cli.client import Client, CommandError
from cli.onchain import ControlPlane, RefusedError, at_once
from cli.options import URL, ChainId, Contract, Json, RpcUrl, Url, console, print_json
from cli.place import place
from shared.chain import checksum_address, model_ids, provider_id
from shared.receipts import hash_of

State = Literal["matched", "pending", "missing", "differing"]

_MOST_TOKENS = (1 << 32) - 1
_UNDER_WAY = ("pending", "sent")
_GIVEN_UP = "dead"
_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Compared:
    """One request: what the gateway has written down, and what of it stands on chain.

    `matched`: the same. `pending`: on its way. `missing`: not on chain, and nothing is on its way. `differing`: on chain, with
    the `differences`. `gateway` and `error` are the gateway's own word on the receipt.
    """

    request_id: str
    request_hash: str
    timestamp: str
    provider: str
    model: str
    caller: str
    owner: str
    prompt_tokens: int
    completion_tokens: int
    state: State
    block: int | None
    transaction: str | None
    differences: tuple[str, ...]
    gateway: str
    error: str | None


def add_to(app: typer.Typer) -> None:
    """Adds this command, and the operator's below it."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(receipts)
    outbox.add_to(group)
    app.add_typer(group, name="receipts")


def receipts(
    context: typer.Context,
    start: Annotated[str, typer.Option(help="From this time on (RFC 3339).")] = "",
    end: Annotated[str, typer.Option(help="Up to this time (RFC 3339).")] = "",
    limit: Annotated[int, typer.Option(help="How many requests to look up, the newest first.")] = 100,
    url: Url = URL,
    rpc_url: RpcUrl = None,
    contract: Contract = None,
    chain_id: ChainId = None,
    as_json: Json = False,
) -> None:
    """Look up the receipts of your requests on chain, and compare them with the gateway's rows.

    Your requests are those that you made, and those that were made with your keys. Exit code 1 when a receipt is missing
    or differs.
    """
    if context.invoked_subcommand is not None:
        return
    query = {"scope": "me", "startTime": start, "endTime": end, "limit": limit}
    found = Client(url).call("GET", "/usage", params={name: value for name, value in query.items() if value})
    plane = ControlPlane(place(rpc_url, contract, chain_id))
    compared = compare(plane, found["records"])
    counts = count(compared)
    if as_json:
        print_json({**counts, "receipts": [asdict(one) for one in compared]})
    else:
        _print(compared, counts, len(found["records"]), found["totalRequests"])
    if counts["missing"] or counts["differing"]:
        sys.exit(1)


def compare(plane: ControlPlane, records: Sequence[Mapping[str, Any]]) -> list[Compared]:
    """The records of `GET /usage?scope=me` that should have a receipt, each with what the chain says of it."""
    expected = [record for record in records if record.get("request_hash")]
    logged = find(plane, expected)
    return [judge(record, logged.get(record["request_hash"])) for record in expected]


def count(compared: Sequence[Compared]) -> dict[str, int]:
    """How many there are in each state."""
    counted = Counter(one.state for one in compared)
    return {state: counted[state] for state in ("matched", "pending", "missing", "differing")}


def find(plane: ControlPlane, records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The receipts of these records on chain, by their hashes."""
    wanted = [record["request_hash"] for record in records]
    if not wanted:
        return {}
    try:
        blocks = dict(
            zip(wanted, plane.read_all([("receiptBlock", bytes.fromhex(one[2:])) for one in wanted]), strict=True)
        )
    except RefusedError:  # contracts before ours tell no block: what is left is the gateway's word for the transaction
        transactions = {record["receipt_tx"] for record in records if record.get("receipt_tx")}
        return _by_hash(at_once(plane.receipts_of, sorted(transactions)), wanted)
    logged = _by_hash(at_once(plane.receipts_in, sorted(set(blocks.values()) - {0})), wanted)
    for hash_, block in blocks.items():
        if block and hash_ not in logged:
            raise CommandError(
                f"The node knows that receipt {hash_} stands in block {block}, but doesn't show it. Try again."
            )
    return logged


def _by_hash(groups: Sequence[Sequence[dict[str, Any]]], wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    logged = {f"0x{one['requestHash'].hex()}": one for group in groups for one in group}
    return {hash_: logged[hash_] for hash_ in wanted if hash_ in logged}


def judge(record: Mapping[str, Any], logged: Mapping[str, Any] | None) -> Compared:
    """One record against its receipt."""
    expected = _expected(record)
    differences = _differences(record, expected, logged) if logged else ()
    state: State = "differing" if differences else "matched"
    if logged is None:
        state = "pending" if record["receipt"] in _UNDER_WAY else "missing"
    return Compared(
        request_id=record["request_id"],
        request_hash=record["request_hash"],
        timestamp=record["timestamp"],
        provider=record["provider"],
        model=record["model"],
        caller=record["caller"],
        owner=record["owner"],
        prompt_tokens=expected["promptTokens"],
        completion_tokens=expected["completionTokens"],
        state=state,
        block=logged["block"] if logged else None,
        transaction=logged["transaction"] if logged else None,
        differences=differences,
        gateway=record["receipt"],
        error=record.get("receipt_error"),
    )


def _expected(record: Mapping[str, Any]) -> dict[str, Any]:
    """The event's fields, as they follow from the gateway's row."""
    prompt = sum(record[name] for name in ("input_tokens", "cache_read_input_tokens", "cache_write_input_tokens"))
    return {
        "owner": checksum_address(record["owner"]),
        "delegate": checksum_address(record["caller"]),
        "providerId": provider_id(record["provider"]),
        "modelId": model_ids(record["model"])[2],
        "promptTokens": min(prompt, _MOST_TOKENS),
        "completionTokens": min(record["output_tokens"], _MOST_TOKENS),
    }


def _differences(record: Mapping[str, Any], expected: Mapping[str, Any], logged: Mapping[str, Any]) -> tuple[str, ...]:
    found = [
        f"{name}: {_told(logged[name])} on chain, {_told(value)} here"
        for name, value in expected.items()
        if logged[name] != value
    ]
    # The hash binds the receipt to the row: it covers the request's id and time, which stand nowhere else on chain.
    if record["request_hash"] != _hash(record):
        found.append("requestHash: not the one that follows from the row")
    return tuple(found)


def _hash(record: Mapping[str, Any]) -> str:
    at = round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000)
    who = record["owner"], record["caller"]
    return "0x" + hash_of(record["request_id"], *who, record["provider"], record["model"], at).hex()


def _told(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else f"{value:,}" if isinstance(value, int) else str(value)


def _print(compared: Sequence[Compared], counts: Mapping[str, int], shown: int, total: int) -> None:
    table = Table("time", "request", "model", "in", "out", "receipt", "block", "", box=None, pad_edge=False)
    for one in compared:
        note = "; ".join(one.differences) or (one.error or "" if one.state != "matched" else "")
        table.add_row(
            one.timestamp.replace("T", " ")[:19],
            one.request_id[:_SHOWN],
            one.model,
            f"{one.prompt_tokens:,}",
            f"{one.completion_tokens:,}",
            one.state,
            "–" if one.block is None else str(one.block),
            note,
        )
    if compared:
        console.print(table)
    console.print(", ".join(f"{number:,} {state}" for state, number in counts.items()), style="bold", highlight=False)
    if dead := sum(one.state == "missing" and one.gateway == _GIVEN_UP for one in compared):
        console.print(
            f"{dead:,} of the missing were given up; the gateway's operator sends them again: `ekai receipts requeue`.",
            style="dim",
            highlight=False,
        )
    if without := shown - len(compared):
        console.print(
            f"{without:,} requests have no receipt: they used no tokens, or receipts are off.",
            style="dim",
            highlight=False,
        )
    if total > shown:
        console.print(f"These are the newest {shown:,} of {total:,} requests: --limit shows more.", style="dim")

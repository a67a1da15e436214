"""Usage as people read it: which rows a query means, and their form in JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from shared.canonical import Json
from shared.chain import checksum_address
from shared.errors import invalid
from shared.metering import dollars, exact_dollars
from shared.store import Scope, Totals, UsageQuery, UsageRow

_WEEK_MS = 7 * 86_400_000
_DEFAULT_ROWS = 1000
_MOST_ROWS = 100_000
_CSV = (
    "request_id", "provider", "model", "timestamp", "input_tokens", "cache_write_input_tokens", "cache_read_input_tokens",
    "output_tokens", "total_tokens", "input_cost_usd", "cache_write_cost_usd", "cache_read_cost_usd", "output_cost_usd",
    "total_cost_usd",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """A query, and how its answer is shown."""

    query: UsageQuery
    scope: Scope
    zone: tzinfo
    csv: bool


def read_report(query: Mapping[str, str], scope: Scope, who: str | None, now: float) -> Report:
    """From the query string. Times are RFC 3339; one without an offset is meant in `timezone`. Raises VALIDATION_ERROR."""
    zone = _zone(query.get("timezone") or "UTC")
    end = _time(query, "endTime", zone, int(now * 1000) + 1000)
    start = _time(query, "startTime", zone, max(end - _WEEK_MS, 0))
    if start >= end:
        raise invalid("`startTime` must be before `endTime`.", "startTime")
    form = query.get("format", "json")
    if form not in ("json", "csv"):
        raise invalid("`format` may be `json` or `csv`.", "format")
    asked = UsageQuery(start, end, who, _limit(query.get("limit")), with_strangers=scope == "all")
    return Report(asked, scope, zone, form == "csv")


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, a path, a folder
        raise invalid("`timezone` must be an IANA name such as `Europe/Berlin` or `UTC`.", "timezone") from None


def _time(query: Mapping[str, str], name: str, zone: tzinfo, default: int) -> int:
    """Milliseconds since 1970, which nothing comes before."""
    text = query.get(name)
    if not text:
        return default
    try:  # a blank is a plus sign that the query string decoded
        moment = datetime.fromisoformat(text.upper().replace(" ", "+"))
    except ValueError:
        raise invalid(f"`{name}` must be a time in RFC 3339, such as 2026-11-24T00:00:00Z.", name) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return max(int(moment.timestamp() * 1000), 0)


def _limit(text: str | None) -> int:
    if text is None:
        return _DEFAULT_ROWS
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= _MOST_ROWS:
        raise invalid(f"`limit` must be between 1 and {_MOST_ROWS}.", "limit")
    return int(text)


def write_report(totals: Totals, rows: Sequence[UsageRow], report: Report) -> Json:
    """The contract's form, in dollars."""
    report_body: Json = {
        "totalRequests": totals.requests,
        "totalCost": dollars(totals.cost),
        "totalTokens": totals.tokens,
        "costByProvider": {name: dollars(cost) for name, cost in totals.by_provider.items()},
        "costByModel": {name: dollars(cost) for name, cost in totals.by_model.items()},
        "costByDay": {day: dollars(cost) for day, cost in _by_day(totals, report.zone).items()},
        "records": [_record(row, report) for row in rows],
    }
    if report.scope != "public":
        callers = totals.by_caller.items()
        report_body["costByDelegate"] = {checksum_address(caller): dollars(cost) for caller, cost in callers if caller}
    return report_body


def _by_day(totals: Totals, zone: tzinfo) -> dict[str, int]:
    """Sums by the days of the reader's time zone."""
    days: dict[str, int] = {}
    for begun, cost in sorted(totals.by_time.items()):
        day = datetime.fromtimestamp(begun / 1000, zone).strftime("%Y-%m-%d")
        days[day] = days.get(day, 0) + cost
    return days


def _record(row: UsageRow, report: Report) -> Json:
    tokens, cost = row.tokens, row.cost
    record: Json = {
        "id": row.id,
        "request_id": row.id,
        "provider": row.provider,
        "model": row.model,
        "model_requested": row.model_requested,
        "timestamp": _stamp(row, report.zone),
        "api": row.api,
        "stream": row.stream,
        "outcome": row.outcome,
        "status": row.status,
        "error": row.error or None,
        "input_tokens": tokens.input,
        "cache_write_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cache_read,
        "output_tokens": tokens.output,
        "reasoning_tokens": tokens.reasoning,
        "total_tokens": tokens.total,
        "estimated": row.estimated,
        "input_cost": dollars(cost.input) if cost else None,
        "cache_write_cost": dollars(cost.cache_write) if cost else None,
        "cache_read_cost": dollars(cost.cache_read) if cost else None,
        "output_cost": dollars(cost.output) if cost else None,
        "fees": dollars(cost.fees) if cost else None,
        "total_cost": dollars(cost.total) if cost else None,
        "provider_cost": dollars(row.provider_cost),
        "currency": "USD",
        "duration_ms": row.duration_ms,
        "first_byte_ms": row.first_byte_ms,
        "attempts": row.attempts,
        "created_at": _stamp(row, report.zone),
    }
    if report.scope != "public":
        record["caller"] = checksum_address(row.caller) if row.caller else None
        record["owner"] = checksum_address(row.owner) if row.owner else None
        record["request_hash"] = row.request_hash or None
        record |= _receipt(row)
    return record


def _receipt(row: UsageRow) -> Json:
    """How far the receipt has come: none, pending, sent, logged or dead; in which transaction, and what stood in its way."""
    if row.receipt is None:
        return {"receipt": "none", "receipt_tx": None, "receipt_error": None}
    found = row.receipt
    return {"receipt": found.state, "receipt_tx": found.tx_hash or None, "receipt_error": found.error or None}


def _stamp(row: UsageRow, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(row.at / 1000, zone)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_csv(rows: Sequence[UsageRow], report: Report) -> str:
    """The contract's columns; costs are exact decimals, empty where there is no price."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for row in rows:
        tokens, cost = row.tokens, row.cost
        costs = (cost.input, cost.cache_write, cost.cache_read, cost.output, cost.total) if cost else (None,) * 5
        counts = (tokens.input, tokens.cache_write, tokens.cache_read, tokens.output, tokens.total)
        shown = ("" if nano is None else exact_dollars(nano) for nano in costs)
        writer.writerow((row.id, _safe(row.provider), _safe(row.model), _stamp(row, report.zone), *counts, *shown))
    return out.getvalue()


def _safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text

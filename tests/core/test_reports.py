"""What a usage query means, and how usage is shown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chain import checksum_address
from shared.errors import Code, GatewayError
from shared.reports import Report, read_report, write_csv, write_report
from shared.store import Cost, Tokens, Totals, UsageRow

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
HEADER = (
    "request_id,provider,model,timestamp,input_tokens,cache_write_input_tokens,cache_read_input_tokens,output_tokens,"
    "total_tokens,input_cost_usd,cache_write_cost_usd,cache_read_cost_usd,output_cost_usd,total_cost_usd"
)
OWNER, CALLER = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8", "0x" + "ab" * 20
ROW = UsageRow(
    "0" * 32, int(NOW * 1000) + 7, "messages", "complete", 200, CALLER, OWNER, "anthropic", "claude", "sonnet", True,
    Tokens(10, 20, 3, 4, 50, 5), Cost(1, 22, 333, 4_444, 0), None, False, 900, 100, 1,
)  # fmt: skip


def report(scope: Any = "public", who: str | None = None, **query: str) -> Report:
    return read_report(query, scope, who, NOW)


def span(**query: str) -> tuple[datetime, datetime]:
    found = report(**query).query
    return datetime.fromtimestamp(found.start / 1000, UTC), datetime.fromtimestamp(found.end / 1000, UTC)


def test_the_last_seven_days_up_to_this_very_moment() -> None:
    start, end = span()
    assert end - start == timedelta(days=7)
    assert end.timestamp() > NOW
    assert report().query.limit == 1000


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-11-20T00:00:00Z", "", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T00:00:00+02:00", "", "2026-11-19T22:00:00+00:00"),
        ("2026-11-20T00:00:00 02:00", "", "2026-11-19T22:00:00+00:00"),  # a plus that became a blank
        ("2026-11-20T00:00:00", "", "2026-11-20T00:00:00+00:00"),
        ("2026-11-20T00:00:00", "Europe/Berlin", "2026-11-19T23:00:00+00:00"),
        ("2026-11-20T00:00:00Z", "Europe/Berlin", "2026-11-20T00:00:00+00:00"),
        ("2026-07-20T00:00:00", "Europe/Berlin", "2026-07-19T22:00:00+00:00"),
        ("2026-11-20", "America/New_York", "2026-11-20T05:00:00+00:00"),
        ("2026-11-20T01:02:03.456789Z", "", "2026-11-20T01:02:03.456000+00:00"),
        ("2026-11-20 01:02:03", "", "2026-11-20T01:02:03+00:00"),
        ("2026-11-20t01:02:03z", "", "2026-11-20T01:02:03+00:00"),
        ("1969-01-01T00:00:00Z", "", "1970-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00", "Asia/Tokyo", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_times(text: str, zone: str, expected: str) -> None:
    assert span(startTime=text, timezone=zone)[0].isoformat() == expected


@pytest.mark.parametrize(
    "query",
    [
        {"startTime": "yesterday"},
        {"startTime": "2026-13-01"},
        {"endTime": "1732406400"},
        {"startTime": "2026-11-24T00:00:00Z", "endTime": "2026-11-23T00:00:00Z"},
        {"startTime": "2026-11-24T00:00:00Z", "endTime": "2026-11-24T00:00:00Z"},
        {"endTime": "0001-01-03T00:00:00Z"},
        {"endTime": "0001-01-01T00:00:00+14:00"},
        {"startTime": "2126-01-01T00:00:00Z"},
        {"timezone": "Mars/Phobos"},
        {"timezone": "../../etc/passwd"},
        {"timezone": "/etc/passwd"},
        {"timezone": "../zoneinfo/UTC"},
        {"timezone": "Europe"},
        {"timezone": "Europe/Berlin\0"},
        {"timezone": "ü"},
        {"timezone": "x" * 5000},
        {"timezone": "."},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "100001"},
        {"limit": "many"},
        {"limit": ""},
        {"limit": "1e3"},
        {"limit": "٣"},
        {"limit": "0" * 10 + "7"},
        {"limit": "0" * 5000},
        {"format": "xml"},
    ],
    ids=lambda query: str(query)[:50],
)
def test_what_is_wrong_is_told(query: Mapping[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        read_report(query, "public", None, NOW)
    assert caught.value.code is Code.VALIDATION_ERROR
    assert caught.value.param in {*query, "startTime"}
    assert len(caught.value.message) < 200


@given(st.dictionaries(st.sampled_from(["startTime", "endTime", "timezone", "limit", "format"]), st.text(max_size=40)))
def test_any_text_is_understood_or_refused(query: dict[str, str]) -> None:
    with suppress(GatewayError):
        found = read_report(query, "public", None, NOW).query
        assert 0 <= found.start < found.end


@given(st.datetimes(), st.datetimes(), st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Adak", "Europe/Dublin"]))
def test_any_two_moments(start: datetime, end: datetime, zone: str) -> None:
    for query in ({"startTime": start.isoformat(), "endTime": end.isoformat()}, {"endTime": end.isoformat()}):
        with suppress(GatewayError):
            found = read_report({**query, "timezone": zone}, "public", None, NOW).query
            assert 0 <= found.start < found.end < 2**63


def test_csv_to_the_letter() -> None:
    text = write_csv([ROW, replace(ROW, cost=None)], report(timezone="Asia/Kolkata"))
    header, first, second, end = text.split("\n")
    assert (header, end) == (HEADER, "")
    stamp = "2026-11-24T17:30:00.007+05:30"
    assert first == (
        f"{'0' * 32},anthropic,claude,{stamp},10,7,20,50,87,0.000000001,0.000000333,0.000000022,0.000004444,0.0000048"
    )
    assert second == f"{'0' * 32},anthropic,claude,{stamp},10,7,20,50,87,,,,,"


def test_csv_of_nothing_is_its_header() -> None:
    assert write_csv([], report()) == HEADER + "\n"


names = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40)


@given(names, names)
def test_any_name_survives_csv_and_none_is_a_formula(model: str, provider: str) -> None:
    made = write_csv([replace(ROW, model=model, provider=provider)], report())
    [_, row] = csv.reader(io.StringIO(made, newline=""))
    assert row[2] in (model, f"'{model}")
    assert not row[2].startswith(("=", "+", "-", "@"))
    assert not row[1].startswith(("=", "+", "-", "@"))


def test_json() -> None:
    night = {1_795_476_600_000: 4_000, 1_795_478_400_000: 5_600}  # half an hour before midnight UTC, and midnight
    totals = Totals(2, 174, 9_600, {"anthropic": 9_600}, {"claude": 9_600}, {CALLER: 9_600}, night)
    shown = write_report(totals, [ROW], report())
    [record] = shown.pop("records")
    assert shown == {
        "totalRequests": 2,
        "totalCost": 0.0000096,
        "totalTokens": 174,
        "costByProvider": {"anthropic": 0.0000096},
        "costByModel": {"claude": 0.0000096},
        "costByDay": {"2026-11-23": 0.000004, "2026-11-24": 0.0000056},
    }
    mine = write_report(totals, [ROW], replace(report("me", CALLER), zone=ZoneInfo("Asia/Tokyo")))
    assert mine["costByDay"] == {"2026-11-24": 0.0000096}
    assert mine["costByDelegate"] == {checksum_address(CALLER): 0.0000096}
    assert record["timestamp"] == "2026-11-24T12:00:00.007Z"
    assert (record["total_tokens"], record["total_cost"]) == (87, 0.0000048)


@pytest.mark.parametrize("scope", ["public", "me", "all"])
def test_addresses_only_for_those_whom_they_concern(scope: Any) -> None:
    [record] = write_report(Totals(), [ROW], report(scope, CALLER))["records"]
    text = str(record).lower()
    if scope == "public":
        assert OWNER[2:] not in text
        assert CALLER[2:] not in text
        assert "receipt" not in text
        return
    assert record["caller"] == checksum_address(CALLER)
    assert record["owner"] == checksum_address(OWNER)
    assert record["receipt"] == "none"


def test_no_price_is_null_and_not_zero() -> None:
    [record] = write_report(Totals(), [replace(ROW, cost=None)], report())["records"]
    costs = ("input_cost", "cache_read_cost", "cache_write_cost", "output_cost", "fees", "total_cost")
    assert [record[name] for name in costs] == [None] * 6


def test_strangers_are_for_the_operator_alone() -> None:
    assert report("all").query.with_strangers
    assert not report("public").query.with_strangers
    assert not report("me", CALLER).query.with_strangers
    assert report("me", CALLER).query.who == CALLER

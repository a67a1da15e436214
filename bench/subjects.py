"""What is compared with what: one table for each subject, of rows (a case at a target) and columns (a figure)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench import cases
from bench.cases import Case
from bench.figures import Results, Run, Spread
from bench.load import SLACK

EKAI, BUDGETS = "ekai", "budgets"
PEERS = ("portkey", "litellm")  # claude-code-router takes Messages only
ALL = ("direct", "nginx", EKAI, BUDGETS, *PEERS)
VARIANTS = (EKAI, BUDGETS, "unrecorded", "warm", "cold", "dynamodb")


@dataclass(frozen=True, slots=True)
class Row:
    """A case at a target. Where a table's rows are of several cases, their names tell them apart."""

    case: Case
    target: str


@dataclass(frozen=True, slots=True)
class Column:
    """A figure. `over`: the row whose median it is divided by; `less`: the row whose median is taken off."""

    title: str
    figure: Callable[[Run], float]
    form: str = "{:,.0f}"
    over: Callable[[Row], Row] | None = None
    less: Callable[[Row], Row] | None = None

    def spread(self, results: Results, row: Row) -> Spread | None:
        """Its values of all rounds; None where the row or the one that it is compared with wasn't measured."""
        found = results.figure(row.case, row.target, self.figure)
        for other, work in ((self.over, _divided), (self.less, _less)):
            if found is None or other is None:
                continue
            base = other(row)
            against = results.figure(base.case, base.target, self.figure)
            found = work(found, against.median) if against is not None else None
        return found


def _divided(spread: Spread, by: float) -> Spread | None:
    return Spread([value / by for value in spread.values]) if by else None


def _less(spread: Spread, off: float) -> Spread:
    return Spread([value - off for value in spread.values])


@dataclass(frozen=True, slots=True)
class Subject:
    """A table to be: its rows in their order, what its first column shows, and a sentence or two about it."""

    title: str
    note: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    by_case: bool = False


def at(target: str) -> Callable[[Row], Row]:
    """The same case at another target."""
    return lambda row: Row(row.case, target)


def alone(row: Row) -> Row:
    """The shortest way: a chat request over one connection, without anything between."""
    return Row(cases.FIRST_WORD if row.case.stream else cases.ONE, "direct")


def passed(row: Row) -> Row:
    """What the client's own dialect costs at the same target."""
    return Row(replace(row.case, upstream=row.case.client), row.target)


RATE = Column("requests/s", lambda run: run.rate)
STREAMS = Column("streams/s", lambda run: run.rate)
P50 = Column("p50 ms", lambda run: run.p50, "{:,.2f}")
P99 = Column("p99 ms", lambda run: run.p99, "{:,.2f}")
ADDED = Column("added ms", lambda run: run.p50, "{:,.2f}", less=alone)
FIRST = Column("first word ms", lambda run: run.first_word, "{:,.2f}")
FIRST_ADDED = Column("added ms", lambda run: run.first_word, "{:,.2f}", less=alone)
CPU = Column("CPU µs", lambda run: run.cpu)
BUSY = Column("cores busy", lambda run: run.busy, "{:.2f}")
ON_PACE = Column("on pace", lambda run: run.on_pace, "{:.1%}")
FAILED = Column("failed", lambda run: run.failures)
TO_NGINX = Column("CPU × nginx", lambda run: run.cpu, "{:,.1f}", over=at("nginx"))
TO_EKAI = Column("CPU × Ekai", lambda run: run.cpu, "{:,.2f}", over=at(EKAI))
TO_PASSED = Column("CPU × passed on", lambda run: run.cpu, "{:,.2f}", over=passed)
RATE_TO_NGINX = Column("rate × nginx", lambda run: run.rate, "{:,.2f}", over=at("nginx"))
UNSHARED = Column("unshared", lambda run: run.unshared)
TWICE = Column("unshared × 1 worker", lambda run: run.unshared, "{:,.2f}", over=at("one"))
LOAD = Column("the load's cores", lambda run: run.load, "{:.2f}")


def _each(case: Case, targets: Sequence[str]) -> list[Row]:
    return [Row(case, target) for target in targets]


def subjects() -> Iterator[Subject]:
    """All tables of `make bench`."""
    yield Subject(
        "Whole replies, 64 connections",
        "Chat completions, passed on. `cores busy` below 1 says that the load was the limit, not the target: then CPU counts.",
        _each(cases.WHOLE, ALL), (RATE, P50, P99, CPU, TO_NGINX, TO_EKAI, BUSY, FAILED),
    )  # fmt: skip
    yield Subject(
        "Whole replies, 1 connection",
        "Added: the median over that of the direct call.",
        [*_each(cases.ONE, ALL), Row(cases.ONE_TRANSLATED, EKAI), Row(cases.ONE_TRANSLATED, "router")],
        (P50, P99, ADDED, CPU),
        by_case=True,
    )
    yield Subject(
        "Whole replies, 256 connections",
        "",
        _each(cases.MANY, ALL),
        (RATE, P50, P99, CPU, TO_NGINX, TO_EKAI, BUSY, FAILED),
    )
    yield Subject(
        "Prompts of 64 KB, 64 connections",
        "",
        _each(cases.LONG, ALL),
        (RATE, P50, P99, CPU, TO_NGINX, TO_EKAI, BUSY, FAILED),
    )
    yield Subject(
        "Streams, 32 connections, as fast as they go",
        "63 events each. What finds several events waiting sends them in one piece, and so may beat the direct call.",
        _each(cases.STREAMED, ALL), (STREAMS, RATE_TO_NGINX, P50, P99, CPU, TO_NGINX, TO_EKAI, BUSY, FAILED),
    )  # fmt: skip
    yield Subject(
        "Time to the first word, 1 connection",
        "Of a stream whose first word comes at once and the others a millisecond apart, over the direct call's.",
        _each(cases.FIRST_WORD, ALL), (FIRST, FIRST_ADDED, P50, CPU),
    )  # fmt: skip
    for case in (cases.PACED, cases.PACED_MANY):
        yield Subject(
            f"Streams with an event every {cases.PACE_MS} ms, {case.connections} at once",
            f"On pace: the stream ended within {SLACK * 1000:.0f} ms of its nominal {case.nominal * 1000:.0f} ms.",
            _each(case, ALL), (ON_PACE, P50, P99, CPU, TO_NGINX, TO_EKAI, FAILED),
        )  # fmt: skip
    yield from _translated()
    yield from _variants()


def _translated() -> Iterator[Subject]:
    both = [cases.TRANSLATED, cases.TRANSLATED_STREAM, cases.OTHER_WAY, cases.OTHER_WAY_STREAM]
    yield Subject(
        "Translated, beside the peers",
        "",
        [row for case in both for row in _each(case, (EKAI, *PEERS, "router"))],
        (RATE, P50, P99, CPU, TO_EKAI, FAILED),
        by_case=True,
    )
    yield pairs("whole replies, 64 connections", cases.WHOLE_PAIRS, RATE)
    yield pairs("streams, 32 connections", cases.STREAMED_PAIRS, STREAMS)
    yield pairs(f"streams with an event every {cases.PACE_MS} ms, 64 at once", cases.PACED_PAIRS, ON_PACE)


def pairs(title: str, asked: Sequence[Case], first: Column) -> Subject:
    """Every client API with every provider's dialect."""
    return Subject(
        f"Ekai, every pair: {title}",
        "Passed on: the client's own dialect. Google speaks chat itself, so a chat client is never translated for it.",
        [Row(case, EKAI) for case in asked],
        (first, P50, P99, CPU, TO_PASSED, FAILED),
        by_case=True,
    )


def _variants() -> Iterator[Subject]:
    note = (
        "Budgets: a monthly cap for all, and an owner's daily and monthly caps and pace for everybody. No rows: what the record "
        "costs, by its absence. Chain: asked for every request (AUTHORIZATION_TTL=0) of a node that answers at once; a cold "
        "key is decrypted for every request; receipts off. DynamoDB: the table is in moto, whose milliseconds these are; CPU is ours."
    )
    for case in (cases.WHOLE, cases.ONE):
        title = f"Ekai in its variants, {case.connections} connection{'s' if case.connections > 1 else ''}"
        yield Subject(
            title, note if case is cases.WHOLE else "", _each(case, VARIANTS), (RATE, P50, P99, CPU, TO_EKAI, FAILED)
        )
    yield Subject(
        "Workers",
        "Both on all cores, which they share with the load. Unshared: the rate that they would have on cores of their own, "
        "by the cores that the load left them, used or not.",
        [Row(cases.WHOLE, "one"), Row(cases.WHOLE, "two")],
        (RATE, LOAD, BUSY, UNSHARED, TWICE, CPU),
    )


def quick() -> Iterator[Subject]:
    """The tables of `make bench-quick`."""
    few = ("direct", "nginx", EKAI)
    yield Subject(
        "Whole replies, 64 connections", "", _each(cases.WHOLE, few), (RATE, P50, P99, CPU, TO_NGINX, BUSY, FAILED)
    )
    yield Subject("Whole replies, 1 connection", "", _each(cases.ONE, few), (P50, P99, ADDED, CPU))
    yield Subject(
        "Time to the first word, 1 connection", "", _each(cases.FIRST_WORD, few), (FIRST, FIRST_ADDED, P50, CPU)
    )
    yield Subject(
        "Streams, 32 connections", "", _each(cases.STREAMED, few), (STREAMS, RATE_TO_NGINX, CPU, TO_NGINX, FAILED)
    )
    yield pairs("streams, 32 connections", cases.STREAMED_PAIRS, STREAMS)

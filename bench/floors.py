"""What the gateway must reach, and what it reached in a run: its figures with budgets on, beside those of the same run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench import cases
from bench.figures import Results, Run
from bench.subjects import BUDGETS, EKAI, Row, alone, passed
from bench.tables import Sheet

# A gateway in Go, without tokens or rows, on such a machine: CPU of a request, its rate with 64 KB prompts, CPU of a paced stream.
_GO_CPU, _GO_RATE_LONG, _GO_CPU_PACED = 215, 466, 3_070
_MB = 80


@dataclass(frozen=True, slots=True)
class Floor:
    """A figure, and the value that it must reach or must not exceed."""

    title: str
    value: float | None
    bound: float
    form: str = "{:,.2f}"
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it was measured and is kept."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True, slots=True)
class _Medians:
    results: Results

    def __call__(self, row: Row, figure: Callable[[Run], float]) -> float | None:
        found = self.results.figure(row.case, row.target, figure)
        return found.median if found is not None else None


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _over(one: float | None, other: float | None) -> float | None:
    return one - other if one is not None and other is not None else None


def floors(results: Results, memory: Mapping[str, float]) -> Iterator[Floor]:
    """All of them, in the order of the tables."""
    of = _Medians(results)
    cpu = of(Row(cases.WHOLE, BUDGETS), lambda run: run.cpu)
    yield Floor("CPU µs of a whole reply, 64 connections", cpu, _GO_CPU, "{:,.0f}")
    for peer, name, times in (("portkey", "Portkey", 6), ("litellm", "LiteLLM", 50)):
        other = of(Row(cases.WHOLE, peer), lambda run: run.cpu)
        yield Floor(f"{name}'s CPU over ours", _ratio(other, cpu), times, "{:,.1f} ×", at_least=True)
    long = of(Row(cases.LONG, BUDGETS), lambda run: run.rate)
    yield Floor("requests/s with 64 KB prompts", long, 5 * _GO_RATE_LONG, "{:,.0f}", at_least=True)
    streams, most = (of(Row(cases.STREAMED, target), lambda run: run.rate) for target in (BUDGETS, "nginx"))
    yield Floor("streams/s over nginx's, 32 connections", _ratio(streams, most), 0.85, "{:.0%}", at_least=True)
    paced = of(Row(cases.PACED, BUDGETS), lambda run: run.cpu)
    yield Floor("CPU µs of a paced stream, 64 at once", paced, _GO_CPU_PACED, "{:,.0f}")
    kept = of(Row(cases.PACED_MANY, BUDGETS), lambda run: run.on_pace)
    yield Floor("paced streams on pace, 256 at once", kept, 0.99, "{:.1%}", at_least=True)
    first = Row(cases.FIRST_WORD, BUDGETS)
    firsts = (of(row, lambda run: run.first_word) for row in (first, alone(first)))
    yield Floor("ms added to the first word, 1 connection", _over(*firsts), 0.6)
    yield from _translation(of)
    yield Floor("MB of a worker after the load", memory.get(BUDGETS), _MB, "{:,.0f}")
    bare, whole = (of(Row(cases.WHOLE, target), lambda run: run.cpu) for target in ("unrecorded", EKAI))
    kept = _ratio(bare, whole)  # a core that is always busy serves as much as a request leaves it
    yield Floor("throughput that the record costs, by CPU", None if kept is None else 1 - kept, 0.15, "{:.0%}")
    one = of(Row(cases.WHOLE, "one"), lambda run: run.unshared)
    two = of(Row(cases.WHOLE, "two"), lambda run: run.unshared)
    yield Floor("two workers over one, unshared", _ratio(two, one), 1.7, "{:.2f} ×", at_least=True)


def _translation(of: _Medians) -> Iterator[Floor]:
    for kind, asked in (("as fast as it goes", cases.STREAMED_PAIRS), ("paced", cases.PACED_PAIRS)):
        rows = [Row(case, EKAI) for case in asked if case.client != case.upstream]
        costs = ((row, _ratio(of(row, lambda run: run.cpu), of(passed(row), lambda run: run.cpu))) for row in rows)
        measured = [(cost, row.case.lane) for row, cost in costs if cost is not None]
        worst, name = max(measured, default=(None, ""))
        yield Floor(
            f"CPU of a translated stream, {kind}, over one passed on (the worst: {name})", worst, 1.4, "{:.2f} ×"
        )
    row = Row(cases.ONE_TRANSLATED, EKAI)
    both = (of(one, lambda run: run.p50) for one in (row, alone(row)))
    yield Floor("ms added to a translated reply, 1 connection", _over(*both), 0.5)


def sheet(results: Results, memory: Mapping[str, float]) -> Sheet:
    """What was wanted and what was reached."""
    rows = []
    for floor in floors(results, memory):
        if floor.value is None:
            continue
        bound = floor.form.format(floor.bound)
        wanted = f"{'≥' if floor.at_least else '≤'} {bound}"
        rows.append([floor.title, floor.form.format(floor.value), wanted, "yes" if floor.holds else "no"])
    note = (
        "With budgets on, where nothing else is said. Absolute bounds are what a gateway in Go took on such a machine."
    )
    return Sheet("What must be reached", note, ["", "reached", "wanted", "kept"], rows)

"""Runs: one case at one target, and many of them, interleaved, with medians and spread."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import httpx
import uvloop

from bench.cases import Case
from bench.load import run
from bench.processes import cpu_of, idle_time
from bench.targets import Target

_WARM_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class Provider:
    """The fake provider: its port and process."""

    port: int
    pid: int

    def pace(self, milliseconds: int) -> None:
        """Sets the time between the events of a stream."""
        httpx.get(f"http://127.0.0.1:{self.port}/pace/{milliseconds}", trust_env=False).raise_for_status()

    def asked(self) -> str:
        """Method and path of what it was asked last."""
        return httpx.get(f"http://127.0.0.1:{self.port}/asked", trust_env=False).raise_for_status().text


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run. Times in milliseconds, CPU in microseconds for a request; `busy`: cores that the target used, `load`:
    cores that the load and the provider used; `unshared`: the rate that the target would have on cores of its own."""

    rate: float
    p50: float
    p99: float
    first_word: float
    on_pace: float
    cpu: float
    busy: float
    load: float
    unshared: float
    failures: int


def measure(target: Target, case: Case, provider: Provider, seconds: float) -> Run:
    """One run, after a short one that warms up."""
    question = target.question(case)
    assert question is not None
    spread = case.nominal if case.connections > 1 else 0.0
    provider.pace(0)
    uvloop.run(run(target.port, question, case.connections, _WARM_SECONDS))
    provider.pace(case.pace)
    pids, mine = target.pids, [provider.pid, os.getpid()]
    before, loading, idle = _spent(pids), _spent(mine), idle_time()
    figures = uvloop.run(run(target.port, question, case.connections, seconds, spread))
    used, loaded, idle = _spent(pids) - before, _spent(mine) - loading, idle_time() - idle
    count, took = max(figures.requests, 1), figures.seconds
    return Run(
        rate=figures.rate, p50=figures.latency(0.5) * 1000, p99=figures.latency(0.99) * 1000,
        first_word=figures.first_word * 1000, on_pace=figures.on_pace(case.nominal), cpu=used / count * 1e6,
        busy=used / took, load=loaded / took, unshared=_unshared(figures.rate, target.workers, (used + idle) / took),
        failures=figures.failures,
    )  # fmt: skip


def _unshared(rate: float, workers: int, had: float) -> float:
    """The rate of so many workers if they had a core each, by the cores that they had: those that they used, and those that
    nobody used."""
    return rate * workers / min(workers, had) if had else 0.0


def _spent(pids: Iterable[int]) -> float:
    return sum(cpu_of(pid) for pid in pids)


@dataclass(frozen=True, slots=True)
class Spread:
    """Several values of one figure."""

    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Results:
    """All runs, by case and key of the target, and why some could not be."""

    runs: Mapping[tuple[Case, str], Sequence[Run]]
    troubles: Mapping[tuple[Case, str], str]

    @property
    def failures(self) -> Mapping[tuple[Case, str], int]:
        """How many answers were not what they must be, where there were such."""
        counted = {key: sum(one.failures for one in runs) for key, runs in self.runs.items()}
        return {key: count for key, count in counted.items() if count}

    def figure(self, case: Case, target: str, of: Callable[[Run], float]) -> Spread | None:
        """One figure of all rounds; None where there are none."""
        runs = self.runs.get((case, target))
        return Spread([of(one) for one in runs]) if runs else None


def interleaved(
    cases: Mapping[Case, Mapping[str, Target]],
    provider: Provider,
    rounds: int,
    seconds: float,
    tell: Callable[[str], None],
) -> Results:
    """Each case at all its targets (by key), one after the other, and that again as often as `rounds` says: A B C A B C.

    A target that doesn't give the whole reply, or not in the case's lane, is left out of the case.
    """
    runs: dict[tuple[Case, str], list[Run]] = {}
    troubles: dict[tuple[Case, str], str] = {}
    for case, targets in cases.items():
        found = {key: _trouble(target, case, provider) for key, target in targets.items()}
        troubles |= {(case, key): trouble for key, trouble in found.items() if trouble}
        able = {key: target for key, target in targets.items() if not found[key]}
        for number in range(rounds):
            for key, target in [*able.items()]:
                tell(f"{case.name}, {case.connections} connections: {target.name} ({number + 1} of {rounds})")
                try:
                    runs.setdefault((case, key), []).append(measure(target, case, provider, seconds))
                except OSError as error:  # it is no longer there
                    troubles[case, key] = f"it broke off: {error}"
                    del able[key]
    return Results(runs, troubles)


def _trouble(target: Target, case: Case, provider: Provider) -> str:
    provider.pace(0)
    if trouble := target.trouble(case):
        return trouble
    asked = provider.asked()
    return "" if case.place in asked else f"the provider was asked in another dialect: {asked}"

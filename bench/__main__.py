"""`make bench`: every subject at every target, interleaved, as tables; `python -m bench --help` tells how to narrow it."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from bench import floors, peers
from bench.cases import Case
from bench.figures import Provider, Results, interleaved
from bench.gateways import GATEWAYS
from bench.processes import StartError, command, cores, free_port, memory_of, pinned, wait_for
from bench.subjects import Subject, quick, subjects
from bench.tables import Sheet, markdown, put_into, sheet_of, show
from bench.targets import NOT_OFFERED, Opener, Target, direct, nginx

OPENERS: Mapping[str, Opener] = {
    "direct": direct,
    "nginx": nginx,
    **GATEWAYS,
    "portkey": peers.portkey,
    "router": peers.router,
    "litellm": peers.litellm,
}
_SECONDS = 20
_QUICK = ("direct", "nginx", "ekai")


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command's options; `--quick` has defaults of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the gateway, direct and nginx, in under a minute")
    parser.add_argument("--targets", help=f"some of {','.join(OPENERS)}")
    parser.add_argument("--subjects", help="only tables whose title holds one of these, with commas between")
    parser.add_argument("--rounds", type=int, help="how often each case is run at each target (3; quick: 1)")
    parser.add_argument("--seconds", type=float, help="how long a run is (3; quick: 1)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="puts the tables between the marks of FILE, too")
    options = parser.parse_args(words)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    options.targets = options.targets.split(",") if options.targets else list(_QUICK if options.quick else OPENERS)
    if unknown := set(options.targets) - set(OPENERS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return options


def chosen(options: argparse.Namespace) -> list[Subject]:
    """The tables that are wanted."""
    parts = options.subjects.lower().split(",") if options.subjects else [""]
    everything = quick() if options.quick else subjects()
    return [subject for subject in everything if any(part in subject.title.lower() for part in parts)]


def opened(keys: Sequence[str], provider: int, folder: Path, stack: ExitStack, console: Console) -> dict[str, Target]:
    """The targets that could be started, by their keys."""
    targets = {}
    for key in keys:
        own = folder / key
        own.mkdir()
        try:
            targets[key] = stack.enter_context(OPENERS[key](provider, own))
        except StartError as error:
            console.print(f"{key} is left out: {error}.", markup=False)
    return targets


def plan(tables: Sequence[Subject], targets: Mapping[str, Target]) -> dict[Case, dict[str, Target]]:
    """What has to be run for these tables: each case once, at every target that some table shows it at."""
    wanted: dict[Case, dict[str, Target]] = {}
    for row in (row for table in tables for row in table.rows):
        if row.target in targets:
            wanted.setdefault(row.case, {})[row.target] = targets[row.target]
    return wanted


def machine(options: argparse.Namespace, targets: Mapping[str, Target]) -> str:
    """Where, when and with what."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    versions = ", ".join(f"{one.name} {one.version}" for one in targets.values() if one.version)
    ours = ", ".join(f"{name} {version(name)}" for name in ("ekai-gateway", "uvicorn", "uvloop", "httptools", "orjson"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), Linux {platform.release()}, "
        f"Python {platform.python_version()}; {ours}" + (f"; {versions}" if versions else "") + ". "
        f"Medians of {options.rounds} interleaved round(s) of {options.seconds:g} s each, least and most in brackets."
    )


def memory(targets: Mapping[str, Target]) -> dict[str, float]:
    """MB that the processes of a target hold."""
    return {key: sum(map(memory_of, target.pids)) for key, target in targets.items() if target.pids}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run of the benchmark found. `names`, `held` (MB) by the targets' keys; `where`: machine and versions."""

    results: Results
    names: Mapping[str, str]
    held: Mapping[str, float]
    where: str


def carried_out(options: argparse.Namespace, tables: Sequence[Subject], console: Console) -> Outcome:
    """Starts what the tables are about, measures it, and stops it."""
    place, port = cores(), free_port()
    named = {row.target for table in tables for row in table.rows}
    keys = [key for key in options.targets if key in named]
    with tempfile.TemporaryDirectory(prefix="ekai-bench-") as folder, ExitStack() as stack:
        running = stack.enter_context(command([sys.executable, "-m", "bench.upstream", str(port)], where=place[1:]))
        wait_for(f"http://127.0.0.1:{port}/asked", running, _SECONDS)
        targets = opened(keys, port, Path(folder), stack, console)
        stack.enter_context(pinned(place[1:]))
        status = stack.enter_context(Console(stderr=True).status(""))
        results = interleaved(
            plan(tables, targets), Provider(port, running.pid), options.rounds, options.seconds, status.update
        )
        names = {key: target.name for key, target in targets.items()}
        return Outcome(results, names, memory(targets), machine(options, targets))


def sheets_of(tables: Sequence[Subject], outcome: Outcome) -> list[Sheet]:
    """The tables, and what the targets hold in the end."""
    rows = [[outcome.names[key], f"{megabytes:,.0f}"] for key, megabytes in outcome.held.items()]
    held = Sheet("Memory after the load", "Proportional, all processes of a target.", ["", "MB"], rows)
    return [*(sheet_of(table, outcome.results, outcome.names) for table in tables), held]


def main() -> None:
    """Prints the tables, and what could not be measured."""
    options, console = read_options(), Console(width=None if sys.stdout.isatty() else 180)
    tables = chosen(options)
    outcome = carried_out(options, tables, console)
    sheets = sheets_of(tables, outcome)
    reached = floors.sheet(outcome.results, outcome.held)
    if reached.rows and not options.quick:
        sheets.insert(0, reached)
    show(sheets, console)
    console.print(outcome.where, markup=False)
    for (case, key), trouble in outcome.results.troubles.items():
        if trouble != NOT_OFFERED:
            console.print(f"left blank: {case.name} at {outcome.names[key]}: {trouble}", markup=False)
    for (case, key), count in outcome.results.failures.items():
        console.print(f"{count:,} failed: {case.name} at {outcome.names[key]}", markup=False)
    if options.markdown:
        put_into(options.markdown, f"{outcome.where}\n\n{markdown(sheets)}")


if __name__ == "__main__":
    main()

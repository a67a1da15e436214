"""Runs the harnesses one after another, and stops at the first finding: `python -m fuzz [NAME ...]`, FUZZ_SECONDS for each.

`python -m fuzz NAME FILE` plays one input, without a fuzzer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from fuzz.harnesses import HARNESSES
from fuzz.recordings import FOLDERS, bodies, streams
from fuzz.wire import WAY

BUILD = Path(__file__).parents[1] / "build" / "fuzz"
_LONGEST = 4_096  # bytes of an input
_SLOWEST = 10  # seconds that one input may take
_MOST_MEMORY = 1_024  # MB
_KINDS = {"request": ("requests", "clients"), "reply": ("replies", "errors")}


def main(arguments: list[str]) -> int:
    """The exit code: 0 when nothing was found."""
    if len(arguments) == 2 and Path(arguments[1]).is_file():
        HARNESSES[arguments[0]](Path(arguments[1]).read_bytes())
        return 0
    if unknown := set(arguments) - set(HARNESSES):
        print(f"Unknown: {', '.join(sorted(unknown))}. There are {', '.join(HARNESSES)}.")
        return 2
    seconds = int(os.environ.get("FUZZ_SECONDS", "20"))
    for name in arguments or HARNESSES:
        print(f"{name}: {seconds} s", flush=True)
        if not run(name, seconds):
            return 1
    return 0


def run(name: str, seconds: int) -> bool:
    """Whether a harness found nothing in this time."""
    found, corpus = BUILD / "found" / name, BUILD / "corpus" / name
    for folder in (found, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds(name):
        (corpus / sha256(seed).hexdigest()[:16]).write_bytes(seed)
    before = set(found.iterdir())
    flags = (
        f"-max_total_time={seconds}",
        f"-max_len={_LONGEST}",
        f"-timeout={_SLOWEST}",
        f"-rss_limit_mb={_MOST_MEMORY}",
        f"-artifact_prefix={found}/",
        "-len_control=0",
        "-print_final_stats=1",
    )
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.one", name, str(corpus), *flags], text=True, stderr=subprocess.PIPE
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("#", "INFO: "))]
    if done.returncode == 0:
        print(*(line for line in lines if "number_of_executed_units" in line or "DONE" in line), sep="\n", flush=True)
        return True
    print(*lines[-60:], sep="\n")
    for path in sorted(set(found.iterdir()) - before):
        print(f"\nTo play it again: python -m fuzz {name} {path.relative_to(Path.cwd())}")
    return False


def seeds(name: str) -> Iterator[bytes]:
    """First inputs: the recordings as they are (a 0 asks for that), and bytes that make decisions."""
    kind, _, api = name.partition("-")
    for known in FOLDERS:
        if known == api:
            recorded = bodies(known, *_KINDS[kind]) if kind in _KINDS else ()
            whole = (
                b"".join(event.encode() for event in stream) for stream in (streams(known) if kind == "stream" else ())
            )
            yield from (bytes(WAY + 1) + raw for raw in (*recorded, *whole) if len(raw) < _LONGEST)
    for number in range(48):
        yield b"".join(sha256(f"{number}.{part}".encode()).digest() for part in range(4))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

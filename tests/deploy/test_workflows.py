"""The workflows hold no more rights than they need, and run nothing that can change under them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

_PINNED = re.compile(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def read(file: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(file.read_text())
    return found


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in FILES:
        for name, job in read(file)["jobs"].items():
            yield f"{file.stem}.{name}", job


def test_there_are_two() -> None:
    assert [file.name for file in FILES] == ["ci.yml", "image.yml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not line.startswith("uses: ./") and not _PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nobody_elses_words_are_run(file: Path) -> None:
    workflow = read(file)
    events = workflow[True]  # YAML 1.1 reads `on` as yes
    assert "pull_request_target" not in events
    scripts = [step["run"] for _, job in jobs() for step in job.get("steps", ()) if "run" in step]
    assert not [script for script in scripts if "${{" in script]


def test_only_the_publishing_job_may_write() -> None:
    assert all(read(file)["permissions"] == {"contents": "read"} for file in FILES)
    assert {name: job["permissions"] for name, job in jobs() if "permissions" in job} == {
        "image.publish": {"contents": "read", "packages": "write", "id-token": "write", "attestations": "write"}
    }


def test_no_job_runs_for_ever_and_no_checkout_keeps_its_token() -> None:
    for name, job in jobs():
        assert "timeout-minutes" in job or job.get("uses", "").startswith("./"), name
        for step in job.get("steps", ()):
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False, name


def test_what_is_published_is_what_was_tried() -> None:
    steps = [step.get("run", "") for step in read(ROOT / ".github/workflows/image.yml")["jobs"]["publish"]["steps"]]
    order = [word for step in steps for word in ("docker build", "try_image.sh", "docker push") if word in step]
    assert order == ["docker build", "try_image.sh", "docker push"]
    assert read(ROOT / ".github/workflows/image.yml")["jobs"]["publish"]["needs"] == "test"

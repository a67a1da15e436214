"""What a Dockerfile makes, without Docker: its context, its files, its settings. https://docs.docker.com/reference/dockerfile/

The steps run as they stand, in a folder of their own that takes the place of `/`; the Python at hand stands for the image's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_FLAG = re.compile(r"--([\w-]+)=(\S+)\s+")
_OWN_PATH = re.compile(r"(?<![\w./-])/(?=(?:opt|app)(?:/|\b))")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_SYSTEM_PATH = "/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction of a Dockerfile: its name, its flags, and the rest as written."""

    name: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, from JSON or from words."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


@dataclass(slots=True)
class Stage:
    """A stage as it grows: a folder that holds its files, and what its instructions set."""

    root: Path
    base: str
    platform: str
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    ran: list[str] = field(default_factory=list)
    settings: dict[str, Step] = field(default_factory=dict)

    @property
    def here(self) -> Path:
        """The working folder on this disk."""
        return self.at(self.workdir)

    def at(self, path: str) -> Path:
        """Where a path of the image lies on this disk."""
        return self.root / (Path(self.workdir) / path).relative_to("/")

    def moved(self, text: str) -> str:
        """A text with the image's own paths as they are on this disk."""
        return _OWN_PATH.sub(f"{self.root}/", text)


Run = Callable[[Stage, str], bool]
"""Carries a RUN out in its own way; False leaves it to the shell."""


def read_steps(dockerfile: str) -> Iterator[Step]:
    """The instructions in their order."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, text = line.strip().partition(" ")
        flags: dict[str, str] = {}
        while found := _FLAG.match(text := text.strip()):
            flags[found[1]] = found[2]
            text = text[found.end() :]
        yield Step(name.upper(), flags, text)


def assemble(source: Path, folder: Path, run: Run) -> Stage:
    """The last stage of `source`'s Dockerfile, made in `folder`."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    files = context(source, (source / ".dockerignore").read_text())
    for step in read_steps((source / "Dockerfile").read_text()):
        if stage is None and step.name == "ARG":
            name, _, value = step.text.partition("=")
            arguments[name] = value
        elif step.name == "FROM":
            base, *named = _VARIABLE.sub(lambda found: arguments[found[1]], step.text).split()
            name = named[1] if named else str(len(stages))
            path = f"{Path(sys.executable).parent}:{_SYSTEM_PATH}"
            stage = Stage(folder / name, base, step.flags.get("platform", ""), {"PATH": path})
            stage.root.mkdir(parents=True)
            stages[name] = stage
        elif stage is not None:
            _carry_out(step, stage, stages, source, files, run)
    if stage is None:
        raise ValueError("The Dockerfile has no FROM.")
    return stage


def _carry_out(step: Step, stage: Stage, stages: dict[str, Stage], source: Path, files: list[str], run: Run) -> None:
    match step.name:
        case "ENV":
            for pair in step.words:
                name, _, value = pair.partition("=")
                stage.env[name] = _VARIABLE.sub(lambda found: stage.env[found[1]], value)
        case "WORKDIR":
            stage.workdir = str(Path(stage.workdir) / step.text)
            stage.here.mkdir(parents=True, exist_ok=True)
        case "COPY" if "from" in step.flags:
            origin, target = step.words
            shutil.copytree(stages[step.flags["from"]].at(origin), stage.at(target), symlinks=True, dirs_exist_ok=True)
        case "COPY":
            origin, target = step.words
            _copy(source, files, origin, stage.at(target))
        case "RUN":
            stage.ran.append(step.text)
            if not run(stage, step.text):
                _shell(stage, step.text)
        case "LABEL" | "VOLUME" | "EXPOSE" | "USER" | "STOPSIGNAL" | "HEALTHCHECK" | "CMD":
            stage.settings[step.name] = step
        case other:
            raise ValueError(f"{other} is an instruction that this reader doesn't know.")


def _copy(source: Path, files: list[str], origin: str, target: Path) -> None:
    wanted = [name for name in files if name == origin or name.startswith(f"{origin}/")]
    if not wanted:
        raise FileNotFoundError(f"COPY {origin}: not in the context")
    for name in wanted:
        place = target / Path(name).name if name == origin else target / Path(name).relative_to(origin)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, place)


def _shell(stage: Stage, command: str) -> None:
    env = {name: stage.moved(value) for name, value in stage.env.items()}
    subprocess.run(["/bin/sh", "-ec", stage.moved(command)], cwd=stage.here, env=env, check=True)


def context(source: Path, dockerignore: str) -> list[str]:
    """The files that a build of `source` gets to see."""
    rules = [_read_rule(line) for line in dockerignore.splitlines() if line.strip() and not line.startswith("#")]
    kept: list[str] = []
    for folder, folders, names in os.walk(source):
        inside = "" if Path(folder) == source else f"{Path(folder).relative_to(source)}/"
        kept += [inside + name for name in names if _is_kept(inside + name, rules)]
        folders[:] = [name for name in folders if _may_hold(inside + name, rules)]
    return sorted(kept)


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    keeps: bool
    regex: re.Pattern[str]


def _read_rule(line: str) -> _Rule:
    pattern = line.strip().removeprefix("!").strip("/")
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*])", pattern)
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    regex = "".join(meant.get(part, part if part.startswith("[") else re.escape(part)) for part in parts)
    return _Rule(pattern, line.strip().startswith("!"), re.compile(regex))


def _is_kept(name: str, rules: list[_Rule]) -> bool:
    """The last rule that meets the path, or a folder above it, decides."""
    ways = [name, *(str(parent) for parent in Path(name).parents if str(parent) != ".")]
    kept = True
    for rule in rules:
        if any(rule.regex.fullmatch(way) for way in ways):
            kept = rule.keeps
    return kept


def _may_hold(folder: str, rules: list[_Rule]) -> bool:
    return _is_kept(folder, rules) or any(rule.keeps and rule.pattern.startswith(f"{folder}/") for rule in rules)

"""The deployment guide says what the commands, the settings and the files really are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from rofl_rules import refusals
from typer.core import TyperGroup

from cli.main import app
from shared.settings import Settings

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "rofl.md").read_text()
PAGES = ("docs/rofl.md", "SECURITY.md")

_BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
_OURS = re.compile(r"(?<![\w./-])ekai ([a-z][^`)\n]*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAME = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")


def commands() -> Iterator[str]:
    """Each `ekai …` of the guide, in blocks and in sentences."""
    for line in GUIDE.replace("\\\n", " ").splitlines():
        yield from (found.strip() for found in _OURS.findall(line.partition(" #")[0]))


def understood(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and what is left of them. Raises KeyError."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_the_command_exists_with_its_options(line: str) -> None:
    command, rest = understood(shlex.split(line.partition(" < ")[0]))
    known = {option for parameter in command.params for option in parameter.opts}
    assert not isinstance(command, TyperGroup) or command.invoke_without_command, line
    assert {word for word in rest if word.startswith("--")} <= known


def test_the_owners_and_the_administrators_commands_are_all_there() -> None:
    named = {" ".join(line.split()[:2]) for line in commands()}
    wanted = {
        "admin deploy",
        "admin add-provider",
        "admin set-app-id",
        "admin set-rofl-key",
        "keys set",
        "delegates add",
    }
    assert wanted <= named


def test_an_unknown_command_would_be_seen() -> None:
    with pytest.raises(KeyError):
        understood(["keys", "print"])
    command, _ = understood(["keys", "set", "openai"])
    assert "--key" not in {option for parameter in command.params for option in parameter.opts}


def services() -> dict[str, Any]:
    """What the guide adds to compose.yaml, with digests in the place of the dots."""
    found: dict[str, Any] = {}
    for kind, text in _BLOCK.findall(GUIDE):
        if kind == "yaml" and text.startswith("  "):
            found |= yaml.safe_load(text.replace("sha256:…", "sha256:" + "0" * 64))
    return found


def test_services_to_add_pass_the_rules() -> None:
    manifest = yaml.safe_load((ROOT / "rofl.yaml").read_text())
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    compose["services"] |= services()
    compose["volumes"] |= {"caddy-data": None, "gateway-backup": None}
    assert set(compose["services"]) == {"gateway", "tls", "tunnel", "snapshot"}
    assert refusals(manifest, compose) == []


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | {"SAPPHIRE_UNAVAILABLE", "TUNNEL_TOKEN"}
    known |= {"DELEGATE_NOT_PERMITTED", "MODEL_NOT_ALLOWED", "SECRET_NOT_FOUND"}
    assert set(_NAME.findall((ROOT / page).read_text())) <= known


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in _LINK.findall((ROOT / page).read_text()):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_base_image_is_told_as_it_is() -> None:
    base = re.search(r"^ARG PYTHON=(\S+):(\d+\.\d+)\.\d+-(\S+)@", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert f"{base[1]}:{base[2]}-{base[3]}" in GUIDE
    assert "python -m sqlite3" in GUIDE
    assert int(base[2].partition(".")[2]) >= 12  # the first Python that has it

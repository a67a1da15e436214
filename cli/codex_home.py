"""A configuration folder for Codex, for one run (https://developers.openai.com/codex/config-reference)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from cli.agents import Entry, Models
from cli.client import CommandError
from cli.config import tokens_file

INSTALL = "npm install -g @openai/codex"
TOKEN = "EKAI_TOKEN"

_CATALOG = "models.json"
_CARRIED = ("approval_policy", "sandbox_mode", "sandbox_workspace_write", "projects", "mcp_servers", "notify", "tui")
"""The user's own settings that say what Codex may do and how it looks, not whom it talks to."""
_LINKED = ("AGENTS.md", "prompts")
_MAKER = re.compile(rb" based on GPT-[\w.-]*\w")


@contextmanager
def codex_home(own: Path, url: str, models: Models) -> Iterator[Path]:
    """A folder with the gateway as Codex's provider, gone afterwards; conversations stay, so that `resume` finds them.

    It isn't in the system's temporary folder, where Codex would refuse to put its own tools on the PATH.
    """
    place = tokens_file().parent
    sessions = place / "codex-sessions"
    sessions.mkdir(parents=True, exist_ok=True, mode=0o700)
    with TemporaryDirectory(prefix="codex-", dir=place, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "sessions").symlink_to(sessions)
        for linked in _LINKED:
            if (own / linked).exists():
                (folder / linked).symlink_to((own / linked).resolve())
        (folder / "config.toml").write_text(_config(_carried(own / "config.toml"), url, models))
        yield folder


def add_catalog(folder: Path, bundled: bytes, models: Models) -> None:
    """What Codex is to know of the models. `bundled` is the catalogue that it came with."""
    (folder / _CATALOG).write_bytes(orjson.dumps({"models": _catalog(orjson.loads(bundled)["models"], models)}))
    config = folder / "config.toml"
    config.write_text(f"model_catalog_json = {_toml(str(folder / _CATALOG))}\n{config.read_text()}")


# ── config.toml ──────────────────────────────────────────────────────────────────────────────────────────────────


def _config(carried: dict[str, Any], url: str, models: Models) -> str:
    provider = {
        "name": "Ekai Gateway",
        "base_url": f"{url.rstrip('/')}/v1",
        "env_key": TOKEN,
        "env_key_instructions": "Start Codex with `ekai run codex`.",
        "wire_api": "responses",
    }
    config = {
        "model": models.wanted,
        "model_provider": "ekai",
        "check_for_update_on_startup": False,
        "analytics": {"enabled": False},
        "features": {"plugins": False},  # a folder without any would fetch their catalogue at every start
        **carried,
        "shell_environment_policy": {"exclude": [TOKEN]},
        "model_providers": {"ekai": provider},
    }
    return "".join(f"{key} = {_toml(value)}\n" for key, value in config.items())


def _carried(file: Path) -> dict[str, Any]:
    try:
        own = tomllib.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(f"Your Codex settings, {file}, can't be read: {error}") from None
    return {key: own[key] for key in _CARRIED if key in own}


def _toml(value: Any) -> str:
    """A value on one line. JSON's strings are strings of TOML too."""
    match value:
        case dict():
            return "{" + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case bool() | str() | int() | float():
            return orjson.dumps(value).decode()
        case _:
            return str(value)  # dates and times, which TOML writes as ISO 8601 does


# ── the catalogue ────────────────────────────────────────────────────────────────────────────────────────────────


def _catalog(bundled: Sequence[Entry], models: Models) -> list[Entry]:
    entries = [(str(entry["id"]), entry) for entry in models.listed]
    if models.wanted not in (name for name, _ in entries):
        entries.insert(0, (models.wanted, models.serving))
    return [_described(bundled, name, entry, place) for place, (name, entry) in enumerate(entries)]


def _described(bundled: Sequence[Entry], name: str, entry: Entry, place: int) -> Entry:
    """Codex's own description where it knows the model, else that of a model with plain tools; the gateway's limits."""
    plain = name.rpartition("/")[2].lower()
    known = next((each for each in bundled if each["slug"] == plain), None)
    described = {
        **(known or _foreign(bundled, entry)),
        "slug": name,
        "priority": place,
        "visibility": "list",
        "upgrade": None,  # Codex would propose a model that the caller may not have
        "availability_nux": None,
    }
    described.pop("default_service_tier", None)  # twice the price, and the owner of the key pays it
    for field in ("context_window", "max_context_window"):
        sizes = (entry["context_length"], known and known.get(field))
        described[field] = min((size for size in sizes if size), default=described.get(field))
    return described


def _foreign(bundled: Sequence[Entry], entry: Entry) -> Entry:
    """A description for a model that Codex doesn't know: functions and a patch tool, no scripts that call tools."""
    plain = next(
        (each for each in bundled if not each.get("tool_mode") and not each.get("use_responses_lite")), bundled[0]
    )
    kinds = [kind for kind in ("text", "image") if kind in entry["input_modalities"]]
    return {
        **orjson.loads(_MAKER.sub(b"", orjson.dumps(plain))),
        "display_name": entry["display_name"],
        "description": f"{entry['display_name']} through the Ekai Gateway.",
        "service_tiers": [],
        "additional_speed_tiers": [],
        "support_verbosity": False,
        "input_modalities": kinds or ["text"],
    }

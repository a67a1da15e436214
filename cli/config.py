"""What the command remembers between calls: a token for each gateway, readable by its owner alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import typer

DEFAULT_URL = "http://127.0.0.1:3001"


def tokens_file() -> Path:
    """`tokens.json` in the user's configuration folder (`EKAI_CONFIG_DIR` names another)."""
    return Path(os.environ.get("EKAI_CONFIG_DIR") or typer.get_app_dir("ekai")) / "tokens.json"


def normal(url: str) -> str:
    """One spelling for one gateway."""
    return url.rstrip("/").replace("://localhost", "://127.0.0.1")


def saved_token(url: str) -> str | None:
    """The token kept for that gateway; `EKAI_TOKEN` comes before it."""
    if token := os.environ.get("EKAI_TOKEN"):
        return token
    return _read().get(normal(url))


def save_token(url: str, token: str | None) -> None:
    """Keeps the token, or forgets the one that was kept."""
    tokens = _read()
    if token is None:
        tokens.pop(normal(url), None)
    else:
        tokens[normal(url)] = token
    file = tokens_file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump(tokens, out, indent=1)
    fresh.replace(file)


def _read() -> dict[str, str]:
    try:
        found = json.loads(tokens_file().read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(url): str(token) for url, token in found.items()} if isinstance(found, dict) else {}

"""What every coding agent is started with: the program, a token, and the model that it will ask for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

import typer

from cli.client import Client, CommandError

Entry = dict[str, Any]  # a model as GET /v1/models lists it


@dataclass(frozen=True, slots=True)
class Models:
    """`wanted` is the name to ask for, `serving` the preference that answers to it (`substituted`: although it is another
    model), `listed` are all preferences in order."""

    wanted: str
    serving: Entry
    listed: tuple[Entry, ...]
    substituted: bool = False


def program(name: str, install: str) -> str:
    """Where the program is. Raises CommandError, which says how to get it."""
    found = shutil.which(name)
    if found is None:
        raise CommandError(f"`{name}` is not on your PATH. Install it with: {install}")
    return found


def models(client: Client, wanted: str | None) -> Models:
    """The first preference, or the wanted model and whichever preference serves it. Raises CommandError."""
    if not client.call("GET", "/user/preferences")["model_preferences"]:
        raise CommandError("You have no models yet: `ekai prefs set MODEL …`; `ekai models` lists them.")
    listed: tuple[Entry, ...] = tuple(client.call("GET", "/v1/models", params={"limit": 1000})["data"])
    if not listed:
        raise CommandError("None of your models is served here: `ekai models` lists those that are.")
    if wanted is None:
        return Models(listed[0]["id"], listed[0], listed)
    serving = _serving(client, wanted, listed)
    if serving is None:
        typer.echo(f"{wanted} is not among your models, so {listed[0]['id']} will answer.", err=True)
        return Models(wanted, listed[0], listed, substituted=True)
    return Models(wanted, serving, listed)


def _serving(client: Client, wanted: str, listed: tuple[Entry, ...]) -> Entry | None:
    """The preference that means the same model; the gateway knows all names of a model, and lists it under each alike."""
    try:
        asked = client.call("GET", f"/v1/models/{wanted}", login=False)
    except CommandError:
        return None  # a name that nobody serves here
    return next((entry for entry in listed if _itself(entry) == _itself(asked)), None)


def _itself(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name not in ("id", "providers", "endpoints")}

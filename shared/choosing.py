"""Which model a caller gets: what was asked for, if it is among the preferences, else the first of them."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.types import Catalog, Match
from shared.errors import Code, GatewayError
from shared.store import Preferences

PICKER_PREFIX = "claude-ekai-"
"""Put before the names of other vendors' models for clients that show only what looks like Claude."""

_NOT_SET = (
    "You have no model preferences yet. Set them once, for example: `ekai prefs set claude-sonnet-5-5 gpt-5.5`, or "
    'PUT /user/preferences {"model_preferences": ["claude-sonnet-5-5", "gpt-5.5"]}. GET /v1/models lists all names.'
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that serves. `name` is the caller's own word for it; `substituted`: it isn't what was asked for."""

    match: Match
    name: str
    substituted: bool


def choose(preferences: Preferences, wanted: str, catalog: Catalog) -> Choice:
    """Raises MODEL_PREFERENCES_REQUIRED, and MODEL_NOT_FOUND when the preferred model is no longer in the catalog."""
    if not preferences.models:
        raise GatewayError(Code.MODEL_PREFERENCES_REQUIRED, _NOT_SET)
    wanted = wanted.removeprefix(PICKER_PREFIX)
    asked = catalog.find(wanted)
    if asked is not None:
        if wanted in preferences.models:
            return Choice(asked, wanted, substituted=False)
        exact = [name for name in preferences.models if name.lower() == wanted.lower()]
        for name in (*exact, *preferences.models):
            allowed = catalog.find(name)
            if allowed is not None and (both := _both(asked, allowed)) is not None:
                return Choice(both, wanted, substituted=False)
    first = preferences.models[0]
    match = catalog.find(first)
    if match is None:
        raise GatewayError(
            Code.MODEL_NOT_FOUND, f"Your preferred model `{first}` is not in the catalog.", param="model"
        )
    return Choice(match, first, substituted=True)


def _both(asked: Match, allowed: Match) -> Match | None:
    """What is asked for, within what is allowed; None when that is nothing."""
    if asked.model.id != allowed.model.id:
        return None
    if not (asked.pinned and allowed.pinned):
        return asked if asked.pinned else allowed
    common = tuple(provider for provider in asked.pinned if provider in allowed.pinned)
    return Match(asked.model, common) if common else None

"""The list of models as clients see it: OpenAI's shape (with what else we know), and Anthropic's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from catalog.types import Catalog, Match, Model
from shared.canonical import Json
from shared.choosing import PICKER_PREFIX
from shared.errors import Code, GatewayError, invalid

_UNDATED = date(2024, 1, 1)
"""Shown where nobody says when a model was released: both shapes demand a time."""
MOST = 1000
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Entry:
    """A model under the name by which it is listed, with the providers that may serve it here."""

    name: str
    model: Model
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `total` counts all that the filters let through."""

    entries: tuple[Entry, ...]
    total: int
    has_more: bool


def listed(catalog: Catalog, preferred: Sequence[str] | None, query: Mapping[str, str]) -> Page:
    """The preferred models in their order (None: all), filtered by `provider`, `endpoint`, `search`, cut by `limit` and `offset`
    (or Anthropic's `after_id` and `before_id`). Raises VALIDATION_ERROR."""
    if preferred is None:
        entries = [_entry(catalog, model.id, Match(model)) for model in catalog.models.values()]
    else:
        matches = [(name, catalog.find(name)) for name in preferred]
        entries = [_entry(catalog, name, match) for name, match in matches if match is not None]
    chosen = [entry for entry in entries if entry.providers and _wanted(entry, catalog, query)]
    limit = _number(query, "limit", MOST, least=1)
    if before := query.get("before_id"):
        end = _place(chosen, before, 0)
        start = max(end - limit, 0)
        return Page(tuple(chosen[start:end]), len(chosen), start > 0)
    after = query.get("after_id")
    start = _place(chosen, after, len(chosen)) + 1 if after else _number(query, "offset", 0)
    return Page(tuple(chosen[start : start + limit]), len(chosen), start + limit < len(chosen))


def _place(entries: Sequence[Entry], name: str, otherwise: int) -> int:
    """Where the entry of this name stands, also by the alias that `write_model` shows to Anthropic's clients."""
    known = (name, name.removeprefix(PICKER_PREFIX))
    return next((place for place, entry in enumerate(entries) if entry.name in known), otherwise)


def _entry(catalog: Catalog, name: str, match: Match) -> Entry:
    allowed = set(match.pinned or catalog.providers)
    providers = tuple(dict.fromkeys(offer.provider for offer in match.model.offers if offer.provider in allowed))
    return Entry(name, match.model, tuple(provider for provider in providers if provider in catalog.providers))


def _wanted(entry: Entry, catalog: Catalog, query: Mapping[str, str]) -> bool:
    if (provider := query.get("provider")) and provider.lower() not in entry.providers:
        return False
    if (endpoint := query.get("endpoint")) and _api(endpoint) not in _apis(entry):
        return False
    search = query.get("search", "").lower()
    names = (entry.name, entry.model.id, entry.model.display_name, *entry.model.aliases)
    return not search or any(search in name.lower() for name in names)


def _api(endpoint: str) -> str:
    """`/v1/chat/completions`, `chat/completions` and `chat_completions` are one."""
    return endpoint.strip("/").removeprefix("v1/").replace("/", "_")


def _apis(entry: Entry) -> tuple[str, ...]:
    """The client APIs that reach a provider without a translation."""
    offers = [offer for offer in entry.model.offers if offer.provider in entry.providers]
    return tuple(sorted({api for offer in offers for api in offer.apis if api != "gemini"}))


def _number(query: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text) >= least):
        raise invalid(f"`{name}` must be a whole number from {least} on.", name)
    return int(text)


def find(catalog: Catalog, name: str) -> Entry:
    """One model by any of its names. Raises MODEL_NOT_FOUND."""
    match = catalog.find(name.removeprefix(PICKER_PREFIX))
    entry = _entry(catalog, name, match) if match is not None else None
    if entry is None or not entry.providers:
        raise GatewayError(Code.MODEL_NOT_FOUND, f"The model `{name[:200]}` is not served here.", param="model")
    return entry


def write_list(page: Page, *, anthropic: bool) -> Json:
    """The page in the shape that the client reads."""
    if not anthropic:
        data = [write_model(entry, anthropic=False) for entry in page.entries]
        return {"object": "list", "data": data, "total": page.total, "has_more": page.has_more}
    data = [write_model(entry, anthropic=True) for entry in page.entries]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": page.has_more, "first_id": first, "last_id": last}


def write_model(entry: Entry, *, anthropic: bool) -> Json:
    """One model. To Anthropic's clients, which show only what looks like Claude, others go under an alias."""
    model = entry.model
    released = datetime.combine(model.released or _UNDATED, datetime.min.time(), UTC)
    if anthropic:
        own = "claude" in entry.name.lower() or "anthropic" in entry.name.lower()
        return {
            "type": "model",
            "id": entry.name if own else f"{PICKER_PREFIX}{entry.name}",
            "display_name": model.display_name,
            "created_at": released.isoformat().replace("+00:00", "Z"),
        }
    shown = {
        "id": entry.name,
        "object": "model",
        "created": int(released.timestamp()),
        "owned_by": model.vendor,
        "display_name": model.display_name,
        "providers": list(entry.providers),
        "endpoints": list(_apis(entry)),
        "aliases": list(model.aliases),
        "context_length": model.limits.context,
        "max_output_tokens": model.limits.output,
        "input_modalities": sorted(model.input),
        "output_modalities": sorted(model.output),
    }
    if model.retires is not None:
        shown |= {"retires": model.retires.isoformat(), "successor": model.successor}
    return shown

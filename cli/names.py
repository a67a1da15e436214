"""Names of providers and models as people write them, and the ids by which the chain knows them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catalog.types import Catalog, Model, Provider
from cli.client import CommandError
from shared.chain import model_ids

_ID = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model of a provider: its name, the id that `ekai allow` stores, and every id by which an owner may have allowed it."""

    name: str
    id: bytes
    known_as: frozenset[bytes]


def read_provider(name: str, catalog: Catalog) -> Provider:
    """Raises CommandError for one that the catalog doesn't have: the chain, which keeps hashes, couldn't tell."""
    provider = catalog.providers.get(name.lower())
    if provider is None:
        raise CommandError(f"There is no provider `{name}`. These are known: {', '.join(sorted(catalog.providers))}.")
    return provider


def read_model(name: str, provider: Provider, catalog: Catalog) -> ModelName:
    """By any name that the catalog understands. Raises CommandError for one that the provider doesn't serve."""
    spelled = name if name.startswith(f"{provider.id}/") else f"{provider.id}/{name}"
    found = (catalog.find(text) for text in (spelled, f"{provider.id}/{name}", name))
    matches = sorted((match for match in found if match is not None), key=lambda match: not match.model.listed)
    for match in matches:
        if any(offer.provider == provider.id for offer in match.model.offers):
            return _named(match.model, provider)
    for match in matches:
        if match.model.listed:
            others = ", ".join(dict.fromkeys(offer.provider for offer in match.model.offers))
            raise CommandError(f"{provider.id} doesn't serve `{match.model.id}`; it is served by {others}.")
    raise CommandError(f"{provider.id} has no model `{name}`. `ekai models` lists what a gateway serves.")


def read_model_or_id(name: str, provider: Provider, catalog: Catalog) -> ModelName:
    """As `read_model`; an id in hex stands for itself."""
    if _ID.fullmatch(name):
        raw = bytes.fromhex(name[2:])
        return ModelName(name, raw, frozenset((raw,)))
    return read_model(name, provider, catalog)


def names_at(provider: Provider, catalog: Catalog) -> dict[bytes, str]:
    """The models that the catalog lists for a provider, by every id that means one of them."""
    served = (
        _named(model, provider)
        for model in catalog.models.values()
        if any(offer.provider == provider.id for offer in model.offers)
    )
    return {id_: model.name for model in served for id_ in model.known_as}


def shown(ids: Iterable[bytes], names: dict[bytes, str]) -> list[tuple[str, str]]:
    """Name and hex of each id, in the order of the names; `?` for one that no name of the catalog gives."""
    return sorted((names.get(id_, _padded(id_)), f"0x{id_.hex()}") for id_ in ids)


def _named(model: Model, provider: Provider) -> ModelName:
    # As shared.routing.Route.names: the gateway asks for all of these, in three encodings each.
    offered = (offer.id for offer in model.offers if offer.provider == provider.id)
    every = (id_ for name in (model.id, *offered, *model.aliases) for id_ in model_ids(name))
    return ModelName(model.id, model_ids(model.id)[0], frozenset(every))


def _padded(id_: bytes) -> str:
    """The name in an id that isn't a hash but the name itself."""
    text = id_.rstrip(b"\0")
    return text.decode() if text.isascii() and text.decode().isprintable() and text else "?"

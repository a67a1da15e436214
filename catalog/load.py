"""YAML files to a `Catalog`, whole or not at all. Nothing is fetched.

At start the files are read leanly: rows become dataclasses, which refuse keys that they don't know, and the links between them
are checked. `check=True` validates every value against `catalog.schema` first; a reload does so, and the tests do. Measured
with 347 models: 80 ms without, 160 ms with the check and the import of pydantic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from catalog.names import normal, spellings
from catalog.types import (
    FREE,
    Auth,
    Catalog,
    Endpoint,
    Model,
    Offer,
    Price,
    Provider,
    Rates,
    Tier,
    Window,
)
from shared.canonical import Flags, Limits

HERE = Path(__file__).parent
_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CatalogError(ValueError):
    """The files contradict themselves. The message names file, model and field."""


def load(root: Path = HERE, *, check: bool = False) -> Catalog:
    """The catalog in `root` (folders `providers` and `models`). Raises `CatalogError` and leaves nothing half done."""
    providers: dict[str, Provider] = {}
    for path, row in _files(root / "providers"):
        if check:
            _check(path, row, "PROVIDER")
        with _place(path):
            provider = _provider(row)
            providers[provider.id] = provider
    models: dict[str, Model] = {}
    for path, rows in _files(root / "models"):
        if check:
            _check(path, rows, "MODELS")
        if not isinstance(rows, list):
            raise CatalogError(f"{path.name}: not a list of models")
        for row in rows:
            with _place(path, row):
                model = _model(row, providers)
                if models.setdefault(model.id, model) is not model:
                    raise CatalogError("a second model of this id")
    return Catalog(providers, models, _names(models.values()), frozenset(providers))


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _files(folder: Path) -> Iterator[tuple[Path, Any]]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise CatalogError(f"{folder}: no YAML files")
    for path in paths:
        try:
            yield path, yaml.load(path.read_bytes(), _LOADER)  # noqa: S506  # a safe loader, the one written in C
        except (yaml.YAMLError, ValueError, OSError) as error:  # ValueError: a day that no calendar has
            raise CatalogError(f"{path.name}: {error}") from error


def _check(path: Path, rows: object, adapter: str) -> None:
    from pydantic import TypeAdapter, ValidationError

    from catalog import schema  # imported only where the full check is wanted

    form: TypeAdapter[object] = getattr(schema, adapter)
    try:
        form.validate_python(rows)
    except ValidationError as error:
        raise CatalogError(f"{path.name}: {error}") from error


@contextmanager
def _place(path: Path, row: object = None) -> Iterator[None]:
    """Says where a row is wrong."""
    try:
        yield
    except (CatalogError, KeyError, TypeError, ValueError, AttributeError) as error:
        where = f"{path.name}: {row['id']}" if isinstance(row, Mapping) and "id" in row else path.name
        what = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise CatalogError(f"{where}: {what}") from error


# ── providers ────────────────────────────────────────────────────────────────────────────────────────────────────


def _provider(row: Any) -> Provider:
    auth = Auth(**row["auth"]) if row.get("auth") else None
    endpoints = {}
    for api, end in row["endpoints"].items():
        known = {**end, "auth": Auth(**end["auth"]) if "auth" in end else auth}
        endpoints[api] = Endpoint(api, **{**known, "quirks": frozenset(end.get("quirks", ()))})
    lists = {key: tuple(row.get(key, ())) for key in ("vendor_of", "env", "forward_headers")}
    plain = {key: value for key, value in row.items() if key != "auth"}
    return Provider(**{**plain, **lists, "endpoints": endpoints})


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _model(row: Any, providers: Mapping[str, Provider]) -> Model:
    plain = {key: row[key] for key in row.keys() - {"name", "aliases", "limits", "flags", "input", "output", "offers"}}
    model = Model(
        display_name=row["name"],
        aliases=tuple(row.get("aliases", ())),
        limits=Limits(**row.get("limits", {})),
        flags=_flags(Flags(), row.get("flags", {})),
        input=frozenset(row["input"]),
        output=frozenset(row.get("output", ("text",))),
        **plain,
    )
    offers = tuple(_offer(offer, model, providers) for offer in row["offers"])
    if len({offer.provider for offer in offers}) != len(offers):
        raise CatalogError("two offers of one provider")
    names = (model.id, model.successor or "", *model.aliases, *(offer.id for offer in offers))
    if not all(isinstance(name, str) for name in names):
        raise CatalogError("a name that is no text")
    return replace(model, offers=offers)


def _offer(row: Any, model: Model, providers: Mapping[str, Provider]) -> Offer:
    provider = providers.get(row["provider"])
    if provider is None:
        raise CatalogError(f"unknown provider {row['provider']}")
    apis = tuple(row.get("apis", provider.endpoints))
    if missing := set(apis) - set(provider.endpoints):
        raise CatalogError(f"{provider.id} doesn't serve {', '.join(sorted(missing))}")
    if unknown := row.keys() - {"provider", "id", "apis", "limits", "flags", "input", "output", "quirks", "prices"}:
        raise CatalogError(f"unknown {', '.join(sorted(unknown))}")
    prices = tuple(sorted(map(_price, row.get("prices", ())), key=lambda price: price.since))
    return Offer(
        provider=provider.id,
        id=row["id"],
        apis=apis,
        prices=prices or ((FREE,) if provider.free else ()),
        limits=replace(model.limits, **row["limits"]) if "limits" in row else model.limits,
        flags=_flags(model.flags, row["flags"]) if "flags" in row else model.flags,
        input=frozenset(row["input"]) if "input" in row else model.input,
        output=frozenset(row["output"]) if "output" in row else model.output,
        quirks=frozenset(row.get("quirks", ())),
    )


def _flags(flags: Flags, row: Any) -> Flags:
    if "effort" in row:
        row = {**row, "effort": tuple(row["effort"])}
    return replace(flags, **row) if row else flags


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _price(row: Any) -> Price:
    rates = Rates(**_nanos(row["rates"]))
    services = row.get("service_tiers", {})
    tiers = [_tier(tier, rates, services) for tier in row.get("tiers", ())]
    windows = (Window(part["start"], part["end"], _part(rates, part["rates"])) for part in row.get("windows", ()))
    return Price(
        since=row["since"],
        rates=rates,
        tiers=tuple(sorted(tiers, key=lambda tier: tier.over)),
        windows=tuple(windows),
        service_tiers={name: _part(rates, part) for name, part in services.items()},
        source=row["source"],
    )


def _tier(row: Any, rates: Rates, services: Mapping[str, Mapping[str, float]]) -> Tier:
    """A service tier above the threshold: what it says there, else what it says below, else the threshold's own rates."""
    above = _part(rates, row["rates"])
    own = row.get("service_tiers", {})
    if unknown := own.keys() - services.keys():
        raise CatalogError(f"service tier {', '.join(sorted(unknown))} only above {row['over']}")
    return Tier(
        row["over"], above, {name: _part(above, {**part, **own.get(name, {})}) for name, part in services.items()}
    )


def _part(rates: Rates, row: Mapping[str, float]) -> Rates:
    return replace(rates, **_nanos(row))


def _nanos(row: Mapping[str, float]) -> dict[str, int]:
    """Dollars per million tokens (per thousand calls) to nano-dollars per million tokens (per call)."""
    return {name: round(dollars * (1e6 if name == "web_search" else 1e9)) for name, dollars in row.items()}


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _names(models: Collection[Model]) -> dict[str, str]:
    names: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for model in models:
        for name in dict.fromkeys((model.id, *model.aliases, *(offer.id for offer in model.offers))):
            if names.setdefault(normal(name), model.id) != model.id:
                raise CatalogError(f"{name}: names both {names[normal(name)]} and {model.id}")
            others.extend((normal(other), model.id) for other in spellings(name))
    for name, id_ in others:
        names.setdefault(name, id_)  # a spelling gives way to a name that was written down
    for model in models:
        if model.successor and normal(model.successor) not in names:
            raise CatalogError(f"{model.id}: unknown successor {model.successor}")
    return names

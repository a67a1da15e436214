"""The catalog as one gateway serves it: which providers are on, and where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from catalog.load import load
from catalog.types import Catalog, Provider

DEMO = "demo"
"""The provider that the emulator brings along; served only where DEMO_UPSTREAM_URL names it."""


def served_catalog(variables: Mapping[str, str]) -> Catalog:
    """The catalog in the repository, as it is served with these variables."""
    return served(load(), variables)


def served(catalog: Catalog, variables: Mapping[str, str]) -> Catalog:
    """The catalog with the providers that are on here, at the addresses that the settings name."""
    providers: dict[str, Provider] = {}
    for provider in catalog.providers.values():
        named = variables.get(f"{provider.id.upper()}_UPSTREAM_URL", "")
        base = variables.get(provider.base_url_env, "") if provider.base_url_env else ""
        if provider.base_url_env and not (named or base):
            continue
        if provider.id == DEMO and not named:
            continue
        root = named or base.rstrip("/").removesuffix("/v1") or provider.root
        providers[provider.id] = replace(provider, root=root.rstrip("/"))
    return replace(catalog, providers=providers)

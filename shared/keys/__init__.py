"""Where a provider's key comes from, and who may use it: the face of `env` (local) and `chain` (Sapphire)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Want:
    """A provider that could serve a request, and the names by which its owner may have allowed the model."""

    provider: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A key in clear, which no repr shows. `version` is the secret's on chain, 0 elsewhere."""

    value: str = field(repr=False)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """The keys that may be used, by provider, and why the others may not."""

    keys: Mapping[str, ProviderKey]
    denied: Mapping[str, GatewayError] = field(default_factory=dict)


class Keys(Protocol):
    """Opens the keys of an owner for a caller."""

    async def open(self, owner: str, caller: str, wants: Sequence[Want]) -> Opened:
        """The keys for those of `wants` that are permitted. Raises the contract's GatewayError when that leaves none."""

    async def admit(self, owner: str, caller: str) -> None:
        """Returns when `caller` may use keys of `owner` at all. Raises DELEGATE_NOT_PERMITTED, SAPPHIRE_UNAVAILABLE."""

    async def ready(self) -> None:
        """Returns when keys can be had at all; raises a GatewayError otherwise (for /health/ready)."""

    async def close(self) -> None:
        """Frees connections."""

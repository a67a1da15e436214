"""Provider keys from the environment and `.env`: the operator's own, for local use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catalog.types import Provider
from shared.errors import Code, GatewayError
from shared.keys import Opened, ProviderKey, Want


class EnvKeys:
    """See `shared.keys.Keys`. Whoever may log in may use every key that is set."""

    def __init__(self, providers: Mapping[str, Provider], variables: Mapping[str, str]) -> None:
        """`variables`: the values of `<NAME>_API_KEY` by that variable's whole name."""
        self._variables = {provider.id: provider.env for provider in providers.values()}
        self._keys: dict[str, ProviderKey] = {}
        for provider in providers.values():
            value = next((variables[name] for name in provider.env if variables.get(name)), "")
            if value or provider.no_key:
                self._keys[provider.id] = ProviderKey(value)

    @property
    def providers(self) -> tuple[str, ...]:
        """Those that can be used."""
        return tuple(self._keys)

    async def open(self, owner: str, caller: str, wants: Sequence[Want]) -> Opened:
        found = {want.provider: self._keys[want.provider] for want in wants if want.provider in self._keys}
        if not found:
            names = sorted({name for want in wants for name in self._variables.get(want.provider, ())})
            how = f"Set one of {', '.join(names)} in .env." if names else "No provider serves it here."
            raise GatewayError(Code.SECRET_NOT_FOUND, f"There is no key for a provider that serves this model. {how}")
        return Opened(found)

    async def admit(self, owner: str, caller: str) -> None:
        if owner != caller:
            raise GatewayError(
                Code.DELEGATE_NOT_PERMITTED,
                "Another owner's keys need the control plane on chain (KEYS=chain); these are local.",
            )

    async def ready(self) -> None:
        return None

    async def close(self) -> None:
        return None

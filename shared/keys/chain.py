"""Keys on Sapphire: the control plane says who may use them, the gateway's own key opens them.

Whatever is not a clear yes is a no. https://docs.oasis.io/build/sapphire/
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from shared.chain import checksum_address, provider_id
from shared.errors import Code, GatewayError
from shared.keys import Opened, ProviderKey, Want
from shared.keys.envelope import EnvelopeError
from shared.keys.permission import Grant, Plane, Verdict, refusal, sealed, unavailable
from shared.keys.rofl import GatewayKey, KeySource
from shared.keys.rpc import Answer, Ask, Rpc, RpcError
from shared.keys.vault import Vault

_GRANTS = 4096


class ChainKeys:
    """Opens owners' keys for callers whom the owners permit. One round trip to the chain per request, none within `ttl`.

    Only a yes is kept for `ttl` seconds; who was refused is asked about anew.
    """

    def __init__(
        self,
        rpc: Rpc,
        contract: str,
        chain_id: int,
        source: KeySource,
        *,
        ttl: float = 0.0,
        vault: Vault | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._plane = Plane(checksum_address(contract), chain_id)
        self._source = source
        self._ttl = ttl
        self._vault = vault or Vault()
        self._clock = clock
        self._granted: OrderedDict[tuple[str, str, Want], tuple[float, Grant]] = OrderedDict()

    async def open(self, owner: str, caller: str, wants: Sequence[Want]) -> Opened:
        """The keys for those of `wants` that `owner` lets `caller` use. Raises when that leaves none."""
        verdicts = await self._verdicts(owner, caller, wants)
        keys: dict[str, ProviderKey] = {}
        denied: dict[str, GatewayError] = {}
        for want, key in zip(verdicts, await self._unseal(owner, verdicts), strict=True):
            if isinstance(key, GatewayError):
                denied[want.provider] = key
            else:
                keys[want.provider] = key
        if not keys:
            raise refusal(denied.values())
        return Opened(keys, {provider: error for provider, error in denied.items() if provider not in keys})

    async def admit(self, owner: str, caller: str) -> None:
        """Returns when `caller` may use keys of `owner` at all. Raises DELEGATE_NOT_PERMITTED, SAPPHIRE_UNAVAILABLE."""
        await self._verdicts(owner, caller, ())

    async def check(self, owner: str, caller: str, models: Mapping[str, Sequence[Want]]) -> dict[str, GatewayError]:
        """Why a model can't be had, for those of `models` (by any name, with the providers that serve it) that can't.

        Raises what holds for all of them: paused, no delegation, a chain that doesn't answer.
        """
        wants = tuple(dict.fromkeys(want for several in models.values() for want in several))
        verdicts = await self._verdicts(owner, caller, wants)
        refused: dict[str, GatewayError] = {}
        for model, several in models.items():
            found = [verdicts[want] for want in several]
            errors = [verdict for verdict in found if isinstance(verdict, GatewayError)]
            if len(errors) == len(found):
                refused[model] = refusal(errors)
        return refused

    async def ready(self) -> None:
        """Returns when the chain answers, is the right one and not paused, and the gateway has its key."""
        await self._source.key()
        self._plane.read_state(await self._ask(self._plane.state_calls()))

    async def close(self) -> None:
        """Frees connections."""
        await self._rpc.close()
        await self._source.close()

    async def _verdicts(self, owner: str, caller: str, wants: Sequence[Want]) -> dict[Want, Verdict]:
        owner, caller = owner.lower(), caller.lower()
        known = self._remembered(owner, caller, wants)
        missing = [want for want in dict.fromkeys(wants) if want not in known]
        asked = await self._ask_for(owner, caller, missing) if missing or not known else {}
        for want, verdict in asked.items():
            if isinstance(verdict, Grant):
                self._remember((owner, caller, want), verdict)
            elif verdict.code is Code.SECRET_NOT_FOUND:
                self._vault.forget((owner, provider_id(want.provider)))
        return {want: known.get(want) or asked[want] for want in wants}

    async def _ask_for(self, owner: str, caller: str, wants: Sequence[Want]) -> dict[Want, Verdict]:
        answers = await self._ask(self._plane.calls(owner, caller, wants))
        return self._plane.read_verdicts(owner, caller, wants, answers)

    async def _ask(self, calls: Sequence[Ask]) -> Iterator[Answer]:
        try:
            return iter(await self._rpc.ask(calls))
        except RpcError as error:
            raise unavailable(str(error)) from None

    async def _unseal(self, owner: str, verdicts: Mapping[Want, Verdict]) -> list[ProviderKey | GatewayError]:
        if not any(isinstance(verdict, Grant) for verdict in verdicts.values()):
            return [verdict for verdict in verdicts.values() if isinstance(verdict, GatewayError)]
        gateway = await self._source.key()
        return await asyncio.gather(*(self._key(owner, *pair, gateway) for pair in verdicts.items()))

    async def _key(self, owner: str, want: Want, verdict: Verdict, gateway: GatewayKey) -> ProviderKey | GatewayError:
        if isinstance(verdict, GatewayError):
            return verdict
        slot = (owner.lower(), provider_id(want.provider))
        try:
            value = await self._vault.open(slot, verdict.secret.ciphertext, gateway.private_keys)
        except EnvelopeError as error:
            return sealed(owner, want, verdict, gateway, error.reason)
        return ProviderKey(value, verdict.secret.version)

    def _remembered(self, owner: str, caller: str, wants: Iterable[Want]) -> dict[Want, Verdict]:
        now = self._clock()
        found = ((want, self._granted.get((owner, caller, want))) for want in wants)
        return {want: grant[1] for want, grant in found if grant and now < grant[0]}

    def _remember(self, who: tuple[str, str, Want], grant: Grant) -> None:
        if self._ttl <= 0:
            return
        self._granted[who] = (self._clock() + self._ttl, grant)
        self._granted.move_to_end(who)
        while len(self._granted) > _GRANTS:
            self._granted.popitem(last=False)

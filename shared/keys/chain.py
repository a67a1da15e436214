"""Keys on Sapphire: the control plane says who may use them, the gateway's own key opens them.

Whatever is not a clear yes is a no. https://docs.oasis.io/build/sapphire/
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.chain import checksum_address, model_ids, provider_id
from shared.control_plane import (
    AbiError,
    RoflKey,
    Secret,
    get_rofl_key,
    get_secret_ciphertext,
    is_delegate_permitted,
    is_model_permitted,
    is_paused,
    read_bool,
    read_rofl_key,
    read_secret,
)
from shared.errors import Code, GatewayError
from shared.keys import Opened, ProviderKey, Want
from shared.keys.envelope import EnvelopeError, Reason
from shared.keys.rofl import GatewayKey, KeySource
from shared.keys.rpc import Answer, Ask, Fault, Rpc, RpcError
from shared.keys.vault import Vault

_GRANTS = 4096
# Where no candidate is left, the first of these that occurred is the answer: what the gateway must mend, then the owner, then
# the caller's choice of a model.
_GRAVEST = (Code.SAPPHIRE_UNAVAILABLE, Code.DECRYPTION_FAILED, Code.MODEL_NOT_ALLOWED, Code.SECRET_NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Grant:
    """A yes: the secret, and the gateway's key as registered when it was said (for messages only; None where odd)."""

    secret: Secret
    registered: RoflKey | None


Verdict = Grant | GatewayError


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
        self._contract = checksum_address(contract)
        self._chain_id = chain_id
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
            raise _refusal(denied.values())
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
                refused[model] = _refusal(errors)
        return refused

    async def ready(self) -> None:
        """Returns when the chain answers, is the right one and not paused, and the gateway has its key."""
        await self._source.key()
        _read_state(iter(await self._ask(self._state_calls())), self._chain_id)

    async def close(self) -> None:
        """Frees connections."""
        await self._rpc.close()
        await self._source.close()

    async def _verdicts(self, owner: str, caller: str, wants: Sequence[Want]) -> dict[Want, Verdict]:
        owner, caller = owner.lower(), caller.lower()
        known = self._remembered(owner, caller, wants)
        missing = [want for want in dict.fromkeys(wants) if want not in known]
        asked = await self._permissions(owner, caller, missing) if missing or not known else {}
        for want, verdict in asked.items():
            if isinstance(verdict, Grant):
                self._remember((owner, caller, want), verdict)
            elif verdict.code is Code.SECRET_NOT_FOUND:
                self._vault.forget((owner, provider_id(want.provider)))
        return {want: known.get(want) or asked[want] for want in wants}

    async def _permissions(self, owner: str, caller: str, wants: Sequence[Want]) -> dict[Want, Verdict]:
        calls = [*self._state_calls(), self._read(get_rofl_key())]
        if owner != caller:
            calls.append(self._read(is_delegate_permitted(owner, caller)))
        for want in wants:
            calls += self._want_calls(owner, want)
        answers = iter(await self._ask(calls))
        _read_state(answers, self._chain_id)
        registered = _read_registered(next(answers))
        if owner != caller and not _read_yes(next(answers)):
            raise GatewayError(
                Code.DELEGATE_NOT_PERMITTED,
                f"{checksum_address(owner)} has not made {checksum_address(caller)} a delegate, or no longer.",
            )
        return {want: _read_verdict(owner, want, registered, answers) for want in wants}

    def _state_calls(self) -> list[Ask]:
        return [Ask("eth_chainId"), self._read(is_paused())]

    def _want_calls(self, owner: str, want: Want) -> list[Ask]:
        provider = provider_id(want.provider)
        models = (self._read(is_model_permitted(owner, provider, model)) for model in _ids(want))
        return [self._read(get_secret_ciphertext(owner, provider)), *models]

    def _read(self, calldata: bytes) -> Ask:
        return Ask("eth_call", ({"to": self._contract, "data": f"0x{calldata.hex()}"}, "latest"))

    async def _ask(self, calls: Sequence[Ask]) -> list[Answer]:
        try:
            return await self._rpc.ask(calls)
        except RpcError as error:
            raise _unavailable(str(error)) from None

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
            why = error.reason.value
            if error.reason is Reason.TAG:
                why = _why_sealed(verdict, gateway)
            whose = (
                f"The key that {checksum_address(owner)} stored for {want.provider} (version {verdict.secret.version})"
            )
            return GatewayError(Code.DECRYPTION_FAILED, f"{whose} can't be opened: {why}.")
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


def _ids(want: Want) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(id_ for name in want.models for id_ in model_ids(name)))


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_state(answers: Iterator[Answer], expected: int) -> None:
    found = next(answers)
    if not isinstance(found, str) or found.lower() != hex(expected):
        raise _unavailable(f"the node is not on chain {expected}")
    if _read_yes(next(answers)):
        raise GatewayError(Code.SAPPHIRE_UNAVAILABLE, "The control plane is paused. Nobody's key can be used now.")


def _read_yes(answer: Answer) -> bool:
    try:
        return read_bool(_read_bytes(answer))
    except AbiError as error:
        raise _unavailable(str(error)) from None


def _read_verdict(owner: str, want: Want, registered: RoflKey | None, answers: Iterator[Answer]) -> Verdict:
    # All of a candidate's answers are taken before any is judged: the next candidate's stand behind them.
    stored = next(answers)
    permitted = [next(answers) for _ in _ids(want)]
    try:
        secret = None if _reverted(stored) else read_secret(_read_bytes(stored))
        allowed = [not _reverted(answer) and read_bool(_read_bytes(answer)) for answer in permitted]
    except AbiError as error:
        return _unavailable(f"{error} ({want.provider})")
    except GatewayError as error:
        return error
    if secret is None:
        return GatewayError(
            Code.SECRET_NOT_FOUND, f"{checksum_address(owner)} has no key for {want.provider} that can be used."
        )
    if not any(allowed):
        names = " or ".join(dict.fromkeys(want.models))
        return GatewayError(
            Code.MODEL_NOT_ALLOWED, f"{checksum_address(owner)} doesn't allow {names} at {want.provider}."
        )
    return Grant(secret, registered)


def _read_registered(answer: Answer) -> RoflKey | None:
    try:
        return read_rofl_key(_read_bytes(answer))
    except (AbiError, GatewayError):  # no permission hangs on it
        return None


def _reverted(answer: Answer) -> bool:
    # The contract reverts for a provider that it doesn't know; that is as good as a no.
    return isinstance(answer, Fault) and answer.reverted


def _read_bytes(answer: Answer) -> bytes:
    if isinstance(answer, Fault):
        raise _unavailable(f"the node refused a call with code {answer.code}")
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise AbiError("the node's answer is not hex")
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        raise AbiError("the node's answer is not hex") from None


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _unavailable(why: str) -> GatewayError:
    return GatewayError(Code.SAPPHIRE_UNAVAILABLE, f"Sapphire can't be asked for permission: {why}.")


def _why_sealed(grant: Grant, gateway: GatewayKey) -> str:
    registered, sealed = grant.registered, grant.secret.key_version
    if registered is None:
        return f"it was sealed to another gateway key (version {sealed} on chain); the owner must store it again"
    if registered.public != gateway.public:
        return f"version {registered.version} of the gateway key, as registered on chain, is not the key that this gateway holds"
    older = f"version {sealed} of the gateway key" if sealed != registered.version else "an older gateway key"
    return f"it was sealed to {older}, and now there is version {registered.version}; the owner must store it again"


def _refusal(errors: Iterable[GatewayError]) -> GatewayError:
    by_code: dict[Code, list[str]] = {}
    for error in errors:
        by_code.setdefault(error.code, []).append(error.message)
    for code in _GRAVEST:
        if messages := by_code.get(code):
            return GatewayError(code, " ".join(dict.fromkeys(messages)))
    return GatewayError(Code.SECRET_NOT_FOUND, "No provider that serves this model has a key.")

"""May this caller use this owner's keys? The calls to the control plane that ask, and what their answers mean.

Pure: no I/O. Whatever is not a clear yes is a no.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from shared.keys import Want
from shared.keys.envelope import Reason
from shared.keys.rofl import GatewayKey
from shared.keys.rpc import Answer, Ask, Fault

# Where no candidate is left, the first of these that occurred is the answer: what the gateway must mend, then the owner, then
# the caller's choice of a model.
_GRAVEST = (Code.SAPPHIRE_UNAVAILABLE, Code.DECRYPTION_FAILED, Code.MODEL_NOT_ALLOWED, Code.SECRET_NOT_FOUND)


@dataclass(frozen=True, slots=True)
class Grant:
    """A yes: the secret, and the gateway's key as registered when it was said (for messages only; None where odd)."""

    secret: Secret
    registered: RoflKey | None


Verdict = Grant | GatewayError


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the control plane stands."""

    contract: str
    chain_id: int

    def state_calls(self) -> list[Ask]:
        """Is it the right chain, and does the contract work?"""
        return [Ask("eth_chainId"), self._read(is_paused())]

    def calls(self, owner: str, caller: str, wants: Sequence[Want]) -> list[Ask]:
        """All that must be known before `caller` spends keys of `owner`. An owner needs no delegation."""
        calls = [*self.state_calls(), self._read(get_rofl_key())]
        if owner != caller:
            calls.append(self._read(is_delegate_permitted(owner, caller)))
        for want in wants:
            provider = provider_id(want.provider)
            calls.append(self._read(get_secret_ciphertext(owner, provider)))
            calls += (self._read(is_model_permitted(owner, provider, model)) for model in _ids(want))
        return calls

    def read_state(self, answers: Iterator[Answer]) -> None:
        """Raises SAPPHIRE_UNAVAILABLE unless the answers to `state_calls` are good."""
        found = next(answers)
        if not isinstance(found, str) or found.lower() != hex(self.chain_id):
            raise unavailable(f"the node is not on chain {self.chain_id}")
        if _read_yes(next(answers)):
            raise GatewayError(Code.SAPPHIRE_UNAVAILABLE, "The control plane is paused. Nobody's key can be used now.")

    def read_verdicts(
        self, owner: str, caller: str, wants: Sequence[Want], answers: Iterator[Answer]
    ) -> dict[Want, Verdict]:
        """The answers to `calls`. Raises what holds for all: SAPPHIRE_UNAVAILABLE, DELEGATE_NOT_PERMITTED."""
        self.read_state(answers)
        registered = _read_registered(next(answers))
        if owner != caller and not _read_yes(next(answers)):
            raise GatewayError(
                Code.DELEGATE_NOT_PERMITTED,
                f"{checksum_address(owner)} has not made {checksum_address(caller)} a delegate, or no longer.",
            )
        return {want: _read_verdict(owner, want, registered, answers) for want in wants}

    def _read(self, calldata: bytes) -> Ask:
        return Ask("eth_call", ({"to": self.contract, "data": f"0x{calldata.hex()}"}, "latest"))


def unavailable(why: str) -> GatewayError:
    """The chain can't be asked, or what it says can't be used."""
    return GatewayError(Code.SAPPHIRE_UNAVAILABLE, f"Sapphire can't be asked for permission: {why}.")


def sealed(owner: str, want: Want, grant: Grant, gateway: GatewayKey, reason: Reason) -> GatewayError:
    """A key that is permitted and can't be opened; for one sealed to another gateway key, which versions those are."""
    whose = f"The key that {checksum_address(owner)} stored for {want.provider} (version {grant.secret.version})"
    why = _other_key(grant, gateway) if reason is Reason.TAG else reason.value
    return GatewayError(Code.DECRYPTION_FAILED, f"{whose} can't be opened: {why}.")


def refusal(errors: Iterable[GatewayError]) -> GatewayError:
    """The one error for a request of which no candidate is left."""
    by_code: dict[Code, list[str]] = {}
    for error in errors:
        by_code.setdefault(error.code, []).append(error.message)
    for code in _GRAVEST:
        if messages := by_code.get(code):
            return GatewayError(code, " ".join(dict.fromkeys(messages)))
    return GatewayError(Code.SECRET_NOT_FOUND, "No provider that serves this model has a key.")


def _ids(want: Want) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(id_ for name in want.models for id_ in model_ids(name)))


def _read_yes(answer: Answer) -> bool:
    try:
        return read_bool(_read_bytes(answer))
    except AbiError as error:
        raise unavailable(str(error)) from None


def _read_verdict(owner: str, want: Want, registered: RoflKey | None, answers: Iterator[Answer]) -> Verdict:
    # All of a candidate's answers are taken before any is judged: the next candidate's stand behind them.
    stored = next(answers)
    permitted = [next(answers) for _ in _ids(want)]
    try:
        secret = None if _reverted(stored) else read_secret(_read_bytes(stored))
        allowed = [not _reverted(answer) and read_bool(_read_bytes(answer)) for answer in permitted]
    except AbiError as error:
        return unavailable(f"{error} ({want.provider})")
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
        raise unavailable(f"the node refused a call with code {answer.code}")
    if not isinstance(answer, str) or not answer.startswith("0x"):
        raise AbiError("the node's answer is not hex")
    try:
        return bytes.fromhex(answer[2:])
    except ValueError:
        raise AbiError("the node's answer is not hex") from None


def _other_key(grant: Grant, gateway: GatewayKey) -> str:
    registered, version = grant.registered, grant.secret.key_version
    if registered is None:
        return f"it was sealed to another gateway key (version {version} on chain); the owner must store it again"
    if registered.public != gateway.public:
        return f"version {registered.version} of the gateway key, as registered on chain, is not the key that this gateway holds"
    older = f"version {version} of the gateway key" if version != registered.version else "an older gateway key"
    return f"it was sealed to {older}, and now there is version {registered.version}; the owner must store it again"

"""Who is calling: tokens, and the login that gives them out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from shared.errors import GatewayError
from shared.login import Login, check_times, digest, read_login, recover, refused
from shared.settings import Settings
from shared.store import Budget, Grant, Preferences, Session, Store

_TOKEN = re.compile(r"[0-9a-f]{64}")
_SECRET_BYTES = 12
_NO_TOKEN = "A token is needed: `Authorization: Bearer <token>` or `x-api-key: <token>`. `ekai login` gets one."
_BAD_TOKEN = "The token is unknown or has expired. `ekai login` gets a new one."

ContractWallet = Callable[[str, bytes, bytes], Awaitable[bool]]
"""(address, digest, signature) -> whether the contract at that address accepts it (ERC-1271)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who showed a living token. Addresses are lower-case."""

    address: str
    preferences: Preferences
    grants: tuple[Grant, ...] = ()
    budget: Budget | None = None

    @property
    def owner(self) -> str:
        """Whose keys pay."""
        return self.preferences.api_address or self.address


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token, shown once."""

    token: str
    address: str
    expires_at: int


def tokens_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The tokens that a request carries (Claude Code may send two), without the `sk-ant-` that some clients put in front."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    shown = (bearer.strip() if scheme.lower() == "bearer" else "", headers.get("x-api-key", "").strip())
    return tuple(dict.fromkeys(token.removeprefix("sk-ant-") for token in shown if token))


def new_token(address: str) -> str:
    """64 lower-case hex digits: 96 random bits, then the address it is for.

    The address is public; it says where the caller's settings are, so that a store can read them together with the token. The secret
    comes first, because what clients show of a key is most often its end.
    """
    return secrets.token_hex(_SECRET_BYTES) + address.removeprefix("0x").lower()


def hint_in(token: str) -> str:
    """The address that a token names. Whose it is, the store alone knows: anybody can write an address, and tokens from before there
    were addresses in them are all random."""
    return f"0x{token[2 * _SECRET_BYTES :]}"


def token_hash(token: str) -> bytes:
    """What the store knows of a token."""
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True)
class Callers:
    """Tokens out, callers in."""

    store: Store
    settings: Settings
    clock: Callable[[], float]
    contract_wallet: ContractWallet | None = None

    async def identify(self, headers: Mapping[str, str]) -> Caller:
        """The caller behind a request. Raises AUTHENTICATION_ERROR."""
        tokens = tokens_in(headers)
        if not tokens:
            raise refused(_NO_TOKEN)
        for token in tokens:
            session = await self._session(token)
            if session is not None:
                return Caller(session.address, session.preferences, session.grants, session.budget)
        raise refused(_BAD_TOKEN)

    async def _session(self, token: str) -> Session | None:
        if not _TOKEN.fullmatch(token):
            return None
        return await self.store.session(token_hash(token), int(self.clock()), hint_in(token))

    def is_operator(self, headers: Mapping[str, str]) -> bool:
        """True for the operator's token; never without one in the settings."""
        expected = self.settings.operator_token
        if expected is None:
            return False
        wanted = expected.get_secret_value().encode()
        return any(secrets.compare_digest(shown.encode(), wanted) for shown in tokens_in(headers))

    async def login(self, body: object) -> Issued:
        """A token for a signed login. Raises VALIDATION_ERROR and AUTHENTICATION_ERROR."""
        login, now = read_login(body), int(self.clock())
        check_times(login, now, self.settings.auth_token_ttl, self.settings.auth_max_message_age)
        message = digest(login.address, login.expiration, self.settings.sapphire_chain_id)
        await self._check_signer(login, message)
        allowed = {address.lower() for address in self.settings.allowed_addresses}
        if allowed and login.address not in allowed:
            raise refused("This address may not log in here: the operator's ALLOWED_ADDRESSES doesn't list it.")
        if not await self.store.use_signature(sha256(bytes.fromhex(login.signature[2:])).digest(), login.expiration):
            raise refused("This signature was used before; sign a new message.")
        return await self.issue(login.address)

    async def _check_signer(self, login: Login, message: bytes) -> None:
        try:
            if recover(login.signature, message) == login.address:
                return
        except GatewayError:
            if self.contract_wallet is None:
                raise
        if self.contract_wallet is not None:
            signature = bytes.fromhex(login.signature[2:])
            if await self.contract_wallet(login.address, message, signature):
                return
        raise refused("The signature isn't this address's.")

    async def issue(self, address: str) -> Issued:
        """A token for an address that has proven itself."""
        token = new_token(address)
        expires_at = int(self.clock()) + self.settings.auth_token_ttl
        await self.store.add_token(token_hash(token), address, expires_at)
        return Issued(token, address, expires_at)

    async def logout(self, headers: Mapping[str, str]) -> None:
        """Ends the tokens that the request carries."""
        await self.identify(headers)
        for token in tokens_in(headers):
            await self.store.end_token(token_hash(token))

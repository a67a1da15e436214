"""A store in memory for tests of what lies above stores."""

from __future__ import annotations

from shared.store import Preferences, Session


class MemoryStore:
    """The part of `shared.store.Store` that logins need."""

    def __init__(self) -> None:
        self.tokens: dict[bytes, tuple[str, int]] = {}
        self.signatures: set[bytes] = set()

    async def session(self, token_hash: bytes, now: int, hint: str = "") -> Session | None:
        address, expires_at = self.tokens.get(token_hash, ("", 0))
        return Session(address, expires_at, Preferences(address)) if expires_at > now else None

    async def add_token(self, token_hash: bytes, address: str, expires_at: int) -> None:
        self.tokens[token_hash] = (address, expires_at)

    async def end_token(self, token_hash: bytes) -> None:
        self.tokens.pop(token_hash, None)

    async def use_signature(self, digest: bytes, expires_at: int) -> bool:
        first = digest not in self.signatures
        self.signatures.add(digest)
        return first

"""A wallet key in a file, and what it signs: the gateway's login."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from coincurve import PrivateKey

from cli.client import CommandError
from shared.chain import keccak256
from shared.login import digest

LOCAL_KEY = Path("data/wallet.key")
_HEX = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Wallet:
    """A private key, which no repr shows, and its lower-case address."""

    key: PrivateKey = field(repr=False)
    address: str

    @classmethod
    def read(cls, file: Path) -> Wallet:
        """From a file that holds 32 bytes in hex. Raises CommandError."""
        try:
            text = file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(
                f"The key file {file} can't be read: {getattr(error, 'strerror', None) or error}"
            ) from None
        found = _HEX.fullmatch(text)
        if found is None:
            raise CommandError(f"{file} does not hold a private key (64 hex digits).")
        try:
            key = PrivateKey(bytes.fromhex(found[1]))
        except ValueError:
            raise CommandError(f"{file} does not hold a valid private key.") from None
        return cls(key, "0x" + keccak256(key.public_key.format(compressed=False)[1:])[-20:].hex())

    def login(self, chain_id: int, seconds: int) -> dict[str, object]:
        """The body of POST /auth/login, for a token of so many seconds."""
        expiration = int(time.time()) + seconds
        raw = self.key.sign_recoverable(digest(self.address, expiration, chain_id), hasher=None)
        signature = "0x" + (raw[:64] + bytes([raw[64] + 27])).hex()
        return {"address": self.address, "expiration": expiration, "signature": signature}

"""Opaque reasoning on its way through a client: sealed with the name of the provider that made it.

The sealed form is `gw1.<maker>.<base64url of JSON>`; it fits wherever an API lets a client carry a string back
(`signature`, `encrypted_content`, `thought_signature`).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson

from shared.canonical import Opaque

PREFIX = "gw1."
PREFIX_BYTES = PREFIX.encode()


def seal(opaque: Opaque) -> str:
    """The string that a client carries for us."""
    packed = urlsafe_b64encode(orjson.dumps([opaque.kind, opaque.data])).rstrip(b"=").decode()
    return f"{PREFIX}{opaque.maker}.{packed}"


def unseal(text: str) -> Opaque | None:
    """What `seal` made; None for anything else (a provider's own bare string, or a torn seal)."""
    if not text.startswith(PREFIX):
        return None
    maker, _, packed = text[len(PREFIX) :].rpartition(".")
    try:
        kind, data = orjson.loads(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    except (ValueError, TypeError):
        return None
    if not (maker and isinstance(kind, str) and isinstance(data, str)):
        return None
    return Opaque(maker, kind, data)

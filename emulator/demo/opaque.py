"""Opaque reasoning of the demo: minted with an HMAC, so that a state which was changed or comes from elsewhere is noticed."""

from __future__ import annotations

import binascii
import hmac
from base64 import b64decode, b64encode
from hashlib import sha256

# Not a secret: nothing is protected here, strangers' states are merely told apart from our own.
_KEY = b"demo reasoning state"
_MARK = b"demo\x01"


def mint(face: str, seed: str, text: str = "") -> str:
    """A state that only the same face accepts; it remembers a hash of the visible text."""
    body = _MARK + sha256(seed.encode()).digest()[:12] + sha256(text.encode()).digest()[:12]
    return b64encode(body + _tag(face, body)).decode()


def genuine(face: str, state: str, text: str | None = None) -> bool:
    """True for a state that this face minted, and, if there is a text, that goes with this text."""
    try:
        packed = b64decode(state, validate=True)
    except binascii.Error:
        return False
    body, tag = packed[:-16], packed[-16:]
    if not body.startswith(_MARK) or not hmac.compare_digest(tag, _tag(face, body)):
        return False
    return not text or body[-12:] == sha256(text.encode()).digest()[:12]


def _tag(face: str, body: bytes) -> bytes:
    return hmac.new(_KEY + face.encode(), body, sha256).digest()[:16]

"""A provider key on its way to the gateway: sealed by its owner with X25519 and Deoxys-II, in a CBOR map.

The form is Sapphire's transaction envelope with the key itself as plaintext:
https://github.com/oasisprotocol/sapphire-paratime/blob/main/clients/js/src/cipher.ts
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import Enum, unique
from hashlib import sha256
from io import BytesIO
from secrets import token_bytes

import cbor2
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

KEY_BYTES = 32
NONCE_BYTES = 15
TAG_BYTES = 16
# The contract sets no limit; a key is under 1 KiB, and Deoxys-II in Python takes about 12 µs a byte.
MAX_ENVELOPE_BYTES = 8192

_FORMAT = 1
_BOX = b"MRAE_Box_Deoxys-II-256-128"
_MAX_DEPTH = 4
_BOUND = b"EKAI"
_INNER_CALL = b"\xa1\x64body"  # a CBOR map of one entry; no UTF-8 text begins with a1


@unique
class Reason(Enum):
    """Why an envelope is refused. The values are for people."""

    TOO_LARGE = "it is larger than a key's envelope can be"
    NOT_CBOR = "it is not CBOR"
    TRAILING_BYTES = "bytes follow the envelope"
    DUPLICATE_KEY = "a map names an entry twice"
    NOT_AN_ENVELOPE = "it is not a map with a body"
    FORMAT = "its format is not 1"
    PUBLIC_KEY = "its public key is not 32 bytes"
    LOW_ORDER = "its public key is of low order"
    NONCE = "its nonce is not 15 bytes"
    DATA = "its data is not bytes, or shorter than a tag"
    TAG = "it was made for another gateway key, or changed on the way"
    EMPTY = "the key in it is empty"
    NOT_UTF8 = "the key in it is not UTF-8"
    CONTROL_CHARACTERS = "the key in it holds control characters"
    FOREIGN = "it was sealed by another owner or for another provider"


class EnvelopeError(Exception):
    """An envelope that is refused. Holds the reason and nothing of the content."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"The envelope can't be opened: {reason.value}.")
        self.reason = reason


def open_envelope(ciphertext: bytes, private_key: bytes) -> str:
    """The provider key in `ciphertext`, fit to stand in a header. Raises EnvelopeError.

    White space around a key comes from copying it (a line's end mostly) and is cut off.
    """
    return _read_key(decrypt(ciphertext, private_key))


def seal_envelope(
    plaintext: str,
    recipient_public_key: bytes,
    *,
    ephemeral_private_key: bytes | None = None,
    nonce: bytes | None = None,
    epoch: int | None = None,
) -> bytes:
    """The envelope of a provider key for a gateway. Raises EnvelopeError for what `open_envelope` would refuse.

    The ephemeral key and the nonce are random unless given (known-answer tests give them).
    """
    _read_key(plaintext.encode())
    envelope = encrypt(
        plaintext.encode(),
        recipient_public_key,
        ephemeral_private_key=ephemeral_private_key,
        nonce=nonce,
        epoch=epoch,
    )
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(Reason.TOO_LARGE)
    return envelope


def seal_for(owner: str, provider_id: bytes, plaintext: str, recipient_public_key: bytes) -> bytes:
    """An envelope that no other owner can use. Raises EnvelopeError.

    Ciphertexts stand on chain for all to read, and the form names no owner: whoever copies one into a slot of their own could
    spend the key in it. So the nonce, which the tag covers, says whose it is. Any reader of the form opens it all the same.
    """
    ephemeral = token_bytes(KEY_BYTES)
    nonce = _bound_nonce(owner, provider_id, public_key(ephemeral))
    return seal_envelope(plaintext, recipient_public_key, ephemeral_private_key=ephemeral, nonce=nonce)


def open_for(owner: str, provider_id: bytes, ciphertext: bytes, private_keys: Sequence[bytes]) -> str:
    """As `open_envelope`, with the first of `private_keys` that fits, for the owner and provider in whose slot it stands.

    An envelope of `seal_for` is refused in any other slot; those of other tools name no owner, and pass.
    """
    pk, nonce, data = _read_body(ciphertext)
    if nonce.startswith(_BOUND) and nonce != _bound_nonce(owner, provider_id, pk):
        raise EnvelopeError(Reason.FOREIGN)
    refusal = EnvelopeError(Reason.TAG)
    for private_key in private_keys:
        try:
            plaintext = _open_box(data, nonce, _shared_secret(private_key, pk))
        except EnvelopeError as error:
            refusal = error
        else:
            return _read_key(plaintext)
    raise refusal


def decrypt(ciphertext: bytes, private_key: bytes) -> bytes:
    """The plaintext as its sender wrote it, whatever it is. Raises EnvelopeError."""
    pk, nonce, data = _read_body(ciphertext)
    return _open_box(data, nonce, _shared_secret(private_key, pk))


def encrypt(
    plaintext: bytes,
    recipient_public_key: bytes,
    *,
    ephemeral_private_key: bytes | None = None,
    nonce: bytes | None = None,
    epoch: int | None = None,
) -> bytes:
    """An envelope around any bytes, in the official encoder's canonical CBOR."""
    ephemeral = token_bytes(KEY_BYTES) if ephemeral_private_key is None else ephemeral_private_key
    nonce = token_bytes(NONCE_BYTES) if nonce is None else nonce
    if len(nonce) != NONCE_BYTES:
        raise EnvelopeError(Reason.NONCE)
    body: dict[str, object] = {
        "pk": public_key(ephemeral),
        "nonce": nonce,
        "data": _seal_box(plaintext, nonce, _shared_secret(ephemeral, recipient_public_key)),
    }
    if epoch is not None:
        body["epoch"] = epoch
    return cbor2.dumps({"format": _FORMAT, "body": body}, canonical=True)


def public_key(private_key: bytes) -> bytes:
    """The X25519 public key that belongs to a private one."""
    return crypto_scalarmult_base(private_key)


def _bound_nonce(owner: str, provider_id: bytes, pk: bytes) -> bytes:
    # The public key is new for every envelope, so the nonce is too. 88 bits are beyond finding an address that fits.
    whose = sha256(bytes.fromhex(owner.removeprefix("0x")) + provider_id + pk).digest()
    return (_BOUND + whose)[:NONCE_BYTES]


def _read_body(ciphertext: bytes) -> tuple[bytes, bytes, bytes]:
    match _read_cbor(ciphertext):
        case {"body": dict() as body, **rest}:
            if type(rest.get("format")) is not int or rest["format"] != _FORMAT:  # True == 1.0 == 1
                raise EnvelopeError(Reason.FORMAT)
        case _:
            raise EnvelopeError(Reason.NOT_AN_ENVELOPE)
    pk, nonce, data = body.get("pk"), body.get("nonce"), body.get("data")
    if not isinstance(pk, bytes) or len(pk) != KEY_BYTES:
        raise EnvelopeError(Reason.PUBLIC_KEY)
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise EnvelopeError(Reason.NONCE)
    if not isinstance(data, bytes) or len(data) < TAG_BYTES:
        raise EnvelopeError(Reason.DATA)
    return pk, nonce, data


def _read_cbor(raw: bytes) -> object:
    if len(raw) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError(Reason.TOO_LARGE)
    source = BytesIO(raw)
    try:
        item: object = _decoder(source).decode()
    except cbor2.CBORDecodeError as error:
        # The decoder has no class of its own for a repeated entry.
        reason = Reason.DUPLICATE_KEY if "Duplicate map key" in str(error) else Reason.NOT_CBOR
        raise EnvelopeError(reason) from None
    if source.tell() != len(raw):
        raise EnvelopeError(Reason.TRAILING_BYTES)
    return item


def _decoder(source: BytesIO) -> cbor2.CBORDecoder:
    return cbor2.CBORDecoder(
        source,
        max_depth=_MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )


def _shared_secret(private_key: bytes, peer: bytes) -> bytes:
    if len(private_key) != KEY_BYTES:
        raise ValueError("An X25519 private key has 32 bytes.")
    if len(peer) != KEY_BYTES:
        raise EnvelopeError(Reason.PUBLIC_KEY)
    try:
        point = crypto_scalarmult(private_key, peer)
    except RuntimeError:  # libsodium refuses a shared point of zeros; the JavaScript packages go on with it
        raise EnvelopeError(Reason.LOW_ORDER) from None
    return hmac.digest(_BOX, point, "sha512_256")


def _seal_box(plaintext: bytes, nonce: bytes, secret: bytes) -> bytes:
    from sapphirepy.deoxysii import DeoxysII  # only where keys live on chain

    box = bytearray(len(plaintext) + TAG_BYTES)
    DeoxysII(secret).encrypt(nonce, box, None, plaintext)
    return bytes(box)


def _open_box(data: bytes, nonce: bytes, secret: bytes) -> bytes:
    from sapphirepy.deoxysii import DeoxysII  # only where keys live on chain

    plaintext = bytearray(len(data) - TAG_BYTES)
    if not DeoxysII(secret).decrypt(nonce, plaintext, None, data):
        raise EnvelopeError(Reason.TAG)
    return bytes(plaintext)


def _read_key(plaintext: bytes) -> str:
    if plaintext.startswith(_INNER_CALL):
        plaintext = _unwrap_call(plaintext)
    try:
        key = plaintext.decode().strip(" \t\r\n")
    except UnicodeDecodeError:
        raise EnvelopeError(Reason.NOT_UTF8) from None
    if not key:
        raise EnvelopeError(Reason.EMPTY)
    # C0, DEL and C1: a line break would start another header, none of the others is part of any key.
    if any(char < " " or "\x7f" <= char <= "\x9f" for char in key):
        raise EnvelopeError(Reason.CONTROL_CHARACTERS)
    return key


def _unwrap_call(plaintext: bytes) -> bytes:
    # Sapphire's `encryptCall` wraps the key once more, in {body: bytes}.
    match _read_cbor(plaintext):
        case {"body": bytes() as key}:
            return key
        case _:
            raise EnvelopeError(Reason.NOT_UTF8)

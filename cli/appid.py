"""A ROFL app's identifier, `rofl1…`, as the 21 bytes that the contract keeps.

https://docs.oasis.io/build/rofl/, https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cli.client import CommandError

APP_ID_BYTES = 21
NO_APP = bytes(APP_ID_BYTES)

_PREFIX = "rofl"
_DIGITS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM = 6
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_HEX = re.compile(r"0x[0-9a-fA-F]{42}")


def read_app_id(text: str) -> bytes:
    """From `rofl1…`, from 0x and 42 hex digits, or from `none`. Raises CommandError."""
    if text == "none":
        return NO_APP
    if _HEX.fullmatch(text):
        return bytes.fromhex(text[2:])
    prefix, _, digits = text.lower().rpartition("1")
    values = [_DIGITS.find(digit) for digit in digits]
    mixed = text not in (text.lower(), text.upper())
    if mixed or prefix != _PREFIX or -1 in values or _polymod((*_expanded(prefix), *values)) != 1:
        raise CommandError(f"{text} is not the identifier of a ROFL app (`rofl1…`, or 21 bytes in hex, or `none`).")
    raw = _bytes_of(values[:-_CHECKSUM])
    if len(raw) != APP_ID_BYTES:
        raise CommandError(f"{text} has {len(raw)} bytes; the identifier of a ROFL app has {APP_ID_BYTES}.")
    return raw


def write_app_id(raw: bytes) -> str:
    """`rofl1…` for 21 bytes."""
    values = _groups(raw, 8, 5)
    sum_ = _polymod((*_expanded(_PREFIX), *values, *([0] * _CHECKSUM))) ^ 1
    check = [sum_ >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM)]
    return f"{_PREFIX}1{''.join(_DIGITS[value] for value in (*values, *check))}"


def _expanded(prefix: str) -> tuple[int, ...]:
    return (*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix))


def _polymod(values: Iterable[int]) -> int:
    sum_ = 1
    for value in values:
        top = sum_ >> 25
        sum_ = (sum_ & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                sum_ ^= generator
    return sum_


def _bytes_of(values: Sequence[int]) -> bytes:
    groups = _groups(values, 5, 8)
    whole = len(values) * 5 // 8
    return bytes(groups[:whole])  # what is left over is padding


def _groups(values: Iterable[int], size: int, wanted: int) -> list[int]:
    """The same bits in groups of another size, the last one filled up with zeros."""
    bits = "".join(f"{value:0{size}b}" for value in values)
    return [int(bits[start : start + wanted].ljust(wanted, "0"), 2) for start in range(0, len(bits), wanted)]

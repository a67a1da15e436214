"""Replies that come packed although nobody asked for it, in bounded pieces (https://www.rfc-editor.org/rfc/rfc9110#field.content-encoding)."""

from __future__ import annotations

import zlib

PIECE = 262_144
"""Bytes that are unpacked at once."""


class Unpacker:
    """gzip and deflate, a bounded piece at a time."""

    __slots__ = ("_begun", "_full", "_packed", "_zip")

    def __init__(self, bits: int) -> None:
        self._zip = zlib.decompressobj(bits)
        self._packed = b""
        self._begun = False
        self._full = False  # the last piece was as long as it may be: there may be more of it

    def give(self, packed: bytes) -> None:
        """Packed bytes, once those before have been taken."""
        self._packed, self._begun = packed, True

    def take(self) -> bytes:
        """Some of what they hold; empty when more are needed."""
        if not (self._packed or self._full) or self._zip.eof:
            return b""
        piece = self._zip.decompress(self._packed, PIECE)
        self._packed, self._full = self._zip.unconsumed_tail, len(piece) == PIECE
        return piece

    def end(self) -> None:
        """Raises zlib.error when the end is missing."""
        if self._begun and not self._zip.eof:
            raise zlib.error("the end is missing")


def unpacker(coding: str) -> Unpacker | None:
    """For a `content-encoding`; None where nothing is packed. Raises ValueError for a coding that nobody asked for."""
    match coding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Unpacker(16 + zlib.MAX_WBITS)
        case "deflate":
            return Unpacker(zlib.MAX_WBITS)
        case _:
            raise ValueError("the reply is packed in a way that nobody asked for")

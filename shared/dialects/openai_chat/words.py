"""Words in the middle of a stream: text, refusal and thoughts as blocks, with the state and the sources that belong to them."""

from __future__ import annotations

from typing import Literal

from shared.canonical import Block, BlockEnd, BlockStart, Citation, Delta, Event, Json, Opaque, Text, Thinking
from shared.dialects.openai_chat import reasoning

Kind = Literal["", "text", "refusal", "thinking"]

_FRESH: dict[Kind, Block] = {"text": Text(""), "refusal": Text("", refusal=True), "thinking": Thinking()}


class Words:
    """The words of one reply, as they come. Writes its events to `out`."""

    __slots__ = ("_cited", "_maker", "_out", "_signature", "details", "open")

    def __init__(self, maker: str, out: list[Event]) -> None:
        self._maker = maker
        self._out = out
        self.open: Kind = ""
        self.details: list[Json] = []  # of the thoughts that are open, or of none that can be seen
        self._signature = ""  # that came alone, and waits for a text
        self._cited: list[Citation] = []

    def say(self, kind: Kind, text: str, logprobs: tuple[Json, ...] = ()) -> None:
        """A piece of text. Another kind than before begins another block."""
        if self.open != kind:
            self._begin(kind)
        self._out.append(Delta(text, logprobs=logprobs) if logprobs else Delta(text))
        if self._signature and kind != "thinking":
            self.sign(self._signature)

    def _begin(self, kind: Kind) -> None:
        self.close()
        self._out.append(BlockStart(_FRESH[kind]))
        self.open = kind
        if kind == "text":
            self._out += [Delta(citation=citation) for citation in self._cited]
            self._cited.clear()

    def sign(self, signature: str) -> None:
        """A thought signature that stands beside the text, or alone."""
        if self.open in ("text", "refusal"):
            self._out.append(Delta(opaque=self._opaque(signature)))
            self._signature = ""
        else:
            self._signature = signature

    def cite(self, citation: Citation) -> None:
        """A source of the text."""
        if self.open == "text":
            self._out.append(Delta(citation=citation))
        else:
            self._cited.append(citation)

    def close(self) -> None:
        """Ends the open block, and brings state that belongs to no words in a block of its own."""
        if self.open == "thinking" and self.details:
            self._out.append(Delta(opaque=self._take_details()))
        if self.open:
            self._out.append(BlockEnd())
            self.open = ""
        if self.details:
            self._whole(Thinking(opaque=self._take_details(), redacted=True))

    def bring_signature(self) -> None:
        """A signature that no text came for."""
        if self._signature:
            self._whole(Thinking(opaque=self._opaque(self._signature), redacted=True))
            self._signature = ""

    def end(self) -> None:
        """Nothing follows."""
        if self._cited:
            self.say("text", "")
        self.close()
        self.bring_signature()

    def _whole(self, block: Block) -> None:
        self._out += (BlockStart(block), BlockEnd())

    def _opaque(self, signature: str) -> Opaque:
        return Opaque(self._maker, reasoning.SIGNATURE, signature)

    def _take_details(self) -> Opaque:
        details, self.details = self.details, []
        return reasoning.details_state(details, self._maker)

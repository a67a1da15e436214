"""Tool names on their way to a provider and back: namespaces flattened, long names shortened, custom tools wrapped.

Providers take `^[a-zA-Z0-9_-]{1,64}$`. A namespaced tool travels as `namespace__name`, a name that doesn't fit is cut to 55
characters plus `_` plus 8 hex digits of its hash. A custom (free text) tool travels, where the target has none, as a function
with one string property `input`; `Unwrap` takes the text out again while it streams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import orjson

from shared.canonical import CustomTool, FunctionTool, Json, Tool, ToolKind
from shared.errors import Code, GatewayError

_FITS = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ODD = re.compile(r"[^a-zA-Z0-9_-]")

WRAPPED_SCHEMA: Json = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The tool's whole input, as plain text."}},
    "required": ["input"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class ToolRef:
    """A tool as the client knows it."""

    name: str
    namespace: str = ""
    kind: ToolKind = "function"


@dataclass(frozen=True, slots=True)
class ToolNames:
    """The names of one request's tools, both ways."""

    by_wire: dict[str, ToolRef] = field(default_factory=dict)
    by_ref: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, tools: Iterable[Tool]) -> ToolNames:
        """Names for all function and custom tools, no two alike."""
        by_wire: dict[str, ToolRef] = {}
        by_ref: dict[tuple[str, str], str] = {}
        for tool in tools:
            if not isinstance(tool, FunctionTool | CustomTool) or (tool.namespace, tool.name) in by_ref:
                continue
            kind: ToolKind = "custom" if isinstance(tool, CustomTool) else tool.kind
            wire = wire_name(tool.name, tool.namespace)
            if wire in by_wire:
                wire = _cut(wire, f"{tool.namespace}\0{tool.name}")
            by_wire[wire] = ToolRef(tool.name, tool.namespace, kind)
            by_ref[tool.namespace, tool.name] = wire
        return cls(by_wire, by_ref)

    def wire(self, name: str, namespace: str = "") -> str:
        """The name for the provider; also for calls in the history to tools that are no longer listed."""
        return self.by_ref.get((namespace, name)) or wire_name(name, namespace)

    def client(self, wire: str) -> ToolRef:
        """The tool that the model meant by a name that it used."""
        return self.by_wire.get(wire) or ToolRef(wire)


def wire_name(name: str, namespace: str = "") -> str:
    """`name`, flattened and shortened so that every provider takes it."""
    full = f"{namespace}__{name}" if namespace else name
    if _FITS.fullmatch(full):
        return full
    return _cut(full, f"{namespace}\0{name}")


def _cut(text: str, origin: str) -> str:
    return f"{_ODD.sub('_', text)[:55]}_{sha256(origin.encode()).hexdigest()[:8]}"


def wrap(text: str) -> str:
    """A custom tool's text as the arguments of the function that stands for it."""
    return orjson.dumps({"input": text}).decode()


_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_MAX_HEAD = 256
_WHOLE = re.compile(  # string content up to a cut escape, a lone surrogate or the closing quote
    r'(?:[^"\\]+|\\[^u]|\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
_PAIR = 12  # characters of the longest escape: two surrogates


class Unwrap:
    """Takes the text out of streamed `{"input": "…"}` arguments, in pieces of any size and in one pass.

    Raises PROVIDER_ERROR where the arguments are of another form, at the latest at `close`.
    """

    __slots__ = ("_done", "_inside", "_rest")

    def __init__(self) -> None:
        self._rest = ""
        self._inside = False
        self._done = False

    def feed(self, piece: str) -> str:
        """The part of the text that `piece` completes."""
        if self._done:
            return ""
        self._rest += piece
        if not self._inside:
            head = _HEAD.match(self._rest)
            if head is None:
                if len(self._rest) > _MAX_HEAD:
                    raise _odd()
                return ""
            self._rest = self._rest[head.end() :]
            self._inside = True
        return self._take()

    def close(self) -> None:
        """To be called when the arguments are whole."""
        if not self._done:
            raise _odd()

    def _take(self) -> str:
        taken = ""
        while True:
            whole = _WHOLE.match(self._rest)
            end = whole.end() if whole else 0
            taken += _decode(self._rest[:end])
            self._rest = self._rest[end:]
            if self._rest.startswith('"'):
                self._done = True
                return taken
            if len(self._rest) < _PAIR:
                return taken
            taken += "\ufffd"  # a surrogate without its other half
            self._rest = self._rest[6:]


def _decode(raw: str) -> str:
    if "\\" not in raw and raw.isprintable():
        return raw
    try:
        return str(json.loads(f'"{raw}"', strict=False))
    except ValueError:
        raise _odd() from None


def _odd() -> GatewayError:
    return GatewayError(Code.PROVIDER_ERROR, "The model called a free-text tool with arguments of another form.")

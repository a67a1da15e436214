"""How the messages API complains, and the fields that it knows."""

from __future__ import annotations

from typing import Any

from emulator.demo.reading import Node, Wording


def _type(path: str, want: str, got: Any) -> str:
    names = {"an object": "a valid dictionary", "an array": "a valid list", "a string": "a valid string"}
    return f"{path}: Input should be {names.get(want, want.replace('a ', 'a valid ', 1).replace('an ', 'a valid ', 1))}"


WORDING = Wording(
    missing=lambda path: f"{path}: Field required",
    unknown=lambda path, name: f"{path + '.' if path else ''}{name}: Extra inputs are not permitted",
    type=_type,
    index=".{}",
)
UNTHREADED = "thread_unsupported_request"
"""The code upon which Anthropic's SDKs send the whole conversation in every request."""


def read_cache(node: Node | None) -> str:
    """How long a mark wants its prefix kept; empty without a mark (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching)."""
    if node is None:
        return ""
    fields = node.obj("type", "ttl", "scope")
    fields.need("type").among("ephemeral")
    ttl = fields.get("ttl")
    return "5m" if ttl is None else ttl.among("5m", "1h")

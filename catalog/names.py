"""How names are written: what counts as the same name, and which texts may be an id that the catalog doesn't list."""

from __future__ import annotations

import re

_DOTTED = re.compile(r"(?<=\d)-(?=\d(?!\d))")  # 5-5, but not the start of a date such as 4-20250514
_SLUG = re.compile(r"[a-z0-9~][\w.~-]*/[\w.:@+~-]+", re.IGNORECASE | re.ASCII)
_ANY_ID = re.compile(r"[\w.~][\w.:@+~/-]*", re.IGNORECASE | re.ASCII)
_LONGEST = 200


def stripped(name: str) -> str:
    """A name as it was typed, without the `[1m]` that Claude Code and Codex append for a long context: the model is the same."""
    return name.strip().removesuffix("[1m]").rstrip()


def normal(name: str) -> str:
    """The form in which names are compared."""
    return stripped(name).lower()


def spellings(name: str) -> tuple[str, ...]:
    """A name with its version written with dots and with dashes (`claude-sonnet-5.5`, `claude-sonnet-5-5`)."""
    return tuple(dict.fromkeys((name, re.sub(r"(?<=\d)\.(?=\d)", "-", name), _DOTTED.sub(".", name))))


def is_slug(name: str) -> bool:
    """Whether this may be an OpenRouter `vendor/model` slug (with an optional `:variant`)."""
    return len(name) <= _LONGEST and _SLUG.fullmatch(name) is not None


def is_id(name: str) -> bool:
    """Whether this may be a provider's id of a model at all."""
    return len(name) <= _LONGEST and _ANY_ID.fullmatch(name) is not None

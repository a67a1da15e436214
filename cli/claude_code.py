"""How Claude Code is told to use the gateway (https://code.claude.com/docs/en/env-vars)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from cli.agents import Models
from shared.choosing import PICKER_PREFIX

INSTALL = "npm install -g @anthropic-ai/claude-code"

_TIERS = ("fable", "opus", "sonnet", "haiku")
_OWN_WAYS = frozenset(
    {"ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_SMALL_FAST_MODEL", "CLAUDE_CODE_OAUTH_TOKEN"}
    | {f"CLAUDE_CODE_USE_{name}" for name in ("BEDROCK", "VERTEX", "FOUNDRY", "MANTLE", "GATEWAY")}
    | {"CLAUDE_CODE_USE_ANTHROPIC_AWS", "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD"}
)
"""What the user has set to reach Anthropic some other way."""


def environment(own: Mapping[str, str], url: str, token: str, models: Models) -> dict[str, str]:
    """The user's variables, without their own ways to Anthropic and with ours."""
    kept = {name: value for name, value in own.items() if name not in _OWN_WAYS}
    return {**kept, **_variables(url, models), "ANTHROPIC_AUTH_TOKEN": token}


def arguments(url: str, models: Models) -> list[str]:
    """The variables once more as settings, because those of `~/.claude/settings.json` beat the environment. Not the token:
    everybody on the machine can read arguments."""
    return ["--settings", json.dumps({"env": _variables(url, models)})]


def _variables(url: str, models: Models) -> dict[str, str]:
    chosen = _pickable(models.wanted)
    variables = {
        "ANTHROPIC_BASE_URL": url.rstrip("/"),
        "ANTHROPIC_MODEL": chosen,
        "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY": "1",
    }
    for tier in _TIERS:
        name, shown = _of(tier, models) or (chosen, models.serving["display_name"])
        variables[f"ANTHROPIC_DEFAULT_{tier.upper()}_MODEL"] = name
        variables[f"ANTHROPIC_DEFAULT_{tier.upper()}_MODEL_NAME"] = shown
    window, most = models.serving["context_length"], models.serving["max_output_tokens"]
    if window is not None:
        # A name that Claude Code doesn't know gets a window of a million tokens, and it would fill it.
        variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] = str(window)
        if models.substituted:
            variables["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] = str(window)
    if most is not None:
        variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] = str(most)
    return variables


def _of(tier: str, models: Models) -> tuple[str, str] | None:
    """The preference for Claude Code's `opus`, `haiku` …, which it uses for side jobs and subagents, and what the picker shows."""
    return next(((entry["id"], entry["display_name"]) for entry in models.listed if tier in entry["id"].lower()), None)


def _pickable(name: str) -> str:
    """As the gateway lists it for Claude Code's picker, which shows only what looks like Claude."""
    own = "claude" in name.lower() or "anthropic" in name.lower()
    return name if own else f"{PICKER_PREFIX}{name}"

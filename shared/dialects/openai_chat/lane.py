"""Whether a client's body may go out as it is (https://platform.openai.com/docs/api-reference/chat/create).

Many providers speak chat completions without OpenAI's newer tools, or without its oldest. A translation has a way for both.
"""

from __future__ import annotations

import re

from shared.canonical import Json, Target

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # longer ones are a 400: shortened on the way out, restored on the way back


def lacks(body: Json, target: Target) -> str:
    """What of the body this provider hasn't got, in the API's own words; empty if it may pass."""
    tools = body.get("tools")
    tools = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    if any(_is_odd(tool) for tool in tools):
        return "tools.name"
    if "custom_tools" in target.quirks:  # OpenAI's own
        return ""
    if any(tool.get("type") == "custom" for tool in tools):
        return "tools.custom"
    if body.get("functions"):
        return "functions"
    match body.get("tool_choice"):
        case {"type": "allowed_tools"}:
            return "tool_choice.allowed_tools"
    return ""


def _is_odd(tool: Json) -> bool:
    for kind in ("function", "custom"):
        match tool.get(kind):
            case {"name": str(name)} if name and not _NAME.fullmatch(name):
                return True
    return False

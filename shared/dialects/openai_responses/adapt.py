"""A client's body made fit for a provider that speaks this API itself
(https://platform.openai.com/docs/api-reference/responses/create).

Nothing is changed but what the provider would refuse; what it can't do at all is refused here, with what to do instead.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Target
from shared.dialects import Repair
from shared.dialects.openai_responses.request import refuse_state
from shared.dialects.openai_responses.sending import ENCRYPTED
from shared.dialects.openai_responses.state import is_sealed, opened, restored, visible
from shared.dialects.openai_responses.toolset import with_required
from shared.errors import unsupported

_DROPPED: dict[str, str] = {"no_metadata": "metadata", "no_service_tier": "service_tier"}
"""Quirk: the field that the provider refuses."""

_OWN_TOOLS: dict[str, str] = {
    "no_custom_tools": "custom",
    "no_namespace_tools": "namespace",
    "no_tool_search": "tool_search",
}
"""Quirk: the type of tool that the provider doesn't know."""

_OWN_ITEMS: dict[str, tuple[str, ...]] = {
    "custom": ("custom_tool_call", "custom_tool_call_output"),
    "namespace": (),
    "tool_search": ("tool_search_call", "tool_search_output"),
}


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The body for this provider, and the names of what was dropped; the very same object where nothing had to change."""
    changes: Json = {}
    dropped: list[str] = []
    quirks = target.quirks
    if body.get("model") != target.model:
        changes["model"] = target.model
    if "stateless_responses" in quirks:
        refuse_state(body)
        _refuse_references(body)
    if "no_instructions_with_previous" in quirks and body.get("instructions") and body.get("previous_response_id"):
        raise unsupported(
            "instructions: this provider takes none together with previous_response_id. Leave them out (the first call's still"
            " hold), or send the whole history.",
            "instructions",
        )
    foreign = foreign_tools(body, target)
    if foreign:
        raise unsupported(f"tools: this provider knows no tools of type '{foreign}'.", "tools")
    gone = [field for quirk, field in _DROPPED.items() if quirk in quirks and body.get(field)]
    if "no_encrypted_content" in quirks and _listed(body, "include", ENCRYPTED):
        changes["include"] = [name for name in body["include"] if name != ENCRYPTED]
    if "schema_required_list" in quirks and body.get("tools"):
        tools = with_required(body["tools"])
        if tools is not body["tools"]:
            changes["tools"] = tools
    items = body.get("input")
    if isinstance(items, list) and any(
        isinstance(item, dict) and is_sealed(item.get("encrypted_content")) for item in items
    ):
        changes["input"] = _unsealed(items, target, dropped)
    if not changes and not gone:
        return body, ()
    adapted = {key: changes.get(key, value) for key, value in body.items() if key not in gone}
    adapted.update(changes)
    return adapted, tuple(dict.fromkeys((*gone, *dropped)))


def foreign_tools(body: Json, target: Target) -> str:
    """The first kind of tool in the request that this provider doesn't know; empty if it knows them all.

    Such a request reaches the provider through the canonical form, where those tools become functions.
    """
    lacking = {kind for quirk, kind in _OWN_TOOLS.items() if quirk in target.quirks}
    if not lacking:
        return ""
    kinds = set(_kinds(body.get("tools")))
    items = body.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            kind = item.get("type")
            kinds.update(_kinds(item.get("tools")))
            kinds.update(own for own in lacking if kind in _OWN_ITEMS[own])
            if item.get("namespace"):
                kinds.add("namespace")
            if kind == "additional_tools":
                kinds.add("namespace")
    return next((kind for kind in sorted(lacking) if kind in kinds), "")


def _kinds(tools: Any) -> list[str]:
    found: list[str] = []
    for tool in tools if isinstance(tools, list) else ():
        match tool:
            case {"type": "namespace"}:
                found += ["namespace", *_kinds(tool.get("tools"))]
            case {"type": str(kind)}:
                found.append(kind)
    return found


def repair(body: Json, target: Target) -> Repair | None:
    """No fault of a provider of this API is known that its clients would trip over."""
    return None


def _listed(body: Json, key: str, name: str) -> bool:
    values = body.get(key)
    return isinstance(values, list) and name in values


def _refuse_references(body: Json) -> None:
    items = body.get("input")
    for n, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == "item_reference":
            raise unsupported(f"input.{n}: this provider keeps no items. Send the item itself.", f"input.{n}")


def _unsealed(items: list[Any], target: Target, dropped: list[str]) -> list[Any]:
    """The items with the state that this provider made as it made it, and without that of others."""
    kept: list[Any] = []
    for item in items:
        if not isinstance(item, dict) or not is_sealed(item.get("encrypted_content")):
            kept.append(item)
            continue
        state = opened(item["encrypted_content"])
        mine = state.owner == "thinking" and state.opaque.maker == target.provider
        original = restored(visible(item), state.opaque) if mine else None
        if original is None:
            dropped.append("reasoning")
        else:
            kept.append(original)
    return kept

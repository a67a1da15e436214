"""A client's body made fit for a provider that speaks this API itself
(https://platform.openai.com/docs/api-reference/responses/create).

Nothing is changed but what the provider would refuse; what it can't do at all is refused here, with what to do instead.
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Json, Target
from shared.dialects import Repair
from shared.dialects.hosts import able_hosts
from shared.dialects.openai_responses.hosted import HOSTED_TOOLS
from shared.dialects.openai_responses.request import refuse_state
from shared.dialects.openai_responses.sending import ENCRYPTED
from shared.dialects.openai_responses.state import is_sealed, opened, restored, visible
from shared.dialects.openai_responses.toolset import with_required
from shared.errors import unsupported

_DROPPED: dict[str, str] = {
    "no_metadata": "metadata",
    "no_service_tier": "service_tier",
    "no_cache_key": "prompt_cache_key",  # https://github.com/eigent-ai/eigent/issues/1827
}
"""Quirk: the field that the provider refuses."""

_OWN_TOOLS: dict[str, str] = {
    "no_custom_tools": "custom",
    "no_namespace_tools": "namespace",
    "no_tool_search": "tool_search",
}
"""Quirk: the type of tool that the provider doesn't know."""

_CLIENT_TOOLS = ("function", "custom", "namespace", "tool_search")
"""Types of tools that the client runs."""

_OWN_ITEMS: dict[str, tuple[str, ...]] = {
    "custom": ("custom_tool_call", "custom_tool_call_output"),
    "namespace": (),
    "tool_search": ("tool_search_call", "tool_search_output"),
}


def adapt(body: Json, target: Target) -> tuple[Json, tuple[str, ...]]:
    """The body for this provider, and the names of what was dropped; the very same object where nothing had to change."""
    _refuse(body, target)
    dropped = [field for quirk, field in _DROPPED.items() if quirk in target.quirks and body.get(field)]
    gone = list(dropped)
    if "no_store" in target.quirks and body.get("store") is False:
        gone.append("store")  # it keeps nothing anyway
    changes = _changes(body, target, dropped)
    if not changes and not gone:
        return body, ()
    adapted = {key: value for key, value in body.items() if key not in gone}
    adapted.update(changes)
    return adapted, tuple(dict.fromkeys(dropped))


def _refuse(body: Json, target: Target) -> None:
    if "stateless_responses" in target.quirks:
        refuse_state(body)
        _refuse_references(body)
    alone = "no_instructions_with_previous" in target.quirks
    if alone and body.get("instructions") and body.get("previous_response_id"):
        raise unsupported(
            "instructions: this provider takes none together with previous_response_id. Leave them out (the first call's still"
            " hold), or send the whole history.",
            "instructions",
        )
    foreign = foreign_tools(body, target)
    if foreign:
        raise unsupported(f"tools: this provider knows no tools of type '{foreign}'.", "tools")


def _changes(body: Json, target: Target, dropped: list[str]) -> Json:
    """Fields that get another value."""
    changes: Json = {}
    quirks, tools, items = target.quirks, body.get("tools"), body.get("input")
    if body.get("model") != target.model:
        changes["model"] = target.model
    text = body.get("text")
    changes |= able_hosts(body, text.get("format") if isinstance(text, dict) else None, target)
    if "no_encrypted_content" in quirks and _listed(body, "include", ENCRYPTED):
        changes["include"] = [name for name in body["include"] if name != ENCRYPTED]
    if isinstance(tools, list):
        kept = _without_hosted(tools, dropped) if "no_hosted_tools" in quirks else tools
        kept = with_required(kept) if "schema_required_list" in quirks else kept
        if kept is not tools:
            changes["tools"] = kept
    if isinstance(items, list) and any(_carries(item) or _is_parsed(item) for item in items):
        changes["input"] = [_unparsed(item) for item in _unsealed(items, target, dropped)]
    return changes


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


def _without_hosted(tools: list[Any], dropped: list[str]) -> list[Any]:
    kinds = [tool.get("type") if isinstance(tool, dict) else None for tool in tools]
    hosted = [kind for kind in kinds if isinstance(kind, str) and kind not in _CLIENT_TOOLS]
    dropped += [HOSTED_TOOLS.get(kind, kind) for kind in hosted]
    return [tool for tool, kind in zip(tools, kinds, strict=True) if kind not in hosted] if hosted else tools


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


def _carries(item: Any) -> bool:
    return isinstance(item, dict) and is_sealed(item.get("encrypted_content"))


def _unsealed(items: list[Any], target: Target, dropped: list[str]) -> list[Any]:
    """The items with the state that this provider made as it made it, and without that of others."""
    kept: list[Any] = []
    for item in items:
        if not _carries(item):
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


def _is_parsed(item: Any) -> bool:
    """Whether an SDK's helper has put its own reading of a call or of an answer into the item, which the API doesn't know
    (https://github.com/openai/openai-node, `src/lib/ResponsesParser.ts`)."""
    match item:
        case {"parsed_arguments": _}:
            return True
        case {"type": "message", "content": list(parts)}:
            return any(isinstance(part, dict) and "parsed" in part for part in parts)
        case _:
            return False


def _unparsed(item: Any) -> Any:
    if not _is_parsed(item):
        return item
    kept = {key: value for key, value in item.items() if key != "parsed_arguments"}
    if isinstance(parts := kept.get("content"), list):
        kept["content"] = [
            {key: value for key, value in part.items() if key != "parsed"} if isinstance(part, dict) else part
            for part in parts
        ]
    return kept

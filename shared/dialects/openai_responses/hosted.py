"""Tools that the provider runs: their calls in a conversation or a reply, and their neutral names
(https://platform.openai.com/docs/guides/tools)."""

from __future__ import annotations

from typing import Any

from shared.canonical import Citation, HostedCall, Json

API = "responses"

HOSTED_TOOLS: dict[str, str] = {
    "web_search": "web_search",
    "web_search_2025_08_26": "web_search",
    "web_search_preview": "web_search",
    "web_search_preview_2025_03_11": "web_search",
    "code_interpreter": "code_execution",
}
"""Tool types whose neutral name differs, or that other APIs have too; any other type is its own name."""

HOSTED_CALLS: dict[str, str] = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_execution",
    "image_generation_call": "image_generation",
    "mcp_call": "mcp",
    "mcp_list_tools": "mcp",
    "tool_search_call": "tool_search",
    "tool_search_output": "tool_search",
}
"""Items that tell of work the provider did by itself."""


def hosted_call(item: Json) -> HostedCall:
    """A call with its outcome. The item itself is kept for a target that speaks this API."""
    id_ = item.get("id")
    name = HOSTED_CALLS[item["type"]]
    asked, results = _search(item.get("action")) if name == "web_search" else ({}, ())
    return HostedCall(id_ if isinstance(id_, str) else "", name, asked, results, API, (item,))


def _search(action: Any) -> tuple[Json, tuple[Citation, ...]]:
    match action:
        case {"type": "search", **rest}:
            queries = rest.get("queries")
            first = queries[0] if isinstance(queries, list) and queries else None
            query = rest.get("query") or first
            found = rest.get("sources")
            sources = found if isinstance(found, list) else []
            urls = [source.get("url") for source in sources if isinstance(source, dict)]
            return (
                {"query": query} if isinstance(query, str) else {},
                tuple(Citation(url) for url in urls if isinstance(url, str)),
            )
        case {"type": "open_page" | "find_in_page", "url": str(url)}:
            return {"url": url}, ()
        case _:
            return {}, ()


def write_hosted(call: HostedCall, item_id: str) -> Json | None:
    """An item for work that another API's provider did; None for kinds that this API has no item for."""
    match call.name:
        case "web_search":
            item: Json = {"type": "web_search_call", "action": _action(call)}
        case "code_execution" if isinstance(call.input.get("code"), str):
            item = {"type": "code_interpreter_call", "code": call.input["code"], "container_id": "", "outputs": None}
        case _:
            return None
    return {"id": item_id, "status": "completed", **item}


def _action(call: HostedCall) -> Json:
    query, queries = call.input.get("query"), call.input.get("queries")
    asked = [text for text in (queries if isinstance(queries, list) else [query]) if isinstance(text, str)]
    action: Json = {"type": "search", "query": asked[0] if asked else "", "queries": asked}
    sources = [{"type": "url", "url": found.url} for found in call.results if found.url]
    if sources:
        action["sources"] = sources
    return action

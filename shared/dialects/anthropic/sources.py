"""What a reply rests on: citations and the tools that the provider runs itself.

https://platform.claude.com/docs/en/build-with-claude/citations
https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool
"""

from __future__ import annotations

from typing import Any

from shared.canonical import Citation, HostedCall, Json, Opaque
from shared.dialects.seal import PREFIX, seal

FOREIGN = seal(Opaque("none", "source", ""))
"""Stands in the opaque fields of sources that another API found, so that no Messages provider gets them back."""
FOREIGN_ID = "srvtoolu_gw"
"""How the ids of such searches begin."""

_NEUTRAL = {
    "bash_code_execution": "code_execution",
    "text_editor_code_execution": "code_execution",
    "tool_search_tool_regex": "tool_search",
    "tool_search_tool_bm25": "tool_search",
}


def is_hosted_result(kind: str) -> bool:
    """True for `web_search_tool_result`, `mcp_tool_result` and their like, also those yet to come."""
    return kind.endswith("_tool_result")


def is_foreign(block: Json) -> bool:
    """True for a citation, search result or hosted block that one of our writers made up for another API's source."""
    match block:
        case {"type": "server_tool_use", "id": str(text)} | {"tool_use_id": str(text)}:
            return text.startswith(FOREIGN_ID)
        case {"encrypted_index": str(text)} | {"encrypted_content": str(text)}:
            return text.startswith(PREFIX)
    return False


def read_citation(raw: Json) -> Citation:
    """A citation of any kind: of a page on the web, or of a place in a document."""
    return Citation(
        url=_text(raw, "url") or _text(raw, "source"),
        title=_text(raw, "title") or _text(raw, "document_title"),
        text=_text(raw, "cited_text"),
        raw=None if is_foreign(raw) else raw,
    )


def is_own(raw: Json) -> bool:
    """True for a citation in this API's form."""
    kind = raw.get("type")
    return isinstance(kind, str) and kind.endswith("_location") and "cited_text" in raw


def write_citation(citation: Citation) -> Json | None:
    """The citation for a client; None where it has no place (an offset without an address)."""
    if citation.raw and is_own(citation.raw):
        return citation.raw
    if not citation.url:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.text,
        "encrypted_index": FOREIGN,
    }


class HostedCalls:
    """Joins each `server_tool_use` with its result, which may come some blocks later."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[str, Json] = {}

    def call(self, block: Json) -> None:
        """A call, kept until its result comes."""
        self._open[_text(block, "id")] = block

    def result(self, block: Json) -> HostedCall:
        """The result, together with its call."""
        return _join(self._open.pop(_text(block, "tool_use_id"), None), block)

    def rest(self) -> list[HostedCall]:
        """The calls that have no result (`pause_turn`)."""
        calls = [_join(block, None) for block in self._open.values()]
        self._open.clear()
        return calls


def write_hosted(call: HostedCall, spare_id: str) -> tuple[Json, ...]:
    """The blocks for a client; none where this API has nothing like the call."""
    if call.dialect == "messages":
        return call.raw
    if call.name != "web_search":
        return ()
    use_id = f"{FOREIGN_ID}{spare_id}"
    found = [
        {
            "type": "web_search_result",
            "url": source.url,
            "title": source.title,
            "encrypted_content": FOREIGN,
            "page_age": None,
        }
        for source in call.results
    ]
    return (
        {"type": "server_tool_use", "id": use_id, "name": "web_search", "input": call.input},
        {"type": "web_search_tool_result", "tool_use_id": use_id, "content": found},
    )


def _join(use: Json | None, result: Json | None) -> HostedCall:
    raw = tuple(block for block in (use, result) if block is not None)
    name = _text(use, "name") if use else ""
    if use and use.get("type") == "mcp_tool_use":
        name = "mcp"
    elif not name and result:
        name = _text(result, "type").removesuffix("_tool_result")
    wanted = use.get("input") if use else None
    sources = result.get("content") if result else None
    foreign = result is not None and is_foreign(result)
    return HostedCall(
        id=_text(use, "id") if use else _text(result or {}, "tool_use_id"),
        name=_NEUTRAL.get(name, name),
        input=wanted if isinstance(wanted, dict) else {},
        results=tuple(map(read_citation, filter(_has_url, sources))) if isinstance(sources, list) else (),
        dialect="" if foreign else "messages",
        raw=() if foreign else raw,
    )


def _has_url(source: Any) -> bool:
    return isinstance(source, dict) and isinstance(source.get("url"), str)


def _text(block: Json, key: str) -> str:
    value = block.get(key)
    return value if isinstance(value, str) else ""

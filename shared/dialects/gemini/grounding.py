"""Where a reply's words come from: https://ai.google.dev/gemini-api/docs/google-search#understanding_the_grounding_response."""

from __future__ import annotations

from collections.abc import Iterator

from shared.canonical import Citation, HostedCall, Json
from shared.dialects.gemini.fields import mapping, rows, sequence, string


def citations(candidate: Json, text: str) -> Iterator[Citation]:
    """The sources of `text`, the reply's last: grounding supports, then passages that stand elsewhere word for word."""
    grounding = mapping(candidate, "groundingMetadata")
    chunks = [_web(chunk) for chunk in sequence(grounding, "groundingChunks")]
    places = _Places(text)
    for support in rows(grounding, "groundingSupports"):
        segment = mapping(support, "segment")
        start, end = places.of(segment)
        for index in sequence(support, "groundingChunkIndices"):
            if isinstance(index, int) and 0 <= index < len(chunks):
                url, title = chunks[index]
                yield Citation(url, title, string(segment, "text"), start, end, raw=support)
    for passage in _passages(mapping(candidate, "citationMetadata")):
        start, end = places.of(passage)
        yield Citation(string(passage, "uri"), string(passage, "title"), "", start, end, raw=passage)


def hosted_calls(candidate: Json, seen: set[str]) -> Iterator[HostedCall]:
    """The searches and fetches behind the reply that no part of it showed. `seen` are the kinds that parts have shown."""
    grounding = mapping(candidate, "groundingMetadata")
    queries = [query for query in sequence(grounding, "webSearchQueries") if isinstance(query, str)]
    if queries and "web_search" not in seen:
        found = tuple(Citation(url, title) for url, title in map(_web, sequence(grounding, "groundingChunks")) if url)
        asked: Json = {"query": queries[0]} if len(queries) == 1 else {"queries": queries}
        yield HostedCall("", "web_search", asked, found, "gemini", ({"groundingMetadata": grounding},))
    fetched = mapping(candidate, "urlContextMetadata")
    urls = [url for row in rows(fetched, "urlMetadata") if (url := string(row, "retrievedUrl"))]
    if urls and "web_fetch" not in seen:
        read: Json = {"url": urls[0]} if len(urls) == 1 else {"urls": urls}
        yield HostedCall(
            "", "web_fetch", read, tuple(map(Citation, urls)), "gemini", ({"urlContextMetadata": fetched},)
        )


class _Places:
    """Offsets in a text: Google counts bytes of UTF-8, we count characters."""

    __slots__ = ("_encoded", "_plain")

    def __init__(self, text: str) -> None:
        self._encoded = text.encode()
        self._plain = len(self._encoded) == len(text)

    def of(self, segment: Json) -> tuple[int | None, int | None]:
        """Start and end of a segment, whose start is left out where it is 0; None where they can't be of this text."""
        start, end = segment.get("startIndex", 0), segment.get("endIndex")
        if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(self._encoded)):
            return None, None
        return (start, end) if self._plain else (self._characters(start), self._characters(end))

    def _characters(self, at: int) -> int:
        return len(self._encoded[:at].decode("utf-8", "ignore"))


def _web(chunk: object) -> tuple[str, str]:
    if not isinstance(chunk, dict):
        return "", ""
    source = mapping(chunk, "web") or mapping(chunk, "maps") or mapping(chunk, "retrievedContext")
    return string(source, "uri"), string(source, "title")


def _passages(metadata: Json) -> list[Json]:
    return rows(metadata, "citations") or rows(metadata, "citationSources")

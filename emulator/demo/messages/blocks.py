"""Blocks of messages, each with the fields that the API allows in it."""

from __future__ import annotations

import re

import orjson

from emulator.demo.messages.words import read_cache
from emulator.demo.opaque import genuine
from emulator.demo.reading import Node
from emulator.demo.talk import Answered, Called, Media, Part, Said

_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_FIELDS = {
    "text": ("text", "citations"),
    "image": ("source", "transformations"),
    "document": ("source", "title", "context", "citations"),
    "search_result": ("source", "title", "content", "citations"),
    "thinking": ("thinking", "signature"),
    "redacted_thinking": ("data",),
    "tool_use": ("id", "name", "input", "caller", "toolset_name"),
    "tool_result": ("tool_use_id", "content", "is_error", "toolset_name"),
    "tool_reference": ("tool_name",),
    "server_tool_use": ("id", "name", "input", "caller"),
    "web_search_tool_result": ("tool_use_id", "content", "caller"),
    "web_fetch_tool_result": ("tool_use_id", "content", "caller"),
    "code_execution_tool_result": ("tool_use_id", "content", "caller"),
    "tool_search_tool_result": ("tool_use_id", "content", "caller"),
    "container_upload": ("file_id",),
}
USER = ("text", "image", "document", "search_result", "tool_result", "container_upload")
ASSISTANT = (
    *("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"),
    *("web_fetch_tool_result", "code_execution_tool_result", "tool_search_tool_result"),
)
_RESULT = ("text", "image", "document", "search_result", "tool_reference")


def read_block(node: Node, kinds: tuple[str, ...], marks: list[str], loaded: set[str]) -> Part | None:
    """A block; None for one that the model doesn't look at. Cache marks and tools that a search loaded are added to the lists."""
    kind = node.raw().get("type")
    if kind not in kinds:
        if kind in _FIELDS:
            raise node.refused(
                f"{node.path}: Input tag '{kind}' is not allowed here. Expected one of: {', '.join(kinds)}"
            )
        listed = ", ".join(f"'{kind}'" for kind in kinds)
        raise node.refused(
            f"{node.path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {listed}"
        )
    thinking = kind in ("thinking", "redacted_thinking")
    fields = node.obj("type", *_FIELDS[kind], *(() if thinking else ("cache_control",)))
    if (mark := fields.get("cache_control")) is not None:
        marks.append(read_cache(mark))
    match kind:
        case "text":
            return Said(_words(fields.need("text")))
        case "image" | "document" | "search_result":
            return _media(fields, kind)
        case "thinking" | "redacted_thinking":
            _thinking(fields, kind)
            return None
        case "tool_use":
            return _call(fields)
        case "tool_result":
            return _result(fields, marks, loaded)
        case "tool_reference":
            loaded.add(fields.need("tool_name").text())
            return Said(f"{fields.value['tool_name']} is ready.")
        case _:
            return None


def _words(node: Node) -> str:
    if not node.text():
        raise node.refused("messages: text content blocks must be non-empty")
    if not node.text().strip():
        raise node.refused("messages: text content blocks must contain non-whitespace text")
    return node.text()


def _media(fields: Node, kind: str) -> Part:
    if kind == "search_result":
        fields.need("source").text()
        fields.need("title").text()
        return Said("\n".join(str(block.raw().get("text", "")) for block in fields.need("content").items()))
    source = fields.need("source")
    match source.raw().get("type"):
        case "base64":
            inner = source.obj("type", "media_type", "data")
            images = ("image/jpeg", "image/png", "image/gif", "image/webp")
            inner.need("media_type").among(*(images if kind == "image" else ("application/pdf",)))
            inner.need("data").base64()
        case "url":
            url = source.obj("type", "url").need("url")
            if not url.text().startswith(("http://", "https://")):
                raise url.refused(f"{url.path}: Only HTTP and HTTPS URLs are supported.")
        case "file":
            source.obj("type", "file_id").need("file_id").text()
        case "text" if kind == "document":
            inner = source.obj("type", "media_type", "data")
            inner.need("media_type").among("text/plain")
            _words(inner.need("data"))
        case "content" if kind == "document":
            source.obj("type", "content").need("content")
        case other:
            raise source.refused(
                f"{source.path}: Input tag '{other}' found using 'type' does not match any of the expected tags"
            )
    return Media("image" if kind == "image" else "document")


def _thinking(fields: Node, kind: str) -> None:
    """https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking#preserving-thinking-blocks"""
    if kind == "redacted_thinking":
        state, text = fields.need("data"), None
    else:
        state, text = fields.need("signature"), fields.need("thinking").text()
    if not genuine("messages", state.text(), text):
        raise fields.refused(f"{fields.path}: Invalid `{state.path.rpartition('.')[2]}` in `{kind}` block")


def _id(node: Node) -> str:
    if not _TOOL_ID.fullmatch(node.text()):
        raise node.refused(f"{node.path}: String should match pattern '^[a-zA-Z0-9_-]+$'")
    return node.text()


def _call(fields: Node) -> Called:
    arguments = orjson.dumps(fields.need("input").raw()).decode()
    return Called(_id(fields.need("id")), fields.need("name").text(), arguments)


def _result(fields: Node, marks: list[str], loaded: set[str]) -> Answered:
    ident = _id(fields.need("tool_use_id"))
    content = fields.get("content")
    parts: list[Part | None] = []
    if content is not None:
        if isinstance(content.value, str):
            parts = [Said(content.value)]
        else:
            parts = [read_block(node, _RESULT, marks, loaded) for node in content.items()]
    text = "\n".join(part.text for part in parts if isinstance(part, Said))
    media = tuple(part for part in parts if isinstance(part, Media))
    return Answered(ident, text, fields.flag("is_error"), media)

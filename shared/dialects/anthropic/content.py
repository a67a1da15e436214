"""Blocks of a request, both ways: text, pictures, documents, calls and their results.

https://platform.claude.com/docs/en/build-with-claude/vision
https://platform.claude.com/docs/en/build-with-claude/pdf-support
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import orjson

from shared.canonical import Document, Image, Json, Target, Text, ToolCall, ToolReference, ToolResult
from shared.dialects.anthropic import fields
from shared.dialects.anthropic.sources import is_own, read_citation
from shared.errors import invalid, unsupported

Part = Text | Image | Document | ToolReference
_PICTURES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))

# ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def read_text(block: Json, path: str) -> Text:
    """A `text` block."""
    cited = block.get("citations")
    return Text(
        fields.string(block.get("text"), f"{path}.text"),
        citations=tuple(read_citation(raw) for raw in cited if isinstance(raw, dict))
        if isinstance(cited, list)
        else (),
        cache=fields.cache_mark(block, path) if "cache_control" in block else None,
    )


def read_image(block: Json, path: str) -> Image:
    """An `image` block of any source."""
    source = fields.mapping(block.get("source"), f"{path}.source")
    mark = fields.cache_mark(block, path)
    match source.get("type"):
        case "base64":
            return Image(_string(source, "media_type", path), _string(source, "data", path), cache=mark)
        case "url":
            return Image(url=_string(source, "url", path), cache=mark)
        case "file":
            return Image(file_id=_string(source, "file_id", path), cache=mark)
        case _:
            raise fields.wrong(f"{path}.source.type", "'base64', 'url' or 'file'")


def read_document(block: Json, path: str) -> list[Document | Image]:
    """A `document` block; the pictures of one that is made of content blocks follow it."""
    source = fields.mapping(block.get("source"), f"{path}.source")
    media_type, data, url, file_id, text = "application/pdf", "", "", "", ""
    pictures: list[Document | Image] = []
    match source.get("type"):
        case "base64":
            media_type, data = _string(source, "media_type", path), _string(source, "data", path)
        case "url":
            url = _string(source, "url", path)
        case "file":
            file_id = _string(source, "file_id", path)
        case "text":
            media_type, text = "text/plain", _string(source, "data", path)
        case "content":
            media_type = "text/plain"
            text, pictures = _read_inner(source.get("content"), f"{path}.source.content")
        case _:
            raise fields.wrong(f"{path}.source.type", "'base64', 'url', 'file', 'text' or 'content'")
    document = Document(
        media_type=media_type,
        data=data,
        url=url,
        file_id=file_id,
        text=text,
        title=fields.maybe_string(block.get("title"), f"{path}.title"),
        context=fields.maybe_string(block.get("context"), f"{path}.context"),
        citations=_cited(block, path),
        cache=fields.cache_mark(block, path),
    )
    return [document, *pictures]


def _read_inner(value: Any, path: str) -> tuple[str, list[Document | Image]]:
    if isinstance(value, str):
        return value, []
    texts: list[str] = []
    pictures: list[Document | Image] = []
    for i, item in enumerate(fields.items(value, path)):
        part = fields.mapping(item, f"{path}.{i}")
        if part.get("type") == "image":
            pictures.append(read_image(part, f"{path}.{i}"))
        else:
            texts.append(fields.string(part.get("text"), f"{path}.{i}.text"))
    return "\n\n".join(texts), pictures


def read_search_result(block: Json, path: str) -> Document:
    """A `search_result` block: a text document that names where it is from."""
    text, _ = _read_inner(block.get("content"), f"{path}.content")
    return Document(
        "text/plain",
        text=text,
        title=fields.maybe_string(block.get("title"), f"{path}.title"),
        context=fields.maybe_string(block.get("source"), f"{path}.source"),
        citations=_cited(block, path),
        cache=fields.cache_mark(block, path),
    )


def read_call(block: Json, path: str) -> ToolCall:
    """A `tool_use` block."""
    wanted = block.get("input")
    try:
        arguments = orjson.dumps(fields.maybe_mapping(wanted, f"{path}.input")).decode()
    except TypeError:
        raise invalid(f"{path}.input: is nested too deeply or holds a number that is too large", path) from None
    return ToolCall(
        _string_at(block, "id", path),
        _string_at(block, "name", path),
        arguments,
        cache=fields.cache_mark(block, path),
    )


def read_result(block: Json, path: str) -> ToolResult:
    """A `tool_result` block."""
    content = block.get("content")
    parts: list[Part] = []
    if isinstance(content, str):
        parts = [Text(content)] if content else []
    elif content is not None:
        for i, item in enumerate(fields.items(content, f"{path}.content")):
            parts += _read_part(item, f"{path}.content.{i}")
    return ToolResult(
        _string_at(block, "tool_use_id", path),
        tuple(parts),
        fields.maybe_bool(block.get("is_error"), f"{path}.is_error") or False,
        cache=fields.cache_mark(block, path),
    )


def _read_part(item: Any, path: str) -> list[Part]:
    part = fields.mapping(item, path)
    match part.get("type"):
        case "text":
            return [read_text(part, path)]
        case "image":
            return [read_image(part, path)]
        case "document":
            return [*read_document(part, path)]
        case "search_result":
            return [read_search_result(part, path)]
        case "tool_reference":
            return [ToolReference(_string_at(part, "tool_name", path))]
        case str(kind):
            raise unsupported(f"{path}: a tool result with `{kind}` can't be given to this model.", path)
        case _:
            raise fields.missing(f"{path}.type")


def _cited(block: Json, path: str) -> bool:
    wish = fields.maybe_mapping(block.get("citations"), f"{path}.citations")
    return fields.maybe_bool(wish.get("enabled"), f"{path}.citations.enabled") or False


def _string(source: Json, key: str, path: str) -> str:
    return fields.string(source.get(key), f"{path}.source.{key}")


def _string_at(block: Json, key: str, path: str) -> str:
    return fields.string(block.get(key), f"{path}.{key}")


# ── write ────────────────────────────────────────────────────────────────────────────────────────────────────────


def write_text(block: Text, dropped: list[str]) -> Json | None:
    """A `text` block; None for an empty one, which this API refuses."""
    if not block.text:
        return None
    body: Json = {"type": "text", "text": block.text}
    if block.citations:
        kept = [cited.raw for cited in block.citations if cited.raw and is_own(cited.raw)]
        if kept:
            body["citations"] = kept
        if len(kept) < len(block.citations):
            dropped.append("citations")
    if block.cache:
        body["cache_control"] = fields.write_mark(block.cache)
    if block.opaque:
        dropped.append("reasoning")
    return body


def write_image(block: Image, target: Target, dropped: list[str]) -> Json:
    """An `image` block. Raises UNSUPPORTED_BY_MODEL for what the model doesn't see."""
    if "image" not in target.input:
        raise unsupported(f"{target.model} reads no images: remove them or choose a model that sees.", "messages")
    if block.file_id:
        raise _foreign_file(block.file_id)
    if block.url:
        source: Json = {"type": "url", "url": block.url}
    elif block.media_type in _PICTURES:
        source = {"type": "base64", "media_type": block.media_type, "data": block.data}
    else:
        kind = block.media_type or "of an unknown type"
        raise unsupported(f"{target.model} reads JPEG, PNG, GIF and WebP images: this one is {kind}.", "messages")
    if block.detail not in ("", "auto"):
        dropped.append("image.detail")
    return _marked({"type": "image", "source": source}, block)


def write_document(block: Document, target: Target, dropped: list[str]) -> Json:
    """A `document` block, or a `text` block for a text given to a model without documents."""
    if block.file_id:
        raise _foreign_file(block.file_id)
    text = block.text or _text_file(block)
    if text is not None and "pdf" not in target.input:
        if block.citations:
            dropped.append("citations")
        head = "\n".join(filter(None, (block.title or block.filename, block.context)))
        return _marked({"type": "text", "text": f"{head}\n\n{text}" if head else text or "(empty)"}, block)
    if text is not None:
        source: Json = {"type": "text", "media_type": "text/plain", "data": text}
    elif "pdf" not in target.input:
        raise unsupported(f"{target.model} reads no documents: send their text or choose another model.", "messages")
    elif block.url:
        source = {"type": "url", "url": block.url}
    elif block.media_type == "application/pdf":
        source = {"type": "base64", "media_type": block.media_type, "data": block.data}
    else:
        raise unsupported(f"{target.model} reads PDF and text: a document of type {block.media_type}.", "messages")
    body: Json = {"type": "document", "source": source}
    if title := block.title or block.filename:
        body["title"] = title
    if block.context:
        body["context"] = block.context
    if block.citations:
        body["citations"] = {"enabled": True}
    return _marked(body, block)


def _text_file(block: Document) -> str | None:
    """The words of a document that came as a file of text; None for any other kind."""
    if not block.media_type.startswith("text/") or block.url:
        return None
    try:
        return b64decode(block.data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise unsupported(f"The document {block.filename or block.title} is no UTF-8 text.", "messages") from None


def _marked(body: Json, block: Image | Document) -> Json:
    if block.cache:
        body["cache_control"] = fields.write_mark(block.cache)
    return body


def _foreign_file(file_id: str) -> Exception:
    return unsupported(
        f"The file '{file_id}' is stored with another provider: send its content instead of its id.", "messages"
    )

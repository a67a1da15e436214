"""Parts of messages and tool outputs, both ways (https://platform.openai.com/docs/api-reference/responses/create#input)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from shared.canonical import Audio, Block, CacheMark, Citation, Document, Image, Json, Target, Text, ToolReference
from shared.dialects.openai_responses.fields import items, obj, string, the_object, the_string, wrong
from shared.errors import invalid, unsupported

Part = Text | Image | Document | Audio

CACHE_TTLS = ("30m", "12h")
"""The lifetimes that this API knows; a mark with another one was meant for another API."""


def read_content(value: Any, where: str) -> tuple[Part, ...]:
    """The content of a message: a string or a list of parts."""
    if isinstance(value, str):
        return (Text(value),) if value else ()
    if not isinstance(value, list):
        raise wrong(value, "a string or an array", where)
    return tuple(_read_part(the_object(part, f"{where}.{n}"), f"{where}.{n}") for n, part in enumerate(value))


def read_output(value: Any, where: str) -> tuple[Text | Image | Document, ...]:
    """A tool's output: a string or a list of text, image and file parts."""
    parts = read_content(value, where)
    kept = tuple(part for part in parts if not isinstance(part, Audio))
    if len(kept) != len(parts):
        raise unsupported(f"{where}: audio in a tool's output can't be carried to another model.", where)
    return kept


def _read_part(part: Json, where: str) -> Part:
    kind = part.get("type")
    match kind:
        case "input_text" | "output_text" | "text":
            text = the_string(part.get("text"), f"{where}.text")
            return Text(text, citations=read_annotations(part.get("annotations")), cache=_cache(part, where))
        case "refusal":
            return Text(the_string(part.get("refusal"), f"{where}.refusal"), refusal=True)
        case "input_image":
            return _read_image(part, where)
        case "input_file":
            return _read_file(part, where)
        case "input_audio":
            sound = obj(part, "input_audio", where) or part
            return Audio(string(sound, "data", where), string(sound, "format", where))
        case str():
            raise unsupported(f"{where}: content of type '{kind[:64]}' can't be carried to another model.", where)
        case _:
            raise wrong(kind, "a string", f"{where}.type")


def _read_image(part: Json, where: str) -> Image:
    url, file_id = string(part, "image_url", where), string(part, "file_id", where)
    detail = string(part, "detail", where)
    detail, cache = "" if detail == "auto" else detail, _cache(part, where)
    if url.startswith("data:"):
        media_type, data = _data_url(url, f"{where}.image_url")
        return Image(media_type, data, detail=detail, cache=cache)
    if not url and not file_id:
        raise invalid(f"{where}: an image needs `image_url` or `file_id`.", where)
    return Image(url=url, file_id="" if url else file_id, detail=detail, cache=cache)


def _read_file(part: Json, where: str) -> Document:
    data, url, file_id = (string(part, key, where) for key in ("file_data", "file_url", "file_id"))
    filename, cache = string(part, "filename", where), _cache(part, where)
    if data:
        media_type = "application/pdf"
        if data.startswith("data:"):
            media_type, data = _data_url(data, f"{where}.file_data")
        return Document(media_type, data, filename=filename, cache=cache)
    if not url and not file_id:
        raise invalid(f"{where}: a file needs `file_data`, `file_url` or `file_id`.", where)
    return Document(url=url, file_id="" if url else file_id, filename=filename, cache=cache)


def _data_url(url: str, where: str) -> tuple[str, str]:
    head, comma, data = url.partition(",")
    media_type, *options = head[5:].split(";")
    if not comma or "base64" not in options:
        raise invalid(f"{where}: expected a base64 data URL (data:<type>;base64,<data>).", where)
    return media_type, data


def _cache(part: Json, where: str) -> CacheMark | None:
    mark = obj(part, "prompt_cache_breakpoint", where)
    return None if mark is None else CacheMark(string(mark, "ttl", f"{where}.prompt_cache_breakpoint") or CACHE_TTLS[0])


def read_annotations(value: Any) -> tuple[Citation, ...]:
    """Sources of an output text. Kinds that point into files of the provider keep their own object."""
    if not isinstance(value, list):
        return ()
    return tuple(read_annotation(note) for note in value if isinstance(note, dict))


def read_annotation(note: Json) -> Citation:
    match note:
        case {"type": "url_citation", "url": str(url)}:
            title, start, end = note.get("title"), note.get("start_index"), note.get("end_index")
            return Citation(
                url,
                title if isinstance(title, str) else "",
                start=start if isinstance(start, int) else None,
                end=end if isinstance(end, int) else None,
            )
        case _:
            title = note.get("filename")
            return Citation(title=title if isinstance(title, str) else "", raw=note)


_ANNOTATIONS = frozenset({"file_citation", "container_file_citation", "file_path"})


def write_annotations(citations: Iterable[Citation], text: str) -> list[Json]:
    """The sources that this API can show: URLs, and its own objects. One without offsets stands for the whole text."""
    notes: list[Json] = []
    for cited in citations:
        if cited.raw is not None and str(cited.raw.get("type")) in _ANNOTATIONS:
            notes.append(cited.raw)
        elif cited.url:
            start = 0 if cited.start is None else cited.start
            end = len(text) if cited.end is None else cited.end
            note = {"type": "url_citation", "url": cited.url, "title": cited.title}
            notes.append({**note, "start_index": start, "end_index": end})
    return notes


# ── to a provider ────────────────────────────────────────────────────────────────────────────────────────────────


def write_parts(blocks: Iterable[Block | ToolReference], target: Target, dropped: list[str]) -> list[Json]:
    """Input parts for a message or a tool's output. Raises UNSUPPORTED_BY_MODEL for what the model can't take."""
    parts: list[Json] = []
    for block in blocks:
        match block:
            case Text():
                part = {"type": "input_text", "text": block.text}
            case Image():
                part = _write_image(block, target)
            case Document():
                part = _write_document(block, target, dropped)
            case ToolReference(name=name):
                part = {"type": "input_text", "text": f"The tool {name} is now available."}
            case Audio():
                raise unsupported("The Responses API takes no audio: send a transcript instead.", "input")
            case _:
                raise unsupported(f"A user's message can't hold a {type(block).__name__}.", "input")
        if not isinstance(block, ToolReference | Audio) and block.cache:
            mark_cache(part, block.cache, dropped)
        parts.append(part)
    return parts


def mark_cache(part: Json, mark: CacheMark, dropped: list[str]) -> None:
    if mark.ttl in CACHE_TTLS:
        part["prompt_cache_breakpoint"] = {"mode": "explicit", "ttl": mark.ttl}
    else:
        dropped.append("cache")


def _write_image(image: Image, target: Target) -> Json:
    if "image" not in target.input:
        raise unsupported(f"{target.model} takes no images.", "image")
    if image.file_id:
        raise unsupported("A file id is known to one provider only: send the image itself, or its URL.", "image")
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return {"type": "input_image", "image_url": url, "detail": image.detail or "auto"}


def _write_document(document: Document, target: Target, dropped: list[str]) -> Json:
    if document.citations:
        dropped.append("citations")
    if document.file_id:
        raise unsupported("A file id is known to one provider only: send the document itself, or its URL.", "document")
    text = document.text or _plain(document)
    if text:
        heads = [line for line in (document.title or document.filename, document.context) if line]
        return {"type": "input_text", "text": "\n\n".join((*heads, text))}
    if document.context:
        dropped.append("document.context")
    if document.title and document.filename:
        dropped.append("document.title")
    if "pdf" not in target.input:
        raise unsupported(f"{target.model} takes no documents.", "document")
    name = document.filename or document.title
    if document.url:
        part: Json = {"type": "input_file", "file_url": document.url}
        return {**part, "filename": name} if name else part
    name = name or "document.pdf"
    return {
        "type": "input_file",
        "filename": name,
        "file_data": f"data:{document.media_type};base64,{document.data}",
    }


def _plain(document: Document) -> str:
    if not (document.data and document.media_type.startswith("text/")):
        return ""
    try:
        return b64decode(document.data, validate=True).decode()
    except ValueError as problem:
        raise invalid("A text document is not base64 of UTF-8.", "document") from problem


def read_summary(item: Json, key: str, where: str) -> list[str]:
    """The texts of a reasoning item's `summary` or `content`."""
    found: list[str] = []
    for n, part in enumerate(items(item, key, where)):
        place = f"{where}.{key}.{n}"
        found.append(string(the_object(part, place), "text", place))
    return [text for text in found if text]

"""Content parts both ways: text, images, files, audio (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from shared.canonical import Audio, CacheMark, Document, Image, Json, Target, Text, ToolReference
from shared.dialects.openai_chat import checks
from shared.errors import invalid, unsupported

Part = Text | Image | Document | Audio
Place = tuple[str | int, ...]

# ── from a client ────────────────────────────────────────────────────────────────────────────────────────────────


def read_content(content: object, place: Place) -> tuple[Part, ...]:
    """A message's `content`: a string, or an array of parts. An empty string is no block."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        raise checks.wrong("a string or an array of parts", content, *place)
    return tuple(read_part(part, (*place, index)) for index, part in enumerate(content))


def read_text(content: object, place: Place) -> tuple[Text, ...]:
    """Content that may hold nothing but text."""
    parts = read_content(content, place)
    for index, part in enumerate(parts):
        if not isinstance(part, Text):
            param = ".".join(map(str, (*place, index, "type")))
            raise invalid(f"{param}: only text is allowed here.", param)
    return tuple(part for part in parts if isinstance(part, Text))


def read_part(part: object, place: Place) -> Part:
    """One content part."""
    part = checks.obj(part, *place)
    cache = read_cache(part, place)
    match part.get("type"):
        case "text":
            return Text(checks.text(part.get("text"), *place, "text"), cache=cache)
        case "refusal":
            return Text(checks.text(part.get("refusal"), *place, "refusal"), refusal=True)
        case "image_url":
            return _read_image(part.get("image_url"), (*place, "image_url"), cache)
        case "file":
            return _read_file(checks.obj(part.get("file"), *place, "file"), (*place, "file"), cache)
        case "input_audio":
            sound = checks.obj(part.get("input_audio"), *place, "input_audio")
            return Audio(
                checks.name(sound.get("data"), *place, "input_audio", "data"),
                checks.text(sound.get("format"), *place, "input_audio", "format"),
            )
        case other:
            raise checks.wrong("one of text, image_url, file, input_audio and refusal", other, *place, "type")


def read_cache(holder: Json, place: Place) -> CacheMark | None:
    """`prompt_cache_breakpoint` (OpenAI) or `cache_control` (OpenRouter, Z.AI) of a part, a message or a tool."""
    for field in ("prompt_cache_breakpoint", "cache_control"):
        if (mark := holder.get(field)) is not None:
            ttl = checks.obj(mark, *place, field).get("ttl")
            return CacheMark(checks.maybe_text(ttl, *place, field, "ttl") or None)
    return None


def _read_image(image: object, place: Place, cache: CacheMark | None) -> Image:
    if isinstance(image, str):  # a bare URL, as some clients send it
        image = {"url": image}
    image = checks.obj(image, *place)
    url = checks.name(image.get("url"), *place, "url")
    detail = checks.maybe_text(image.get("detail"), *place, "detail")
    if not url.startswith("data:"):
        return Image(url=url, detail=detail, cache=cache)
    media_type, data = split_data_url(url, (*place, "url"))
    return Image(media_type, data, detail=detail, cache=cache)


def _read_file(file: Json, place: Place, cache: CacheMark | None) -> Document:
    filename = checks.maybe_text(file.get("filename"), *place, "filename")
    if file_id := checks.maybe_text(file.get("file_id"), *place, "file_id"):
        return Document(file_id=file_id, filename=filename, cache=cache)
    data = checks.name(file.get("file_data"), *place, "file_data")
    if data.startswith("data:"):
        media_type, data = split_data_url(data, (*place, "file_data"))
        return Document(media_type, data, filename=filename, cache=cache)
    if data.startswith(("https://", "http://")):  # https://openrouter.ai/docs/features/multimodal/pdfs
        return Document(url=data, filename=filename, cache=cache)
    return Document(data=data, filename=filename, cache=cache)


def split_data_url(url: str, place: Place) -> tuple[str, str]:
    """Media type and base64 data of a `data:` URL."""
    head, comma, data = url.partition(",")
    media_type, *rest = head[len("data:") :].split(";")
    if not comma or "base64" not in rest:
        param = ".".join(map(str, place))
        raise invalid(f"{param}: expected a data URL with base64 content (data:<media type>;base64,<data>).", param)
    return media_type, data


# ── to a provider ────────────────────────────────────────────────────────────────────────────────────────────────


def write_parts(blocks: Iterable[Part], target: Target, dropped: set[str]) -> str | list[Json]:
    """Blocks as content: a string where one text is all, else parts."""
    parts = [part for block in blocks if (part := write_part(block, target, dropped))]
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def write_part(block: Part, target: Target, dropped: set[str]) -> Json | None:
    """One block as a part; None for a text that is empty."""
    match block:
        case Text():
            if block.citations:
                dropped.add("citations")
            part: Json | None = {"type": "text", "text": block.text} if block.text else None
        case Image():
            part = _write_image(block, target)
        case Document():
            part = _write_document(block, target, dropped)
        case Audio():
            return _write_audio(block, target)
    if part and block.cache:
        part |= write_cache(block.cache, target, dropped)
    return part


def write_cache(mark: CacheMark, target: Target, dropped: set[str]) -> Json:
    """A cache mark, for those who know it: https://openrouter.ai/docs/features/prompt-caching"""
    if "keeps_cache_control" not in target.quirks:
        dropped.add("cache")
        return {}
    control = {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl in ("5m", "1h") else {"type": "ephemeral"}
    return {"cache_control": control}


def _write_image(image: Image, target: Target) -> Json:
    _takes("image", "images", target)
    if image.file_id:
        raise _foreign_file("an image")
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url, "detail": image.detail} if image.detail else {"url": url}}


def _write_document(document: Document, target: Target, dropped: set[str]) -> Json | None:
    if document.citations:
        dropped.add("citations")
    if document.file_id:
        raise _foreign_file("a document")
    text = document.text
    if not text and document.data and document.media_type.startswith("text/"):
        text = _decode(document.data)
    if text or not (document.data or document.url):
        head = "\n".join(line for line in (document.title or document.filename, document.context) if line)
        text = f"{head}\n\n{text}" if head and text else text
        return {"type": "text", "text": text} if text else None
    _takes("pdf", "documents", target)
    if document.context:
        dropped.add("document.context")
    name = document.filename or document.title or "document.pdf"
    if document.data:
        url = f"data:{document.media_type};base64,{document.data}"
    elif "pdf_url_in_file_data" in target.quirks:
        url = document.url
    else:
        raise unsupported(
            f"{target.model} at this provider takes documents as data only, not by URL: "
            "send the document itself in base64.",
            "messages",
        )
    return {"type": "file", "file": {"filename": name, "file_data": url}}


def _write_audio(audio: Audio, target: Target) -> Json:
    _takes("audio", "audio", target)
    if not audio.data:
        raise unsupported(
            "Audio can only be sent as data here: send it in base64, or its transcript as text.", "messages"
        )
    return {"type": "input_audio", "input_audio": {"data": audio.data, "format": audio.format or "wav"}}


def _decode(data: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except ValueError:
        raise invalid("A text document's data is not UTF-8 in base64.", "messages") from None


def _takes(modality: Any, plural: str, target: Target) -> None:
    if modality not in target.input:
        raise unsupported(
            f"{target.model} takes no {plural}: remove them, or choose a model that reads them.", "messages"
        )


def _foreign_file(what: str) -> Exception:
    return unsupported(
        f"The id of {what} is known only to the provider that it was uploaded to: send the content itself in base64.",
        "messages",
    )


def write_result_text(content: Iterable[Text | Image | Document | ToolReference], call: str) -> tuple[str, list[Part]]:
    """A tool result's content as the one text that a `tool` message can hold, and the media that must go elsewhere."""
    words: list[str] = []
    media: list[Part] = []
    for block in content:
        match block:
            case Text(text=text):
                words.append(text)
            case ToolReference(name=name):
                words.append(f"The tool {name} is now available.")
            case Document() if block.text:
                words.append("\n".join(line for line in (block.title, block.context, block.text) if line))
            case _:
                kind = "image" if isinstance(block, Image) else "document"
                words.append(f"(The {kind} of this result stands in the next user message.)")
                media += [] if media else [Text(f"From the result of {call}:")]
                media.append(block)
    return "\n".join(word for word in words if word), media

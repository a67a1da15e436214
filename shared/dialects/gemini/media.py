"""Pictures, documents and sound as Gemini parts: https://ai.google.dev/api/caching#Part."""

from __future__ import annotations

from shared.canonical import Audio, Document, Image, Json, Modality, Target
from shared.errors import GatewayError, unsupported

_GOOGLE_FILES = ("https://generativelanguage.googleapis.com/", "gs://")
_TEXT_LIKE = frozenset({"application/json", "application/xml", "application/x-javascript", "application/x-python"})


def media_parts(block: Image | Document | Audio, target: Target, dropped: dict[str, None]) -> list[Json]:
    """The parts that show `block`. Raises UNSUPPORTED_BY_MODEL for what the model can't read or Google doesn't hold."""
    match block:
        case Image():
            if block.detail:
                dropped["image.detail"] = None
            return [_part(block.media_type or "image/png", block, target)]
        case Document():
            if block.citations:
                dropped["citations"] = None
            label = "\n".join(filter(None, (block.title or block.filename, block.context)))
            shown: list[Json] = [{"text": label}] if label else []
            if not (block.data or block.url or block.file_id):
                return [*shown, {"text": block.text}] if block.text else shown
            return [*shown, _part(block.media_type, block, target)]
        case Audio(data="", transcript=transcript) if transcript:
            return [{"text": transcript}]
        case Audio():
            if not block.data:
                raise unsupported(
                    "Audio by id belongs to the provider that made it: send its data or its transcript.", "messages"
                )
            _expect("audio", target)
            return [{"inlineData": {"mimeType": f"audio/{block.format or 'wav'}", "data": block.data}}]


def _part(media_type: str, block: Image | Document, target: Target) -> Json:
    _expect(_modality(media_type), target)
    if block.data:
        return {"inlineData": {"mimeType": media_type, "data": block.data}}
    what = "Images" if isinstance(block, Image) else "Documents"
    if block.file_id:
        raise unsupported(f"{what} by file id belong to another provider: send the data itself.", "messages")
    if not block.url.startswith(_GOOGLE_FILES):
        raise unsupported(
            f"{what} by URL are not fetched for {target.model}: send the data itself (base64).", "messages"
        )
    typed = {} if isinstance(block, Image) and not block.media_type else {"mimeType": media_type}
    return {"fileData": {"fileUri": block.url, **typed}}


def _modality(media_type: str) -> Modality:
    kind = media_type.partition("/")[0]
    match kind:
        case "image" | "audio" | "video" | "text":
            return kind
        case _ if media_type in _TEXT_LIKE:
            return "text"
        case _ if media_type == "application/pdf":
            return "pdf"
        case _:
            raise _unreadable(media_type)


def _unreadable(media_type: str) -> GatewayError:
    return unsupported(f"Gemini doesn't read files of the type {media_type!r}: send a PDF or plain text.", "messages")


def _expect(modality: Modality, target: Target) -> None:
    if modality not in target.input:
        raise unsupported(f"{target.model} does not read {modality} input.", "messages")

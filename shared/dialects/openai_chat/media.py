"""Pictures and sound that a model made, whole and streamed (https://platform.openai.com/docs/guides/audio)."""

from __future__ import annotations

from collections.abc import Iterable

from shared.canonical import Audio, Image, Json


class Media:
    """Gathers what the deltas of one reply bring: both are of use only when they are whole."""

    __slots__ = ("_audio", "_images")

    def __init__(self) -> None:
        self._images: list[Image] = []
        self._audio: dict[str, list[str]] = {}

    def note(self, delta: Json) -> None:
        """One delta."""
        self._images += images_of(delta)
        if isinstance(audio := delta.get("audio"), dict):
            for field in ("data", "transcript", "id"):
                if isinstance(piece := audio.get(field), str):
                    self._audio.setdefault(field, []).append(piece)

    def blocks(self) -> Iterable[Image | Audio]:
        """What there is at the end."""
        yield from self._images
        if self._audio:
            data, transcript = ("".join(self._audio.get(field, ())) for field in ("data", "transcript"))
            yield Audio(data, transcript=transcript, id=self._audio.get("id", [""])[0])


def media_of(message: Json) -> Iterable[Image | Audio]:
    """What a whole message holds."""
    media = Media()
    media.note(message)
    return media.blocks()


def images_of(holder: Json) -> list[Image]:
    """`images`: what a model drew (https://openrouter.ai/docs/features/multimodal/image-generation)."""
    images = holder.get("images")
    found: list[Image] = []
    for one in images if isinstance(images, list) else ():
        match one:
            case {"image_url": {"url": str(url)}} if url.startswith("data:"):
                head, _, data = url.partition(",")
                found.append(Image(head[len("data:") :].partition(";")[0], data))
            case {"image_url": {"url": str(url)}} if url:
                found.append(Image(url=url))
    return found

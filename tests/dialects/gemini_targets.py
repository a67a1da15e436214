"""Two models as the catalog describes them, and the SDK's types as judges of what is written for them."""

from __future__ import annotations

from typing import Any

from google.genai import types

from shared.canonical import Flags, Json, Limits, Request, Target, Text, Turn
from shared.dialects import dialect

GEMINI = dialect("gemini")
_READS = frozenset({"text", "image", "pdf", "audio", "video"})

GEMINI_3 = Target(
    "google",
    "gemini-3.6-flash",
    limits=Limits(1_048_576, 65_536),
    flags=Flags(
        thinking="level",
        thinking_off="never",
        effort=("minimal", "low", "medium", "high"),
        json_schema=True,
        prefill=False,
    ),
    input=_READS,  # type: ignore[arg-type]  # a set of literals
)
GEMINI_25 = Target(
    "google",
    "gemini-2.5-flash",
    limits=Limits(1_048_576, 65_536),
    flags=Flags(thinking="budget", thinking_off="disabled", json_schema=True),
    input=_READS,  # type: ignore[arg-type]  # a set of literals
    quirks=frozenset({"no_penalties", "no_logprobs"}),
)


def asks(*turns: Turn, **fields: Any) -> Request:
    """A request of these turns, or of one short question."""
    return Request("gemini", turns or (Turn("user", (Text("Hello"),)),), **fields)


def judge(body: Json) -> None:
    """Raises where the SDK's types know a field of the body not, or by another type."""
    config = {key: value for key, value in body.items() if key not in ("contents", "generationConfig")}
    types.GenerateContentConfig.model_validate({**config, **body.get("generationConfig", {})})
    for content in body["contents"]:
        types.Content.model_validate(content)
    assert set(body) <= {"contents", "systemInstruction", "tools", "toolConfig", "generationConfig"}


def written(request: Request, target: Target = GEMINI_3) -> tuple[Json, tuple[str, ...]]:
    """What goes out, judged, and what was dropped."""
    out = GEMINI.write_request(request, target)
    judge(out.body)
    return out.body, out.dropped

"""Requests of generateContent, read as strictly as Google does (https://ai.google.dev/api/generate-content)."""

from __future__ import annotations

from emulator.demo.face import Asked
from emulator.demo.gemini.contents import read_contents, read_parts
from emulator.demo.gemini.tools import read_choice, read_tools
from emulator.demo.gemini.words import WORDING
from emulator.demo.reading import Node, names, seed_of
from emulator.demo.talk import Json, Prompt, Turn

_FIELDS = names(
    """
    model contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent
    serviceTier store generateContentRequest
    """
)
_CONFIG = names(
    """
    stopSequences responseMimeType responseSchema responseJsonSchema responseModalities candidateCount
    maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs logprobs
    thinkingConfig mediaResolution enableEnhancedCivicAnswers speechConfig imageConfig
    """
)
_LEVELS = ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH")
_STOPS = 5


def read(body: Json, asked: Asked) -> Prompt:
    """The prompt in a body. Raises `RefusedError`."""
    root = Node(body, WORDING).obj(*_FIELDS)
    if asked.counting and (inner := root.get("generateContentRequest")) is not None:
        root = inner.obj(*_FIELDS)  # countTokens may wrap a whole request
    if (cached := root.get("cachedContent")) is not None:
        raise cached.refused("CachedContent not found (or permission denied)", status=403)
    config = root.get("generationConfig")
    config = Node({}, WORDING, "generation_config") if config is None else config.obj(*_CONFIG)
    thinks, signed, shown = _thinking(config.get("thinkingConfig"))
    system: tuple[Turn, ...] = ()
    if (instruction := root.get("systemInstruction")) is not None:
        fields = instruction.obj("role", "parts")
        system = (Turn("system", tuple(read_parts(fields.need("parts"), ("text",)))),)
    # Gemini 2.5 takes calls without signatures; 3 doesn't: https://ai.google.dev/gemini-api/docs/thought-signatures
    turns = read_contents(root.need("contents"), signed and not asked.model.startswith("gemini-2"))
    tools = read_tools(root.get("tools"))
    _sampling(config)
    limit = config.get("maxOutputTokens")
    return Prompt(
        seed=seed_of({"model": asked.model, **body}),
        model=asked.model.removeprefix("models/"),
        turns=(*system, *turns),
        body=body,
        tools=tools,
        choice=read_choice(root.get("toolConfig"), tools),
        max_tokens=None if limit is None else limit.whole(1),
        stop=_stop(config.get("stopSequences")),
        thinks=thinks,
        shows_thoughts=shown,
        **_format(config),
        stream=asked.stream,
    )


def _thinking(node: Node | None) -> tuple[bool, bool, bool]:
    """(it thinks, its calls must come back signed, thoughts are shown) (https://ai.google.dev/gemini-api/docs/thinking)."""
    if node is None:
        return False, True, False
    fields = node.obj("includeThoughts", "thinkingBudget", "thinkingLevel")
    shown = fields.flag("includeThoughts")
    budget, level = fields.get("thinkingBudget"), fields.get("thinkingLevel")
    if budget is not None and level is not None:
        raise node.refused("You can only set only one of thinking budget and thinking level.")
    if budget is not None:
        size = budget.whole(-1, 32768)
        return size != 0, size != 0, shown
    if level is not None:
        level.among(*_LEVELS, *(name.lower() for name in _LEVELS))
    return True, True, shown


def _sampling(config: Node) -> None:
    ranges = {"temperature": (0, 2), "topP": (0, 1), "presencePenalty": (-2, 2), "frequencyPenalty": (-2, 2)}
    for name, (low, high) in ranges.items():
        if (node := config.get(name)) is not None:
            node.number(low, high)
    if (top := config.get("topK")) is not None:
        top.number(1, 1000)
    if (seed := config.get("seed")) is not None:
        seed.whole(-(2**31), 2**31 - 1)
    if (count := config.get("candidateCount")) is not None and count.whole(1) != 1:
        raise count.refused("Only one candidate can be specified in the current model")
    if (modalities := config.get("responseModalities")) is not None:
        for modality in modalities.items():
            modality.among("TEXT")
    if (count := config.get("logprobs")) is not None and not config.flag("responseLogprobs"):
        raise count.refused("Logprobs is not enabled: set response_logprobs to true.")


def _stop(node: Node | None) -> tuple[str, ...]:
    words = tuple(word.text() for word in node.items()) if node is not None else ()
    if node is not None and len(words) > _STOPS:
        raise node.refused(f"The number of stop sequences must be at most {_STOPS}, got {len(words)}.")
    return words


def _format(config: Node) -> Json:
    kind, old, new = (config.get(name) for name in ("responseMimeType", "responseSchema", "responseJsonSchema"))
    mime = "text/plain" if kind is None else kind.among("text/plain", "application/json", "text/x.enum")
    if old is not None and new is not None:
        raise new.refused("Only one of response_schema and response_json_schema may be set.")
    schema = new or old
    if schema is not None and mime == "text/plain":
        raise schema.refused("response_schema with response mime type: 'text/plain' is unsupported")
    return {"wants_json": mime == "application/json", "schema": schema.raw() if schema else None}

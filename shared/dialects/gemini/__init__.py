"""Google's native `generateContent`, spoken to providers only: https://ai.google.dev/api/generate-content."""

from __future__ import annotations

from shared.dialects import Dialect, StreamWriter, Writing
from shared.dialects.failures import read_error
from shared.dialects.gemini.adapt import adapt, repair
from shared.dialects.gemini.errors import write_error
from shared.dialects.gemini.meter import Meter
from shared.dialects.gemini.request import read_request, write_count_request, write_request
from shared.dialects.gemini.response import read_count, read_response, write_response
from shared.dialects.gemini.stream import StreamReader
from shared.errors import unsupported

__all__ = ["DIALECT", "read_count", "write_count_request"]


def _stream_writer(writing: Writing) -> StreamWriter:
    raise unsupported("Gemini is spoken to providers only.")


DIALECT = Dialect(
    api="gemini",
    read_request=read_request,
    write_request=write_request,
    read_response=read_response,
    write_response=write_response,
    stream_reader=StreamReader,
    stream_writer=_stream_writer,
    meter=Meter,
    adapt=adapt,
    repair=repair,
    read_error=read_error,
    write_error=write_error,
    names={
        "turns": "contents",
        "system": "systemInstruction",
        "tool_choice": "toolConfig.functionCallingConfig",
        "max_tokens": "generationConfig.maxOutputTokens",
        "temperature": "generationConfig.temperature",
        "top_p": "generationConfig.topP",
        "top_k": "generationConfig.topK",
        "stop": "generationConfig.stopSequences",
        "frequency_penalty": "generationConfig.frequencyPenalty",
        "presence_penalty": "generationConfig.presencePenalty",
        "seed": "generationConfig.seed",
        "logprobs": "generationConfig.responseLogprobs",
        "reasoning": "generationConfig.thinkingConfig",
        "format": "generationConfig.responseJsonSchema",
        "metadata": "labels",
        "service_tier": "serviceTier",
        "cache": "cachedContent",
    },
)

"""OpenAI responses, for clients and for providers (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from shared.dialects import Dialect
from shared.dialects.failures import read_error
from shared.dialects.openai_responses.adapt import adapt, foreign_tools, repair
from shared.dialects.openai_responses.errors import write_error
from shared.dialects.openai_responses.meter import Meter
from shared.dialects.openai_responses.request import read_request, write_request
from shared.dialects.openai_responses.response import read_response, write_response
from shared.dialects.openai_responses.stream_reader import StreamReader
from shared.dialects.openai_responses.stream_writer import StreamWriter

__all__ = ["DIALECT"]

DIALECT = Dialect(
    api="responses",
    read_request=read_request,
    write_request=write_request,
    read_response=read_response,
    write_response=write_response,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
    meter=Meter,
    adapt=adapt,
    repair=repair,
    read_error=read_error,
    write_error=write_error,
    lacks=foreign_tools,
    names={
        "turns": "input",
        "system": "instructions",
        "max_tokens": "max_output_tokens",
        "parallel_tools": "parallel_tool_calls",
        "logprobs": "top_logprobs",
        "format": "text.format",
        "verbosity": "text.verbosity",
        "user": "safety_identifier",
        "cache_key": "prompt_cache_key",
        "cache": "prompt_cache_options",
    },
)

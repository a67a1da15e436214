"""OpenAI chat completions, client side and provider side (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from shared.dialects import Dialect
from shared.dialects.failures import read_error
from shared.dialects.openai_chat.adapt import adapt
from shared.dialects.openai_chat.errors import write_error
from shared.dialects.openai_chat.lane import lacks
from shared.dialects.openai_chat.meter import Meter
from shared.dialects.openai_chat.repair import repair
from shared.dialects.openai_chat.request import read_request, write_request
from shared.dialects.openai_chat.response import read_response, write_response
from shared.dialects.openai_chat.stream import StreamReader, StreamWriter

DIALECT = Dialect(
    api="chat_completions",
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
    lacks=lacks,
    names={
        "cache": "prompt_cache_options",
        "cache_key": "prompt_cache_key",
        "format": "response_format",
        "max_tokens": "max_completion_tokens",
        "parallel_tools": "parallel_tool_calls",
        "system": "messages",
        "turns": "messages",
        "user": "safety_identifier",
    },
)

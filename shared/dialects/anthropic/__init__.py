"""Anthropic's Messages API, for clients and providers.

https://platform.claude.com/docs/en/api/messages

Quirks of providers that are read here: `no_effort` and `no_output_format` (no `output_config.effort`, `.format`),
`no_deferred_tools` (no `defer_loading`, no `tool_reference`), `no_hosted_tools` (runs no tools itself), `unsigned_thinking`
(signs no thoughts and wants them back all the same).
"""

from __future__ import annotations

from shared.dialects import Dialect
from shared.dialects.anthropic.adapt import adapt, repair, write_count_request
from shared.dialects.anthropic.errors import write_error
from shared.dialects.anthropic.meter import Meter
from shared.dialects.anthropic.request import read_request, write_request
from shared.dialects.anthropic.response import read_response, write_response
from shared.dialects.anthropic.stream import StreamReader, StreamWriter
from shared.dialects.anthropic.write_stream import ping
from shared.dialects.failures import read_error

__all__ = ["DIALECT", "ping", "write_count_request"]


DIALECT = Dialect(
    api="messages",
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
    names={
        "stop": "stop_sequences",
        "user": "metadata.user_id",
        "cache": "cache_control",
        "format": "output_config.format",
        "reasoning": "thinking",
        "reasoning.effort": "output_config.effort",
        "parallel_tools": "tool_choice.disable_parallel_tool_use",
        "tools.deferred": "tools.defer_loading",
    },
)

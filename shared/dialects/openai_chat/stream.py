"""Both ends of a chat completions stream (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from __future__ import annotations

from shared.dialects.openai_chat.stream_in import StreamReader
from shared.dialects.openai_chat.stream_out import StreamWriter

__all__ = ["StreamReader", "StreamWriter"]

"""Whatever comes from a client, it is read or refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import (
    Flags,
    Json,
    Target,
)
from shared.dialects import dialect
from shared.errors import GatewayError

MESSAGES = dialect("messages")
ABLE = Target("anthropic", "m", flags=Flags(prefill=True, json_schema=True), input=frozenset({"text", "image", "pdf"}))


VOCABULARY = """type text tool_use tool_result thinking redacted_thinking image document search_result role user assistant system content
    source base64 url file data media_type input name id tool_use_id cache_control citations signature server_tool_use title
    web_search_tool_result tool_reference tool_name is_error tool_addition tool tool_definition definition enabled adaptive
    budget_tokens effort format json_schema schema auto any none ephemeral ttl compaction enabled"""
WORDS = st.sampled_from(VOCABULARY.split())
SCALARS = st.none() | st.booleans() | st.integers(-3, 1 << 70) | st.floats() | st.text(max_size=4) | WORDS
ANY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6), max_leaves=24
)
FIELDS = """model messages system tools tool_choice max_tokens temperature top_p top_k stop_sequences stream metadata thinking
    output_config output_format cache_control service_tier container mcp_servers unknown"""
TOP = st.sampled_from(FIELDS.split())
BLOCK = st.dictionaries(WORDS, ANY, max_size=5).flatmap(
    lambda body: st.builds(lambda kind: {**body, "type": kind}, WORDS)
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": ANY | st.lists(BLOCK, max_size=4)}
)


def survives(body: Json) -> None:
    """Nothing but a GatewayError leaves, and what could be read can be written, or is refused in the same way."""
    with suppress(GatewayError):
        MESSAGES.write_request(MESSAGES.read_request(body), ABLE)


@given(st.dictionaries(TOP, ANY, max_size=8))
@settings(max_examples=300)
def test_any_body_is_read_or_refused(body: Json) -> None:
    survives(body)


@given(st.lists(MESSAGE, max_size=4), st.lists(BLOCK | ANY, max_size=3))
@settings(max_examples=300)
def test_any_messages_are_read_or_refused(messages: list[Json], tools: list[Any]) -> None:
    survives({"model": "m", "messages": messages, "tools": tools})

"""OpenRouter's hosts: an output format goes to those that keep to it, unless the client chooses among them itself."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.load import load
from shared.canonical import Flags, FunctionTool, OutputFormat, Request, Target, Text, Turn
from shared.dialects import Api, dialect

ROUTER = Target("openrouter", "m", flags=Flags(json_schema=True), quirks=frozenset({"require_parameters"}))
PLAIN = Target("openai", "m", flags=Flags(json_schema=True))
SCHEMA = {"type": "object", "properties": {}}
REQUIRED = {"require_parameters": True}
BODIES: dict[Api, dict[str, Any]] = {
    "chat_completions": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
}
FORMATS: dict[Api, dict[str, Any]] = {
    "chat_completions": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    },
    "responses": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}}},
}
TEXT: dict[Api, dict[str, Any]] = {
    "chat_completions": {
        "response_format": {"type": "text"},
        "tools": [{"type": "function", "function": {"name": "f"}}],
    },
    "responses": {"text": {"format": {"type": "text"}}, "tools": [{"type": "function", "name": "f"}]},
}
every_api = pytest.mark.parametrize("api", BODIES)


@every_api
def test_a_schema_that_passes_through_is_kept(api: Api) -> None:
    body = {**BODIES[api], **FORMATS[api]}
    assert dialect(api).adapt(body, ROUTER) == ({**body, "provider": REQUIRED}, ())
    assert dialect(api).adapt(body, PLAIN)[0] is body


@every_api
@pytest.mark.parametrize("wish", [{"order": ["x"]}, {"require_parameters": False}, {}])
def test_a_client_that_chooses_is_left_alone(api: Api, wish: dict[str, Any]) -> None:
    body = {**BODIES[api], **FORMATS[api], "provider": wish}
    assert dialect(api).adapt(body, ROUTER)[0] is body


@every_api
def test_without_a_format_nothing_is_required(api: Api) -> None:
    """Required parameters are all of them: a host would be passed over for any that it merely doesn't know."""
    for body in (BODIES[api], {**BODIES[api], **TEXT[api]}, {**BODIES[api], "response_format": 5, "text": 5}):
        assert dialect(api).adapt(body, ROUTER)[0] is body


@every_api
@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
def test_a_schema_that_is_translated_is_kept(api: Api, kind: Any) -> None:
    request = Request("m", (Turn("user", (Text("JSON, please"),)),), format=OutputFormat(kind, SCHEMA))
    assert dialect(api).write_request(request, ROUTER).body["provider"] == REQUIRED
    assert "provider" not in dialect(api).write_request(request, PLAIN).body
    tools = Request("m", request.turns, tools=(FunctionTool("f"),))
    assert "provider" not in dialect(api).write_request(tools, ROUTER).body


@every_api
def test_the_catalog_says_so_of_the_router_alone(api: Api) -> None:
    quirky = {
        provider.id
        for provider in load().providers.values()
        for endpoint in provider.endpoints.values()
        if endpoint.api == api and "require_parameters" in endpoint.quirks
    }
    assert quirky == {"openrouter"}

"""What the SDKs make of a provider's faults, through every pair of client API and upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import anthropic
import openai
import orjson
import pytest

from tests.judges.conftest import MODELS

Client = Literal["chat", "messages", "responses"]
every_model = pytest.mark.parametrize("model", MODELS)
every_client = pytest.mark.parametrize("client", ["chat", "messages", "responses"])


@pytest.fixture
def ask(chat: openai.OpenAI, claude: anthropic.Anthropic) -> Callable[..., list[Any]]:
    """Sends a prompt, whole or streamed; the events of the stream, or the whole reply alone in a list."""

    def send(client: Client, model: str, prompt: str, *, stream: bool = False) -> list[Any]:
        messages: Any = [{"role": "user", "content": prompt}]
        reply: Any
        if client == "chat":
            reply = chat.chat.completions.create(model=model, messages=messages, stream=stream)
        elif client == "messages":
            reply = claude.messages.create(model=model, messages=messages, max_tokens=500, stream=stream)
        else:
            reply = chat.responses.create(model=model, input=prompt, stream=stream)
        return list(reply) if stream else [reply]

    return send


@contextmanager
def refused(client: Client) -> Iterator[pytest.ExceptionInfo[Any]]:
    with pytest.raises(anthropic.APIError if client == "messages" else openai.APIError) as caught:
        yield caught


KINDS: dict[int, tuple[str, str, str]] = {
    400: ("BadRequestError", "invalid_request_error", "invalid_request_error"),
    403: ("PermissionDeniedError", "permission_error", "permission_error"),
    404: ("NotFoundError", "invalid_request_error", "not_found_error"),
    429: ("RateLimitError", "rate_limit_error", "rate_limit_error"),
    500: ("InternalServerError", "server_error", "api_error"),
    529: ("OverloadedError", "server_error", "overloaded_error"),
}
"""Status, the SDK's class, and the type in each family's body."""


@every_client
@every_model
@pytest.mark.parametrize("status", KINDS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_errors_before_the_reply(
    ask: Callable[..., list[Any]], client: Client, model: str, status: int, stream: bool
) -> None:
    with refused(client) as caught:
        ask(client, model, f"[[fail {status}]]", stream=stream)
    error = caught.value
    kind, openai_type, anthropic_type = KINDS[status]
    assert error.status_code == status
    assert type(error).__name__ in (kind, "InternalServerError" if status >= 500 else kind)
    body: Any = error.body
    if client == "messages":
        assert body["type"] == "error"
        assert body["error"]["type"] == anthropic_type
        assert body["request_id"]
    else:
        assert body["type"] == openai_type
        assert body.keys() >= {"message", "type", "param", "code"}
    assert "retry-after" not in error.response.headers or status in (429, 529)


@every_client
@every_model
def test_a_refused_key_is_not_blamed_on_the_caller(ask: Callable[..., list[Any]], client: Client, model: str) -> None:
    """The provider refuses the owner's key: the caller's own token is good."""
    with refused(client) as caught:
        ask(client, model, "[[fail 401]]")
    assert caught.value.status_code in (401, 502)
    assert "refused" in str(caught.value)


@every_client
@every_model
def test_when_to_come_back(ask: Callable[..., list[Any]], client: Client, model: str) -> None:
    for stream in (False, True):
        with refused(client) as caught:
            ask(client, model, "[[fail 429 retry-after=7]]", stream=stream)
        assert caught.value.response.headers["retry-after"] == "7"


@every_client
@every_model
def test_a_page_of_html(ask: Callable[..., list[Any]], client: Client, model: str) -> None:
    with refused(client) as caught:
        ask(client, model, "[[fail 500 html]]")
    assert caught.value.status_code == 500
    assert "<html" not in str(caught.value)


@every_client
@every_model
@pytest.mark.parametrize("fault", ["break after 2", "cut after 2", "half after 2", "error after 2"])
def test_a_stream_that_breaks_is_an_error(
    ask: Callable[..., list[Any]], client: Client, model: str, fault: str
) -> None:
    prompt = f"[[{fault}]] [[slow 10]] one two three four"  # slow: so that something is sent before it breaks
    if client == "responses":  # this SDK hands the event over
        events = ask(client, model, prompt, stream=True)
        assert events[-1].type in ("response.failed", "error")
        assert not any(event.type == "response.completed" for event in events)
        return
    with refused(client) as caught:
        ask(client, model, prompt, stream=True)
    assert str(caught.value)


@every_client
@every_model
@pytest.mark.parametrize("fault", ["break", "cut", "error"])
def test_a_whole_reply_that_breaks_is_an_error(
    ask: Callable[..., list[Any]], client: Client, model: str, fault: str
) -> None:
    with refused(client) as caught:
        ask(client, model, f"[[{fault}]] one two three four")
    assert caught.value.status_code >= 500


@every_client
@every_model
def test_a_stream_with_comments(ask: Callable[..., list[Any]], client: Client, model: str) -> None:
    assert len(ask(client, model, "[[quirk comments]] hello", stream=True)) > 2


@every_client
def test_a_request_that_is_wrong(ask: Callable[..., list[Any]], chat: openai.OpenAI, client: Client) -> None:
    with refused(client) as caught:
        ask(client, "", "hello")
    assert caught.value.status_code == 400


def test_oddities_of_chat_providers(chat: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    """Calls without an index, odd finish reasons, tokens outside the count: mended when read."""
    tools: Any = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]
    prompt = "call get_weather [[quirk no-index finish-stop usage-outside reasoning]]"
    with claude.messages.stream(
        model="demo-chat",
        max_tokens=2000,
        tools=tools,
        messages=[{"role": "user", "content": prompt}],
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        reply = stream.get_final_message()
    assert reply.stop_reason == "tool_use"
    assert (reply.content[0].type, reply.content[-1].type) == ("thinking", "tool_use")
    usage: Any = reply.usage.to_dict()
    assert usage["output_tokens"] > usage["output_tokens_details"]["thinking_tokens"] > 0


@pytest.mark.parametrize("client", ["messages", "responses"])
def test_interleaved_calls_become_one_after_the_other(
    chat: openai.OpenAI, claude: anthropic.Anthropic, client: Client
) -> None:
    schema: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    prompt = 'call get_weather with {"city": "Rome"} and call get_time with {"city": "Oslo"} [[interleave]]'
    if client == "messages":
        tools: Any = [{"name": name, "input_schema": schema} for name in ("get_weather", "get_time")]
        with claude.messages.stream(
            model="demo-chat", max_tokens=2000, tools=tools, messages=[{"role": "user", "content": prompt}]
        ) as stream:
            calls: Any = [block.input for block in stream.get_final_message().content if block.type == "tool_use"]
    else:
        tools = [
            {"type": "function", "name": name, "parameters": schema, "strict": False}
            for name in ("get_weather", "get_time")
        ]
        with chat.responses.stream(model="demo-chat", input=prompt, tools=tools) as events:
            final = events.get_final_response()
        calls = [orjson.loads(item.arguments) for item in final.output if item.type == "function_call"]
    assert calls == [{"city": "Rome"}, {"city": "Oslo"}]

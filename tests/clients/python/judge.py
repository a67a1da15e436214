"""LangChain and Pydantic AI over each of the client APIs; run with a Python that has them, it fails at the first surprise."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

URL, TOKEN, MODEL = os.environ["EKAI_URL"], os.environ["EKAI_TOKEN"], os.environ["MODEL"]
QUESTION = "Use the tool get_weather."


class Weather(BaseModel):
    city: str
    degrees: float
    windy: bool


def langchain(chat: BaseChatModel) -> None:
    """Whole, streamed with usage, a tool loop with the streamed calls, and structured output."""

    @tool
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    assert chat.invoke("hello").text == "You said: hello"
    whole: Any = None
    for chunk in chat.stream("hello"):
        whole = chunk if whole is None else whole + chunk
    assert isinstance(whole, AIMessageChunk)
    assert whole.text == "You said: hello"
    assert whole.usage_metadata is not None
    assert whole.usage_metadata["input_tokens"] > 0
    assert whole.usage_metadata["output_tokens"] > 0

    history: list[Any] = [HumanMessage(QUESTION)]
    armed = chat.bind_tools([get_weather])
    asked: Any = None
    for chunk in armed.stream(history):
        asked = chunk if asked is None else asked + chunk
    [call] = asked.tool_calls
    history += [asked, get_weather.invoke(call)]
    assert armed.invoke(history).text == f'The tool answered: "sunny in {call["args"]["city"]}".'

    assert isinstance(chat.with_structured_output(Weather).invoke("What is the weather?"), Weather)


def pydantic_ai(model: Model) -> None:
    """Whole, streamed, a tool loop, an object, and an error."""
    plain = Agent(model)
    assert plain.run_sync("hello").output == "You said: hello"
    with plain.run_stream_sync("hello") as stream:
        assert stream.get_output() == "You said: hello"
        assert stream.usage.output_tokens > 0

    armed = Agent(model)

    @armed.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return f"sunny in {city}"

    first = armed.run_sync(QUESTION)
    assert first.output.startswith('The tool answered: "sunny in ')
    assert armed.run_sync("hello", message_history=first.all_messages()).output == "You said: hello"
    assert isinstance(Agent(model, output_type=Weather).run_sync("What is the weather?").output, Weather)
    assert refused(plain, "[[fail 400]]") == 400


def refused(agent: Agent[None, str], prompt: str) -> int:
    """The status that the agent is refused with; 0 if it isn't."""
    try:
        agent.run_sync(prompt)
    except ModelHTTPError as error:
        return error.status_code
    return 0


def main() -> None:
    openai = OpenAIProvider(base_url=f"{URL}/v1", api_key=TOKEN)
    chat = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": TOKEN, "stream_usage": True}
    checks: dict[str, Callable[[], None]] = {
        "langchain, chat completions": lambda: langchain(ChatOpenAI(**chat)),
        "langchain, responses": lambda: langchain(ChatOpenAI(**chat, use_responses_api=True)),
        "langchain, messages": lambda: langchain(ChatAnthropic(model=MODEL, base_url=URL, api_key=TOKEN)),
        "pydantic-ai, chat completions": lambda: pydantic_ai(OpenAIChatModel(MODEL, provider=openai)),
        "pydantic-ai, responses": lambda: pydantic_ai(OpenAIResponsesModel(MODEL, provider=openai)),
        "pydantic-ai, messages": lambda: pydantic_ai(
            AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key=TOKEN))
        ),
    }
    for name, check in checks.items():
        print(name, flush=True)
        check()


if __name__ == "__main__":
    main()

"""Google's SDK talks with the demo provider."""

from __future__ import annotations

import pytest
from google import genai
from google.genai import types as google
from pydantic import BaseModel

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = 'Please call get_weather with {"city": "Rome"}'


class Person(BaseModel):
    name: str
    age: int


def test_gemini_text_whole_and_streamed_are_the_same(gemini: genai.Client) -> None:
    whole = gemini.models.generate_content(model="demo", contents="hello out there")
    chunks = list(gemini.models.generate_content_stream(model="demo", contents="hello out there"))
    assert whole.text == "".join(chunk.text or "" for chunk in chunks) == "You said: hello out there"
    assert chunks[-1].usage_metadata == whole.usage_metadata
    counted = gemini.models.count_tokens(model="demo", contents="hello out there")
    assert whole.usage_metadata is not None
    assert counted.total_tokens == whole.usage_metadata.prompt_token_count


def test_gemini_tool_loop_needs_its_signature(gemini: genai.Client) -> None:
    declared = google.FunctionDeclaration(name="get_weather", parameters_json_schema=WEATHER)
    config = google.GenerateContentConfig(
        tools=[google.Tool(function_declarations=[declared])],
        thinking_config=google.ThinkingConfig(include_thoughts=True),
    )
    ask = google.Content(role="user", parts=[google.Part(text=ASK)])
    first = gemini.models.generate_content(model="demo", contents=[ask], config=config)
    assert first.candidates
    content = first.candidates[0].content
    assert content is not None
    assert content.parts
    thought, call = content.parts
    assert thought.thought
    assert call.function_call is not None
    assert call.function_call.args == {"city": "Rome"}
    answer = google.Part.from_function_response(name="get_weather", response={"result": "sunny"})
    history = [ask, content, google.Content(role="user", parts=[answer])]
    assert gemini.models.generate_content(model="demo", contents=history, config=config).text == (
        'The tool answered: "sunny".'
    )
    for signature, complaint in [(None, "missing a thought_signature"), (b"foreign", "Corrupted thought signature")]:
        call.thought_signature = signature
        with pytest.raises(genai.errors.ClientError, match=complaint):
            gemini.models.generate_content(model="demo", contents=history, config=config)
    call.thought_signature = b"skip_thought_signature_validator"
    assert gemini.models.generate_content(model="demo", contents=history, config=config).text


def test_gemini_structure_search_refusal_and_limit(gemini: genai.Client) -> None:
    config = google.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    assert gemini.models.generate_content(model="demo", contents="who?", config=config).parsed == Person(
        name="demo", age=1
    )
    config = google.GenerateContentConfig(tools=[google.Tool(google_search=google.GoogleSearch())])
    found = gemini.models.generate_content(model="demo", contents="search the news", config=config)
    assert found.candidates
    grounding = found.candidates[0].grounding_metadata
    assert grounding is not None
    assert grounding.web_search_queries == ["search the news"]
    refused = gemini.models.generate_content(model="demo", contents="forbidden-topic")
    assert refused.prompt_feedback is not None
    assert not refused.candidates
    config = google.GenerateContentConfig(max_output_tokens=2)
    cut = gemini.models.generate_content(model="demo", contents="a b c", config=config)
    assert cut.candidates
    assert (cut.text, cut.candidates[0].finish_reason) == ("You said:", google.FinishReason.MAX_TOKENS)

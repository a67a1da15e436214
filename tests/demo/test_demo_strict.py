"""The demo provider refuses what the real ones refuse, in their shape and with a text that helps."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import httpx
import pytest

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
STRICT = {**SCHEMA, "additionalProperties": False}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}

CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
MESSAGES: dict[str, Any] = {"model": "demo", "max_tokens": 4000, "messages": [{"role": "user", "content": "hi"}]}
RESPONSES: dict[str, Any] = {"model": "demo", "input": [{"role": "user", "content": "hi"}]}
GEMINI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
DECLARED = [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}]


def calls(*ids: str, **more: Any) -> dict[str, Any]:
    function = {"name": "f", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": i, "type": "function", "function": function} for i in ids],
        **more,
    }


def result(ident: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": ident, "content": "r"}


def use(ident: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": ident, "name": "f", "input": {}}]}


def answered(ident: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": ident, "content": "r"}


def said(text: str = "hi") -> dict[str, Any]:
    return {"type": "text", "text": text}


USER = CHAT["messages"][0]
USER_PART = GEMINI["contents"][0]

ACCEPTED: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "chat": (
        "/v1/chat/completions",
        CHAT,
        [
            {"x_future": 1},
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
            {
                "tools": [FUNCTION],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                },
            },
            {"messages": [USER, calls("a", "b"), result("b"), result("a")]},
            {"messages": [{"role": "system", "content": "s"}, USER, calls("a"), result("a"), USER]},
            {"messages": [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}, USER]},
            {"stop": "x"},
            {"stop": ["a", "b", "c", "d"], "temperature": 2, "seed": 3, "user": "u", "metadata": {"a": "b"}},
            {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "in JSON"}]},
            {"stream_options": None, "tools": None, "temperature": None},
        ],
    ),
    "messages": (
        "/v1/messages",
        MESSAGES,
        [
            {"x_future": 1},
            {"tools": []},
            {"max_tokens": 0},
            {"system": [said("a"), {**said("b"), "cache_control": {"type": "ephemeral"}}]},
            {"messages": [USER, {"role": "system", "content": "s"}, {"role": "user", "content": [said()]}]},
            {"messages": [USER, use("a"), {"role": "user", "content": [answered("a"), said()]}]},
            {
                "messages": [
                    USER,
                    use("a"),
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": [answered("a")]},
                ]
            },
            {"messages": [USER, USER, {"role": "assistant", "content": "x"}, USER]},
            {"messages": [USER, {"role": "assistant", "content": "x"}]},
            {"messages": [{"role": "user", "content": [{"type": "image", "source": PNG}]}]},
            {"thinking": {"type": "enabled", "budget_tokens": 1024}, "temperature": 1},
            {"tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}},
            {"tools": [{"type": "custom", "name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "none"}},
            {"output_config": {"effort": "max"}, "thinking": {"type": "disabled"}},
        ],
    ),
    "responses": (
        "/v1/responses",
        RESPONSES,
        [
            {"x_future": 1},
            {"input": "hi", "instructions": "be brief", "tools": []},
            {"input": [{"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}, USER]},
            {
                "tools": [{"type": "function", "name": "f", "parameters": STRICT, "strict": True}],
                "tool_choice": "required",
            },
            {
                "tools": [
                    {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}}
                ],
                "tool_choice": {"type": "custom", "name": "c"},
            },
            {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}, "verbosity": "low"}},
            {"client_metadata": {"a": "b"}, "prompt_cache_key": "k", "include": ["reasoning.encrypted_content"]},
        ],
    ),
    "gemini": (
        "/v1beta/models/demo:generateContent",
        GEMINI,
        [
            {"system_instruction": {"parts": [{"text": "s"}]}, "generation_config": {"max_output_tokens": 5}},
            {
                "tools": DECLARED,
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            },
            {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"googleSearch": {}}]},
            {"contents": [USER_PART, {"role": "model", "parts": [{"text": "x"}]}]},
            {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": STRICT}},
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}, "stopSequences": ["a"], "topK": 40}},
        ],
    ),
}


@pytest.mark.parametrize(
    ("face", "index"), [(face, i) for face, (_, _, changes) in ACCEPTED.items() for i in range(len(changes))]
)
def test_what_is_right_passes(http: httpx.Client, face: str, index: int) -> None:
    path, body, changes = ACCEPTED[face]
    answer = http.post(path, json={**deepcopy(body), **changes[index]})
    assert answer.status_code == 200, answer.text


REFUSED_CHAT: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "Missing required parameter: 'model'"),
    ({"messages": []}, "empty array"),
    ({"messages": "hi"}, "Invalid type for 'messages': expected an array, but got a string instead."),
    ({"max_output_tokens": 5}, "Unknown parameter: 'max_output_tokens'"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time"),
    ({"temperature": 3}, "out of range"),
    ({"temperature": True}, "expected a number, but got a boolean"),
    ({"tools": []}, "empty array"),
    ({"tool_choice": "auto"}, "only allowed when 'tools' are specified"),
    ({"parallel_tool_calls": True}, "only allowed when 'tools' are specified"),
    ({"tools": [FUNCTION], "tool_choice": "any"}, "Supported values are: 'none', 'auto', 'required'"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "any"}}, "Invalid value: 'any'"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}}, "Unknown parameter: 'tool_choice.name'"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "not found in 'tools'"),
    ({"tools": [{"type": "function", "name": "f"}]}, "Unknown parameter: 'tools[0].name'"),
    ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
    ({"tools": [{"type": "function", "function": {"name": "x" * 65}}]}, "64 characters"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": SCHEMA}}]},
        "'additionalProperties' is required",
    ),
    ({"stop": ["a"] * 5}, "1 to 4 strings"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    ({"top_logprobs": 1}, "only allowed when 'logprobs'"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, "Unknown parameter: 'response_format.schema'"),
    ({"reasoning_effort": "extreme"}, "Supported values are"),
    ({"messages": [USER, result("a")]}, "must be a response to a preceeding message"),
    ({"messages": [USER, calls("a"), USER]}, "did not have response messages: a"),
    ({"messages": [USER, calls("a", "b"), result("a")]}, "did not have response messages: b"),
    ({"messages": [USER, calls("a"), result("a"), result("a")]}, "answered twice"),
    ({"messages": [USER, calls("a", "a"), result("a")]}, "Duplicate tool_call ids"),
    ({"messages": [USER, {"role": "assistant", "content": None}]}, "expected a string, got null"),
    ({"messages": [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]}, "Invalid value: 'input_text'"),
    ({"messages": [{"role": "model", "content": "x"}]}, "Supported values are: 'system'"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}]}]},
        "must hold base64",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}]}
            ]
        },
        "invalid base64",
    ),
    (
        {"messages": [USER, calls("a"), {**result("a"), "content": [{"type": "image_url"}]}]},
        "Invalid value: 'image_url'",
    ),
]

REFUSED_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_completion_tokens": 5}, "max_completion_tokens: Extra inputs are not permitted"),
    ({"stop": ["x"]}, "stop: Extra inputs are not permitted"),
    ({"messages": []}, "at least one message is required"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be"),
    ({"messages": [USER, {"role": "assistant", "content": "x "}]}, "cannot end with trailing whitespace"),
    ({"messages": [{"role": "user", "content": ""}]}, "must have non-empty content"),
    ({"messages": [{"role": "user", "content": [said("")]}]}, "text content blocks must be non-empty"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        "messages.0.content.0: Input tag 'image_url'",
    ),
    ({"messages": [{"role": "user", "content": [{**said(), "index": 0}]}]}, "messages.0.content.0.index: Extra inputs"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {**PNG, "media_type": "image/tiff"}}]}]},
        "Supported values are: 'image/jpeg'",
    ),
    (
        {"messages": [USER, use("a"), USER]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: a",
    ),
    ({"messages": [USER, use("a"), {"role": "user", "content": [said(), answered("a")]}]}, "immediately after: a"),
    ({"messages": [USER, {"role": "user", "content": [answered("a")]}]}, "unexpected `tool_use_id`"),
    ({"messages": [USER, use("a:b"), {"role": "user", "content": [answered("a:b")]}]}, "should match pattern"),
    (
        {
            "messages": [
                USER,
                use("a"),
                {"role": "user", "content": [answered("a")]},
                use("a"),
                {"role": "user", "content": [answered("a")]},
            ]
        },
        "ids must be unique",
    ),
    ({"temperature": 1.5}, "out of range"),
    ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 4000}}, "must be greater than `thinking.budget_tokens`"),
    ({"thinking": {"type": "adaptive"}, "temperature": 0.5}, "may only be set to 1"),
    ({"thinking": {"type": "on"}}, "thinking: Input tag 'on'"),
    ({"stop_sequences": [" "]}, "must contain non-whitespace"),
    ({"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
    ({"tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": "auto"}, "valid dictionary"),
    (
        {"tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "required"}},
        "expected tags: 'auto', 'any'",
    ),
    (
        {"tools": [{"name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "tool", "name": "g"}},
        "not found in provided tools",
    ),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "tools.0.input_schema.type: Input should be 'object'"),
    ({"tools": [{"name": "f", "parameters": SCHEMA}]}, "tools.0.parameters: Extra inputs"),
    ({"tools": [FUNCTION]}, "tools.0: Input tag 'function'"),
    ({"tools": [{"name": "f", "input_schema": SCHEMA}] * 2}, "must be unique"),
    ({"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5}, "A maximum of 4 blocks"),
    ({"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "must be explicitly set to false"),
    ({"output_config": {"effort": "minimal"}}, "Supported values are: 'low'"),
]

REFUSED_RESPONSES: list[tuple[dict[str, Any], str]] = [
    ({"input": None}, "Missing required parameter: 'input'"),
    ({"messages": []}, "Unknown parameter: 'messages'"),
    ({"stop": "x"}, "Unknown parameter: 'stop'"),
    ({"max_output_tokens": 5}, "Expected a value >= 16"),
    ({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "Invalid value: 'text'"),
    (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]},
        "'output_text' and 'refusal'",
    ),
    ({"input": [{"role": "tool", "content": "x"}]}, "Supported values are: 'user'"),
    ({"input": [{"type": "tool_use"}]}, "Invalid value: 'tool_use'"),
    (
        {"input": [{"type": "function_call_output", "call_id": "a", "output": "x"}]},
        "No tool call found for function call output",
    ),
    (
        {"input": [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}]},
        "No tool output found for function call a",
    ),
    (
        {"input": [{"type": "function_call", "call_id": "a", "name": "f", "input": "{}"}]},
        "Unknown parameter: 'input[0].input'",
    ),
    ({"tools": [FUNCTION]}, "Unknown parameter: 'tools[0].function'"),
    (
        {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}]},
        "'additionalProperties' is required",
    ),
    ({"tools": [{"type": "web_search_20250305"}]}, "Invalid value: 'web_search_20250305'"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "Unknown parameter: 'tool_choice.function'"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "not found in 'tools'"),
    ({"tool_choice": "required"}, "must be specified with 'tools'"),
    ({"response_format": {"type": "text"}}, "Unknown parameter: 'response_format'"),
    ({"text": {"format": {"type": "json_schema", "json_schema": {}}}}, "Unknown parameter: 'text.format.json_schema'"),
    ({"include": ["usage"]}, "Supported values are"),
    ({"previous_response_id": "resp_x"}, "Previous response with id 'resp_x' not found."),
    ({"reasoning": {"effort": "huge"}}, "Supported values are: 'none'"),
]


def talk(*roles: str) -> list[dict[str, Any]]:
    """Contents: user, model, call, response."""
    parts: dict[str, Any] = {
        "user": {"text": "u"},
        "model": {"text": "m"},
        "call": {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"},
        "response": {"functionResponse": {"name": "f", "response": {"result": "r"}}},
    }
    return [{"role": "model" if role in ("model", "call") else "user", "parts": [parts[role]]} for role in roles]


REFUSED_GEMINI: list[tuple[dict[str, Any], str]] = [
    ({"contents": []}, "contents is not specified"),
    ({"messages": []}, 'Unknown name "messages"'),
    ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role: user, model"),
    ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
    ({"contents": [{"role": "user", "parts": [{}]}]}, "required oneof field 'data'"),
    ({"contents": [{"role": "user", "parts": [{"text": "a", "inlineData": {}}]}]}, "required oneof field 'data'"),
    (
        {"contents": [{"role": "user", "parts": [{"type": "text", "text": "a"}]}]},
        "Unknown name \"type\" at 'contents[0].parts[0]'",
    ),
    ({"contents": talk("user", "user")}, "alternate between user and model"),
    ({"contents": talk("user", "call")}, "end with a user role"),
    ({"contents": talk("user", "response")}, "alternate"),
    ({"contents": talk("user", "model", "response")}, "immediately after a function call turn"),
    ({"contents": talk("user", "call", "user")}, "number of function response parts is equal"),
    ({"generationConfig": {"max_tokens": 1}}, 'Unknown name "maxTokens"'),
    (
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}},
        "only one of thinking budget",
    ),
    ({"generationConfig": {"stopSequences": ["a"] * 6}}, "at most 5"),
    ({"generationConfig": {"responseJsonSchema": SCHEMA}}, "mime type: 'text/plain' is unsupported"),
    ({"generationConfig": {"candidateCount": 2}}, "Only one candidate"),
    ({"tools": [{"functionDeclarations": [{"name": "1f"}]}]}, "Invalid function name"),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {**SCHEMA, "$schema": "x"}}]}]},
        'Unknown name "$schema"',
    ),
    (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": STRICT}]}]},
        'Unknown name "additionalProperties"',
    ),
    ({"tools": [{"functionDeclarations": [{"name": "f", "strict": True}]}]}, 'Unknown name "strict"'),
    ({"tools": [{"functionDeclarations": [{"name": "f"}, {"name": "f"}]}]}, "Duplicate function declaration"),
    (
        {"tools": DECLARED, "toolConfig": {"functionCallingConfig": {"mode": "REQUIRED"}}},
        "Supported values are: 'AUTO'",
    ),
    (
        {"tools": DECLARED, "toolConfig": {"functionCallingConfig": {"mode": "AUTO", "allowedFunctionNames": ["f"]}}},
        "only when function calling mode is ANY",
    ),
    (
        {"tools": DECLARED, "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["g"]}}},
        "not declared: g",
    ),
]


def refused(http: httpx.Client, path: str, body: dict[str, Any], change: dict[str, Any], text: str) -> Any:
    answer = http.post(path, json={**deepcopy(body), **change})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert text in error["message"]
    return answer.json()


@pytest.mark.parametrize(("change", "text"), REFUSED_CHAT)
def test_chat_refuses(http: httpx.Client, change: dict[str, Any], text: str) -> None:
    body = refused(http, "/v1/chat/completions", CHAT, change, text)
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("change", "text"), REFUSED_MESSAGES)
def test_messages_refuses(http: httpx.Client, change: dict[str, Any], text: str) -> None:
    body = refused(http, "/v1/messages", MESSAGES, change, text)
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")


@pytest.mark.parametrize(("change", "text"), REFUSED_RESPONSES)
def test_responses_refuses(http: httpx.Client, change: dict[str, Any], text: str) -> None:
    body = refused(http, "/v1/responses", RESPONSES, change, text)
    assert body["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("change", "text"), REFUSED_GEMINI)
def test_gemini_refuses(http: httpx.Client, change: dict[str, Any], text: str) -> None:
    body = refused(http, "/v1beta/models/demo:generateContent", GEMINI, change, text)
    assert (body["error"]["code"], body["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_gemini_2_takes_calls_without_signatures(http: httpx.Client) -> None:
    unsigned = [
        USER_PART,
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
        talk("response")[0],
    ]
    codes = [
        http.post(f"/v1beta/models/{model}:generateContent", json={"contents": unsigned}).status_code
        for model in ("gemini-2.5-flash", "gemini-3.8-flash")
    ]
    assert codes == [200, 400]


def test_what_is_no_request_at_all(http: httpx.Client) -> None:
    for content in (b"{", b"[]", b'"x"', b"\xff"):
        assert http.post("/v1/messages", content=content).json()["type"] == "error"
    del http.headers["anthropic-version"]
    assert "anthropic-version: header is required" in http.post("/v1/messages", json=MESSAGES).text

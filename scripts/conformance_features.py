"""What can be asked for in each client API: one entry for each feature, as the least that a body must hold for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.canonical import Json

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
CITY: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}  # fmt: skip
ANSWER: Json = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}  # fmt: skip
GRAMMAR: Json = {"syntax": "lark", "definition": "start: /.+/"}


@dataclass(frozen=True)
class Feature:
    """A row: what is asked for, in the words of each API that has words for it. Fields are added to a plain question."""

    name: str
    chat: Json | None = None
    messages: Json | None = None
    responses: Json | None = None

    def body(self, client: str) -> Json | None:
        """The fields for a client API; None where it has no such thing."""
        bodies = {"chat_completions": self.chat, "messages": self.messages, "responses": self.responses}
        return bodies[client]


@dataclass(frozen=True)
class Group:
    """Rows that belong together."""

    title: str
    features: list[Feature] = field(default_factory=list)


def _chat(*messages: Json, **fields: Any) -> Json:
    return {"messages": [*messages], **fields}


def _says(*content: Json) -> Json:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}, *content]}]}


def _input(*content: Json) -> Json:
    return {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}, *content]}]}


USER: Json = {"role": "user", "content": "hello"}
_SAID: Json = {"role": "assistant", "content": "It begins"}

# ── tools in the three APIs ──────────────────────────────────────────────────────────────────────────────────────


def chat_tool(name: str = "f", **more: Any) -> Json:
    return {"type": "function", "function": {"name": name, "parameters": CITY, **more}}


def messages_tool(name: str = "f", **more: Any) -> Json:
    return {"name": name, "input_schema": CITY, **more}


def responses_tool(name: str = "f", **more: Any) -> Json:
    return {"type": "function", "name": name, "parameters": CITY, "strict": False, **more}


def _with_tools(chat: Json, messages: Json, responses: Json) -> dict[str, Json]:
    """Fields beside one tool."""
    return {
        "chat": {"tools": [chat_tool()], **chat},
        "messages": {"tools": [messages_tool()], **messages},
        "responses": {"tools": [responses_tool()], **responses},
    }


def _loop(chat_answer: Any, messages_answer: Json, responses_answer: Any) -> dict[str, Json]:
    """A call, and its answer."""
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"city":"Rome"}'}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Rome"}}
    item = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"city":"Rome"}'}
    return {
        "chat": _chat(USER, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": chat_answer}, tools=[chat_tool()]),
        "messages": {
            "tools": [messages_tool()],
            "messages": [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", **messages_answer}]}],
        },
        "responses": {
            "tools": [responses_tool()],
            "input": [USER, item, {"type": "function_call_output", "call_id": "call_1", "output": responses_answer}],
        },
    }  # fmt: skip


_CHAT_IMAGE: Json = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
_IMAGE: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
_INPUT_IMAGE: Json = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
_URL = "https://example.com/a"
_NAMED = {"type": "function", "function": {"name": "f"}}
_REFERENCE: Json = {"content": [{"type": "tool_reference", "tool_name": "f"}]}

CONTENT = Group("Content", [
    Feature("system prompt", _chat({"role": "system", "content": "be kind"}, USER), {"system": "be kind"}, {"instructions": "be kind"}),
    Feature("system message in the middle", _chat(USER, {"role": "system", "content": "be kind"}), {"messages": [USER, {"role": "system", "content": "be kind"}]}, {"input": [USER, {"role": "developer", "content": "be kind"}]}),
    Feature("assistant prefill", _chat(USER, _SAID), {"messages": [USER, _SAID]}, {"input": [USER, _SAID]}),
    Feature("picture, by data", _says(_CHAT_IMAGE), _says(_IMAGE), _input(_INPUT_IMAGE)),
    Feature("picture, by URL", _says({"type": "image_url", "image_url": {"url": _URL}}), _says({"type": "image", "source": {"type": "url", "url": _URL}}), _input({"type": "input_image", "image_url": _URL, "detail": "auto"})),
    Feature("picture, detail", _says({"type": "image_url", "image_url": {**_CHAT_IMAGE["image_url"], "detail": "low"}}), None, _input({**_INPUT_IMAGE, "detail": "low"})),
    Feature("PDF, by data", _says({"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}), _says({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}), _input({"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"})),
    Feature("PDF, by URL", None, _says({"type": "document", "source": {"type": "url", "url": _URL}}), _input({"type": "input_file", "file_url": _URL})),
    Feature("text document", None, _says({"type": "document", "title": "A title", "source": {"type": "text", "media_type": "text/plain", "data": "Some words."}})),
    Feature("file id", _says({"type": "file", "file": {"file_id": "file_1"}}), _says({"type": "document", "source": {"type": "file", "file_id": "file_1"}}), _input({"type": "input_file", "file_id": "file_1"})),
    Feature("sound", _says({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})),
])  # fmt: skip

TOOLS = Group("Tools", [
    Feature("function", **_with_tools({}, {}, {})),
    Feature("strict schema", {"tools": [chat_tool(strict=True)]}, {"tools": [messages_tool(strict=True)]}, {"tools": [responses_tool() | {"strict": True}]}),
    Feature("name of 100 characters", {"tools": [chat_tool("f" * 64)]}, {"tools": [messages_tool("f" * 100)]}, {"tools": [responses_tool("f" * 64)]}),
    Feature("free-text tool", {"tools": [{"type": "custom", "custom": {"name": "c"}}]}, None, {"tools": [{"type": "custom", "name": "c"}]}),
    Feature("grammar of a free-text tool", {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": GRAMMAR}}}]}, None, {"tools": [{"type": "custom", "name": "c", "format": {"type": "grammar", **GRAMMAR}}]}),
    Feature("namespace", None, None, {"tools": [{"type": "namespace", "name": "n", "description": "d", "tools": [responses_tool()]}]}),
    Feature("tools among the input", None, None, {"input": [{"type": "additional_tools", "role": "developer", "tools": [responses_tool()]}, USER]}),
    Feature("deferred tool", None, {"tools": [messages_tool("g"), messages_tool(defer_loading=True)]}, {"tools": [responses_tool("g"), responses_tool(defer_loading=True), {"type": "tool_search", "execution": "client", "parameters": CITY}]}),
    Feature("deferred tool, loaded by a reference", None, {**_loop("", _REFERENCE, "")["messages"], "tools": [messages_tool("g"), messages_tool(defer_loading=True)]}),
    Feature("web search by the provider", {"web_search_options": {}}, {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]}, {"tools": [{"type": "web_search"}]}),
    Feature("code execution by the provider", None, {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
    Feature("choice: none", **_with_tools({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}, {"tool_choice": "none"})),
    Feature("choice: any", **_with_tools({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}, {"tool_choice": "required"})),
    Feature("choice: one by name", **_with_tools({"tool_choice": _NAMED}, {"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": {"type": "function", "name": "f"}})),
    Feature("choice: a subset", {"tools": [chat_tool(), chat_tool("g")], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}}}, None, {"tools": [responses_tool(), responses_tool("g")], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]}}),
    Feature("one call at a time", **_with_tools({"parallel_tool_calls": False}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, {"parallel_tool_calls": False})),
    Feature("result: text", **_loop("sunny", {"content": "sunny"}, "sunny")),
    Feature("result: a picture", None, _loop("", {"content": [_IMAGE]}, "")["messages"], _loop("", {}, [_INPUT_IMAGE])["responses"]),
    Feature("result: an error", None, _loop("", {"content": "no", "is_error": True}, "")["messages"]),
])  # fmt: skip

THINKING = Group("Reasoning and output", [
    Feature("effort", {"reasoning_effort": "high"}, {"output_config": {"effort": "high"}}, {"reasoning": {"effort": "high"}}),
    Feature("thinking that can be read", None, {"thinking": {"type": "adaptive", "display": "summarized"}}, {"reasoning": {"effort": "high", "summary": "auto"}}),
    Feature("budget of tokens", None, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
    Feature("no thinking", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}),
    Feature("JSON schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": ANSWER, "strict": True}}}, {"output_config": {"format": {"type": "json_schema", "schema": ANSWER}}}, {"text": {"format": {"type": "json_schema", "name": "a", "schema": ANSWER, "strict": True}}}),
    Feature("JSON without a schema", {**_chat({"role": "user", "content": "hello in json"}), "response_format": {"type": "json_object"}}, None, {"input": "hello in json", "text": {"format": {"type": "json_object"}}}),
    Feature("limit of tokens", {"max_completion_tokens": 100}, {"max_tokens": 100}, {"max_output_tokens": 100}),
    Feature("stop sequences", {"stop": ["x"]}, {"stop_sequences": ["x"]}),
    Feature("temperature", {"temperature": 0.5}, {"temperature": 0.5}, {"temperature": 0.5}),
    Feature("top_p", {"top_p": 0.5}, {"top_p": 0.5}, {"top_p": 0.5}),
    Feature("top_k", None, {"top_k": 40}),
    Feature("penalties", {"frequency_penalty": 0.5, "presence_penalty": 0.5}),
    Feature("seed", {"seed": 4}),
    Feature("bias of tokens", {"logit_bias": {"50": 1}}),
    Feature("log probabilities", {"logprobs": True, "top_logprobs": 2}, None, {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    Feature("several answers", {"n": 2}),
    Feature("verbosity", {"verbosity": "low"}, None, {"text": {"verbosity": "low"}}),
])  # fmt: skip

REST = Group("Around it", [
    Feature("marks of the cache", None, {"system": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]}),
    Feature("key of the cache", {"prompt_cache_key": "k"}, None, {"prompt_cache_key": "k"}),
    Feature("end user's id", {"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}, {"safety_identifier": "u"}),
    Feature("metadata", {"metadata": {"a": "b"}}, None, {"metadata": {"a": "b"}}),
    Feature("service tier: flex", {"service_tier": "flex"}, None, {"service_tier": "flex"}),
    Feature("storing the reply", {"store": True}, None, {"store": True}),
    Feature("earlier reply by its id", None, None, {"previous_response_id": "resp_1"}),
    Feature("prompt kept by the provider", None, None, {"prompt": {"id": "pmpt_1"}}),
    Feature("in the background", None, None, {"background": True}),
    Feature("editing of the context", None, {"context_management": {"edits": []}}, {"truncation": "auto"}),
    Feature("container, MCP servers", None, {"mcp_servers": [{"type": "url", "url": _URL, "name": "m"}]}, {"tools": [{"type": "mcp", "server_label": "m", "server_url": _URL}]}),
])  # fmt: skip

GROUPS = [CONTENT, TOOLS, THINKING, REST]

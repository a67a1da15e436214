"""The demo provider as a judge: every client's tool loop goes through every dialect, and each body must pass its strict reading."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from shared.canonical import Effort, Flags, Limits, Response, Target
from shared.dialects import Api, Reading, Writing, dialect
from shared.sse import Parser
from shared.streams import fold, well_formed

Json = dict[str, Any]

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = 'call get_weather with {"city": "Rome"} and call get_time with {"city": "Oslo"}'
PATCH = " and use apply_patch to make notes/a.txt"
LEVELS: tuple[Effort, ...] = ("low", "medium", "high")

TARGETS: dict[Api, tuple[str, Flags]] = {
    "chat_completions": ("/v1/chat/completions", Flags(thinking="effort", effort=LEVELS)),
    "messages": ("/v1/messages", Flags(thinking="adaptive", thinking_off="disabled", effort=LEVELS)),
    "responses": ("/v1/responses", Flags(thinking="effort", effort=LEVELS)),
    "gemini": ("/v1beta/models/demo:generateContent", Flags(thinking="level", effort=LEVELS)),
}


def target(api: Api) -> Target:
    return Target("demo", "demo", Limits(200_000, 32_000), TARGETS[api][1])


# ── what clients send first, and how they go on ──────────────────────────────────────────────────────────────────


def function(name: str) -> Json:
    return {"type": "function", "name": name, "parameters": CITY, "strict": False}


FIRST: dict[Api, Json] = {
    "chat_completions": {
        "model": "demo",
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": ASK + PATCH}],
        "tools": [
            *(
                {"type": "function", "function": {"name": name, "parameters": CITY}}
                for name in ("get_weather", "get_time")
            ),
            {"type": "custom", "custom": {"name": "apply_patch"}},
        ],
        "reasoning_effort": "low",
    },
    "messages": {
        "model": "demo",
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": ASK}, {"role": "system", "content": "be kind"}],
        "tools": [{"name": name, "input_schema": CITY} for name in ("get_weather", "get_time")],
        "thinking": {"type": "adaptive", "display": "summarized"},
    },
    "responses": {
        "model": "demo",
        "input": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": ASK + PATCH}],
        "tools": [
            function("get_weather"),
            {"type": "namespace", "name": "clock", "description": "", "tools": [function("get_time")]},
            {"type": "custom", "name": "apply_patch"},
        ],
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    },
}


def chat_goes_on(body: Json, reply: Json) -> tuple[list[str], str]:
    message = reply["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    names = [call[call["type"]]["name"] for call in calls]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"R-{name}"}
        for call, name in zip(calls, names, strict=True)
    ]
    body["messages"] += [message, *results]
    return names, message.get("content") or ""


def messages_go_on(body: Json, reply: Json) -> tuple[list[str], str]:
    content = reply["content"]
    calls = [block for block in content if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": f"R-{call['name']}"} for call in calls]
    body["messages"].append({"role": "assistant", "content": content})
    if results:
        body["messages"].append({"role": "user", "content": [*results, {"type": "text", "text": "go on"}]})
    return [call["name"] for call in calls], "".join(block.get("text", "") for block in content)


def responses_go_on(body: Json, reply: Json) -> tuple[list[str], str]:
    output = reply["output"]
    calls = [item for item in output if item["type"] in ("function_call", "custom_tool_call")]
    body["input"] += output
    body["input"] += [
        {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": f"R-{call['name']}"} for call in calls
    ]
    said = [part["text"] for item in output if item["type"] == "message" for part in item["content"]]
    names = [f"{call['namespace']}.{call['name']}" if call.get("namespace") else call["name"] for call in calls]
    return names, "".join(said)


CLIENTS: dict[Api, tuple[Callable[[Json, Json], tuple[list[str], str]], list[str]]] = {
    "chat_completions": (chat_goes_on, ["get_weather", "get_time", "apply_patch"]),
    "messages": (messages_go_on, ["get_weather", "get_time"]),
    "responses": (responses_go_on, ["get_weather", "clock.get_time", "apply_patch"]),
}


# ── through the dialects ─────────────────────────────────────────────────────────────────────────────────────────


def ask(http: httpx.Client, client: Api, upstream: Api, body: Json, *, stream: bool) -> Response:
    request = replace(dialect(client).read_request(deepcopy(body)), stream=stream)
    written = dialect(upstream).write_request(request, target(upstream))
    path = TARGETS[upstream][0]
    if stream and upstream == "gemini":
        path = path.replace("generateContent", "streamGenerateContent")
    answer = http.post(path, json=written.body)
    assert answer.status_code == 200, answer.text
    reading = Reading(target(upstream), written.tools)
    if not stream:
        return dialect(upstream).read_response(answer.json(), reading)
    reader = dialect(upstream).stream_reader(reading)
    events = [event for sse in Parser().feed(answer.content) for event in reader.feed(sse)]
    events += reader.close()
    assert well_formed(events)
    return fold(events)


@pytest.mark.parametrize("upstream", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_tool_loop_from_end_to_end(http: httpx.Client, client: Api, upstream: Api) -> None:
    go_on, expected = CLIENTS[client]
    body = deepcopy(FIRST[client])
    steps = []
    for _ in range(2):
        whole = ask(http, client, upstream, body, stream=False)
        assert ask(http, client, upstream, body, stream=True) == whole
        request = dialect(client).read_request(deepcopy(body))
        reply = dialect(client).write_response(whole, Writing(request, body, "demo", "0" * 32, 1))
        steps.append(go_on(body, orjson.loads(orjson.dumps(reply))))
    (called, _), (none_left, text) = steps
    assert called == expected
    assert none_left == []
    assert text.startswith('The tools answered: "R-get_weather", "R-get_time"')

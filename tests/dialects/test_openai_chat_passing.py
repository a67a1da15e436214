"""Chat completions that pass through: bodies adapted, replies mended and metered, errors read and written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import Flags, Opaque, Target, Usage
from shared.dialects import Reading
from shared.dialects.openai_chat import DIALECT
from shared.dialects.openai_chat import meter as module
from shared.dialects.seal import seal
from shared.errors import Code, GatewayError, unsupported
from shared.sse import SSE, Parser

ROOT = Path(__file__).parents[1] / "recordings" / "openai_chat"
NAMES = sorted(path.stem for path in (ROOT / "replies").glob("*.json"))
HI = {"role": "user", "content": "Hi"}


def target(*quirks: str, provider: str = "acme", **flags: Any) -> Target:
    return Target(provider, "m1", flags=Flags(**flags), quirks=frozenset(quirks))


def adapt(body: dict[str, Any], to: Target) -> tuple[dict[str, Any], tuple[str, ...]]:
    before = orjson.dumps(body)
    adapted, dropped = DIALECT.adapt(body, to)
    assert orjson.dumps(body) == before, "the client's own body was changed"
    return adapted, dropped


def ask(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m1", "messages": [*(messages or (HI,))], **fields}


def events(name: str) -> list[SSE]:
    return Parser().feed((ROOT / "replies" / f"{name}.sse").read_bytes())


# ── adapt ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_to_change_is_the_very_same_object() -> None:
    body = ask(HI, {"role": "assistant", "content": "a", "hologram": 1}, HI, temperature=0.5, tools=[], whatever=[1])
    adapted, dropped = DIALECT.adapt(body, target("no_stop", "no_strict", "schema_required_list", "no_null_fields"))
    assert adapted is body
    assert dropped == ()
    streamed = ask(stream=True, stream_options={"include_usage": True})
    assert DIALECT.adapt(streamed, target())[0] is streamed


def test_model_and_usage() -> None:
    body = ask(model="other", stream=True, stream_options={"include_obfuscation": False})
    adapted, dropped = adapt(body, target())
    options = {"include_obfuscation": False, "include_usage": True}
    assert adapted == {**body, "model": "m1", "stream_options": options}
    assert dropped == ()
    assert "stream_options" not in adapt(body, target("no_stream_options"))[0]
    assert "stream_options" not in adapt(ask(), target())[0]


@pytest.mark.parametrize(
    ("quirk", "fields", "left", "names"),
    [
        ("no_stop", {"stop": "x"}, {}, ("stop",)),
        # https://console.groq.com/docs/openai
        (
            "no_penalties",
            {"frequency_penalty": 1, "presence_penalty": 1},
            {},
            ("frequency_penalty", "presence_penalty"),
        ),
        ("no_logprobs", {"logprobs": True, "top_logprobs": 2}, {}, ("logprobs", "top_logprobs")),
        ("no_logit_bias", {"logit_bias": {}}, {}, ("logit_bias",)),
        ("no_n", {"n": 1}, {}, ()),
        # https://ai.google.dev/gemini-api/docs/openai
        ("no_store", {"store": False}, {}, ("store",)),
        ("no_metadata", {"metadata": {"a": "b"}}, {}, ("metadata",)),
        ("no_parallel_flag", {"parallel_tool_calls": True}, {}, ("parallel_tool_calls",)),
        ("no_max_completion_tokens", {"max_completion_tokens": 9}, {"max_tokens": 9}, ()),
    ],
)
def test_quirks_of_fields(quirk: str, fields: dict[str, Any], left: dict[str, Any], names: tuple[str, ...]) -> None:
    assert adapt(ask(**fields), target(quirk)) == (ask(**left), names)
    assert adapt(ask(**fields), target())[0] == ask(**fields)


def test_several_answers_are_refused_where_there_is_one() -> None:
    with pytest.raises(GatewayError) as caught:
        adapt(ask(n=3), target("no_n"))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_quirks_of_messages() -> None:
    messages = (
        {"role": "developer", "content": "a", "name": "x"},
        {"role": "assistant", "content": "b", "parsed": None},
    )
    adapted, dropped = adapt(ask(*messages), target("no_developer_role", "no_message_name", "no_null_fields"))
    assert adapted["messages"] == [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert dropped == ("name",)


def test_quirks_of_tools() -> None:
    function = {"name": "f", "strict": True, "parameters": {"type": "object", "required": None}}
    adapted, dropped = adapt(
        ask(tools=[{"type": "function", "function": function}]), target("no_strict", "schema_required_list")
    )
    [tool] = adapted["tools"]
    assert tool["function"] == {"name": "f", "parameters": {"type": "object", "required": [], "properties": {}}}
    assert dropped == ("tools.strict",)


def test_flags_of_the_model_that_answers() -> None:
    reasoning = {"sampling_params": False, "stop": False, "completion_tokens": True, "thinking": "effort"}
    to = target(**reasoning, effort=("none", "low", "high", "xhigh"))
    body = ask(temperature=1, top_p=0.5, stop="x", max_tokens=5, reasoning_effort="max")
    adapted, dropped = adapt(body, to)
    assert adapted == ask(max_completion_tokens=5, reasoning_effort="xhigh")
    assert dropped == ("stop", "temperature", "top_p")
    body = ask(temperature=1, reasoning_effort="none")
    assert adapt(body, to) == (body, ())
    assert adapt(ask(reasoning_effort="minimal"), to) == (ask(reasoning_effort="low"), ())
    assert adapt(ask(reasoning_effort="high"), target()) == (ask(), ("reasoning",))


def test_functions_with_reasoning_where_only_responses_has_both() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    to = target(tools_need_responses=True, thinking="effort", effort=("none", "low"))
    assert adapt(ask(tools=tools), to) == (ask(tools=tools, reasoning_effort="none"), ("reasoning",))
    body = ask(tools=[{"type": "custom", "custom": {"name": "p"}}])
    assert adapt(body, to) == (body, ())


def sealed(maker: str, kind: str, data: str) -> str:
    return seal(Opaque(maker, kind, data))


def test_seals_are_opened_for_their_maker() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    signature = {"google": {"thought_signature": sealed("google", "thought_signature", "Zw==")}}
    body = ask(HI, {"role": "assistant", "content": None, "tool_calls": [{**call, "extra_content": signature}]})
    adapted, dropped = adapt(body, target("thought_signature_extra_content", provider="google"))
    assert adapted["messages"][1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "Zw=="}}
    assert dropped == ()
    adapted, dropped = adapt(body, target(provider="openai"))
    assert adapted["messages"][1]["tool_calls"] == [call]
    assert dropped == ("reasoning",)


def test_sealed_details() -> None:
    own = {
        "type": "reasoning.encrypted",
        "data": sealed("openrouter", "reasoning_details", '[{"type":"reasoning.text"}]'),
    }
    bare = {"type": "reasoning.text", "text": "x"}
    message = {"role": "assistant", "content": "a", "reasoning_details": [own, bare]}
    adapted, dropped = adapt(ask(message), target(provider="openrouter"))
    assert adapted["messages"][0]["reasoning_details"] == [{"type": "reasoning.text"}, bare]
    assert dropped == ()
    adapted, dropped = adapt(ask({**message, "reasoning_details": [own]}), target(provider="openai"))
    assert adapted["messages"][0] == {"role": "assistant", "content": "a"}
    assert dropped == ("reasoning",)
    untouched = ask({**message, "reasoning_details": [bare]})
    assert DIALECT.adapt(untouched, target(provider="openrouter"))[0] is untouched


def test_a_lost_signature_gets_a_placeholder() -> None:
    # https://ai.google.dev/gemini-api/docs/thought-signatures
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in ("c1", "c2")]
    foreign = {"google": {"thought_signature": sealed("anthropic", "signature", "x")}}
    for first in (calls[0], {**calls[0], "extra_content": foreign}):
        body = ask({"role": "assistant", "content": None, "tool_calls": [first, calls[1]]})
        adapted, _ = adapt(body, target("thought_signature_extra_content", provider="google"))
        placeholder = {"google": {"thought_signature": "skip_thought_signature_validator"}}
        assert adapted["messages"][0]["tool_calls"] == [{**calls[0], "extra_content": placeholder}, calls[1]]


def test_visible_thoughts_go_where_they_are_wanted() -> None:
    message = {"role": "assistant", "content": "a", "reasoning_content": "Hm."}
    assert adapt(ask(message), target("reasoning_content_required")) == (ask(message), ())
    adapted, dropped = adapt(ask(message), target("reasoning_field"))
    assert adapted["messages"] == [{"role": "assistant", "content": "a", "reasoning": "Hm."}]
    assert dropped == ()
    # Strict servers refuse fields that they don't know: https://github.com/janhq/jan/issues/8136
    assert adapt(ask(message), target()) == (ask({"role": "assistant", "content": "a"}), ("reasoning",))
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "c"}]}
    # https://api-docs.deepseek.com/guides/thinking_mode
    adapted, _ = adapt(ask(called), target("reasoning_content_required"))
    assert adapted["messages"][0]["reasoning_content"] == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ODD = dict.fromkeys(
    [
        "role",
        "content",
        "name",
        "tool_calls",
        "function_call",
        "refusal",
        "audio",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "extra_content",
        "tool_call_id",
        "cache_control",
    ],
    JSON,
)
QUIRKS = (
    "no_stop no_penalties no_message_name no_strict schema_required_list no_null_fields no_developer_role no_store "
    "reasoning_content_required thought_signature_extra_content no_max_completion_tokens"
)
EVERY_QUIRK = target(*QUIRKS.split(), sampling_params=False, stop=False)


@given(
    st.fixed_dictionaries(
        {}, optional={"messages": st.lists(st.fixed_dictionaries({}, optional=ODD) | JSON, max_size=3) | JSON}
    ),
    st.dictionaries(
        st.sampled_from(
            ["stop", "tools", "stream", "stream_options", "reasoning_effort", "max_completion_tokens", "n", "thinking"]
        ),
        JSON | st.lists(st.fixed_dictionaries({"function": JSON}), max_size=2),
    ),
)
def test_adapting_never_fails(body: dict[str, Any], more: dict[str, Any]) -> None:
    DIALECT.adapt({**body, **more}, EVERY_QUIRK)
    DIALECT.repair({**body, **more}, EVERY_QUIRK)


@pytest.mark.parametrize(
    ("fields", "lacking", "lacking_at_openai"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"}, "", ""),
        ({"tools": [{"type": "custom", "custom": {"name": "p"}}]}, "tools.custom", ""),
        ({"tools": [{"type": "function", "function": {"name": "n" * 65}}]}, "tools.name", "tools.name"),
        ({"tools": [{"type": "function", "function": {"name": "a.b"}}]}, "tools.name", "tools.name"),
        ({"functions": [{"name": "f"}]}, "functions", ""),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools", ""),
        ({"tools": [7, {"function": 7}], "functions": []}, "", ""),
    ],
)
def test_what_can_only_be_served_in_translation(fields: dict[str, Any], lacking: str, lacking_at_openai: str) -> None:
    assert DIALECT.lacks(ask(**fields), target()) == lacking
    assert DIALECT.lacks(ask(**fields), target("custom_tools")) == lacking_at_openai


# ── repair ───────────────────────────────────────────────────────────────────────────────────────────────────────


def mended(name: str, to: Target, **fields: Any) -> list[SSE]:
    repair = DIALECT.repair(ask(stream=True, **fields), to)
    assert repair is not None
    return [event for one in events(name) if (event := repair.event(one)) is not None]


def test_who_asked_for_usage_needs_no_mending() -> None:
    assert DIALECT.repair(ask(stream=True, stream_options={"include_usage": True}), target()) is None
    assert DIALECT.repair(ask(), target()) is None


@pytest.mark.parametrize("name", NAMES)
def test_usage_is_hidden_from_those_who_did_not_ask(name: str) -> None:
    seen = mended(name, target())
    for event in seen[:-1]:
        chunk = orjson.loads(event.data)
        assert "usage" not in chunk
        assert chunk["choices"]
    assert seen[-1].data == b"[DONE]"
    originals = [one for one in events(name) if b'"choices":[]' not in one.data]
    assert len(seen) == len(originals)
    for event, original in zip(seen[:-1], originals[:-1], strict=True):
        chunk = orjson.loads(original.data)
        chunk.pop("usage", None)
        if isinstance(groq := chunk.get("x_groq"), dict):
            groq.pop("usage", None)
        assert orjson.loads(event.data) == chunk


def test_a_word_that_looks_like_usage_stays() -> None:
    repair = DIALECT.repair(ask(stream=True), target())
    assert repair is not None
    text = ',"usage":null,"choices":[],"usage":{}'
    data = orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}], "usage": None})
    event = repair.event(SSE(data))
    assert event is not None
    assert orjson.loads(event.data) == {"choices": [{"index": 0, "delta": {"content": text}}]}


def test_azures_first_chunk_stays() -> None:
    repair = DIALECT.repair(ask(stream=True), target())
    assert repair is not None
    event = repair.event(SSE(b'{"choices":[],"prompt_filter_results":[],"usage":null}'))
    assert event is not None
    assert orjson.loads(event.data) == {"choices": [], "prompt_filter_results": []}


def test_googles_calls_get_indexes_and_a_reason() -> None:
    # https://github.com/openai/openai-python/issues/2806
    # https://github.com/googleapis/python-genai/issues/2868
    seen = mended("thought_signature", target("tool_call_index_missing", "finish_reason_stop_on_tool_calls"))
    chunks = [orjson.loads(event.data) for event in seen[:-1]]
    assert [c["choices"][0]["delta"].get("tool_calls", [{}])[0].get("index") for c in chunks] == [0, 1, None]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_xais_empty_reason() -> None:
    seen = mended("reasoning_outside", target("finish_reason_stop_on_tool_calls"))
    assert orjson.loads(seen[-2].data)["choices"][0]["finish_reason"] == "tool_calls"
    plain = mended("text", target("finish_reason_stop_on_tool_calls"))
    assert orjson.loads(plain[-2].data)["choices"][0]["finish_reason"] == "stop"


def test_whole_replies_get_their_reason() -> None:
    repair = DIALECT.repair(ask(), target("finish_reason_stop_on_tool_calls"))
    assert repair is not None
    body = orjson.loads((ROOT / "replies" / "thought_signature.json").read_bytes())
    assert repair.whole(body)["choices"][0]["finish_reason"] == "tool_calls"
    text = orjson.loads((ROOT / "replies" / "text.json").read_bytes())
    assert repair.whole(text) is text


@given(st.binary(max_size=60) | JSON.map(lambda value: orjson.dumps(str(value))))
def test_mending_never_fails(data: bytes) -> None:
    repair = DIALECT.repair(ask(stream=True), target("tool_call_index_missing", "finish_reason_stop_on_tool_calls"))
    assert repair is not None
    repair.event(SSE(b'{"tool_calls":[{"usage":' + data))
    repair.event(SSE(data))


# ── meter ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", NAMES)
def test_the_meter_counts_what_the_reader_reads(name: str) -> None:
    body = orjson.loads((ROOT / "replies" / f"{name}.json").read_bytes())
    reply = DIALECT.read_response(body, Reading(target()))
    streamed, whole = DIALECT.meter(), DIALECT.meter()
    for event in events(name):
        streamed.see(event)
    whole.whole(body)
    for meter in (streamed, whole):
        assert meter.usage == reply.finish.usage
        assert (meter.model, meter.ended, meter.failed) == (reply.model, True, False)
    said = sum(len(getattr(block, "text", "") or getattr(block, "arguments", "")) for block in reply.blocks)
    assert said <= streamed.output_chars <= 2 * said + 8


def test_the_meter_parses_only_what_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    class Spy:
        @staticmethod
        def loads(data: bytes) -> Any:
            parsed.append(data)
            return orjson.loads(data)

    monkeypatch.setattr(module, "orjson", Spy)
    meter = DIALECT.meter()
    for event in events("text"):
        meter.see(event)
    assert len(parsed) == 3  # the first (for the model), the finish and the usage
    assert meter.usage == Usage(19, output=10, service_tier="default")


def test_the_meter_knows_failure_and_the_missing_end() -> None:
    meter = DIALECT.meter()
    for event in events("text")[:4]:
        meter.see(event)
    assert (meter.ended, meter.failed, meter.usage) == (False, False, None)
    raw = meter.break_off(GatewayError(Code.PROVIDER_ERROR, "Gone.", status=502))
    [event] = Parser().feed(raw)
    assert orjson.loads(event.data)["error"]["message"] == "Gone."
    assert meter.failed
    failing = DIALECT.meter()
    failing.see(SSE(b'{"error": {"code": 502, "message": "x"}, "choices": [{"finish_reason": "error"}]}'))
    assert failing.failed


@given(st.binary(max_size=80), JSON)
def test_the_meter_never_raises(data: bytes, junk: Any) -> None:
    meter = DIALECT.meter()
    meter.see(SSE(data))
    meter.see(SSE(b'"usage":{' + data))
    odd = {"usage": junk, "choices": [{"finish_reason": junk, "message": junk}, junk], "model": junk, "error": junk}
    meter.whole(odd)
    meter.whole({"usage": {"prompt_tokens": junk, "completion_tokens_details": junk, "cost": junk}, "x_groq": junk})


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────

ERRORS: dict[str, tuple[str, str | None]] = {
    "400_context_length": ("This model's maximum context length is 400000 tokens.", "context_length_exceeded"),
    "400_google_array": ("Request contains an invalid argument.", "INVALID_ARGUMENT"),
    "401_wrong_key": ("Incorrect API key provided: (withheld)", "invalid_api_key"),
    "402_no_credit": ("Insufficient credits. Add more to continue.", None),
    "404_xai_model": ("The model grok-9 does not exist", "Some requested entity was not found"),
    "429_rate_limit": ("Rate limit reached for gpt-5.5 in organization (withheld) on", "rate_limit_exceeded"),
    "429_zai_code": ("High concurrency usage of this API", "1302"),
    "502_openrouter_provider": ("Provider returned error: upstream connect error", None),
    "502_html": ("The provider answered with a web page (status 502): 502 Bad Gateway", None),
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "errors").iterdir()))
def test_errors_of_all_shapes(name: str) -> None:
    status = int(name[:3])
    [path] = (ROOT / "errors").glob(f"{name}.*")
    error = DIALECT.read_error(status, path.read_bytes())
    message, code = ERRORS[name]
    assert error.code is Code.PROVIDER_ERROR
    assert error.message.startswith(message)
    assert (error.status, error.provider_code) == (status, code)
    assert not re.search(r"sk-proj|org-Ab|<", error.message)


@pytest.mark.parametrize("body", [b"", b"   ", b"null", b"[]", b"{}", b'{"error":null}', b'{"error":{}}', b"7"])
def test_an_error_without_words(body: bytes) -> None:
    error = DIALECT.read_error(503, body)
    assert error.message == "The provider answered with status 503 and no message."


def test_long_errors_are_cut_and_plain_ones_kept() -> None:
    assert DIALECT.read_error(500, b"upstream timed out").message == "upstream timed out"
    assert len(DIALECT.read_error(500, b"x" * 90_000).message) == 2000


@given(st.integers(400, 599), st.binary(max_size=200) | JSON.map(lambda value: orjson.dumps({"error": str(value)})))
def test_reading_errors_never_fails(status: int, body: bytes) -> None:
    error = DIALECT.read_error(status, body)
    assert error.message
    assert error.status == status


def test_written_errors() -> None:
    assert DIALECT.write_error(unsupported("No images.", "messages"), "r1")["error"] == {
        "message": "No images.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "UNSUPPORTED_BY_MODEL",
    }
    provider = GatewayError(Code.PROVIDER_ERROR, "Slow.", status=429, provider_code="rate_limit_exceeded")
    shown = DIALECT.write_error(provider, "r1")["error"]
    assert (shown["type"], shown["code"], shown["provider_code"]) == (
        "rate_limit_error",
        "PROVIDER_ERROR",
        "rate_limit_exceeded",
    )

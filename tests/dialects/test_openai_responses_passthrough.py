"""The Responses API as it passes through: meters, adapted bodies, errors."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.canonical import Json, Opaque, Target, Usage
from shared.dialects import Reading
from shared.dialects.failures import LONGEST
from shared.dialects.openai_responses import DIALECT, foreign_tools
from shared.dialects.openai_responses.meter import Meter
from shared.dialects.openai_responses.state import minted, sealed
from shared.dialects.seal import seal
from shared.errors import Code, GatewayError
from shared.sse import SSE, Parser

RECORDINGS = Path(__file__).parents[1] / "recordings" / "openai_responses"
REPLIES = sorted(path.stem for path in (RECORDINGS / "replies").glob("*.json"))
TARGET = Target("acme", "model-1")
BROKEN = GatewayError(Code.PROVIDER_ERROR, "The provider hung up.")


def whole(name: str) -> Json:
    parsed: Json = orjson.loads((RECORDINGS / "replies" / f"{name}.json").read_bytes())
    return parsed


def recorded(name: str) -> Json:
    parsed: Json = orjson.loads((RECORDINGS / "requests" / f"{name}.json").read_bytes())
    return parsed


def streamed(name: str, folder: str = "replies") -> list[SSE]:
    return Parser().feed((RECORDINGS / folder / f"{name}.sse").read_bytes())


def target(*quirks: str, provider: str = "acme", model: str = "gpt-5.5") -> Target:
    return Target(provider, model, quirks=frozenset(quirks))


# ── meters ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("named", [True, False])
def test_a_meter_counts_what_a_reader_reads(name: str, named: bool) -> None:
    meter, end = DIALECT.meter(), DIALECT.meter()
    for event in streamed(name):
        assert not meter.ended
        meter.see(event if named else SSE(event.data))
    end.whole(whole(name))
    read = DIALECT.read_response(whole(name), Reading(TARGET))
    for counted in (meter, end):
        assert counted.usage == read.finish.usage
        assert counted.model == read.model
        assert counted.ended
        assert not counted.failed
        assert counted.break_off(BROKEN) == b""
    characters = sum(len(getattr(block, "text", getattr(block, "arguments", ""))) for block in read.blocks)
    assert characters <= end.output_chars + 40
    assert abs(meter.output_chars - end.output_chars) <= 12 + 0.3 * end.output_chars


@pytest.mark.parametrize(("name", "failed"), [("failed", True), ("error", True), ("cut", False)])
def test_a_meter_sees_a_failure(name: str, failed: bool) -> None:
    meter = DIALECT.meter()
    for event in streamed(name, "broken"):
        meter.see(event)
    assert (meter.ended, meter.failed, meter.usage) == (failed, failed, None)


def test_usage_of_a_reply_that_is_cut_short_by_its_limit() -> None:
    meter = DIALECT.meter()
    for event in streamed("length"):
        meter.see(event)
    assert meter.usage == Usage(20, output=16, service_tier="default")


def test_text_about_the_protocol_is_no_end() -> None:
    meter = Meter()
    said = 'data: {"type":"response.completed"} and "error"'
    meter.see(SSE(orjson.dumps({"type": "response.output_text.delta", "delta": said})))
    assert not meter.ended
    assert meter.output_chars > 0


@pytest.mark.parametrize("cut", [0, 1, 2, 5, 9])
def test_a_broken_stream_ends_in_step(cut: int) -> None:
    meter = DIALECT.meter()
    events = streamed("reasoning")
    for event in events[:cut]:
        meter.see(event)
    told = [orjson.loads(event.data) for event in Parser().feed(meter.break_off(BROKEN))]
    kinds = [event["type"] for event in told]
    assert kinds == (["response.failed"] if cut else ["response.created", "response.failed"])
    assert [event["sequence_number"] for event in told] == list(range(cut, cut + len(told)))
    failed = told[-1]["response"]
    assert failed["status"] == "failed"
    assert failed["error"] == {"code": "server_error", "message": "The provider hung up."}
    if cut:
        assert failed["id"] == whole("reasoning")["id"]
    assert meter.failed
    assert meter.break_off(BROKEN) == b""


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            SSE,
            st.binary(max_size=30)
            | st.sampled_from(
                [
                    b'{"type":"response.completed"}',
                    b'{"type":["response.completed"]}',
                    b'{"type":"error","response":[]}',
                    b'{"type":"response.completed","response":{"usage":{"input_tokens":"many","cost":-1}}}',
                    b'{"type":"response.created","response":{"id":7,"model":null}}',
                    b'["response.failed"]',
                    b'{"delta":"',
                    b'{"sequence_number":99999999999999999999999}',
                ]
            ),
            st.sampled_from(["", "response.completed", "response.output_text.delta", "error", "?"]),
        ),
        max_size=6,
    )
)
def test_a_meter_never_raises(events: list[SSE]) -> None:
    meter = DIALECT.meter()
    for event in events:
        meter.see(event)
    for raw in Parser().feed(meter.break_off(BROKEN)):
        orjson.loads(raw.data)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["output", "usage", "id", "model", "content", "type", "text", "cost", "status", "error"]),
            inner,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["output", "usage", "id", "model", "status", "service_tier"]), json_values))
def test_a_meter_takes_any_whole_reply(body: Json) -> None:
    DIALECT.meter().whole(body)


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["plain", "settings", "tool_loop", "media", "codex_freeform"])
def test_nothing_to_change_is_the_same_object(name: str) -> None:
    body = recorded(name)
    adapted, dropped = DIALECT.adapt(body, target())
    assert adapted is body
    assert dropped == ()
    assert DIALECT.repair(body, target()) is None


def test_the_model_is_replaced_and_the_clients_body_left_alone() -> None:
    body = recorded("plain")
    adapted, _ = DIALECT.adapt(body, target(model="openai/gpt-5.5"))
    assert adapted == {"model": "openai/gpt-5.5", "input": "Say hello."}
    assert list(adapted) == list(body)
    assert body["model"] == "gpt-5.5"


def test_sealed_state_goes_back_to_its_maker_and_to_no_other() -> None:
    item = whole("reasoning")["output"][0]
    opaque = minted(item, "acme")
    assert opaque is not None
    carried = [
        {"type": "reasoning", "id": "rs_ours", "summary": item["summary"][:1], "encrypted_content": sealed(opaque)},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAAA-of-the-client"},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": seal(Opaque("google", "sig", "x"))},
        {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": sealed(opaque, "call", "c1")},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    ]
    text = "\n\n".join(part["text"] for part in item["summary"])
    carried[0]["summary"] = [{"type": "summary_text", "text": text}]
    body = {"model": "gpt-5.5", "input": carried}
    adapted, dropped = DIALECT.adapt(body, target())
    assert adapted["input"] == [{**item, "type": "reasoning"}, carried[1], carried[4]]
    assert dropped == ("reasoning",)
    elsewhere, _ = DIALECT.adapt(body, target(provider="other"))
    assert elsewhere["input"] == [carried[1], carried[4]]
    assert body["input"] is carried


def test_fields_that_a_provider_refuses_are_dropped_and_named() -> None:
    """https://docs.x.ai/docs/guides/responses-api"""
    body = recorded("settings")
    adapted, dropped = DIALECT.adapt(body, target("no_metadata", "no_service_tier"))
    assert dropped == ("metadata", "service_tier")
    assert adapted == {key: value for key, value in body.items() if key not in dropped}


def test_what_strict_servers_refuse() -> None:
    """https://github.com/eigent-ai/eigent/issues/1827"""
    body = recorded("codex_freeform")
    adapted, dropped = DIALECT.adapt(body, target("no_cache_key", "no_store", "no_hosted_tools"))
    assert dropped == ("prompt_cache_key", "web_search")
    assert not adapted.keys() & {"store", "prompt_cache_key"}
    assert [tool["type"] for tool in adapted["tools"]] == ["function", "custom", "tool_search"]
    assert len(body["tools"]) == 4


def test_schemas_get_their_list() -> None:
    """https://docs.x.ai/docs/guides/function-calling"""
    inner = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}, "required": None}
    body = {"model": "gpt-5.5", "input": "hi", "tools": [{"type": "function", "name": "f", "parameters": inner}]}
    adapted, _ = DIALECT.adapt(body, target("schema_required_list"))
    assert adapted["tools"][0]["parameters"] == {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {}, "required": []}},
        "required": [],
    }
    assert inner["required"] is None
    good = recorded("tool_loop")
    assert DIALECT.adapt(good, target("schema_required_list"))[0] is good


def test_encrypted_content_is_not_asked_of_those_who_have_none() -> None:
    adapted, _ = DIALECT.adapt(recorded("tool_loop"), target("no_encrypted_content"))
    assert adapted["include"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"store": True},
        {"prompt": {"id": "p"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_state_passes_to_those_who_keep_it_only(fields: Json) -> None:
    """OpenRouter and Ollama keep none: https://openrouter.ai/docs/api-reference/responses-api/overview"""
    body = {"model": "gpt-5.5", "input": "hi", **fields}
    assert DIALECT.adapt(body, target())[0] is body
    with pytest.raises(GatewayError) as caught:
        DIALECT.adapt(body, target("stateless_responses"))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_instructions_beside_a_previous_response() -> None:
    body = {"model": "gpt-5.5", "input": "hi", "instructions": "x", "previous_response_id": "resp_1"}
    assert DIALECT.adapt(body, target())[0] is body
    with pytest.raises(GatewayError, match="instructions"):
        DIALECT.adapt(body, target("no_instructions_with_previous"))


@pytest.mark.parametrize(
    ("name", "quirk", "kind"),
    [
        ("codex_freeform", "no_custom_tools", "custom"),
        ("codex_freeform", "no_namespace_tools", "namespace"),
        ("codex_freeform", "no_tool_search", "tool_search"),
        ("codex_code_mode", "no_custom_tools", "custom"),
        ("codex_code_mode", "no_namespace_tools", "namespace"),
        ("codex_code_mode", "no_tool_search", ""),
        ("tool_loop", "no_custom_tools", ""),
    ],
)
def test_tools_that_the_provider_does_not_know(name: str, quirk: str, kind: str) -> None:
    body = recorded(name)
    assert foreign_tools(body, target(quirk)) == kind
    assert foreign_tools(body, target()) == ""
    if kind:
        with pytest.raises(GatewayError) as caught:
            DIALECT.adapt(body, target(quirk))
        assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["model", "input", "tools", "include", "metadata", "store"]), json_values))
def test_adapt_takes_any_json(body: Json) -> None:
    quirks = ("no_metadata", "no_custom_tools", "schema_required_list", "stateless_responses", "no_encrypted_content")
    with suppress(GatewayError):
        DIALECT.adapt(body, target(*quirks))


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("400_context", "context_length_exceeded", "context window"),
        ("400_param", "invalid_request_error", "'temperature' is not supported"),
        ("400_xai", "Client specified an invalid argument", "Argument not supported"),
        ("400_list", "INVALID_ARGUMENT", "Invalid value at 'input'."),
        ("401_key", "invalid_api_key", "Incorrect API key"),
        ("429_quota", "insufficient_quota", "current quota"),
        ("429_openrouter", None, "rate-limited upstream"),
        ("429_zai", "1302", "High concurrency"),
        ("529_anthropic", "overloaded_error", "Overloaded"),
    ],
)
def test_errors_of_any_provider(name: str, code: str | None, text: str) -> None:
    status = int(name[:3])
    error = DIALECT.read_error(status, (RECORDINGS / "errors" / f"{name}.json").read_bytes())
    assert (error.code, error.status, error.provider_code) == (Code.PROVIDER_ERROR, status, code)
    assert text in error.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The provider answered with status 502 and no message."),
        (b"{}", "The provider answered with status 502 and no message."),
        (b"null", "The provider answered with status 502 and no message."),
        (b"upstream connect error", "upstream connect error"),
        (
            b"<!DOCTYPE html><html><head><title>502 Bad  Gateway</title><style>p{}</style></head><body>x</body></html>",
            "The provider answered with a web page (status 502): 502 Bad Gateway",
        ),
        (
            b"<html><body><h1>Busy &amp; late</h1><script>1</script></body></html>",
            "The provider answered with a web page (status 502): Busy & late",
        ),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"detail":[{"loc":["body"],"msg":"field required"}]}', "field required"),
        (b'"just text"', "just text"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_errors_without_a_shape(body: bytes, message: str) -> None:
    assert DIALECT.read_error(502, body).message == message


def test_long_messages_are_cut() -> None:
    body = orjson.dumps({"error": {"message": "x" * 10_000}})
    assert len(DIALECT.read_error(400, body).message) == LONGEST


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | json_values.map(orjson.dumps))
def test_any_error_body_is_read(body: bytes) -> None:
    error = DIALECT.read_error(500, body)
    assert error.code is Code.PROVIDER_ERROR
    assert error.message


def test_an_error_in_this_apis_shape() -> None:
    error = GatewayError(Code.PROVIDER_ERROR, "Slow down.", status=429, provider_code="rate_limit_exceeded")
    assert DIALECT.write_error(error, "0" * 32) == {
        "error": {
            "message": "Slow down.",
            "type": "rate_limit_error",
            "param": None,
            "code": "PROVIDER_ERROR",
            "provider_code": "rate_limit_exceeded",
        }
    }

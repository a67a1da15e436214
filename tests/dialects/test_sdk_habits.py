"""What the JavaScript packages of OpenAI, Anthropic and Vercel send beside the API's own fields, and what they wait for."""

from __future__ import annotations

import copy

import orjson
import pytest

from shared.canonical import Json, Target
from shared.dialects.anthropic import DIALECT as MESSAGES
from shared.dialects.openai_responses import DIALECT as RESPONSES
from shared.errors import Code, GatewayError

TARGET = Target("acme", "model-1")
CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
ANSWER = {"type": "output_text", "text": '{"parsed": 1}', "annotations": []}


def _body(*items: Json) -> Json:
    return {"model": "model-1", "input": [{"role": "user", "content": "hello"}, *items]}


def test_an_sdks_own_reading_of_calls_and_answers_stays_out() -> None:
    message = {"type": "message", "role": "assistant", "content": [ANSWER]}
    parsed = {**message, "content": [{**ANSWER, "parsed": {"parsed": 1}}]}
    body = _body({**CALL, "parsed_arguments": None}, parsed)
    before = copy.deepcopy(body)
    adapted, dropped = RESPONSES.adapt(body, TARGET)
    assert adapted == _body(CALL, message)
    assert dropped == ()
    assert body == before


def test_without_it_the_body_is_left_alone() -> None:
    body = _body(CALL, {"type": "message", "role": "assistant", "content": [ANSWER]})
    assert RESPONSES.adapt(body, TARGET)[0] is body


def test_reasoning_that_is_only_referred_to_is_named_and_left_out() -> None:
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    request = RESPONSES.read_request(_body({"type": "item_reference", "id": "rs_1"}, CALL, output))
    assert "reasoning" in request.dropped
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize("item", [{"id": "msg_1"}, {"id": None}, {}])
def test_anything_else_that_is_only_referred_to_is_refused(item: Json) -> None:
    with pytest.raises(GatewayError) as caught:
        RESPONSES.read_request(_body({"type": "item_reference", **item}))
    assert caught.value.code is Code.UNSUPPORTED_BY_MODEL


def test_a_thread_is_refused_in_the_way_that_tool_runners_go_on_from() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "thread": {"type": "create"},
    }
    with pytest.raises(GatewayError) as caught:
        MESSAGES.read_request(body)
    told = MESSAGES.write_error(caught.value, "req_1")["error"]
    assert told["details"]["error_code"] == "thread_unsupported_request"
    assert isinstance(told["details"]["unsupported"], list)


def test_the_details_of_anthropics_own_errors_reach_the_client() -> None:
    details = {"error_code": "thread_not_found"}
    inner = {"type": "invalid_request_error", "message": "No such thread", "details": details}
    error = MESSAGES.read_error(400, orjson.dumps({"type": "error", "error": inner}))
    assert MESSAGES.write_error(error, "req_1")["error"]["details"] == details


@pytest.mark.parametrize("details", [None, [], "text", {"long": "x" * 3000}])
def test_details_that_nobody_could_act_upon_are_left_out(details: object) -> None:
    inner = {"type": "invalid_request_error", "message": "No", "details": details}
    error = MESSAGES.read_error(400, orjson.dumps({"type": "error", "error": inner}))
    assert "details" not in MESSAGES.write_error(error, "req_1")["error"]

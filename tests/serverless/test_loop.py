"""The streaming loop in a process of its own: what Lambda gets, when it gets it, and what is left in the store."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.provider import CUT, Asked, Reply, json_reply, sse_reply
from tests.gateway.wire import APIS, CHAT, MESSAGES
from tests.serverless.conftest import Function, running
from tests.serverless.events import DOORS, url

DONE = b"data: [DONE]\n\n"


def streamed(api: Any = CHAT) -> dict[str, Any]:
    return api.body(stream=True, **({"stream_options": {"include_usage": True}} if api is CHAT else {}))


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_every_api_streams_and_is_written_down_before_its_last_byte(api: Any, tmp_path: Path) -> None:
    with running(api.name, tmp_path) as function:
        function.provider.script = lambda asked: sse_reply(*api.events)
        # Lambda freezes a process once its response is complete, and may never thaw it.
        function.runtime.on_end = lambda: os.kill(function.process.pid, signal.SIGSTOP)
        seen = function.ask(api.path, streamed(api))
        assert seen.headers["lambda-runtime-function-response-mode"] == "streaming"
        assert seen.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
        assert "content-length" not in seen.headers
        assert seen.prelude["statusCode"] == 200
        assert seen.prelude["headers"]["content-type"] == "text/event-stream"
        assert seen.prelude["cookies"] == []
        assert seen.body == b"".join(api.events)
        assert seen.trailers == {}
        (row,) = function.rows()
        assert (row.outcome, row.stream, row.id) == ("complete", True, seen.prelude["headers"]["x-request-id"])
        assert row.tokens.total == 120


def test_the_first_event_comes_within_ten_milliseconds_of_the_provider(function: Function) -> None:
    sent: list[float] = []

    def script(asked: Asked) -> Reply:
        sent.append(time.monotonic())
        return sse_reply(CHAT.events[1], 0.15, CHAT.events[2], *CHAT.events[3:])

    function.provider.script = script
    first, gaps = [], []
    for _ in range(10):
        seen = function.ask(CHAT.path, streamed())
        first.append(seen.pieces[0][0] - sent[-1])
        gaps.append(seen.pieces[1][0] - seen.pieces[0][0])
        assert seen.pieces[0][1].endswith(CHAT.events[1]), "status, headers and the first event go out together"
        assert seen.pieces[1][1].startswith(CHAT.events[2])
    assert sorted(first)[2] < 0.010, first  # the third of ten: other tests share this machine
    assert all(0.1 < gap < 0.4 for gap in gaps), "later events are passed on when they come"


def test_one_process_and_one_connection_serve_many(function: Function) -> None:
    function.provider.script = lambda asked: json_reply(CHAT.whole)
    pids = set()
    for _ in range(12):
        seen = function.ask(CHAT.path, CHAT.body())
        assert json.loads(seen.body) == CHAT.whole
        assert "content-length" not in seen.prelude["headers"]
        pids.add(function.process.pid)
    assert function.runtime.connections == 1
    assert len(function.rows()) == 12


@pytest.mark.parametrize("door", ["rest", "http", "url"])
def test_every_front_door_that_streams(door: str, function: Function) -> None:
    function.provider.script = lambda asked: sse_reply(*CHAT.events)
    from tests.serverless.conftest import TOKEN

    event = DOORS[door]("POST", CHAT.path, {**streamed(), "user": "grüße"}, TOKEN)
    seen = function.runtime.invoke(event).result(30)
    assert seen.body.endswith(DONE)
    assert function.provider.asked[0].json["user"] == "grüße"


def test_errors_before_the_first_byte_are_whole_replies(function: Function) -> None:
    seen = function.ask(CHAT.path, streamed(), token="wrong")
    assert seen.prelude["statusCode"] == 401
    assert json.loads(seen.body)["error"]["code"] == "AUTHENTICATION_ERROR"
    function.provider.script = lambda asked: json_reply(
        {"error": {"message": "slow down", "type": "x"}}, 429, retry_after="7"
    )
    seen = function.ask(CHAT.path, streamed())
    assert (seen.prelude["statusCode"], seen.prelude["headers"]["retry-after"]) == (429, "7")
    seen = function.ask("/elsewhere", {})
    assert seen.prelude["statusCode"] == 404
    assert seen.trailers == {}


def test_a_provider_that_breaks_in_mid_stream_is_told_in_the_apis_own_words(function: Function) -> None:
    function.provider.script = lambda asked: sse_reply(*CHAT.events[:2], CUT)
    seen = function.ask(CHAT.path, streamed())
    assert seen.body.startswith(b"".join(CHAT.events[:2]))
    assert b'"error"' in seen.body
    assert seen.trailers == {}, "the reply says it: the function itself did not fail"
    assert function.rows()[0].outcome == "broken"


@pytest.mark.parametrize("event", [b"no json", {"source": "aws.events"}, [1], {"requestContext": {}}], ids=str)
def test_events_that_are_no_requests_do_not_end_the_process(event: Any, function: Function) -> None:
    seen = function.runtime.invoke(event).result(30)
    assert seen.path.endswith("/error")
    assert seen.headers["lambda-runtime-function-error-type"] == "Function.NotHttp"
    assert json.loads(seen.raw)["stackTrace"] == []
    function.provider.script = lambda asked: json_reply(CHAT.whole)
    assert function.ask(CHAT.path, CHAT.body()).prelude["statusCode"] == 200


def test_a_silent_provider_ends_with_504_before_lambda_kills_the_function(function: Function) -> None:
    function.provider.script = lambda asked: Reply(silent=True)
    begun = time.monotonic()
    seen = function.ask(CHAT.path, streamed(), seconds=3.0)
    assert 0.5 < time.monotonic() - begun < 3.0
    assert seen.prelude["statusCode"] == 504
    assert json.loads(seen.body)["error"]["code"] == "PROVIDER_ERROR"
    assert len(function.rows()) == 1


def test_the_504_has_the_shape_of_the_clients_api(tmp_path: Path) -> None:
    with running("messages", tmp_path) as function:
        function.provider.script = lambda asked: Reply(silent=True)
        seen = function.ask(MESSAGES.path, streamed(MESSAGES), seconds=2.5)
        assert json.loads(seen.body)["type"] == "error"


def test_a_stream_that_outlives_the_function_is_cut_with_its_row_written(function: Function) -> None:
    function.provider.script = lambda asked: sse_reply(*CHAT.events[:3], 30.0)
    seen = function.ask(CHAT.path, streamed(), seconds=3.0)
    assert seen.body.startswith(b"".join(CHAT.events[:3]))
    assert b'"error"' in seen.body
    assert seen.trailers == {}
    (row,) = function.rows()
    assert row.outcome == "broken"
    assert row.estimated
    assert row.tokens.output > 0
    assert function.provider.was_left(1), "the provider's stream is ended too"


def test_a_response_that_lambda_cuts_off_is_written_down_and_the_next_one_served(function: Function) -> None:
    function.runtime.limit = 2000
    function.provider.script = lambda asked: sse_reply(
        *CHAT.events[:1], *(part for _ in range(60) for part in (CHAT.events[1], 0.02))
    )
    seen = function.ask(CHAT.path, streamed())
    assert seen.cut
    function.runtime.limit = None
    function.provider.script = lambda asked: json_reply(CHAT.whole)
    assert function.ask(CHAT.path, CHAT.body()).prelude["statusCode"] == 200
    assert [row.outcome for row in function.rows()] == ["complete", "client_gone"]


def test_a_silent_stream_is_pinged(tmp_path: Path) -> None:
    with running("chat_completions", tmp_path, PING_INTERVAL="0.1") as function:
        function.provider.script = lambda asked: sse_reply(*CHAT.events[:2], 0.6, *CHAT.events[2:])
        assert function.ask(CHAT.path, streamed()).body.count(b": ping\n\n") >= 2


def test_sigterm_while_idle(function: Function) -> None:
    function.provider.script = lambda asked: json_reply(CHAT.whole)
    function.ask(CHAT.path, CHAT.body())
    time.sleep(0.05)
    function.process.send_signal(signal.SIGTERM)
    assert function.process.wait(5) == 0


def test_sigterm_in_mid_stream_leaves_the_row(function: Function) -> None:
    function.provider.script = lambda asked: sse_reply(*CHAT.events[:3], 30.0)
    answer = function.runtime.invoke(url("POST", CHAT.path, streamed(), "ab" * 32), 60)
    end = time.monotonic() + 5
    while not function.provider.asked and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    function.process.send_signal(signal.SIGTERM)
    assert answer.result(5).error["errorType"] == "Function.OutOfTime"
    assert function.process.wait(5) == 0
    assert [row.outcome for row in function.rows()] == ["client_gone"]


def test_a_function_that_cannot_start_says_why_without_values(tmp_path: Path) -> None:
    with running("chat_completions", tmp_path, ALLOWED_ADDRESSES="", OPENAI_API_KEY="sk-secret") as function:
        assert function.process.wait(20) == 1
        (seen,) = function.runtime.init_errors
    told = json.loads(seen.raw)
    assert seen.path.endswith("/init/error")
    assert told["errorType"] == "Runtime.ValidationError"
    assert "ALLOWED_ADDRESSES" in told["errorMessage"]
    assert "sk-secret" not in seen.raw.decode()


def test_a_handler_that_is_none(tmp_path: Path) -> None:
    with running("chat_completions", tmp_path, _HANDLER="functions.chat_completions.app.routes") as function:
        assert function.process.wait(20) == 1
        assert json.loads(function.runtime.init_errors[0].raw)["errorType"] == "Runtime.TypeError"

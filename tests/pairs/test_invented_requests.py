"""Made-up requests for every upstream: its strict face takes them, and what isn't in them any more is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from shared.canonical import Flags, Request, Target, ToolCall, ToolResult
from shared.dialects import Api, Written, dialect
from shared.errors import Code, GatewayError
from tests.pairs.invented import requests
from tests.pairs.recorded import APIS, CLIENTS
from tests.pairs.test_client_requests import meaning
from tests.pairs.traces import lost
from tests.pairs.upstreams import heard, sent, target

often = settings(
    max_examples=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("upstream", APIS)
@often
@given(data=st.data())
def test_it_is_taken_and_nothing_is_lost_in_silence(upstream: Api, data: st.DataObject) -> None:
    request: Request = data.draw(requests(upstream))
    written, prompt = sent(request, upstream)
    assert lost(request, written.body, written.dropped, target(upstream)) == []
    blocks = [block for turn in request.turns for block in turn.blocks]
    assert heard_calls(prompt) == len([block for block in blocks if isinstance(block, ToolCall)])
    assert heard_results(prompt) == len([block for block in blocks if isinstance(block, ToolResult)])


def heard_calls(prompt: Any) -> int:
    return sum(type(part).__name__ == "Called" for turn in prompt.turns for part in turn.parts)


def heard_results(prompt: Any) -> int:
    return sum(type(part).__name__ == "Answered" for turn in prompt.turns for part in turn.parts)


@pytest.mark.parametrize("upstream", CLIENTS)
@often
@given(data=st.data())
def test_it_can_be_read_again_with_the_same_meaning(upstream: Api, data: st.DataObject) -> None:
    request: Request = data.draw(requests(upstream))
    written, _ = sent(request, upstream)
    again = dialect(upstream).read_request(orjson.loads(orjson.dumps(written.body)))
    assert meaning(again) == meaning(request)
    assert again.stream == request.stream


LIMITED = [
    Target("demo", "old", flags=Flags()),
    Target("demo", "plain", flags=Flags(tools=False, sampling_params=False, stop=False)),
    Target("demo", "forced", flags=Flags(forced_tool_choice=False, thinking="adaptive", thinking_off="never")),
    Target(
        "demo", "budget", flags=Flags(thinking="budget", thinking_off="disabled"), input=frozenset({"text", "image"})
    ),
    Target("demo", "single", flags=Flags(parallel_tools=False, json_schema=True)),
]


def written_or_refused(request: Request, upstream: Api, lesser: Target) -> Written | GatewayError:
    try:
        return dialect(upstream).write_request(request, lesser)
    except GatewayError as error:
        return error


@pytest.mark.parametrize("upstream", APIS)
@often
@given(data=st.data())
def test_a_lesser_model_gets_what_it_takes_or_the_client_a_refusal(upstream: Api, data: st.DataObject) -> None:
    request: Request = data.draw(requests(upstream))
    lesser = data.draw(st.sampled_from(LIMITED))
    written = written_or_refused(request, upstream, lesser)
    if isinstance(written, GatewayError):
        event("refused")
        assert written.code in (Code.UNSUPPORTED_BY_MODEL, Code.VALIDATION_ERROR)
        assert written.status == 400
        return
    heard(upstream, written.body, "gemini-2.5-flash")  # which takes calls without signatures
    assert lost(request, written.body, written.dropped, lesser) == []


@pytest.mark.parametrize("upstream", APIS)
@often
@given(data=st.data())
def test_writing_is_the_same_every_time_and_changes_nothing(upstream: Api, data: st.DataObject) -> None:
    request: Request = data.draw(requests(upstream))
    before = repr(request)
    one = dialect(upstream).write_request(request, target(upstream))
    other = dialect(upstream).write_request(replace(request), target(upstream))
    assert orjson.dumps(one.body) == orjson.dumps(other.body)
    assert one.dropped == other.dropped
    assert repr(request) == before

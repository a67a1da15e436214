"""The end of a stream, when time runs out around it: what was said to its end reaches the client whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.live import Live, gateway
from tests.gateway.provider import sse_reply
from tests.gateway.wire import APIS, MESSAGES, Api

ENDS = {"chat_completions": b"data: [DONE]\n\n", "messages": b"message_stop", "responses": b"response.completed"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), STREAM_IDLE_TIMEOUT="0.3", PING_INTERVAL="0.1") as running:
        yield running


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("other", [False, True], ids=["passed", "translated"])
def test_a_provider_that_ends_its_reply_but_not_its_bytes(live: Live, api: Api, other: bool) -> None:
    """It is silent for longer than a stream may be, after its terminal event."""
    wires = {wire.path: wire for wire in APIS}
    live.provider.script = lambda asked: sse_reply(*wires["/v1/" + asked.path.partition("/v1/")[2]].events, 1.0)
    claude = (api is MESSAGES) != other
    client = live.caller("anthropic/claude-haiku-4-5" if claude else "openai/gpt-4o")
    raw = client.post(api.path, json=api.body(stream=True)).content
    assert ENDS[api.name] in raw[-2_000:]
    assert b"error" not in raw.replace(b'"error":null', b"")
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"], row["estimated"]) == ("complete", 200, False)
    assert row["output_tokens"] == 20
    live.rest()

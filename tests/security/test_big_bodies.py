"""Bodies made to cost more than they weigh: deep, of very many values, of names that repeat. Time and memory stay small."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from shared.errors import Code, GatewayError
from shared.plan import MOST_VALUES, read_json
from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply
from tests.gateway.wire import APIS, Api

SIZE = 12_000_000
_FILLINGS = {"dicts": b'{"a":1},', "lists": b"[],", "numbers": b"1.5,", "texts": b'"",', "deep": b"[" * 5}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), COOLDOWN_SECONDS="0") as running:
        yield running


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@pytest.mark.parametrize("filling", _FILLINGS)
def test_a_body_of_very_many_values(live: Live, api: Api, filling: str) -> None:
    field = b'"input":[' if api.name == "responses" else b'"messages":['
    piece = _FILLINGS[filling]
    raw = b'{"model":"gpt-4o",' + field + piece * (SIZE // len(piece)) + b"0]}"
    client = live.caller(api.model)
    begun = time.monotonic()
    reply = client.post(api.path, content=raw)
    assert time.monotonic() - begun < 3
    assert reply.status_code in (400, 413)
    assert api.code(reply) in ("VALIDATION_ERROR", "REQUEST_TOO_LARGE")
    assert not live.provider.asked
    assert live.rows(client, 1)[0]["outcome"] == "refused"
    live.rest()


def test_the_line_is_drawn_at_values_and_not_at_bytes() -> None:
    text = b'{"text":"' + b"x" * (2 * MOST_VALUES) + b'"}'
    assert len(read_json(text)["text"]) == 2 * MOST_VALUES
    with pytest.raises(GatewayError) as caught:
        read_json(b'{"list":[' + b"1," * MOST_VALUES + b"1]}")
    assert caught.value.code is Code.REQUEST_TOO_LARGE
    assert len(read_json(b'{"list":[' + b"1," * (MOST_VALUES - 3) + b"1]}")["list"]) == MOST_VALUES - 2


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_names_that_repeat_and_names_without_number(live: Live, api: Api) -> None:
    live.provider.script = lambda asked: json_reply(api.whole)
    client = live.caller(api.model)
    again = b",".join([b'"metadata":{"a":"b"}'] * 50_000)
    unknown = b",".join(b'"x%d":0' % number for number in range(50_000))
    for more in (again, unknown):
        field = (
            b'"input":"Hi"'
            if api.name == "responses"
            else b'"max_tokens":9,"messages":[{"role":"user","content":"Hi"}]'
        )
        begun = time.monotonic()
        reply = client.post(api.path, content=b'{"model":"' + api.model.encode() + b'",' + field + b"," + more + b"}")
        assert time.monotonic() - begun < 4
        assert reply.status_code in (200, 400)
        assert len(reply.headers.get("x-ekai-dropped", "")) <= 4_096
    live.rest()

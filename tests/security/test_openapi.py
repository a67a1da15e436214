"""The description of our own routes: complete, served, and held against a running gateway by requests that are made from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from emulator.app import found
from functions.openapi.app import description
from tests.gateway.live import Live, gateway
from tests.gateway.provider import Asked, Reply, json_reply, sse_reply
from tests.gateway.wire import APIS

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
]  # fmt: skip
TOLD: dict[str, Any] = orjson.loads(description())
OPERATIONS = sorted((path, method) for path, methods in TOLD["paths"].items() for method in methods)
NO_KEY = ("/rofl/public-key", "get")
"""503 is what it has to say here."""


def test_it_tells_of_every_route_and_of_no_other() -> None:
    mounted = {
        (re.sub(r":\w+}", "}", route.path), method.lower())
        for route in found()
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert set(OPERATIONS) == mounted


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(rb'"\$ref":"#/([^"]+)"', description()):
        place = TOLD
        for part in reference.decode().split("/"):
            place = place[part]
        assert place


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), COOLDOWN_SECONDS="0", OPERATOR_TOKEN="operator") as running:
        running.provider.script = _answered
        yield running


def _answered(asked: Asked) -> Reply:
    api = next(api for api in APIS if asked.path.endswith(api.path.removeprefix("/v1")))
    return sse_reply(*api.events) if asked.json.get("stream") else json_reply(api.whole)


@pytest.fixture(scope="module")
def tokens(live: Live) -> tuple[str, ...]:
    """The caller's, the operator's, one that is none, and no token at all."""
    client = live.caller("openai/gpt-4o", "anthropic/claude-haiku-4-5")
    return str(client.headers["authorization"]), "Bearer operator", "Bearer " + "f" * 64, ""


def test_it_is_served_and_linked(live: Live) -> None:
    reply = httpx.get(f"{live.url}/openapi.json")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json() == TOLD
    assert httpx.get(live.url).json()["links"]["openapi"] == "/openapi.json"


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_requests_made_from_it(live: Live, tokens: tuple[str, ...], path: str, method: str) -> None:
    """Right ones and wrong ones: no 5xx, no status, type or shape that isn't announced."""
    operation = schemathesis.openapi.from_dict(TOLD)[path][method]
    modes = schemathesis.GenerationMode
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE)])
    checks = [check for check in CHECKS if (path, method) != NO_KEY or check is not not_a_server_error]

    @settings(max_examples=14, phases=[Phase.generate], suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=cases, token=st.sampled_from(tokens))
    def holds(case: Any, token: str) -> None:
        if path != "/auth/logout" and token:
            case.headers["authorization"] = token
        reply = case.call(base_url=live.url, timeout=10)
        if reply.status_code == 405 or (reply.status_code == 404 and path == "/v1/models/{id}"):
            return  # a method or an empty path of the generator's own making
        case.validate_response(reply, checks=checks)

    holds()

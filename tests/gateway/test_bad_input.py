"""What clients get wrong: a clear error in their own API's shape, a row, and nothing sent to a provider."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import orjson
import pytest

from tests.gateway.live import Live
from tests.gateway.provider import json_reply
from tests.gateway.wire import APIS, CHAT, Api

each_api = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)

BODIES: dict[str, bytes] = {
    "no json": b"hello",
    "empty": b"",
    "cut": b'{"model": "gpt-4o", "messages": [',
    "not utf-8": b'{"model": "gpt-4o", "messages": "\xff\xfe"}',
    "a list": b"[1, 2]",
    "a string": b'"gpt-4o"',
    "null": b"null",
    "nan": b'{"model": NaN}',
    "deep": b'{"model": "gpt-4o", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no model": b'{"messages": [{"role": "user", "content": "x"}], "input": "x"}',
    "model null": b'{"model": null, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    "model number": b'{"model": 4, "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    "model empty": b'{"model": " ", "messages": [{"role": "user", "content": "x"}], "input": "x"}',
    "no content": b'{"model": "gpt-4o"}',
    "content of a wrong type": b'{"model": "gpt-4o", "messages": 7, "input": 7}',
    "no messages": b'{"model": "gpt-4o", "messages": [], "input": []}',
    "stream of a wrong type": b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "input": "x", "stream": "yes"}',
}


@each_api
@pytest.mark.parametrize("name", BODIES)
def test_bad_bodies(live: Live, api: Api, name: str) -> None:
    client = live.caller(api.model)
    reply = client.post(api.path, content=BODIES[name], headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert api.code(reply) == "VALIDATION_ERROR"
    assert reply.headers["x-request-id"]
    assert not live.provider.asked
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"], row["error"]) == ("refused", 400, "VALIDATION_ERROR")
    assert row["total_cost"] == 0
    assert row["provider"] == ""


@each_api
@pytest.mark.parametrize("token", [None, "", "abc", "f" * 64, "sk-ant-" + "f" * 64, "F" * 64, "f" * 63, "ü" * 64])
def test_bad_tokens(live: Live, api: Api, token: str | None) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}".strip().encode()}
    reply = httpx.post(live.url + api.path, json=api.body(), headers=headers)
    assert reply.status_code == 401
    assert api.code(reply) == "AUTHENTICATION_ERROR"
    assert not live.provider.asked
    operator = {"authorization": "Bearer operator-canary-8"}
    rows = httpx.get(live.url + "/usage", params={"scope": "all"}, headers=operator).json()["records"]
    assert any(row["id"] == reply.headers["x-request-id"] and row["outcome"] == "refused" for row in rows)


def test_a_truncated_token_is_unknown(live: Live) -> None:
    client = live.caller("gpt-4o")
    token = client.headers["authorization"]
    assert client.get("/user/preferences", headers={"authorization": token[:-1]}).status_code == 401
    assert client.get("/user/preferences", headers={"authorization": token + "0"}).status_code == 401
    assert (
        client.get("/user/preferences", headers={"authorization": "", "x-api-key": "sk-ant-" + token[7:]}).status_code
        == 200
    )


@each_api
def test_too_large_a_body_is_refused_before_it_is_read(live: Live, api: Api) -> None:
    client = live.caller(api.model)
    reply = client.post(api.path, content=b" " * (51 * 1024 * 1024))
    assert reply.status_code == 413
    assert api.code(reply) == "REQUEST_TOO_LARGE"
    with _request(live, api, client, {"content-length": str(10**12)}) as (sock, file):
        sock.sendall(b"{")
        assert file.readline().split()[1] == b"413"
    rows = live.rows(client, 2)
    assert [row["status"] for row in rows] == [413, 413]


class _request:  # noqa: N801  (reads as a verb)
    """A request head on a raw socket."""

    def __init__(self, live: Live, api: Api, client: httpx.Client, headers: dict[str, str]) -> None:
        url = httpx.URL(live.url)
        self.sock = socket.create_connection((url.host, url.port or 80), timeout=10)
        head = {
            "host": "x",
            "authorization": client.headers["authorization"],
            "content-type": "application/json",
            **headers,
        }
        lines = [f"POST {api.path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        self.sock.sendall("\r\n".join(lines).encode())

    def __enter__(self) -> tuple[socket.socket, Any]:
        self.file = self.sock.makefile("rb")
        return self.sock, self.file

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()


def test_a_content_length_that_lies(live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    client = live.caller("gpt-4o")
    body = orjson.dumps(CHAT.body())
    with _request(live, CHAT, client, {"content-length": str(len(body) + 100)}) as (sock, _):
        sock.sendall(body)
    [row] = live.rows(client, 1)
    assert (row["outcome"], row["status"]) == ("client_gone", 499)
    with _request(live, CHAT, client, {"content-length": str(len(body) - 5)}) as (sock, file):
        sock.sendall(body)
        assert file.readline().split()[1] == b"400"
    with _request(live, CHAT, client, {"content-length": "-1"}) as (sock, file):
        assert file.readline().split()[1] == b"400"
    assert not live.provider.asked


@each_api
def test_ten_thousand_tools(live: Live, api: Api) -> None:
    live.provider.script = lambda asked: json_reply(api.whole)
    tool = {
        "type": "function",
        "name": "f",
        "function": {"name": "f", "parameters": {"type": "object"}},
        "input_schema": {"type": "object"},
    }
    client = live.caller(api.model)
    reply = client.post(api.path, json=api.body(tools=[{**tool, "name": f"f{n}"} for n in range(10_000)]))
    assert reply.status_code == 200
    assert len(live.provider.asked[0].json["tools"]) == 10_000


def test_without_preferences(live: Live) -> None:
    client = live.caller()
    for api in APIS:
        reply = client.post(api.path, json=api.body())
        assert (reply.status_code, api.code(reply)) == (400, "MODEL_PREFERENCES_REQUIRED")
        assert "ekai prefs set" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/v1/chat/completions", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/messages", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/responses", 426, "UPGRADE_NOT_SUPPORTED"),
        ("GET", "/v1/models/../../etc/passwd", 404, "NOT_FOUND"),
        ("GET", "/v1/models/%2e%2e%2fetc%2fpasswd", 404, "MODEL_NOT_FOUND"),
        ("GET", "/v1/models/nope", 404, "MODEL_NOT_FOUND"),
    ],
)
def test_wrong_places(live: Live, method: str, path: str, status: int, code: str) -> None:
    reply = httpx.request(method, live.url + path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_websocket_probe_gets_426_at_once(live: Live) -> None:
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert httpx.get(live.url + "/v1/responses", headers=headers).status_code == 426

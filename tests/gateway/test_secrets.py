"""The canary: no provider key, token or private key in any log, error, repr, database or answer."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.context import build, close
from shared.plan import Call
from shared.settings import Settings
from tests.gateway.live import KEYS, Live, environment, gateway
from tests.gateway.provider import CUT, Asked, Reply, json_reply, sse_reply
from tests.gateway.wire import APIS

OTHERS = {"OPERATOR_TOKEN": "operator-canary-9", "ROFL_PRIVATE_KEY": "ca" * 32, "PRIVATE_KEY": "cb" * 32}


def _naughty(asked: Asked) -> Reply:
    """Answers with the very key that it was shown, as some providers do in their errors."""
    shown = asked.headers.get("authorization", asked.headers.get("x-api-key", asked.headers.get("x-goog-api-key", "")))
    number = len(asked.body) % 4
    if number == 0:
        return json_reply({"error": {"message": f"Incorrect API key provided: {shown.removeprefix('Bearer ')}."}}, 401)
    if number == 1:
        return Reply([f"<html>{shown}</html>".encode()], 500)
    return sse_reply(b"data: {", CUT) if number == 2 else json_reply({"error": {"message": shown}}, 400)


def test_no_secret_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []
    with gateway(tmp_path, LOG_LEVEL="debug", COOLDOWN_SECONDS="0", **OTHERS) as live:
        live.provider.script = _naughty
        tokens = _use(live, seen)
    out, err = capfd.readouterr()
    seen += [out, err, caplog.text]
    database = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    for secret in (*KEYS.values(), *OTHERS.values(), *tokens):
        for text in seen:
            assert secret not in text
        assert secret.encode() not in database
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("SELECT count(*) FROM usage").fetchone()[0] > 20


def _use(live: Live, seen: list[str]) -> list[str]:
    tokens = []
    for api in APIS:
        client = live.caller(api.model)
        tokens.append(client.headers["authorization"].removeprefix("Bearer "))
        for padding in range(4):
            for stream in (False, True):
                reply = client.post(api.path, json=api.body(stream=stream, user="x" * padding))
                seen.append(reply.text)
                seen.append(str(reply.headers))
        client.get("/usage?scope=me").raise_for_status()
        client.post(api.path, content=b"{", headers={"authorization": f"Bearer {tokens[-1]}0"})
    seen.append(client.get("/health/ready").text + client.get("/rofl/public-key").text)
    return tokens


def test_no_secret_in_a_repr(tmp_path: Path) -> None:
    with environment({**KEYS, **OTHERS, "DATABASE_PATH": str(tmp_path / "x.db")}, tmp_path):
        settings = Settings()
        built = build(settings)
    call = Call("https://x", {"authorization": f"Bearer {KEYS['OPENAI_API_KEY']}"}, b"body-canary", False)
    shown = f"{settings!r} {settings} {built!r} {call!r} {vars(built.keys)!r} {built.gateway_key!r}"
    for secret in (*KEYS.values(), *OTHERS.values(), "body-canary"):
        assert secret not in shown
    asyncio.run(close(built))

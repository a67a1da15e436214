"""A whole gateway on DynamoDB that has just started: what the table is asked before the provider is, and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.client import BaseClient

from emulator.app import create
from tests.gateway.live import KEYS, new_wallet, running
from tests.gateway.provider import Provider, json_reply
from tests.gateway.wire import CHAT
from tests.store import dynamo_tables


class Table:
    """A fresh table, and the calls that are made of it, with a mark where the provider was asked."""

    def __init__(self, folder: Path, calls: list[str]) -> None:
        self.provider = Provider()
        self.provider.script = self._answer
        self.calls = calls
        self._folder = folder
        upstreams = {f"{name.removesuffix('_API_KEY')}_UPSTREAM_URL": self.provider.url for name in KEYS}
        self.settings = {
            **KEYS, **upstreams, **dynamo_tables.variables(), "STORE": "dynamodb", "DYNAMODB_TABLE": dynamo_tables.new_table(),
            "OPERATOR_TOKEN": "operator", "LOGIN_ATTEMPTS": "0",
        }  # fmt: skip

    def _answer(self, asked: Any) -> Any:
        self.calls.append("the provider")
        return json_reply(CHAT.whole)

    def process(self, **more: str) -> Any:
        return running(create, {**self.settings, **more}, self._folder)

    def prepared(self, grants: dict[str, Any] | None = None, budget: float | None = None) -> str:
        """A token of somebody with preferences, given out by another process."""
        with self.process() as url, httpx.Client(base_url=url, timeout=30) as http:
            login = http.post("/auth/login", json=new_wallet(self._folder).login(23295, 604_800)).raise_for_status()
            token: str = login.json()["token"]
            http.headers["authorization"] = f"Bearer {token}"
            http.put("/user/preferences", json={"model_preferences": ["gpt-4o"]}).raise_for_status()
            if grants is not None:
                http.put("/user/grants", json={"grants": grants}).raise_for_status()
            operator = {"authorization": "Bearer operator"}
            http.put("/budget", json={"amountUsd": budget}, headers=operator).raise_for_status()
        return token

    def asked_for(self, token: str, requests: int, **settings: str) -> list[list[str]]:
        """What a new process asks of the table for each of its first requests."""
        told = []
        with self.process(**settings) as url, httpx.Client(base_url=url, timeout=30) as http:
            http.headers["authorization"] = f"Bearer {token}"
            for _ in range(requests):
                self.calls.clear()
                reply = http.post(CHAT.path, json=CHAT.body())
                assert reply.status_code == 200, reply.text
                told.append([call for call in self.calls if call != "PutItem"])  # a day is named once
        return told


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    calls: list[str] = []
    original = BaseClient._make_api_call

    def note(client: Any, operation: str, asked: dict[str, Any]) -> Any:
        calls.append(operation)
        return original(client, operation, asked)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    made = Table(tmp_path, calls)
    yield made
    made.provider.close()


READ, WRITTEN = ["BatchGetItem", "the provider"], ["TransactWriteItems"]


def test_the_very_first_request_of_a_process(table: Table) -> None:
    token = table.prepared(grants={"*": {"models": ["gpt-4o"]}})
    assert table.asked_for(token, 2) == [[*READ, *WRITTEN]] * 2


def test_with_caps_one_update_for_each_comes_before_and_after(table: Table) -> None:
    token = table.prepared(grants={"*": {"requestsPerMinute": 1_000, "monthlyUsd": 5}})
    table.asked_for(token, 1)  # somebody has looked at what was spent this month
    holds = ["UpdateItem"] * 2
    assert table.asked_for(token, 2) == [["BatchGetItem", *holds, "the provider", *WRITTEN, *holds]] * 2

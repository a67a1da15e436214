"""The scheduled functions, what they ask of the table, and secrets that become variables."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from serverless import housekeeping, receipts
from serverless.environment import SecretError, prepare
from serverless.metrics import write_metrics
from shared.context import build, close
from shared.receipts import receipt_of
from shared.receipts.sender import Save
from shared.receipts.worker import Worker
from shared.settings import Settings
from shared.store import Cost, Settlement, Store, Tokens, UsageQuery, UsageRow
from shared.store.outbox import Entry
from tests.gateway.live import environment
from tests.serverless.aws import CREDENTIALS, Calls, create, watched
from tests.serverless.conftest import ROOT
from tests.serverless.template import FUNCTIONS, actions

TABLE = "ekai-jobs"
_DAY = 86_400


class Remaining:
    """Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


class Chain:
    """A sender for which the chain takes everything, or nothing."""

    room = 100

    def __init__(self, state: Any) -> None:
        self.state = state

    async def deliver(self, entries: Sequence[Entry], save: Save) -> bool:
        await save([replace(entry, state=self.state, since=1) for entry in entries])
        return False

    async def close(self) -> None:
        return None


@pytest.fixture(params=["sqlite", "dynamodb"])
def settings(request: pytest.FixtureRequest, dynamodb: str, tmp_path: Path) -> Iterator[Settings]:
    name = f"{TABLE}-{request.node.name.replace('[', '-').replace(']', '')}"
    given = {
        **CREDENTIALS, "AWS_ENDPOINT_URL": dynamodb, "STORE": request.param, "DYNAMODB_TABLE": name,
        "DATABASE_PATH": str(tmp_path / "gateway.db"), "USAGE_RETENTION_DAYS": "30", "METRICS_NAMESPACE": "Ekai/test",
        "RECEIPTS": "on", "PRIVATE_KEY": "11" * 32, "SAPPHIRE_RPC_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    if request.param == "dynamodb":
        create(dynamodb, name)
    with environment(given, tmp_path):
        yield Settings()


def row(age: float, number: int, **more: Any) -> UsageRow:
    at = int((time.time() - age) * 1000)
    name = f"{at:012x}{number:020x}"
    who = {"caller": "0x" + "11" * 20, "owner": "0x" + "22" * 20, "provider": "openai", "model": "gpt-4o"}
    return UsageRow(
        name, at, "chat_completions", "complete", 200, tokens=Tokens(input=3), cost=Cost(input=5), **who, **more
    )


def with_store(settings: Settings, work: Any) -> Any:
    async def run() -> Any:
        gateway = build(settings)
        try:
            return await work(gateway.store)
        finally:
            await close(gateway)

    return asyncio.run(run())


async def _two_days(store: Store) -> None:
    await store.record(row(40 * _DAY, 1), Settlement())
    await store.record(row(60, 2), Settlement())


async def _listed(store: Store) -> tuple[int, int]:
    totals, rows = await store.usage(UsageQuery(0, int(time.time() * 1000) + 1000))
    return totals.requests, len(rows)


def test_housekeeping_folds_old_rows(settings: Settings) -> None:
    with_store(settings, _two_days)
    calls = Calls()
    with watched(lambda: calls):
        housekeeping.handler({}, None)
    assert with_store(settings, _listed) == (2, 1), "nothing is lost from the totals"
    assert calls.actions <= actions(FUNCTIONS["Housekeeping"], "dynamodb")


async def _three_receipts(store: Store) -> None:
    for number, age in ((1, 5.0), (2, 900.0), (3, 70.0)):
        told = row(age, number, request_hash=f"0x{number:064x}")
        await store.record(told, Settlement(), receipt_of(told))


@pytest.mark.parametrize(("state", "age", "dead"), [("logged", 0, 0), ("dead", 0, 3), ("pending", 900, 0)])
def test_receipts_are_delivered_and_measured(
    settings: Settings,
    state: str,
    age: int,
    dead: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_store(settings, _three_receipts)
    monkeypatch.setattr(
        receipts, "worker_for", lambda settings, outbox, clock: Worker(outbox, Chain(state), clock=clock)
    )
    monkeypatch.setattr(receipts, "MARGIN", 28.0)
    calls = Calls()
    with watched(lambda: calls):
        receipts.handler({"source": "aws.events"}, Remaining())
    told = json.loads(capsys.readouterr().out)
    assert told["DeadReceipts"] == dead
    assert age <= told["OldestReceiptSeconds"] <= age + 30
    assert calls.actions <= actions(FUNCTIONS["Receipts"], "dynamodb")
    assert calls.indexes <= {"outbox"}


def test_a_chain_that_is_gone_is_no_error_of_the_function(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with_store(settings, _three_receipts)
    receipts.handler({}, Remaining())
    assert json.loads(capsys.readouterr().out)["OldestReceiptSeconds"] >= 900


def test_metrics_have_cloudwatchs_form() -> None:
    line = json.loads(write_metrics("Ekai/x", 12.5, {"A": (1.0, "Seconds"), "B": (2.0, "Count")}))
    assert line["_aws"]["Timestamp"] == 12_500
    (one,) = line["_aws"]["CloudWatchMetrics"]
    assert one == {
        "Namespace": "Ekai/x",
        "Dimensions": [[]],
        "Metrics": [{"Name": "A", "Unit": "Seconds"}, {"Name": "B", "Unit": "Count"}],
    }
    assert (line["A"], line["B"]) == (1.0, 2.0)


def test_secrets_become_variables() -> None:
    values = {"arn:1": "11" * 32, "arn:2": '{"OPENAI_API_KEY": "sk-1", "XAI_API_KEY": "xai"}'}
    variables = {
        "PRIVATE_KEY_SECRET_ARN": "arn:1", "PROVIDER_KEYS_SECRET_ARN": "arn:2", "OPERATOR_TOKEN_SECRET_ARN": "", "XAI_API_KEY": "own",
    }  # fmt: skip
    prepare(variables, values.__getitem__)
    assert variables["PRIVATE_KEY"] == "11" * 32
    assert (variables["OPENAI_API_KEY"], variables["XAI_API_KEY"]) == ("sk-1", "own")
    assert "OPERATOR_TOKEN" not in variables


@pytest.mark.parametrize(
    "value", ["sk-canary", '["sk-canary"]', '{"PATH": "sk-canary"}', '{"OPENAI_API_KEY": {"a": "sk-canary"}}']
)
def test_a_secret_of_another_form_is_refused_without_its_value(value: str) -> None:
    variables = {"PROVIDER_KEYS_SECRET_ARN": "arn"}
    with pytest.raises(SecretError) as error:
        prepare(variables, lambda arn: value)
    assert "canary" not in str(error.value)
    assert list(variables) == ["PROVIDER_KEYS_SECRET_ARN"]


def test_the_buffered_wrapper_fetches_secrets_and_runs_the_runtimes_bootstrap(dynamodb: str, tmp_path: Path) -> None:
    client = boto3.client(
        "secretsmanager",
        endpoint_url=dynamodb,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    arn = client.create_secret(Name="keys", SecretString='{"OPENAI_API_KEY": "sk-canary"}')["ARN"]
    client.close()
    (tmp_path / "near.py").write_text("WORD = 'near'\n")
    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text(
        "import os, sys, near\nprint(__name__, sys.argv[1:], os.environ['OPENAI_API_KEY'], near.WORD)\n"
    )
    given = {
        **CREDENTIALS, "PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": dynamodb, "LAMBDA_TASK_ROOT": str(ROOT),
        "PROVIDER_KEYS_SECRET_ARN": arn,
    }  # fmt: skip
    command = [str(ROOT / "serverless/buffered"), sys.executable, str(bootstrap), "x.handler"]
    done = subprocess.run(command, env=given, capture_output=True, text=True)
    assert done.stdout == "__main__ ['x.handler'] sk-canary near\n", done.stderr

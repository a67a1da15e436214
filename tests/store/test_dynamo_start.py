"""Starting with STORE=dynamodb: no SQLite, no network before it is needed, and one clear line where something is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import Settings
from shared.store.opening import StoreError, open_store, prepare_store
from tests.store import dynamo_tables

_IMPORTS = """
import sys
import shared.context
from functions.chat_completions import app
assert not {"boto3", "botocore", "sqlite3"} & sys.modules.keys(), sorted({"boto3", "botocore", "sqlite3"} & sys.modules.keys())
from shared.settings import Settings
from shared.store.opening import open_store
open_store(Settings(_env_file=None))
assert "boto3" in sys.modules
assert not any(name.startswith("shared.store.sqlite") for name in sys.modules)
"""

_WITHOUT_BOTO3 = """
import sys
sys.modules["boto3"] = None
from cli.main import run
sys.argv = ["ekai", "serve", "--port", "0"]
run()
"""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.chdir(tmp_path)
    for name, value in {**dynamo_tables.variables(), "STORE": "dynamodb", "DYNAMODB_TABLE": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    return Settings()


def python(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": root, "STORE": "dynamodb", **variables}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_each_store_imports_its_own_library_alone(tmp_path: Path) -> None:
    ended = python(_IMPORTS, tmp_path, AWS_REGION="eu-central-1", AWS_DEFAULT_REGION="eu-central-1")
    assert ended.returncode == 0, ended.stderr
    assert not list(tmp_path.rglob("*.db"))


def test_a_missing_library_is_one_line(tmp_path: Path) -> None:
    ended = python(_WITHOUT_BOTO3, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: STORE=dynamodb needs boto3: pip install 'ekai-gateway[aws]'"


def test_a_missing_table_is_named(settings: Settings) -> None:
    with pytest.raises(StoreError, match="there is no DynamoDB table nowhere"):
        prepare_store(settings)


def test_a_missing_region_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(StoreError, match="region"):
        open_store(settings)


def test_an_address_where_nobody_listens(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="does not answer"):
        prepare_store(settings)


def test_a_table_that_is_there(settings: Settings) -> None:
    prepare_store(settings.model_copy(update={"dynamodb_table": dynamo_tables.new_table()}))

"""What `make lambda-check` built: its size, what is in it, how fast a function starts, and what AWS makes of the template.

LAMBDA_CHECK names the folder with `artefact` (for AWS), `local` (for this machine) and `translated.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.lambda_artefact import size_of
from tests.serverless.template import FUNCTIONS, actions, folder_of

BUILT = Path(os.environ.get("LAMBDA_CHECK", "/nonexistent"))
MOST_BYTES = 75_000_000
MOST_SECONDS = 0.4
COMPLETIONS = ("chat_completions", "messages", "responses")
PYTHON = [sys._base_executable, "-S", "-s", "-B"]  # type: ignore[attr-defined]  # not in typeshed

if "LAMBDA_CHECK" not in os.environ:
    pytest.skip("`make lambda-check` builds what is checked here", allow_module_level=True)


def run(code: str) -> str:
    done = subprocess.run([*PYTHON, "-c", code], cwd=BUILT / "local", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["artefact", "local"])
def test_it_is_small_and_compiled(name: str) -> None:
    folder = BUILT / name
    assert size_of(folder) < MOST_BYTES
    tag = "cpython-313" if name == "artefact" else sys.implementation.cache_tag
    sources = [file for file in folder.rglob("*.py") if "site-packages" not in file.parts]
    compiled = {file.name.partition(".")[0] for file in folder.rglob(f"*.{tag}.pyc")}
    assert {file.stem for file in (folder / "shared").rglob("*.py")} <= compiled
    assert len(list(folder.rglob(f"*.{tag}.pyc"))) >= 0.98 * len(sources)
    assert not list(folder.glob("web3")) + list(folder.glob("pip"))
    assert os.access(folder / "serverless/stream", os.X_OK)


def test_the_machine_code_is_for_the_machine_of_the_template() -> None:
    libraries = [file.name for file in (BUILT / "artefact").rglob("*.so") if "linux" in file.name]
    assert libraries
    assert all("aarch64" in name for name in libraries)


@pytest.mark.parametrize("name", COMPLETIONS)
def test_a_cold_start_imports_in_time(name: str) -> None:
    """The processor's time, as other processes share this machine; the best of five."""
    code = f"import time; t = time.process_time(); import functions.{name}.app; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(5)) < MOST_SECONDS


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_handler_imports_from_the_artefact_alone(name: str) -> None:
    module = FUNCTIONS[name]["Handler"].rpartition(".")[0]
    run(
        f"import {module}, shared.store.dynamo, shared.store.sqlite, sapphirepy.deoxysii, serverless.loop, serverless.bootstrap"
    )


def test_sam_built_every_function_from_it() -> None:
    built = BUILT.parents[1] / ".aws-sam/build"
    for name in FUNCTIONS:
        assert (built / f"{name}Function/serverless/loop.py").is_file()


def translated() -> dict[str, Any]:
    resources: dict[str, Any] = json.loads((BUILT / "translated.json").read_text())["Resources"]
    return resources


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_role_as_aws_gets_it(name: str) -> None:
    role = translated()[f"{name}FunctionRole"]["Properties"]
    found: set[str] = set()
    for policy in role.get("Policies", []):
        policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
        for statement in policy["PolicyDocument"]["Statement"]:
            statement = statement["Fn::If"][1] if "Fn::If" in statement else statement
            listed = statement["Action"]
            found |= set([listed] if isinstance(listed, str) else listed)
    assert {action.partition(":")[2] for action in found if action.startswith("dynamodb:")} == actions(
        FUNCTIONS[name], "dynamodb"
    )
    extra = {"sqs:SendMessage"} if name in ("Receipts", "Housekeeping") else set()
    assert not {action for action in found if not action.startswith(("dynamodb:", "secretsmanager:"))} - extra


def test_the_api_streams_where_the_loop_does() -> None:
    paths = translated()["Api"]["Properties"]["Body"]["paths"]
    streamed = set()
    for path, methods in paths.items():
        integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        streams = integration.get("responseTransferMode") == "STREAM"
        assert streams == integration["uri"]["Fn::Sub"].endswith("/response-streaming-invocations")
        streamed |= {path} if streams else set()
    assert streamed == {"/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"}
    assert {folder_of(name) for name in FUNCTIONS} >= set(COMPLETIONS)

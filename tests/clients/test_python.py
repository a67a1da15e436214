"""Python clients on every upstream dialect, from an environment of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.desk import REPOSITORY, UPSTREAMS, Desk

BIN = REPOSITORY / "build" / "clients" / "bin"
pytestmark = pytest.mark.parametrize("upstream", UPSTREAMS)


def test_langchain_and_pydantic_ai(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    judge = Path(__file__).parent / "python" / "judge.py"
    ran = desk.run(str(BIN / "python"), str(judge), MODEL=upstream, PYTHONPATH="")
    assert ran.code == 0, ran.told


@pytest.mark.parametrize("stream", [True, False])
def test_llm(desk: Desk, upstream: str, stream: bool) -> None:
    desk.prefer(upstream)
    folder = desk.home / "llm"
    folder.mkdir()
    url = desk.variables["EKAI_URL"]
    (folder / "extra-openai-models.yaml").write_text(
        f"- {{model_id: mine, model_name: {upstream}, api_base: '{url}/v1', api_key_name: ekai}}\n"
    )
    (folder / "keys.json").write_text(json.dumps({"ekai": desk.token}))
    command = [str(BIN / "llm"), "-m", "mine", *([] if stream else ["--no-stream"]), "hello"]
    ran = desk.run(*command, LLM_USER_PATH=str(folder), PYTHONPATH="")
    assert (ran.code, ran.out.strip()) == (0, "You said: hello"), ran.told

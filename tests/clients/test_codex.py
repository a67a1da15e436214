"""Codex on every upstream dialect, with each shape of its tools, and what it makes of a provider's faults."""

from __future__ import annotations

import json
import time

import pytest

from tests.clients.desk import FAULTS, PIXEL, SCHEMA, UPSTREAMS, Desk, Ran, json_lines, task

pytestmark = pytest.mark.parametrize("upstream", UPSTREAMS)

SHAPES = {
    "plain": ("function_call exec_command", "custom_tool_call apply_patch"),
    "gpt-5.5": ("function_call exec_command", "custom_tool_call apply_patch"),
    "gpt-6.1-sol": ("custom_tool_call exec", "custom_tool_call exec"),
}
"""The calls that edit a file, for a model that Codex doesn't know, one with a patch tool, and one in code mode."""


def codex(desk: Desk, model: str, *arguments: str) -> Ran:
    options = ["--skip-git-repo-check", "--sandbox", "danger-full-access"]
    return desk.ekai("run", "codex", "--model", model, "--", "exec", *options, *arguments)


def calls(desk: Desk) -> tuple[str, ...]:
    """The calls that Codex wrote down in its record of the conversation."""
    (record,) = (desk.home / "ekai" / "codex-sessions").rglob("*.jsonl")
    items = [line["payload"] for line in json_lines(record.read_text()) if line["type"] == "response_item"]
    return tuple(f"{item['type']} {item['name']}" for item in items if item["type"].endswith("_call"))


@pytest.mark.parametrize("shape", SHAPES)
def test_it_edits_a_file_with_its_own_tools(desk: Desk, upstream: str, shape: str) -> None:
    desk.prefer(upstream)
    edit = task(desk)
    ran = codex(desk, upstream if shape == "plain" else shape, edit.prompt())
    assert edit.done, ran.told
    assert (ran.code, ran.out.strip()) == (0, f"Done: {edit.file.name}")
    assert calls(desk) == SHAPES[shape]
    assert desk.outcomes() == ["complete"] * 3
    assert "Model metadata" not in ran.err


@pytest.mark.parametrize("fault", FAULTS)
def test_it_gets_over_a_fault(desk: Desk, upstream: str, fault: str) -> None:
    desk.prefer(upstream)
    edit = task(desk)
    ran = codex(desk, upstream, edit.prompt(FAULTS[fault]))
    assert edit.done, ran.told
    assert (ran.code, ran.out.strip()) == (0, f"Done: {edit.file.name}")
    outcomes = desk.outcomes()
    assert outcomes[0] in ("broken", "refused")
    assert outcomes[-1] == "complete"


def test_an_image_arrives(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    (desk.work / "pixel.png").write_bytes(PIXEL)
    ran = codex(desk, upstream, "--image", "pixel.png", "--", "What is this?")
    assert ran.code == 0, ran.told
    assert "(I got 1 image.)" in ran.out


def test_structured_output(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    (desk.work / "schema.json").write_text(json.dumps(SCHEMA))
    ran = codex(desk, upstream, "--output-schema", "schema.json", "What is the weather?")
    assert ran.code == 0, ran.told
    assert list(json.loads(ran.out)) == ["city"]


def test_a_conversation_goes_on(desk: Desk, upstream: str) -> None:
    """With what the model thought before: reasoning goes out sealed and comes back."""
    desk.prefer(upstream)
    edit = task(desk)
    assert codex(desk, upstream, edit.prompt()).code == 0
    ran = codex(desk, upstream, "resume", "--last", "And now?")
    assert (ran.code, ran.out.strip()) == (0, "You said: And now?"), ran.told
    assert desk.outcomes() == ["complete"] * 4


def test_its_built_in_provider_gives_up_the_websocket_at_once(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    folder = desk.home / ".codex"
    folder.mkdir()
    settings = (
        f'openai_base_url = "{desk.variables["EKAI_URL"]}/v1"\nanalytics.enabled = false\nfeatures.plugins = false\n'
    )
    (folder / "config.toml").write_text(settings)
    begun = time.monotonic()
    ran = desk.run("codex", "exec", "--skip-git-repo-check", "--model", "gpt-5.5", "hello", CODEX_API_KEY=desk.token)
    assert (ran.code, ran.out.strip()) == (0, "You said: hello"), ran.told
    assert time.monotonic() - begun < 5  # an answer other than 426 costs it more than six seconds

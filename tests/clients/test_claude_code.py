"""Claude Code on every upstream dialect, and what it makes of a provider's faults."""

from __future__ import annotations

import json

import pytest

from tests.clients.desk import FAULTS, PIXEL, SCHEMA, UPSTREAMS, Desk, Ran, json_lines, task

pytestmark = pytest.mark.parametrize("upstream", UPSTREAMS)


def claude(desk: Desk, *arguments: str, **more: str) -> Ran:
    return desk.ekai("run", "claude", "--", *arguments, **more)


def uses(ran: Ran) -> list[str]:
    """The tools that were used, in order (of `--output-format stream-json`)."""
    said = [event["message"]["content"] for event in json_lines(ran.out) if event["type"] == "assistant"]
    return [block["name"] for blocks in said for block in blocks if block["type"] == "tool_use"]


def test_it_edits_a_file_with_its_own_tools(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    edit = task(desk)
    options = ["--permission-mode", "acceptEdits", "--output-format", "stream-json", "--verbose"]
    ran = claude(desk, "-p", edit.prompt(), *options)
    assert edit.done, ran.told
    assert ran.code == 0
    assert uses(ran) == ["Read", "Edit"]
    end = json_lines(ran.out)[-1]
    assert (end["type"], end["is_error"], end["result"]) == ("result", False, f"Done: {edit.file.name}")
    assert end["usage"]["input_tokens"] > 0
    assert end["usage"]["output_tokens"] > 0
    assert desk.outcomes() == ["complete"] * 3


@pytest.mark.parametrize("fault", FAULTS)
def test_it_gets_over_a_fault(desk: Desk, upstream: str, fault: str) -> None:
    desk.prefer(upstream)
    edit = task(desk)
    ran = claude(desk, "-p", edit.prompt(FAULTS[fault]), "--permission-mode", "acceptEdits")
    assert edit.done, ran.told
    assert (ran.code, ran.out.strip()) == (0, f"Done: {edit.file.name}")
    outcomes = desk.outcomes()
    assert outcomes[0] in ("broken", "refused")
    assert outcomes[-1] == "complete"


def test_an_image_that_a_tool_returns_arrives(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    picture = desk.work / "pixel.png"
    picture.write_bytes(PIXEL)
    ran = claude(desk, "-p", f"Use the tool Read on {picture}")
    assert ran.code == 0, ran.told
    # Chat completions take no image in a result: it stands in the next message there.
    assert ("next user message" if upstream == "demo-chat" else "with 1 image") in ran.out
    assert desk.outcomes() == ["complete"] * 2


def test_structured_output(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    ran = claude(desk, "-p", "What is the weather?", "--json-schema", json.dumps(SCHEMA), "--output-format", "json")
    assert ran.code == 0, ran.told
    assert list(json.loads(ran.out)["structured_output"]) == ["city"]
    assert set(desk.outcomes()) == {"complete"}


def test_a_conversation_goes_on(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream)
    assert claude(desk, "-p", "first words").out.strip() == "You said: first words"
    ran = claude(desk, "--continue", "-p", "second words")
    assert (ran.code, ran.out.strip()) == (0, "You said: second words"), ran.told
    assert desk.outcomes() == ["complete"] * 2


def test_it_knows_the_window_and_finds_the_preferences(desk: Desk, upstream: str) -> None:
    desk.prefer(upstream, "demo-1")
    ran = claude(desk, "-p", "/context")
    assert "/ 200k" in ran.out, ran.told
    [picker] = desk.home.rglob("gateway-models.json")
    listed = [model["id"] for model in json.loads(picker.read_text())["models"]]
    assert listed == [f"claude-ekai-{upstream}", "claude-ekai-demo-1"]

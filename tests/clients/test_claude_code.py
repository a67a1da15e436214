"""Claude Code on every upstream dialect, and what it makes of a provider's faults."""

from __future__ import annotations

import pytest

from tests.clients.desk import FAULTS, UPSTREAMS, Desk, Ran, json_lines, task

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
    assert desk.outcomes().count("complete") >= 3 - (fault == "dropped_stream" or fault == "error_in_stream")
    assert "broken" in desk.outcomes() or "refused" in desk.outcomes()

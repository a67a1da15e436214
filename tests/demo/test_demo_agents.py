"""The editing task of coding agents, carried out with the tools that each of them has, on a real file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

TASK = 'DEMO TASK: edit {file} replace "blue" with "green"'
TEXT = "first line\nthe sky is blue, so blue\nlast line\n"
EDITED = TEXT.replace("blue", "green", 1)

READ = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
EDIT = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("file_path", "old_string", "new_string")},
    "required": ["file_path", "old_string", "new_string"],
}
EXEC = {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}
SHELL = {
    "type": "object",
    "properties": {"command": {"type": "array", "items": {"type": "string"}}},
    "required": ["command"],
}
PATCH = {"type": "custom", "name": "apply_patch"}


def shell(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    return f"Process exited with code {done.returncode}\nOutput:\n{done.stdout}{done.stderr}"


def patch(text: str) -> str:
    """A patch of one line, applied as a strict reader would."""
    lines = text.splitlines()
    assert (lines[0], lines[2], lines[-1]) == ("*** Begin Patch", "@@", "*** End Patch")
    path = Path(lines[1].removeprefix("*** Update File: "))
    assert path.read_text().count(lines[3][1:] + "\n") == 1
    path.write_text(path.read_text().replace(lines[3][1:], lines[4][1:]))
    return "Success. Updated the following files:\nM " + str(path)


def script(text: str) -> str:
    """The two shapes of JavaScript that the model writes in code mode."""
    if text.startswith("const r = await tools.exec_command("):
        command = text.partition("{cmd: ")[2].removesuffix("}); text(r.output);")
        return "Script completed\nOutput:\n" + shell(json.loads(command)).partition("Output:\n")[2]
    literal = text.removeprefix("const r = await tools.apply_patch(").removesuffix("); text(r);")
    return "Script completed\nOutput:\n" + patch(json.loads(literal))


def claude_tool(name: str, given: dict[str, str]) -> str:
    path = Path(given["file_path"])
    if name == "Read":
        return "".join(f"{i}\t{line}\n" for i, line in enumerate(path.read_text().splitlines(), 1))
    text = path.read_text()
    assert text.count(given["old_string"]) == 1
    path.write_text(text.replace(given["old_string"], given["new_string"], 1))
    return f"The file {path} has been updated."


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text(TEXT)
    return path


def run_claude(http: httpx.Client, prompt: str, system: str = "") -> tuple[str, list[str]]:
    tools = [{"name": "Read", "input_schema": READ}, {"name": "Edit", "input_schema": EDIT}]
    reminder = "<system-reminder>\nuse the tool Edit\n</system-reminder>"
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": reminder}, {"type": "text", "text": prompt}]},
        {"role": "system", "content": system or "# Environment"},
    ]
    used: list[str] = []
    for _ in range(6):
        ask = {"model": "m", "max_tokens": 9000, "messages": messages, "tools": tools, "thinking": {"type": "adaptive"}}
        reply = http.post("/v1/messages", json=ask).raise_for_status().json()
        if reply["stop_reason"] != "tool_use":
            return reply["content"][-1]["text"], used
        call = reply["content"][-1]
        used.append(call["name"])
        try:
            result: dict[str, Any] = {"content": claude_tool(call["name"], call["input"])}
        except OSError as error:
            result = {"content": str(error), "is_error": True}
        messages += [
            {"role": "assistant", "content": reply["content"]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], **result}]},
        ]
    raise AssertionError("no end")


def test_claude_code(http: httpx.Client, file: Path) -> None:
    assert run_claude(http, TASK.format(file=file)) == (f"Done: {file}", ["Read", "Edit"])
    assert file.read_text() == EDITED


def test_claude_code_with_a_relative_path(http: httpx.Client, file: Path) -> None:
    system = f"# Environment\n - Primary working directory: {file.parent}\n"
    assert run_claude(http, TASK.format(file=file.name), system) == ("Done: notes.txt", ["Read", "Edit"])
    assert file.read_text() == EDITED


def test_claude_code_without_the_file(http: httpx.Client, tmp_path: Path) -> None:
    text, used = run_claude(http, TASK.format(file=tmp_path / "none.txt"))
    assert text.startswith(f"Failed: {tmp_path}/none.txt: [Errno 2]")
    assert used == ["Read"]


def run_codex(http: httpx.Client, prompt: str, tools: list[Any], first: list[Any]) -> tuple[str, list[str]]:
    run: dict[str, Callable[[Any], str]] = {
        "exec_command": lambda given: shell(json.loads(given)["cmd"]),
        "shell": lambda given: shell(json.loads(given)["command"][2]),
        "apply_patch": patch,
        "exec": script,
    }
    items = [*first, {"role": "user", "content": [{"type": "input_text", "text": prompt}]}]
    used: list[str] = []
    for _ in range(6):
        ask = {
            "model": "m",
            "input": items,
            "tools": tools,
            "store": False,
            "reasoning": {"effort": "low"},
            "include": ["reasoning.encrypted_content"],
        }
        output = http.post("/v1/responses", json=ask).raise_for_status().json()["output"]
        items += output
        call = output[-1]
        if call["type"] == "message":
            return call["content"][0]["text"], used
        used.append(call["name"])
        result = run[call["name"]](call.get("input") or call.get("arguments"))
        items.append({"type": f"{call['type']}_output", "call_id": call["call_id"], "output": result})
    raise AssertionError("no end")


EXEC_TOOL = {"type": "function", "name": "exec_command", "parameters": EXEC, "strict": False}
CODE_MODE = {
    "type": "additional_tools",
    "role": "developer",
    "tools": [
        {"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]}
    ],
}


@pytest.mark.parametrize(
    ("tools", "first", "used"),
    [
        ([EXEC_TOOL, PATCH], [], ["exec_command", "apply_patch"]),
        ([EXEC_TOOL], [], ["exec_command", "exec_command"]),
        ([{"type": "function", "name": "shell", "parameters": SHELL, "strict": False}], [], ["shell", "shell"]),
        ([], [CODE_MODE], ["exec", "exec"]),
    ],
)
def test_codex(http: httpx.Client, file: Path, tools: list[Any], first: list[Any], used: list[str]) -> None:
    assert run_codex(http, TASK.format(file=file), tools, first) == (f"Done: {file}", used)
    assert file.read_text() == EDITED


def wrapped(name: str) -> dict[str, Any]:
    """A custom tool as a gateway hands it to an API that has none."""
    schema = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def function(name: str, *required: str) -> dict[str, Any]:
    properties = {field: {"type": "string"} for field in required}
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


@pytest.mark.parametrize(
    ("tools", "used"),
    [
        ([function("exec_command", "cmd"), wrapped("apply_patch")], ["exec_command", "apply_patch"]),
        ([wrapped("functions__exec")], ["functions__exec", "functions__exec"]),
        ([function("read", "filePath"), function("edit", "filePath", "oldString", "newString")], ["read", "edit"]),
        ([function("bash", "command")], ["bash", "bash"]),
    ],
)
def test_agents_over_chat(http: httpx.Client, file: Path, tools: list[Any], used: list[str]) -> None:
    run: dict[str, Callable[[Any], str]] = {
        "exec_command": lambda given: shell(given["cmd"]),
        "bash": lambda given: shell(given["command"]),
        "apply_patch": lambda given: patch(given["input"]),
        "functions__exec": lambda given: script(given["input"]),
        "read": lambda given: Path(given["filePath"]).read_text(),
        "edit": lambda given: str(
            Path(given["filePath"]).write_text(TEXT.replace(given["oldString"], given["newString"], 1))
        ),
    }
    messages: list[Any] = [{"role": "user", "content": TASK.format(file=file)}]
    names = []
    while True:
        ask = {"model": "m", "messages": messages, "tools": tools}
        message = http.post("/v1/chat/completions", json=ask).raise_for_status().json()["choices"][0]["message"]
        if not message.get("tool_calls"):
            break
        (call,) = message["tool_calls"]
        names.append(call["function"]["name"])
        result = run[names[-1]](json.loads(call["function"]["arguments"]))
        messages += [message, {"role": "tool", "tool_call_id": call["id"], "content": result}]
    assert (message["content"], names) == (f"Done: {file}", used)
    assert file.read_text() == EDITED


def test_codex_in_a_relative_folder(http: httpx.Client, file: Path) -> None:
    where = f"<environment_context>\n  <cwd>{file.parent}</cwd>\n</environment_context>"
    first = [{"role": "user", "content": where}]
    text, _ = run_codex(http, TASK.format(file="notes.txt"), [EXEC_TOOL, PATCH], first)
    assert text == "Done: notes.txt"
    assert file.read_text() == EDITED


def test_the_words_of_sed_are_taken_literally(http: httpx.Client, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("cost: $5.00 [a/b] it's*\n")
    prompt = f'DEMO TASK: edit {file} replace "$5.00 [a/b] it\'s*" with "x/y & \\1"'
    assert run_codex(http, prompt, [EXEC_TOOL], [])[0] == f"Done: {file}"
    assert file.read_text() == "cost: x/y & \\1\n"


def test_a_new_prompt_ends_the_task(http: httpx.Client) -> None:
    items = [{"role": "user", "content": TASK.format(file="/a")}, {"role": "user", "content": "thanks"}]
    reply = http.post("/v1/responses", json={"model": "m", "input": items, "tools": [EXEC_TOOL]}).json()
    assert reply["output"][0]["content"][0]["text"] == "You said: thanks"


def test_without_tools_the_task_is_only_words(http: httpx.Client) -> None:
    ask = {"model": "m", "input": TASK.format(file="/a")}
    assert http.post("/v1/responses", json=ask).json()["output"][0]["type"] == "message"

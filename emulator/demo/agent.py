"""The edit that coding agents are tried with: `DEMO TASK: edit FILE replace "A" with "B"`, done with the client's own tools.

Every step is worked out from the history alone. Which tools are used depends on what the client has: a reader and an
editor (Claude Code, opencode), a shell and `apply_patch` (Codex), a shell alone, or JavaScript (Codex's code mode).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from emulator.demo.talk import Answered, Call, Json, Piece, Prompt, Text, Tool

_TASK = re.compile(r"DEMO TASK: edit (\S+) replace \"(.*?)\" with \"(.*?)\"")
_FOLDER = re.compile(r"(?:working directory: |<cwd>)\s*(/[^\s<]+)", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*\d+(?:\t|→|: )")  # how readers of coding agents number lines
_FAILED = re.compile(r"exited with code [1-9]|exit code:? [1-9]|Script (?:failed|error)|\"exit_code\":\s*[1-9]")


@dataclass(frozen=True, slots=True)
class Task:
    """The edit, and the results of what was done about it so far. `name` is the file as the user calls it."""

    name: str
    file: str
    old: str
    new: str
    results: tuple[Answered, ...]


Step = Callable[[Task], Call]
Plan = tuple[tuple[str, Step], ...]  # what is said, and what is called


def step(prompt: Prompt) -> tuple[Piece, ...] | None:
    """The next thing to do; None if there is no task, or no tools for it."""
    task = _task(prompt)
    plan = task and _plan([tool for tool in prompt.tools if tool.callable])
    if not task or not plan or prompt.choice.mode == "none":
        return None
    if task.results and (task.results[-1].is_error or _FAILED.search(task.results[-1].text)):
        return (Text(f"Failed: {task.name}: {task.results[-1].text.strip()}"),)
    done = len(task.results)
    if done >= len(plan):
        return (Text(f"Done: {task.name}"),)
    say, call = plan[done]
    return Text(say.format(file=task.name)), call(task)


def _task(prompt: Prompt) -> Task | None:
    for i in range(len(prompt.turns) - 1, -1, -1):
        turn = prompt.turns[i]
        if turn.role != "user":
            continue
        if found := _TASK.search(turn.own_words):
            after = (part for later in prompt.turns[i + 1 :] for part in later.parts)
            results = tuple(part for part in after if isinstance(part, Answered))
            return Task(found[1], _absolute(found[1], prompt), found[2], found[3], results)
        if turn.own_words and not any(isinstance(part, Answered) for part in turn.parts):
            return None  # the user has moved on
    return None


def _absolute(file: str, prompt: Prompt) -> str:
    if file.startswith("/"):
        return file
    folders = [found[1] for turn in prompt.turns if (found := _FOLDER.search(turn.text))]
    return f"{folders[0].rstrip('/')}/{file}" if folders else file


# ── one plan for each set of tools ───────────────────────────────────────────────────────────────────────────────


def _plan(tools: list[Tool]) -> Plan | None:
    named = {tool.short.lower(): tool for tool in tools}
    reading = "Reading {file}."
    editing = "Now the edit."
    if "read" in named and "edit" in named:
        read, edit = named["read"], named["edit"]
        return (reading, lambda task: _read(read, task)), (editing, lambda task: _edit(edit, task))
    if "exec" in named and named["exec"].takes_text:
        script = named["exec"]
        return (reading, lambda task: _js_read(script, task)), (editing, lambda task: _js_edit(script, task))
    shell = next((named[name] for name in ("exec_command", "shell", "shell_command", "bash") if name in named), None)
    if shell is None:
        return None
    patch = named.get("apply_patch")
    if patch is not None:
        return (reading, lambda task: _cat(shell, task)), (editing, lambda task: _patch(patch, task))
    return (reading, lambda task: _cat(shell, task)), (editing, lambda task: _sed(shell, task))


def _call(tool: Tool, arguments: Json) -> Call:
    return Call(tool.name, orjson.dumps(arguments).decode(), "function", tool.namespace)


def _fields(tool: Tool) -> Json:
    fields: Json = (tool.schema or {}).get("properties") or {}
    return fields


def _read(tool: Tool, task: Task) -> Call:
    return _call(tool, {"filePath" if "filePath" in _fields(tool) else "file_path": task.file})


def _edit(tool: Tool, task: Task) -> Call:
    old, new = task.old, task.new
    if _shown(task).count(old) > 1:  # editors want a place that is the only one of its kind
        line = _NUMBERED.sub("", _line(task))
        old, new = line, line.replace(task.old, task.new, 1)
    if "filePath" in _fields(tool):
        return _call(tool, {"filePath": task.file, "oldString": old, "newString": new})
    return _call(tool, {"file_path": task.file, "old_string": old, "new_string": new})


def _shown(task: Task) -> str:
    return task.results[0].text if task.results else ""


def _line(task: Task) -> str:
    """The line that holds the old words, as the reading showed it."""
    return next((line for line in _shown(task).splitlines() if task.old in line), task.old)


def _shell(tool: Tool, command: str) -> Call:
    fields = _fields(tool)
    if "cmd" in fields:
        return _call(tool, {"cmd": command})
    listed = fields.get("command", {}).get("type") == "array"
    return _call(tool, {"command": ["bash", "-lc", command] if listed else command})


def _cat(tool: Tool, task: Task) -> Call:
    return _shell(tool, f"cat {shlex.quote(task.file)}")


def _sed(tool: Tool, task: Task) -> Call:
    old = re.sub(r"([][\\/.*^$])", r"\\\1", task.old)
    new = re.sub(r"([\\/&])", r"\\\1", task.new)
    return _shell(tool, f"sed -i {shlex.quote(f's/{old}/{new}/')} {shlex.quote(task.file)}")


def _patch_text(task: Task) -> str:
    line = _line(task)
    changed = line.replace(task.old, task.new, 1)
    return f"*** Begin Patch\n*** Update File: {task.file}\n@@\n-{line}\n+{changed}\n*** End Patch\n"


def _patch(tool: Tool, task: Task) -> Call:
    return _with_text(tool, _patch_text(task))


def _with_text(tool: Tool, text: str) -> Call:
    if tool.kind == "custom":
        return Call(tool.name, text, "custom", tool.namespace)
    field = next(iter((tool.schema or {}).get("required") or ["input"]))
    return _call(tool, {field: text})


def _js_read(tool: Tool, task: Task) -> Call:
    command = orjson.dumps(f"cat {shlex.quote(task.file)}").decode()
    return _with_text(tool, f"const r = await tools.exec_command({{cmd: {command}}}); text(r.output);")


def _js_edit(tool: Tool, task: Task) -> Call:
    return _with_text(tool, f"const r = await tools.apply_patch({orjson.dumps(_patch_text(task)).decode()}); text(r);")

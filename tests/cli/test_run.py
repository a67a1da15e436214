"""`ekai run`: what a coding agent is started with, seen by programs that stand in for Claude Code and Codex."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.live import Live, gateway

_STAND_IN = """#!{python}
import json, os, sys, time
if sys.argv[1:] == ["debug", "models", "--bundled"]:
    print({bundled!r})
    sys.exit({debug})
home = os.environ.get("CODEX_HOME")
files = {{}}
for folder, _, names in os.walk(home or os.devnull, followlinks=True):
    files |= {{os.path.relpath(os.path.join(folder, name), home): open(os.path.join(folder, name)).read() for name in names}}
json.dump({{"argv": sys.argv, "environment": dict(os.environ), "files": files}}, open({seen!r} + ".new", "w"))
os.rename({seen!r} + ".new", {seen!r})
if "wait" in sys.argv:
    time.sleep(60)
if "converse" in sys.argv:
    open(os.path.join(home, "sessions", "talk.jsonl"), "w").write("hello")
sys.exit(7)
"""

_PLAIN = {
    "slug": "gpt-5.5", "display_name": "GPT-5.5", "upgrade": {"model": "gpt-6-sol"}, "priority": 13, "visibility": "list",
    "context_window": 272000, "max_context_window": 272000, "base_instructions": "You are Codex, an agent based on GPT-5.",
    "input_modalities": ["text", "image"], "apply_patch_tool_type": "freeform", "service_tiers": [{"id": "priority"}],
    "default_service_tier": "priority", "support_verbosity": True, "availability_nux": {"message": "Try it!"},
}  # fmt: skip
_SCRIPTED = {**_PLAIN, "slug": "gpt-6.1-sol", "tool_mode": "code_mode_only", "priority": 1}


@dataclass(frozen=True, slots=True)
class Seat:
    """A user at a terminal: a folder of programs, a home, a token."""

    folder: Path
    variables: dict[str, str]
    client: httpx.Client

    def install(self, name: str, bundled: str = json.dumps({"models": [_SCRIPTED, _PLAIN]}), debug: int = 0) -> None:
        script = self.folder / "bin" / name
        seen = str(self.folder / "seen.json")
        script.write_text(_STAND_IN.format(python=sys.executable, seen=seen, bundled=bundled, debug=debug))
        script.chmod(0o755)

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli.main", "run", *arguments]
        variables = {**self.variables, **more}
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=variables, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str, **more: str) -> tuple[int, str]:
        """The exit code, and what stood on standard error."""
        process = self.start(*arguments, **more)
        told = process.communicate(timeout=60)[1]
        return process.returncode, told

    def seen(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "seen.json").read_text())
        return found

    @property
    def token(self) -> str:
        return self.variables["EKAI_TOKEN"]

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "config").glob("*"))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def seat(live: Live, tmp_path: Path) -> Seat:
    client = live.caller("gpt-5.5", "claude-haiku-4-5", "gemini-2.5-pro")
    (tmp_path / "bin").mkdir()
    variables = {
        "PATH": str(tmp_path / "bin"),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "EKAI_URL": live.url,
        "EKAI_TOKEN": client.headers["authorization"].removeprefix("Bearer "),
        "EKAI_CONFIG_DIR": str(tmp_path / "config"),
    }
    return Seat(tmp_path, variables, client)


def _limits(seat: Seat, model: str) -> tuple[int, int]:
    entry = seat.client.get(f"/v1/models/{model}").raise_for_status().json()
    return entry["context_length"], entry["max_output_tokens"]


# ── Claude Code ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_claude_gets_the_gateway_the_token_and_the_first_preference(seat: Seat) -> None:
    seat.install("claude")
    code, told = seat.run("claude", "--", "-p", "hello", "--model", "opus")
    assert (code, told) == (7, "")
    seen = seat.seen()
    variables = seen["environment"]
    assert variables["ANTHROPIC_BASE_URL"] == seat.variables["EKAI_URL"]
    assert variables["ANTHROPIC_AUTH_TOKEN"] == seat.token
    assert variables["ANTHROPIC_MODEL"] == "claude-ekai-gpt-5.5"
    assert variables["CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"] == "1"
    assert variables["ANTHROPIC_DEFAULT_OPUS_MODEL"] == "claude-ekai-gpt-5.5"
    assert variables["ANTHROPIC_DEFAULT_OPUS_MODEL_NAME"] == "GPT-5.5"
    assert variables["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "claude-haiku-4-5"
    assert variables["ANTHROPIC_DEFAULT_HAIKU_MODEL_NAME"] == "Claude Haiku 4.5"
    window, most = _limits(seat, "gpt-5.5")
    assert variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(window)
    assert variables["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == str(most)
    assert "CLAUDE_CODE_AUTO_COMPACT_WINDOW" not in variables
    assert seen["argv"][-4:] == ["-p", "hello", "--model", "opus"]


def test_claude_settings_repeat_everything_but_the_token(seat: Seat) -> None:
    seat.install("claude")
    seat.run("claude")
    seen = seat.seen()
    option, settings = seen["argv"][1:]
    assert option == "--settings"
    repeated = json.loads(settings)["env"]
    assert repeated["ANTHROPIC_BASE_URL"] == seat.variables["EKAI_URL"]
    assert repeated.items() <= seen["environment"].items()
    assert seat.token not in " ".join(seen["argv"])


def test_claude_loses_the_users_own_ways_to_anthropic(seat: Seat) -> None:
    seat.install("claude")
    own = {
        "ANTHROPIC_API_KEY": "sk-ant-canary",
        "ANTHROPIC_CUSTOM_HEADERS": "authorization: Bearer canary",
        "CLAUDE_CODE_OAUTH_TOKEN": "canary",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_SMALL_FAST_MODEL": "canary",
        "ANTHROPIC_BASE_URL": "http://canary.example",
        "ANTHROPIC_MODEL": "canary",
    }
    seat.run("claude", **own, EDITOR="vi")
    variables = seat.seen()["environment"]
    assert "canary" not in json.dumps(variables)
    assert "CLAUDE_CODE_USE_BEDROCK" not in variables
    assert variables["EDITOR"] == "vi"


def test_claude_may_ask_for_another_preference_by_any_of_its_names(seat: Seat) -> None:
    seat.install("claude")
    code, told = seat.run("claude", "--model", "anthropic/claude-haiku-4.5")
    assert (code, told) == (7, "")
    variables = seat.seen()["environment"]
    assert variables["ANTHROPIC_MODEL"] == "anthropic/claude-haiku-4.5"
    assert variables["CLAUDE_CODE_MAX_CONTEXT_TOKENS"] == str(_limits(seat, "claude-haiku-4-5")[0])


@pytest.mark.parametrize("name", ["claude-opus-4-8", "no-such-model"])
def test_claude_is_told_who_answers_under_a_name_that_is_no_preference(seat: Seat, name: str) -> None:
    seat.install("claude")
    code, told = seat.run("claude", "--model", name)
    assert (code, told) == (7, f"{name} is not among your models, so gpt-5.5 will answer.\n")
    assert seat.seen()["environment"]["CLAUDE_CODE_AUTO_COMPACT_WINDOW"] == str(_limits(seat, "gpt-5.5")[0])


# ── Codex ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_codex_gets_a_folder_of_its_own_which_is_gone_afterwards(seat: Seat) -> None:
    seat.install("codex")
    code, told = seat.run("codex", "--", "exec", "hello")
    assert (code, told) == (7, "")
    seen = seat.seen()
    assert seen["argv"][1:] == ["exec", "hello"]
    assert seen["environment"]["EKAI_TOKEN"] == seat.token
    config = tomllib.loads(seen["files"]["config.toml"])
    assert config["model"] == "gpt-5.5"
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == f"{seat.variables['EKAI_URL']}/v1"
    assert (provider["env_key"], provider["wire_api"]) == ("EKAI_TOKEN", "responses")
    assert config["model_catalog_json"] == f"{seen['environment']['CODEX_HOME']}/models.json"
    assert config["shell_environment_policy"]["exclude"] == ["EKAI_TOKEN"]
    assert seat.token not in json.dumps([seen["files"], seen["argv"]])
    assert not Path(seen["environment"]["CODEX_HOME"]).exists()
    assert seat.leftovers() == ["codex-sessions"]


def test_codex_knows_every_preference_with_the_gateways_limits(seat: Seat) -> None:
    seat.install("codex")
    seat.run("codex")
    models = json.loads(seat.seen()["files"]["models.json"])["models"]
    assert [(model["slug"], model["priority"]) for model in models] == [
        ("gpt-5.5", 0),
        ("claude-haiku-4-5", 1),
        ("gemini-2.5-pro", 2),
    ]
    known, haiku, gemini = models
    assert (known["context_window"], known["base_instructions"]) == (272000, _PLAIN["base_instructions"])
    assert haiku["context_window"] == haiku["max_context_window"] == _limits(seat, "claude-haiku-4-5")[0]
    assert gemini["context_window"] == _limits(seat, "gemini-2.5-pro")[0]
    assert "GPT" not in json.dumps(haiku)
    assert haiku["apply_patch_tool_type"] == "freeform"
    for model in models:
        assert model["upgrade"] is model["availability_nux"] is None
        assert not {"default_service_tier", "tool_mode"} & model.keys()


def test_codex_keeps_its_own_tools_for_a_model_of_its_own_that_another_serves(seat: Seat) -> None:
    seat.install("codex")
    code, told = seat.run("codex", "--model", "gpt-6.1-sol", CODEX_HOME="")
    assert (code, told) == (7, "gpt-6.1-sol is not among your models, so gpt-5.5 will answer.\n")
    files = seat.seen()["files"]
    first = json.loads(files["models.json"])["models"][0]
    assert tomllib.loads(files["config.toml"])["model"] == first["slug"] == "gpt-6.1-sol"
    assert first["tool_mode"] == "code_mode_only"


def test_codex_keeps_what_the_user_lets_it_do_and_not_whom_it_talks_to(seat: Seat) -> None:
    seat.install("codex")
    own = seat.folder / "own"
    own.mkdir()
    (own / "AGENTS.md").write_text("Write tests first.")
    (own / "auth.json").write_text("canary")
    settings = """
        model = "canary"
        model_provider = "canary"
        approval_policy = "never"
        [model_providers.canary]
        base_url = "http://canary.example"
        [projects."/srv/my \\"project\\""]
        trust_level = "trusted"
        [mcp_servers.docs]
        command = "docs"
        args = ["--port", 'a\\b', "ü"]
        startup_timeout_sec = 1.5
        since = 2026-11-24
    """
    (own / "config.toml").write_text(settings)
    seat.run("codex", CODEX_HOME=str(own))
    files = seat.seen()["files"]
    config = tomllib.loads(files["config.toml"])
    for kept in ("approval_policy", "projects", "mcp_servers"):
        assert config[kept] == tomllib.loads(settings)[kept]
    assert "canary" not in json.dumps(files)
    assert files["AGENTS.md"] == "Write tests first."
    assert (own / "config.toml").read_text() == settings


def test_codex_finds_its_conversations_again(seat: Seat) -> None:
    seat.install("codex")
    seat.run("codex", "--", "converse")
    seat.run("codex")
    assert seat.seen()["files"]["sessions/talk.jsonl"] == "hello"


@pytest.mark.parametrize(("bundled", "debug"), [("", 2), ("no JSON", 0), ("{}", 0), ('{"models": []}', 0)])
def test_codex_works_without_a_catalogue_and_says_so(seat: Seat, bundled: str, debug: int) -> None:
    seat.install("codex", bundled, debug)
    code, told = seat.run("codex")
    assert code == 7
    assert told.startswith("Codex goes without a model catalogue")
    files = seat.seen()["files"]
    assert "model_catalog_json" not in tomllib.loads(files["config.toml"])
    assert "models.json" not in files


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_codex_is_stopped_with_the_command_and_the_folder_goes(seat: Seat, number: signal.Signals) -> None:
    seat.install("codex")
    process = seat.start("codex", "--", "wait")
    end = time.monotonic() + 30
    while not (seat.folder / "seen.json").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert seat.leftovers() == ["codex-sessions"]


def test_codex_settings_that_cant_be_read_are_named(seat: Seat) -> None:
    seat.install("codex")
    own = seat.folder / ".codex"
    own.mkdir()
    (own / "config.toml").write_text("model = ")
    code, told = seat.run("codex")
    assert code == 1
    assert told.startswith(f"error: Your Codex settings, {own / 'config.toml'}, can't be read: ")
    assert told.count("\n") == 1


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("agent", ["claude", "codex"])
def test_what_is_missing_is_one_line(seat: Seat, agent: str) -> None:
    code, told = seat.run(agent)
    assert (code, told.count("\n")) == (1, 1)
    assert told.startswith(f"error: `{agent}` is not on your PATH. Install it with: npm install -g @")

    seat.install(agent)
    code, told = seat.run(agent, EKAI_TOKEN="")
    assert (code, told.count("\n")) == (1, 1)
    assert "You are not logged in at" in told
    assert "ekai login" in told

    code, told = seat.run(agent, EKAI_URL="http://127.0.0.1:9")
    assert (code, told.count("\n")) == (1, 1)
    assert "No gateway answers at http://127.0.0.1:9" in told

    seat.client.put("/user/preferences", json={"model_preferences": None}).raise_for_status()
    code, told = seat.run(agent)
    assert (code, told) == (1, "error: You have no models yet: `ekai prefs set MODEL …`; `ekai models` lists them.\n")
    assert not (seat.folder / "seen.json").exists()
    assert os.listdir(seat.folder / "bin") == [agent]

"""`ekai run`: starts a coding agent against the gateway, with the right variables and settings, and ends as it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated

import orjson
import typer

from cli import claude_code, codex_home
from cli.agents import Models, models, program
from cli.client import Client
from cli.options import URL, Url

agents = typer.Typer(help="Start a coding agent against the gateway.", no_args_is_help=True)

Wanted = Annotated[str | None, typer.Option("--model", help="The model to use; your first preference if left out.")]
Arguments = Annotated[list[str] | None, typer.Argument(help="What the agent is to be given, after `--`.")]


def add_to(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(agents, name="run")


@agents.command()
def claude(args: Arguments = None, model: Wanted = None, url: Url = URL) -> None:
    """Start Claude Code: `ekai run claude -- -p "Explain this repository"`."""
    path = program("claude", claude_code.INSTALL)
    client = Client(url)
    token = client.token()
    chosen = models(client, model)
    environment = claude_code.environment(os.environ, url, token, chosen)
    sys.stdout.flush()
    os.execve(path, ["claude", *claude_code.arguments(url, chosen), *(args or ())], environment)  # noqa: S606


@agents.command()
def codex(args: Arguments = None, model: Wanted = None, url: Url = URL) -> None:
    """Start Codex: `ekai run codex -- exec "Explain this repository"`."""
    path = program("codex", codex_home.INSTALL)
    client = Client(url)
    token = client.token()
    chosen = models(client, model)
    own = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex")
    with codex_home.codex_home(own, url, chosen) as folder:
        environment = {**os.environ, "CODEX_HOME": str(folder), codex_home.TOKEN: token}
        _describe_models(path, folder, environment, chosen)
        code = _finished([path, *(args or ())], environment)
    sys.exit(code)


def _describe_models(path: str, folder: Path, environment: Mapping[str, str], chosen: Models) -> None:
    """Without a catalogue Codex still works: it warns, and takes the limits of some model of OpenAI's for granted."""
    command = [path, "debug", "models", "--bundled"]
    try:
        asked = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=30)  # noqa: S603
        codex_home.add_catalog(folder, asked.stdout, chosen)
    except (subprocess.SubprocessError, orjson.JSONDecodeError, LookupError, TypeError) as error:
        typer.echo(f"Codex goes without a model catalogue: it doesn't tell its own ({type(error).__name__}).", err=True)


def _finished(command: list[str], environment: Mapping[str, str]) -> int:
    """Runs it to its end in this terminal. The exit code is the program's, or 128 + the signal that ended it."""
    child = subprocess.Popen(command, env=environment)  # noqa: S603

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    def leave(number: int, frame: FrameType | None) -> None:
        """Ctrl-C reaches the program from the terminal itself."""

    for number, handler in (
        (signal.SIGINT, leave),
        (signal.SIGQUIT, leave),
        (signal.SIGTERM, pass_on),
        (signal.SIGHUP, pass_on),
    ):
        signal.signal(number, handler)
    code = child.wait()
    return code if code >= 0 else 128 - code

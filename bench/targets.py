"""What is measured: the provider asked directly, nginx before it, the gateway in its variants, other gateways."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

import httpx

from bench.cases import ENDS, PATHS, Case
from bench.load import Question, request
from bench.processes import BUILD, ROOT, StartError, command, cores, family, free_port, wait_for
from bench.upstream import EVENTS
from shared.dialects import Api

_SECONDS = 20
NOT_OFFERED = "not offered"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that answers. `models`: what to ask for, so that a client of one API is answered by a provider of the other
    dialect; what isn't there can't be done. `pids`: its processes; none for the provider itself."""

    name: str
    port: int
    models: Mapping[tuple[Api, Api], str]
    pid: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    headers_for: Mapping[Api, Mapping[str, str]] = field(default_factory=dict)
    version: str = ""
    workers: int = 1

    @property
    def pids(self) -> list[int]:
        """All its processes."""
        return family(self.pid) if self.pid is not None else []

    def question(self, case: Case) -> Question | None:
        """What is sent in this case; None if it can't be done."""
        model = self.models.get((case.client, case.upstream))
        if model is None:
            return None
        headers = {**self.headers, **self.headers_for.get(case.upstream, {})}
        raw = request(PATHS[case.client], headers, case.body(model))
        return Question(raw, ENDS[case.client] if case.stream else b"")

    def trouble(self, case: Case) -> str:
        """Asks once; says what is wrong with the reply, or nothing when all its words are there."""
        model = self.models.get((case.client, case.upstream))
        if model is None:
            return NOT_OFFERED
        headers = {"content-type": "application/json", **self.headers, **self.headers_for.get(case.upstream, {})}
        url = f"http://127.0.0.1:{self.port}{PATHS[case.client]}"
        try:
            reply = httpx.post(url, content=case.body(model), headers=headers, timeout=60, trust_env=False)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        if reply.status_code != 200:
            return f"{reply.status_code}: {reply.text[:200]}"
        # OpenAI's Responses API repeats the whole text in its last events.
        repeated = 3 if case.stream and case.client == "responses" else 0
        words = reply.text.count("word ") - repeated * EVENTS
        return "" if words >= EVENTS else f"{words} of {EVENTS} words came"


Opened = AbstractContextManager[Target]
Opener = Callable[[int, Path], Opened]
"""Starts a target for the provider at a port, with a folder of its own."""

NATIVE: Mapping[tuple[Api, Api], str] = {
    ("chat_completions", "chat_completions"): "gpt-4o",
    ("messages", "messages"): "claude-haiku-4-5",
    ("responses", "responses"): "gpt-4o",
}


@contextmanager
def direct(provider: int, folder: Path) -> Iterator[Target]:
    """Nothing between the load and the provider."""
    yield Target("direct", provider, NATIVE)


@contextmanager
def nginx(provider: int, folder: Path) -> Iterator[Target]:
    """A reverse proxy that does nothing else: the limit. Debian's package, installed or unpacked under build/bench.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html
    """
    program = shutil.which("nginx") or shutil.which(BUILD / "nginx" / "nginx")
    if program is None:
        raise StartError("nginx isn't installed (apt-get install nginx, or bench/peers/install.sh)")
    port, file = free_port(), folder / "nginx.conf"
    template = Template((ROOT / "bench" / "peers" / "nginx.conf").read_text())
    file.write_text(template.substitute(folder=folder, port=port, provider=provider))
    words = [program, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")]
    with command(words, where=cores()[:1], folder=folder) as running:
        wait_for(f"http://127.0.0.1:{port}/", running, _SECONDS)
        told = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
        yield Target("nginx", port, NATIVE, running.pid, version=told.strip().rpartition("/")[2])

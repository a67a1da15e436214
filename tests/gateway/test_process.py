"""The gateway as a process: starts, refuses to start, ends its streams, survives `kill -9`."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.gateway.live import KEYS, Live
from tests.gateway.provider import Provider, sse_reply
from tests.gateway.wire import CHAT

ROOT = Path(__file__).parents[2]


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    own = {
        "DATABASE_PATH": str(folder / "gateway.db"),
        "EKAI_CONFIG_DIR": str(folder / "config"),
        "PYTHONPATH": str(ROOT),
    }
    return {**kept, **own, **settings}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ekai serve` in a process of its own."""
    port = _free_port()
    command = [sys.executable, "-m", "cli.main", "serve"]
    environment = _environment(folder, PORT=str(port), **settings)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(process, port)
        yield process, url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=20)


def _await(process: subprocess.Popen[str], port: int) -> None:
    """Until it listens; a plain socket asks, since the process needs the cores more."""
    end = time.monotonic() + 40
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)
    httpx.get(f"http://127.0.0.1:{port}/health", timeout=40).raise_for_status()


def _refused(folder: Path, **settings: str) -> str:
    command = [sys.executable, "-m", "cli.main", "serve"]
    done = subprocess.run(
        command, cwd=folder, env=_environment(folder, **settings), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_does_not_serve_the_operators_keys_to_the_world(tmp_path: Path) -> None:
    assert "ALLOWED_ADDRESSES" in _refused(tmp_path, HOST="0.0.0.0", OPENAI_API_KEY="sk-secret")
    assert "sk-secret" not in _refused(tmp_path, HOST="0.0.0.0", OPENAI_API_KEY="sk-secret")


def test_settings_that_are_wrong_are_named(tmp_path: Path) -> None:
    assert "PORT" in _refused(tmp_path, PORT="many")
    assert "MAX_ATTEMPTS" in _refused(tmp_path, MAX_ATTEMPTS="0")


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = _refused(tmp_path, PORT=port)
    assert port in told
    assert told.count("\n") == 1


def test_nothing_configured_is_a_demo_with_a_line_to_paste(tmp_path: Path) -> None:
    with started(tmp_path, WORKERS="1") as (process, url):
        os.kill(process.pid, 0)
        lines = _first_lines(process, "curl")
        assert "demo" in lines
        curl = next(line for line in lines.splitlines() if line.startswith("curl"))
        answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=30).stdout
        assert answer.count("data: ") > 3
        assert answer.endswith("data: [DONE]\n\n")
    assert (tmp_path / "wallet.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "gateway.db").stat().st_mode & 0o077 == 0
    with started(tmp_path, WORKERS="1") as (process, _):
        lines = _first_lines(process, "Mode")
        assert "token (shown" not in lines or str(url) not in lines


def _first_lines(process: subprocess.Popen[str], until: str) -> str:
    assert process.stdout is not None
    lines = ""
    for line in process.stdout:
        lines += line
        if line.startswith(until):
            break
    return lines


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_lets_streams_end(tmp_path: Path, workers: str) -> None:
    provider = Provider()
    provider.script = lambda asked: sse_reply(*CHAT.events[:2], 1.0, *CHAT.events[2:])
    settings = {"OPENAI_API_KEY": KEYS["OPENAI_API_KEY"], "OPENAI_UPSTREAM_URL": provider.url, "WORKERS": workers}
    try:
        with started(tmp_path, **settings) as (process, url):
            client = Live(url, provider, tmp_path).caller("gpt-4o")
            with client.stream("POST", CHAT.path, json=CHAT.body(stream=True)) as reply:
                pieces = reply.iter_raw()
                first = next(pieces)
                process.send_signal(signal.SIGTERM)
                assert (first + b"".join(pieces)).endswith(b"data: [DONE]\n\n")
            client.close()
            assert process.wait(20) == 0
    finally:
        provider.close()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("SELECT outcome FROM usage").fetchall() == [("complete",)]


def test_kill_9_under_load_leaves_a_database_that_opens(tmp_path: Path) -> None:
    provider = Provider()
    provider.script = lambda asked: sse_reply(*CHAT.events)
    settings = {"OPENAI_API_KEY": KEYS["OPENAI_API_KEY"], "OPENAI_UPSTREAM_URL": provider.url, "WORKERS": "2"}
    finished: list[str] = []
    try:
        for _ in range(3):
            with started(tmp_path, **settings) as (process, url):
                client = Live(url, provider, tmp_path).caller("gpt-4o")
                users = [threading.Thread(target=_use, args=(url, dict(client.headers), finished)) for _ in range(4)]
                for user in users:
                    user.start()
                time.sleep(0.5)
                os.killpg(process.pid, signal.SIGKILL)
                for user in users:
                    user.join(20)
                client.close()
    finally:
        provider.close()
    with closing(sqlite3.connect(tmp_path / "gateway.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = {row[0] for row in connection.execute("SELECT id FROM usage WHERE outcome = 'complete'")}
    assert len(finished) > 20
    assert set(finished) <= rows


def _use(url: str, headers: dict[str, str], finished: list[str]) -> None:
    with httpx.Client(base_url=url, headers=headers, timeout=10) as client:
        while True:
            try:
                reply = client.post(CHAT.path, json=CHAT.body(stream=True))
            except httpx.HTTPError:
                return
            if reply.content.endswith(b"[DONE]\n\n"):
                finished.append(reply.headers["x-request-id"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_crash_leaves_no_core_file(tmp_path: Path, workers: str) -> None:
    """Memory holds keys and prompts."""
    allowed = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (allowed[1], allowed[1]))
    try:
        with started(tmp_path, WORKERS=workers) as (process, _):
            group = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _in_group(pid, process.pid)]
            assert len(group) >= int(workers)
            for pid in group:
                limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
                [core] = [line.split() for line in limits if line.startswith("Max core file size")]
                assert core[4:6] == ["0", "0"]
            os.killpg(process.pid, signal.SIGABRT)
            process.wait(20)
            assert [file.name for file in tmp_path.iterdir() if file.name.startswith("core")] == []
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, allowed)


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False


def test_a_token_survives_a_restart_and_a_logout_holds_for_all_workers(tmp_path: Path) -> None:
    provider = Provider()
    try:
        with started(tmp_path, WORKERS="2") as (_, url):
            client = Live(url, provider, tmp_path).caller()
            token = client.headers["authorization"]
            client.close()
        with started(tmp_path, WORKERS="2") as (_, url):
            headers = {"authorization": token}
            assert httpx.get(f"{url}/user/preferences", headers=headers).status_code == 200
            assert httpx.post(f"{url}/auth/logout", headers=headers).status_code == 204
            assert {httpx.get(f"{url}/user/preferences", headers=headers).status_code for _ in range(12)} == {401}
    finally:
        provider.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_signal_reads_the_catalog_anew(tmp_path: Path, workers: str) -> None:
    with started(tmp_path, WORKERS=workers) as (process, url):
        before = httpx.get(f"{url}/v1/models").json()["total"]
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert {httpx.get(f"{url}/v1/models").json()["total"] for _ in range(8)} == {before}
        assert process.poll() is None

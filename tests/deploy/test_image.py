"""The image, made by the Dockerfile's own steps in an empty folder, and started as compose.yaml starts it."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shutil
import signal
import site
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from importlib import metadata
from pathlib import Path

import httpx
import orjson
import pytest
import yaml
from docker_image import Stage, assemble, context
from packaging.requirements import Requirement

from emulator.appd import FakeAppd
from shared.version import VERSION

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
OPTIONAL = ("boto3", "botocore")  # STORE=dynamodb, for AWS Lambda
SHIPPED = ("catalog", "emulator", "functions", "shared")
KNOWN_KEY = "0xab99861d5847e01151798b269f56413d6e79e435272487a3b3e010c73f594a13"
CANARY = "operator-canary-4f1d"

# The Python at hand may lie where root alone can look: reading is granted on top, and neither writing nor connecting.
READING = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
AS_OWN_USER = ("setpriv", "--reuid=10001", "--regid=0", "--clear-groups", *READING)
AS_BARE_ROOT = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")


def can(through: Sequence[str]) -> bool:
    """Whether we may become that user: it takes root, and in a container the capabilities, too."""
    found = shutil.which(through[0])
    return (
        found is not None
        and subprocess.run([found, *through[1:], "true"], check=False, capture_output=True).returncode == 0
    )


as_own_user = pytest.mark.skipif(not can(AS_OWN_USER), reason="becoming another user takes root")
as_bare_root = pytest.mark.skipif(not can(AS_BARE_ROOT), reason="giving capabilities away takes root")


def lent(stage: Stage, command: str) -> bool:
    """The packages of the environment at hand, in place of those that pip would fetch: they are the lock's own (see below)."""
    if not command.startswith("python -m pip"):
        return False
    [packages] = stage.at("/opt/gateway/lib").glob("python3.*/site-packages")
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()))
    return True


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        os.chmod(folder, 0o755)
        yield assemble(ROOT, Path(folder), lent)


def compose_env(**secrets: str) -> dict[str, str]:
    """The service's environment in compose.yaml, with secrets in the place of `${NAME:-}`."""
    written = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["gateway"]["environment"]
    return {
        name: re.sub(r"\$\{(\w+):-\}", lambda found: secrets.get(found[1], ""), value)
        for name, value in written.items()
    }


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    image: Stage, env: Mapping[str, str], through: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server as the image starts it, and its address; `through` is what makes it another user first."""
    port = a_port()
    settings = {name: image.moved(value) for name, value in image.env.items()}
    settings |= {"HOST": "127.0.0.1", "PORT": str(port), "SHUTDOWN_GRACE": "5", **env}
    _, *arguments = image.settings["CMD"].words
    with subprocess.Popen(
        [*through, image.moved("/opt/gateway/bin/python"), *arguments],
        cwd=image.here,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):  # all of it has ended, as it should
                os.killpg(process.pid, signal.SIGKILL)


def asked(process: subprocess.Popen[str], url: str, seconds: float = 45) -> httpx.Response:
    """The answer, as soon as there is one."""
    end = time.monotonic() + seconds
    while True:
        try:
            return httpx.get(url, timeout=5, trust_env=False)
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no server (exit code {process.poll()}): {stopped(process)[1]}") from None
            time.sleep(0.05)


def stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code after SIGTERM, and all that was printed."""
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=45)
    return process.returncode, printed


@contextmanager
def appd(path: Path) -> Iterator[Path]:
    """A stand-in for appd whose socket has the mode of the real one: root's, 0755."""
    loop = asyncio.new_event_loop()
    ready, done = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with FakeAppd().serve(str(path)):
            os.chmod(path, 0o755)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield path
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="appd-") as folder:  # short: a UNIX socket's path has at most 107 bytes
        os.chmod(folder, 0o755)
        with appd(Path(folder) / "appd.sock") as path:
            yield path


# ── what is in it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_base_is_slim_python_for_amd64_pinned_by_digest(image: Stage) -> None:
    assert re.fullmatch(r"docker\.io/library/python:3\.1[3-9]\.\d+-slim-\w+@sha256:[0-9a-f]{64}", image.base)
    assert image.platform == "linux/amd64"


def test_holds_the_server_and_nothing_else(image: Stage) -> None:
    assert {entry.name for entry in image.here.iterdir()} == {*SHIPPED, "gateway", "LICENSE", "requirements.lock"}
    source = {path.relative_to(ROOT) for name in SHIPPED for path in (ROOT / name).rglob("*") if path.is_file()}
    left_out = ("__pycache__", "devchain", "node_modules")
    wanted = {path for path in source if not set(path.parts) & set(left_out) and path.name != "appd.py"} | {
        path for path in source if path == Path("shared/keys/appd.py")
    }
    held = {
        path.relative_to(image.here) for name in SHIPPED for path in (image.here / name).rglob("*") if path.is_file()
    }
    assert {path for path in held if "__pycache__" not in path.parts} == wanted


def test_own_code_is_compiled_and_not_checked_against_its_source(image: Stage) -> None:
    tag = sys.implementation.cache_tag
    for name in SHIPPED:
        for source in (image.here / name).rglob("*.py"):
            compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
            assert compiled.read_bytes()[4:8] == (0b01).to_bytes(4, "little"), source  # hash-based, unchecked: PEP 552


def test_a_build_never_sees_what_lies_about_in_a_working_copy(tmp_path: Path) -> None:
    wanted = [
        "LICENSE",
        "catalog/models/openai.yaml",
        "requirements.lock",
        "shared/keys/appd.py",
        "shared/store/sqlite.py",
    ]
    unwanted = [
        ".env", ".git/config", ".venv/lib/x.py", "Dockerfile", "cli/main.py", "contracts/node_modules/solc/index.js",
        "data/gateway.db", "data/wallet.key", "emulator/appd.py", "emulator/devchain/node.py", "functions/wallet.key",
        "shared/.env", "shared/keys/.env.local", "shared/__pycache__/a.cpython-313.pyc", "shared/a.db-wal", "shared/a.log",
        "catalog/node_modules/x/y.yaml", "shared/store/.DS_Store", "tests/test_x.py", "requirements-dev.lock",
    ]  # fmt: skip
    for name in (*wanted, *unwanted):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert context(tmp_path, (ROOT / ".dockerignore").read_text()) == sorted(wanted)


def test_dependencies_are_the_locks_wheels_checked_by_hash() -> None:
    [pip] = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "pip --python" in line]
    assert {"--require-hashes", "--only-binary=:all:"} <= set(pip.split())
    assert pip.endswith("-r requirements.lock")


def test_the_lock_is_what_is_lent() -> None:
    pinned = [(Requirement(entry.partition("--hash")[0]), entry) for entry in LOCK.splitlines() if entry.strip()]
    assert len(pinned) > 30
    for requirement, entry in pinned:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), requirement.name
        if requirement.marker is None or requirement.marker.evaluate():
            assert str(requirement.specifier) == f"=={metadata.version(requirement.name)}", requirement.name


def test_all_that_is_imported_is_in_the_lock(image: Stage) -> None:
    """What is lent holds more than the image would: the tools of development must not be missed there."""
    locked = {Requirement(entry.split()[0]).name for entry in LOCK.splitlines() if "==" in entry}
    providers = metadata.packages_distributions()
    for file in (path for name in SHIPPED for path in (image.here / name).rglob("*.py")):
        for module in imported(ast.parse(file.read_text())):
            if module in sys.stdlib_module_names or module in SHIPPED or module in OPTIONAL:
                continue
            names = {name.lower().replace("_", "-") for name in providers[module]}
            assert names & locked, f"{file.relative_to(image.here)} imports {module}"


def imported(tree: ast.Module) -> Iterator[str]:
    """The outermost names of all imports, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def test_settings_are_those_of_the_contract(image: Stage) -> None:
    wanted = {
        "HOST": "0.0.0.0",
        "PORT": "3001",
        "DATABASE_PATH": "/app/gateway/data/gateway.db",
        "LOG_FILE": "gateway/logs/gateway.log",
    }
    assert {name: image.env[name] for name in wanted} == wanted
    assert image.settings["EXPOSE"].text == "3001"
    assert image.settings["VOLUME"].text == "/app/gateway/data"
    assert image.settings["CMD"].text == '["python", "-m", "emulator"]'  # no shell between the signal and the server


# ── how it runs ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_serves_and_is_healthy_and_stops_with_exit_code_0(image: Stage) -> None:
    env = {"KEYS": "env", "ALLOWED_ADDRESSES": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "WORKERS": "1"}
    check = image.settings["HEALTHCHECK"]
    probe = check.text.partition("CMD ")[2]
    with started(image, env) as (process, url):
        health = asked(process, f"{url}/health").json()
        assert (health["status"], health["version"]) == ("healthy", VERSION)
        command = [image.moved("/opt/gateway/bin/python"), *orjson.loads(probe)[1:]]
        asks = {"PORT": url.rpartition(":")[2], "http_proxy": "http://127.0.0.1:9"}  # a proxy is no way to oneself
        assert subprocess.run(command, env=asks, check=False).returncode == 0
        code, printed = stopped(process)
        assert code == 0, printed
        assert subprocess.run(command, env=asks, check=False, capture_output=True).returncode != 0
    assert image.at("gateway/data/gateway.db").is_file()
    assert image.at("gateway/logs/gateway.log").is_file()


def test_refuses_to_serve_keys_of_the_environment_to_the_world(image: Stage) -> None:
    env = {"KEYS": "env", "HOST": "0.0.0.0", "OPENAI_API_KEY": "sk-never-shown"}
    with started(image, env) as (process, _):
        printed, _ = process.communicate(timeout=45)
    assert process.returncode == 1
    assert "ALLOWED_ADDRESSES" in printed
    assert "sk-never-shown" not in printed


def rofl(socket_path: Path) -> dict[str, str]:
    """As compose.yaml says, but for the two places outside this machine."""
    return compose_env(OPERATOR_TOKEN=CANARY) | {
        "ROFL_SOCKET_PATH": str(socket_path),
        "SAPPHIRE_RPC_URL": f"http://127.0.0.1:{a_port()}",
    }


@as_bare_root
def test_inside_rofl_root_without_capabilities_derives_the_key_and_serves(image: Stage, socket_path: Path) -> None:
    with started(image, rofl(socket_path), AS_BARE_ROOT) as (process, url):
        told = asked(process, f"{url}/rofl/public-key").json()
        assert (told["publicKey"], told["isInsideRofl"]) == (KNOWN_KEY, True)
        assert asked(process, f"{url}/health").status_code == 200
        ready = asked(process, f"{url}/health/ready").json()
        assert set(ready["problems"]) == {"keys"}  # the database can be written, and nobody answers for the chain
        headers = {"authorization": f"Bearer {CANARY}"}
        assert httpx.get(f"{url}/usage?scope=all", headers=headers, trust_env=False).status_code == 200
        code, printed = stopped(process)
    assert code == 0, printed
    assert f"ROFL PUBLIC KEY (for contract registration): {KNOWN_KEY}" in printed
    assert CANARY not in printed


@as_own_user
def test_inside_rofl_only_root_reaches_the_socket(image: Stage, socket_path: Path) -> None:
    with started(image, rofl(socket_path), AS_OWN_USER) as (process, url):
        answer = asked(process, f"{url}/rofl/public-key")
        assert answer.status_code == 503
        assert answer.json()["isInsideRofl"] is True
        assert stopped(process)[0] == 0


@as_own_user
def test_everywhere_else_it_runs_as_its_own_user(image: Stage) -> None:
    assert image.settings["USER"].text == "10001:0"
    env = {"KEYS": "chain", "ROFL_PRIVATE_KEY": "07" * 32, "SAPPHIRE_RPC_URL": f"http://127.0.0.1:{a_port()}"}
    files = [image.at("gateway/data/own.db"), image.at("gateway/logs/own.log")]
    own = {"DATABASE_PATH": str(files[0]), "LOG_FILE": str(files[1]), "ROFL_SOCKET_PATH": "/nowhere"}
    with started(image, env | own, AS_OWN_USER) as (process, url):
        assert asked(process, f"{url}/rofl/public-key").json()["isInsideRofl"] is False
        assert stopped(process)[0] == 0
    assert [file.stat().st_uid for file in files] == [10001, 10001]
    assert all(orjson.loads(line)["level"] for line in files[1].read_text().splitlines())


def test_a_copy_made_while_it_runs_brings_everything_back(image: Stage, tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "rofl.md").read_text()
    [statement] = re.findall(r'gateway\.db "(VACUUM INTO .*?)"$', guide, re.MULTILINE)
    database, copy = tmp_path / "gateway.db", tmp_path / "copy.db"
    env = {"KEYS": "chain", "WORKERS": "1", "OPERATOR_TOKEN": CANARY, "RECEIPTS": "off", "ROFL_SOCKET_PATH": "/nowhere"}
    env |= {"DATABASE_PATH": str(database), "LOG_FILE": str(tmp_path / "log")}
    operator = httpx.Client(headers={"authorization": f"Bearer {CANARY}"}, trust_env=False)
    with operator, started(image, env) as (process, url):
        asked(process, f"{url}/health")
        assert operator.put(f"{url}/budget", json={"amountUsd": 12.5}).status_code == 200
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute(statement.replace("gateway/data/backup.db", str(copy)))
        assert operator.put(f"{url}/budget", json={"amountUsd": 99}).status_code == 200
        assert stopped(process)[0] == 0
    for left in tmp_path.glob("gateway.db*"):
        left.unlink()
    copy.rename(database)
    with started(image, env) as (process, url):
        assert asked(process, f"{url}/budget").json()["amountUsd"] == 12.5
        assert stopped(process)[0] == 0

"""The `ekai` command against a whole gateway: what it prints, what it keeps, and that its errors are one clear line."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from coincurve import PrivateKey

from cli.main import run
from cli.wallet import Wallet
from shared.version import VERSION
from tests.gateway.live import Live, gateway
from tests.gateway.provider import json_reply
from tests.gateway.wire import CHAT


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that it failed with."""
        assert self.code == 1, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err


Ekai = Callable[..., Done]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with gateway(tmp_path_factory.mktemp("gateway"), COOLDOWN_SECONDS="0") as running:
        yield running


@pytest.fixture
def ekai(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Ekai]:
    """The command, for a user with a configuration folder and a wallet of their own."""
    for name in list(os.environ):
        if name.startswith(("EKAI_", "AUTH_", "SAPPHIRE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("EKAI_URL", live.url)
    monkeypatch.setenv("EKAI_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(PrivateKey().secret.hex() + "\n")

    def command(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["ekai", *words])
        code = 0
        try:
            run()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    yield command
    live.rest()


@pytest.fixture
def user(ekai: Ekai) -> Ekai:
    assert ekai("login", "--private-key-file", "key").code == 0
    return ekai


def printed(done: Done) -> dict[str, object]:
    assert (done.code, done.err) == (0, ""), done
    found: dict[str, object] = json.loads(done.out)
    return found


# ── login and logout ─────────────────────────────────────────────────────────────────────────────────────────────


def test_login_keeps_a_token_for_its_owners_eyes_alone(ekai: Ekai, live: Live, tmp_path: Path) -> None:
    done = ekai("login", "--private-key-file", "key")
    assert done.code == 0
    assert live.url in done.out
    assert "168 hours" in done.out
    file = tmp_path / "config" / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    [(url, token)] = json.loads(file.read_text()).items()
    assert url == live.url
    assert token not in done.out
    assert ekai("token").out == token + "\n"
    assert list(file.parent.iterdir()) == [file]  # nothing half written is left
    address = Wallet.read(tmp_path / "key").address
    assert address in done.out.lower()
    assert httpx.get(f"{live.url}/user/preferences", headers={"x-api-key": token}).json()["address"].lower() == address


def test_a_file_with_wider_rights_is_narrowed(ekai: Ekai, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "tokens.json"
    file.write_text('{"http://other:1": "kept"}')
    file.chmod(0o644)
    ekai("login", "--private-key-file", "key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["http://other:1"] == "kept"


def test_logout_here_and_there(user: Ekai, live: Live, tmp_path: Path) -> None:
    token = user("token").out.strip()
    assert user("logout").code == 0
    assert json.loads((tmp_path / "config" / "tokens.json").read_text()) == {}
    assert httpx.get(f"{live.url}/user/preferences", headers={"x-api-key": token}).status_code == 401
    assert "ekai login" in user("token").error
    assert "ekai login" in user("logout").error


def test_one_gateway_however_it_is_spelled(user: Ekai, live: Live) -> None:
    localhost = live.url.replace("127.0.0.1", "localhost") + "/"
    assert user("token", "--url", localhost).out == user("token").out
    assert "not logged in at http://127.0.0.1:1" in user("token", "--url", "http://127.0.0.1:1").error


def test_a_token_in_the_environment_comes_first(user: Ekai, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EKAI_TOKEN", "f" * 64)
    assert user("token").out == "f" * 64 + "\n"
    assert "AUTHENTICATION_ERROR" in user("prefs", "show").error


@pytest.mark.parametrize("token", ["ü", "a\nb", "\x00"])
def test_a_token_that_is_none(ekai: Ekai, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\0" in token:
        monkeypatch.setattr("cli.config.os.environ", {**os.environ, "EKAI_TOKEN": token})
    else:
        monkeypatch.setenv("EKAI_TOKEN", token)
    assert ekai("prefs", "show").error


@pytest.mark.parametrize(
    "content", ["", "0x", "11" * 31, "11" * 33, "zz" * 32, "00" * 32, "ff" * 32, b"\xff\xfe\x00", "11" * 32 + "\n" + "22" * 32]
)  # fmt: skip
def test_a_key_file_that_holds_no_key(ekai: Ekai, tmp_path: Path, content: str | bytes) -> None:
    file = tmp_path / "wrong"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = ekai("login", "--private-key-file", "wrong").error
    assert "wrong" in error
    assert "11" * 20 not in error  # nothing of a key is shown


def test_a_key_file_that_is_not_there(ekai: Ekai, tmp_path: Path) -> None:
    assert "data/wallet.key" in ekai("login").error
    assert "nothing" in ekai("login", "--private-key-file", "nothing").error
    assert ekai("login", "--private-key-file", str(tmp_path)).error


def test_a_wrong_chain_or_lifetime_is_the_gateways_word(ekai: Ekai) -> None:
    assert "AUTHENTICATION_ERROR" in ekai("login", "--private-key-file", "key", "--chain-id", "1").error
    assert "VALIDATION_ERROR" in ekai("login", "--private-key-file", "key", "--ttl", "10").error


# ── preferences and models ───────────────────────────────────────────────────────────────────────────────────────


def test_preferences(user: Ekai) -> None:
    assert "No models yet" in user("prefs", "show").out
    done = user("prefs", "set", "gpt-4o", "claude-haiku-4-5[1m]", "some-vendor/some-model")
    for name in ("gpt-4o", "claude-haiku-4-5[1m]", "some-vendor/some-model"):
        assert name in done.out
    shown = printed(user("prefs", "show", "--json"))
    assert shown["model_preferences"] == ["gpt-4o", "claude-haiku-4-5[1m]", "some-vendor/some-model"]
    assert printed(user("prefs", "pay-with", "own", "--json"))["api_address"] == shown["address"]
    assert "DELEGATE_NOT_PERMITTED" in user("prefs", "pay-with", "0x" + "11" * 20).error
    assert "`no-such-model`" in user("prefs", "set", "no-such-model").error
    assert printed(user("prefs", "clear", "--json"))["model_preferences"] is None


def test_models(user: Ekai) -> None:
    everything = printed(user("models", "--json"))
    assert everything["object"] == "list"
    done = user("models", "haiku")
    assert "claude-haiku-4-5" in done.out
    assert "gpt-4o" not in done.out
    assert "models" in done.out.splitlines()[-1]
    assert "grok-4" in user("models", "--provider", "xai").out
    user("prefs", "set", "gpt-4o")
    assert [model["id"] for model in printed(user("models", "--mine", "--json"))["data"]] == ["gpt-4o"]  # type: ignore[attr-defined]
    assert "0 models" in user("models", "there is no such model").out


def test_models_need_no_login(ekai: Ekai) -> None:
    assert "gpt-4o" in ekai("models").out
    assert "ekai login" in ekai("models", "--mine").error


# ── usage ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_usage(user: Ekai, live: Live) -> None:
    live.provider.script = lambda asked: json_reply(CHAT.whole)
    user("prefs", "set", "openai/gpt-4o")
    with httpx.Client(base_url=live.url, headers={"x-api-key": user("token").out.strip()}) as http:
        http.post(CHAT.path, json=CHAT.body())
        http.post(CHAT.path, content=b"{")
        http.post(CHAT.path, json={"model": "[/red]\x1b[31m[link=x]", "messages": []})
    done = user("usage")
    assert done.code == 0, done
    assert "complete" in done.out
    assert "$0.000400" in done.out
    assert "3 requests, 120 tokens" in done.out
    assert "[/red]" in done.out
    assert "\x1b" not in done.out
    found = printed(user("usage", "--json"))
    assert found["totalRequests"] == 3
    assert printed(user("usage", "--limit", "1", "--json"))["totalRequests"] == 3
    assert "0 requests" in user("usage", "--start", "2020-01-01", "--end", "2020-01-02").out
    assert "VALIDATION_ERROR" in user("usage", "--start", "soon").error
    assert "VALIDATION_ERROR" in user("usage", "--limit", "-3").error
    assert "AUTHENTICATION_ERROR" in user("usage", "--scope", "all").error
    assert user("usage", "--scope", "public").code == 0


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "nonsense", "http://[::1", "http://x.invalid:1", "", "http://127.0.0.1:99999"])  # fmt: skip
def test_nobody_is_there(ekai: Ekai, url: str) -> None:
    assert ekai("models", "--url", url).error


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"[]", b"null", b"{", b'"x"', b'{"data": 5}', b"{}", b"\xff\xfe"]
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_somebody_else_is_there(ekai: Ekai, body: bytes, content_type: str, status: int) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            assert ekai("models", "--url", f"http://127.0.0.1:{server.server_port}").error
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"x"'])
def test_a_spoiled_token_file_is_like_none(ekai: Ekai, tmp_path: Path, content: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tokens.json").write_text(content)
    assert "ekai login" in ekai("token").error
    assert ekai("login", "--private-key-file", "key").code == 0


def test_a_configuration_folder_that_is_none(ekai: Ekai, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    assert "config" in ekai("login", "--private-key-file", "key").error


def test_wrong_words_are_shown_the_right_ones(ekai: Ekai) -> None:
    for words in (["nonsense"], ["prefs", "set"], ["usage", "--limit", "many"], ["login", "--nonsense"]):
        done = ekai(*words)
        assert done.code == 2
        assert "Traceback" not in done.err
    assert ekai("version").out == VERSION + "\n"
    assert "serve" in ekai("--help").out

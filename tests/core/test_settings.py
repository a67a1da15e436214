"""Settings: read from the environment, checked, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings import Settings, environment, problems


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name not in ("PATH", "HOME", "LANG", "TMPDIR"):
            monkeypatch.delenv(name)


def test_the_defaults_are_the_contracts() -> None:
    found = Settings()
    assert (found.host, found.port, found.database_path) == ("127.0.0.1", 3001, "data/gateway.db")
    assert (found.auth_token_ttl, found.auth_max_message_age) == (604_800, 300)
    assert (found.upstream_timeout, found.upstream_connect_timeout, found.stream_idle_timeout) == (600, 5, 120)
    assert (found.max_attempts, found.cooldown_seconds, found.max_body_bytes) == (3, 30, 52_428_800)
    assert (found.public_usage, found.cors_origins, found.log_level) == ("on", ("*",), "info")
    assert (found.sapphire_rpc_url, found.sapphire_chain_id) == ("https://testnet.sapphire.oasis.io", 23295)
    assert found.control_plane == "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268"
    assert (found.key_source, found.receipts_on, found.operator_token) == ("env", False, None)


def test_where_keys_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    socket = tmp_path / "appd.sock"
    monkeypatch.setenv("ROFL_SOCKET_PATH", str(socket))
    assert Settings().key_source == "env"
    socket.touch()
    assert (Settings().key_source, Settings().receipts_on) == ("chain", True)
    monkeypatch.setenv("KEYS", "env")
    assert (Settings().key_source, Settings().receipts_on) == ("env", False)
    monkeypatch.setenv("RECEIPTS", "on")
    assert Settings().receipts_on
    socket.unlink()
    monkeypatch.delenv("KEYS")
    monkeypatch.setenv("EKAI_CONTROL_PLANE_ADDRESS", "0x" + "11" * 20)
    assert (Settings().key_source, Settings().control_plane) == ("chain", "0x" + "11" * 20)
    monkeypatch.setenv("EKAI_CONTROL_PLANE_ADDRESS", " ")
    monkeypatch.setenv("SAPPHIRE_CHAIN_ID", "23294")
    assert (Settings().key_source, Settings().control_plane) == ("env", "0x8212Da9695946dc97B89d2F7D2B47E623CE5d87b")


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.org", False), ("127.0.0.1.example.org", False), ("0x7f.1", False)],
)  # fmt: skip
def test_keys_of_the_operator_are_not_served_to_the_world(
    host: str, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", host)
    if alone:
        assert Settings().loopback
        return
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "ALLOWED_ADDRESSES" in problems(caught.value)
    for allowed in ("", " , ,"):
        monkeypatch.setenv("ALLOWED_ADDRESSES", allowed)
        with pytest.raises(ValidationError):
            Settings()
    monkeypatch.setenv("ALLOWED_ADDRESSES", "0x" + "11" * 20 + " , 0x" + "22" * 20 + ",")
    assert Settings().allowed_addresses == ("0x" + "11" * 20, "0x" + "22" * 20)
    monkeypatch.delenv("ALLOWED_ADDRESSES")
    monkeypatch.setenv("KEYS", "chain")
    assert not Settings().loopback


@pytest.mark.parametrize("allowed", ["0x12", "0x" + "gg" * 20, "me", "0x" + "11" * 20 + ";0x" + "22" * 20])
def test_addresses_that_are_none_are_told_at_start(allowed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could ever log in with them; found out at the first login it would be too late."""
    monkeypatch.setenv("ALLOWED_ADDRESSES", allowed)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "ALLOWED_ADDRESSES" in problems(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"), ("PORT", "-1"), ("PORT", "65536"), ("WORKERS", "0"), ("STORE", "redis"), ("KEYS", "both"), ("MAX_ATTEMPTS", "0"),
        ("AUTH_TOKEN_TTL", "0"), ("AUTH_MAX_MESSAGE_AGE", "-1"), ("UPSTREAM_TIMEOUT", "0"), ("COOLDOWN_SECONDS", "-1"), ("PUBLIC_USAGE", "maybe"),
        ("MAX_BODY_BYTES", "0"), ("USAGE_RETENTION_DAYS", "0"), ("LOG_LEVEL", "loud"), ("RECEIPTS", "yes"), ("AUTHORIZATION_TTL", "-1"),
        ("UPSTREAM_TIMEOUT", "nan"), ("UPSTREAM_TIMEOUT", "inf"), ("COOLDOWN_SECONDS", "nan"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_its_value_is_not(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    told = problems(caught.value)
    assert told.startswith(f"{name}: ")
    assert "pydantic" not in told


def test_placeholders_and_blanks_are_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "OPENAI_API_KEY=your-key-here\nXAI_API_KEY= real \nGROQ_API_KEY=\nZAI_API_KEY=from-file\n"
    )
    monkeypatch.setenv("ZAI_API_KEY", "from-process")
    monkeypatch.setenv("GOOGLE_API_KEY", "   ")
    found = {name: value for name, value in environment().items() if name.endswith("_API_KEY")}
    assert found == {"XAI_API_KEY": "real", "ZAI_API_KEY": "from-process"}
    for name in ("OPERATOR_TOKEN", "PRIVATE_KEY", "ROFL_PRIVATE_KEY"):
        monkeypatch.setenv(name, "your-key-here")
    assert (Settings().operator_token, Settings().private_key, Settings().rofl_private_key) == (None, None, None)
    monkeypatch.setenv("USAGE_RETENTION_DAYS", "")
    assert Settings().usage_retention_days is None


def test_a_settings_file_and_the_process_over_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=4000\nMAX_ATTEMPTS=7\nUNHEARD_OF=1\n")
    monkeypatch.setenv("PORT", "5000")
    assert (Settings().port, Settings().max_attempts) == (5000, 7)


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPERATOR_TOKEN", "PRIVATE_KEY", "ROFL_PRIVATE_KEY"):
        monkeypatch.setenv(name, "ca" * 32)
    assert "cacaca" not in f"{Settings()!r} {Settings()}"
    monkeypatch.setenv("PRIVATE_KEY", "canary-in-a-coal-mine")
    with pytest.raises(ValidationError) as wrong:
        Settings()
    assert "private_key" in str(wrong.value)
    assert "canary" not in str(wrong.value)

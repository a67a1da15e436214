"""`ekai keys`: a key goes out encrypted, to the right gateway only, and is shown nowhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from shared.chain import provider_id
from shared.keys.envelope import EnvelopeError, open_for, public_key
from tests.cli.world import ADMIN, FRIEND, OWNER, PRIVATE, PUBLIC, World

KEY = "sk-canary-0123456789"
OPENAI = provider_id("openai")


def _stored(world: World, who: str = OWNER) -> tuple[bytes, int, bool, int]:
    ciphertext, version, exists, key_version = world.plane.read("getSecretCiphertext", world.addresses[who], OPENAI)
    return ciphertext, version, exists, key_version


def test_what_is_piped_in_stands_on_chain_and_only_the_gateway_can_open_it(world: World) -> None:
    printed = world.ok("keys", "set", "OpenAI", stdin=f"{KEY}\n")
    assert KEY not in printed
    assert "openai, version 1, encrypted to version 1" in printed
    assert "ekai allow openai" in printed
    ciphertext, version, exists, key_version = _stored(world)
    assert (version, exists, key_version) == (1, True, 1)
    assert KEY.encode() not in ciphertext
    assert open_for(world.addresses[OWNER], OPENAI, ciphertext, [PRIVATE]) == KEY
    with pytest.raises(EnvelopeError):
        open_for(world.addresses[FRIEND], OPENAI, ciphertext, [PRIVATE])
    world.ok("keys", "set", "openai", stdin="sk-second")
    assert open_for(world.addresses[OWNER], OPENAI, _stored(world)[0], [PRIVATE]) == "sk-second"
    assert _stored(world)[1] == 2


def test_a_key_on_the_command_line_is_refused_and_not_repeated(world: World) -> None:
    for arguments in (("keys", "set", "openai", KEY), ("keys", "set", "openai", KEY, "more")):
        result = world.run(*arguments)
        assert result.exit_code
        assert KEY not in result.output + str(result.exception)
        assert "command line" in str(result.exception)
    assert _stored(world)[1] == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "No key was given"),
        (" \n", "No key was given"),
        ("sk-one\r\nx-other: 1", "control characters"),
        ("k" * 2000, "too long"),
        ("k" * 20_000, "larger than"),
    ],
)
def test_what_is_no_key_is_refused_before_anything_is_sent(world: World, typed: str, told: str) -> None:
    line = world.refused("keys", "set", "openai", stdin=typed)
    assert told in line
    assert "sk-one" not in line
    assert _stored(world)[1] == 0


def test_another_key_at_the_gateway_than_on_chain(world: World) -> None:
    other = public_key(b"o" * 32)
    world.told.key(other)
    line = world.refused("keys", "set", "openai", stdin=KEY)
    assert other.hex() in line
    assert PUBLIC.hex() in line
    assert _stored(world)[1] == 0


def test_no_gateway_key_on_chain_or_one_that_is_off(bare: World) -> None:
    assert "No gateway key is registered" in bare.refused("keys", "set", "openai", stdin=KEY)
    bare.do(ADMIN, "setRoflKey", PUBLIC, False)
    assert "switched off" in bare.refused("keys", "set", "openai", stdin=KEY)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (503, {"error": "The gateway has no key.", "lastError": "x"}, "The gateway has no key. (503)"),
        (502, b"<html>", "The gateway answered 502."),
        (200, {"publicKey": "0x12"}, "doesn't tell a gateway key"),
        (200, {"publicKey": None}, "doesn't tell a gateway key"),
        (200, ["what"], "no Ekai Gateway"),
        (200, b"<html>", "no Ekai Gateway"),
    ],
)
def test_a_gateway_that_tells_no_key(world: World, status: int, body: object, told: str) -> None:
    world.told.answers["/rofl/public-key"] = (status, body)
    assert told in world.refused("keys", "set", "openai", stdin=KEY)
    assert _stored(world)[1] == 0


def test_a_provider_that_nobody_knows_or_that_is_not_registered(world: World) -> None:
    assert "no provider `opnai`" in world.refused("keys", "set", "opnai", stdin=KEY)
    assert "add-provider" in world.refused("keys", "set", "anthropic", stdin=KEY)


def test_while_paused_nothing_is_sent(world: World) -> None:
    world.do(ADMIN, "pause")
    assert "paused" in world.refused("keys", "set", "openai", stdin=KEY)


def test_a_revoked_key_is_gone(world: World) -> None:
    assert "no key for openai" in world.refused("keys", "revoke", "openai")
    world.ok("keys", "set", "openai", stdin=KEY)
    assert "Revoked" in world.ok("keys", "revoke", "openai")
    assert _stored(world) == (b"", 2, False, 0)
    assert "no key for openai" in world.refused("keys", "revoke", "openai")


def test_the_list_says_what_can_be_used_and_why_not(world: World) -> None:
    def why() -> tuple[bool, str]:
        [one] = world.json("keys", "list", "openai")
        return one["usable"], one["why"]

    assert world.json("keys", "list") == []
    assert "No keys yet" in world.ok("keys", "list")
    assert why() == (False, "nothing stored")
    world.ok("keys", "set", "openai", stdin=KEY)
    world.ok("allow", "openai", "gpt-4o")
    assert world.json("keys", "list") == [
        {"provider": "openai", "version": 1, "key_version": 1, "usable": True, "why": "", "models": 1}
    ]
    table = world.ok("keys", "list")
    assert "openai" in table
    assert _stored(world)[0].hex()[:32] not in table
    assert world.json("keys", "list", "--owner", world.addresses[FRIEND].lower()) == []
    world.do(ADMIN, "pause")
    assert why() == (False, "the contract is paused")
    world.do(ADMIN, "unpause")
    world.do(ADMIN, "removeProvider", OPENAI)
    assert why() == (False, "the provider is not registered")
    world.do(ADMIN, "addProvider", OPENAI)
    world.do(ADMIN, "setRoflKey", PUBLIC, False)
    assert why() == (False, "version 1 of the gateway key is off")
    assert "no: version 1 of the gateway key is off" in world.ok("keys", "list")
    world.ok("keys", "revoke", "openai")
    assert why() == (False, "revoked")


def test_a_key_that_is_typed_is_not_echoed(world: World) -> None:
    root = Path(__file__).parents[2]
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(root), "TERM": "dumb", "SAPPHIRE_RPC_URL": world.chain.url,
        "EKAI_CONTROL_PLANE_ADDRESS": world.contract, "EKAI_URL": world.gateway,
    }  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "keys", "set", "openai", "--private-key-file", "owner.key"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, cwd=world.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"not shown" not in seen:
        seen += os.read(ours, 1024)
    # The echo goes off only after the question, and what was typed before that is dropped.
    while termios.tcgetattr(ours)[3] & termios.ECHO:
        time.sleep(0.01)
    os.write(ours, f"{KEY}\n".encode())
    while b"Stored" not in seen:
        seen += os.read(ours, 1024)
    assert process.wait(20) == 0
    os.close(ours)
    assert KEY.encode() not in seen
    assert open_for(world.addresses[OWNER], OPENAI, _stored(world)[0], [PRIVATE]) == KEY

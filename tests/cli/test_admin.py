"""`ekai admin`: from a deployment to a control plane that serves, and who may not."""

from __future__ import annotations

import pytest

from cli.appid import read_app_id, write_app_id
from cli.client import CommandError
from shared.chain import provider_id
from shared.keys.envelope import public_key
from tests.cli.world import ACCOUNT, ADMIN, OWNER, PUBLIC, World

APP = "rofl1qqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf"
APP_HEX = "0x0026534db2efb2a0ccd75aecbde70c7084f201c680"


def test_a_control_plane_from_nothing(bare: World) -> None:
    printed = bare.ok("admin", "deploy", who=OWNER)
    bare.contract = printed.splitlines()[0].removeprefix("EKAI_CONTROL_PLANE_ADDRESS=")
    assert bare.json("admin", "show", who=None) == {
        "contract": bare.contract, "chain_id": 23295, "administrator": bare.addresses[OWNER], "paused": False,
        "gateway": None, "rofl_app": None, "gateway_key": None, "gateway_key_version": 0, "gateway_key_active": False,
        "providers": [],
    }  # fmt: skip
    assert "version 1" in bare.ok("admin", "set-rofl-key")
    bare.ok("admin", "add-provider", "openai", "Anthropic", "openai")
    bare.ok("admin", "set-gateway", bare.addresses[ACCOUNT])
    bare.ok("admin", "set-app-id", APP)
    bare.ok("admin", "pause")
    state = bare.json("admin", "show", who=None)
    assert state["paused"]
    assert state["gateway"] == bare.addresses[ACCOUNT]
    assert state["rofl_app"] == APP
    assert state["gateway_key"] == f"0x{PUBLIC.hex()}"
    assert (state["gateway_key_version"], state["gateway_key_active"]) == (1, True)
    assert state["providers"] == ["anthropic", "openai"]
    assert bare.plane.read("roflAppId").hex() == APP_HEX[2:]
    bare.ok("admin", "unpause")
    bare.ok("admin", "remove-provider", "anthropic")
    bare.ok("admin", "set-gateway", "none")
    bare.ok("admin", "set-app-id", "none")
    state = bare.json("admin", "show", who=None)
    assert (state["paused"], state["gateway"], state["rofl_app"]) == (False, None, None)
    assert state["providers"] == ["openai"]
    assert "openai" in bare.ok("admin", "show", who=None)


def test_someone_else_may_administer_what_is_deployed(bare: World) -> None:
    printed = bare.ok("admin", "deploy", "--administrator", bare.addresses[OWNER].lower(), who=ADMIN)
    bare.contract = printed.splitlines()[0].removeprefix("EKAI_CONTROL_PLANE_ADDRESS=")
    bare.ok("admin", "pause", who=OWNER)
    assert bare.addresses[OWNER] in bare.refused("admin", "unpause", who=ADMIN)


@pytest.mark.parametrize(
    "arguments",
    [
        ("set-rofl-key",),
        ("set-rofl-key", "--version", "1", "--off"),
        ("add-provider", "openai"),
        ("remove-provider", "openai"),
        ("set-gateway", "none"),
        ("set-app-id", "none"),
        ("pause",),
        ("unpause",),
    ],
)
def test_nobody_but_the_administrator(world: World, arguments: tuple[str, ...]) -> None:
    before = world.json("admin", "show", who=None)
    line = world.refused("admin", *arguments, who=OWNER)
    assert world.addresses[ADMIN] in line
    assert world.addresses[OWNER] in line
    assert world.json("admin", "show", who=None) == before


def test_the_gateway_key_is_rotated_and_switched_off(world: World) -> None:
    other = public_key(b"n" * 32)
    assert "version 2" in world.ok("admin", "set-rofl-key", f"0x{other.hex()}", who=ADMIN)
    assert bytes(world.plane.read("getRoflKey")[0]) == other
    assert "off" in world.ok("admin", "set-rofl-key", "--version", "1", "--off", who=ADMIN)
    assert world.plane.read("roflKeyAt", 1) == [PUBLIC, False]
    assert world.plane.read("roflKeyAt", 2) == [other, True]
    assert "not the present gateway key" in world.refused("admin", "set-rofl-key", "--off", who=ADMIN)
    world.told.key(other)
    world.ok("admin", "set-rofl-key", "--off", who=ADMIN)
    assert world.plane.read("roflKeyAt", 2) == [other, False]
    world.ok("admin", "set-rofl-key", "--version", "1", who=ADMIN)
    assert world.plane.read("roflKeyAt", 1) == [PUBLIC, True]
    for wrong in ("0", "3", "99"):
        assert "no gateway key of version" in world.refused("admin", "set-rofl-key", "--version", wrong, who=ADMIN)
    assert "not both" in world.refused("admin", "set-rofl-key", "0x00", "--version", "1", who=ADMIN)
    for wrong in ("0x12", "what", "0x" + "00" * 33):
        assert "32 bytes" in world.refused("admin", "set-rofl-key", wrong, who=ADMIN)
    assert "not all of them zero" in world.refused("admin", "set-rofl-key", "0x" + "00" * 32, who=ADMIN)


def test_a_contract_is_no_account_for_receipts(world: World) -> None:
    assert "is a contract" in world.refused("admin", "set-gateway", world.chain.multicall, who=ADMIN)


def test_removing_a_provider_that_is_not_there(world: World) -> None:
    assert "groq is not registered" in world.refused("admin", "remove-provider", "openai", "groq", who=ADMIN)
    assert world.plane.read("isValidProvider", provider_id("openai"))


def test_the_identifier_of_an_app() -> None:
    assert read_app_id(APP) == read_app_id(APP.upper()) == read_app_id(APP_HEX) == bytes.fromhex(APP_HEX[2:])
    assert write_app_id(bytes.fromhex(APP_HEX[2:])) == APP
    for number in range(0, 256, 5):
        raw = bytes([number]) * 21
        assert read_app_id(write_app_id(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        "", "rofl1", APP[:-1], f"{APP}q", APP.replace("n9", "9n"), APP.replace("rofl1q", "Rofl1q"),
        APP.replace("rofl", "oasis"), APP.replace("x", "b"), "0x00", f"{APP_HEX}00", APP_HEX[2:],
        "rofl1pqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf",
    ],
)  # fmt: skip
def test_what_is_no_identifier_of_an_app(text: str) -> None:
    with pytest.raises(CommandError):
        read_app_id(text)


def test_an_identifier_of_another_length() -> None:
    with pytest.raises(CommandError, match="has 20 bytes"):
        read_app_id(write_app_id(bytes(20)))

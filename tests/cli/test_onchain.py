"""The way to the chain: what may be wrong with a node, an address, a wallet, a transaction, each in one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

import contracts
from cli.client import CommandError
from cli.onchain import Act
from cli.place import Place, place
from cli.reverts import OF_SENDER, TEXTS, read_refusal
from shared.chain import keccak256, provider_id
from tests.cli.world import ADMIN, FRIEND, OWNER, Told, World, stand_in

OPENAI = provider_id("openai")


def test_a_node_of_another_chain(world: World) -> None:
    assert "is on chain 23295, not 23294" in world.refused("delegates", "list", "--chain-id", "23294")


def test_a_node_that_is_not_there_and_whose_url_may_hold_a_key(world: World) -> None:
    line = world.refused("delegates", "list", "--rpc-url", "http://user:secret@127.0.0.1:9/v3/secret?key=secret")
    assert "127.0.0.1:9" in line
    assert "secret" not in line


@pytest.mark.parametrize("answer", [b"<html>busy</html>", {}, [], "no", {"jsonrpc": "2.0", "id": 0, "result": "what"}])
def test_a_node_that_is_none(world: World, answer: object) -> None:
    told = Told()
    told.answers["/"] = (200, answer)
    with stand_in(told) as url:
        assert "127.0.0.1" in world.refused("delegates", "list", "--rpc-url", url)


def test_a_node_with_an_error_of_its_own(world: World) -> None:
    told = Told()
    told.answers["/"] = (200, {"jsonrpc": "2.0", "id": 0, "error": {"code": -32005, "message": "limit exceeded"}})
    with stand_in(told) as url:
        assert "limit exceeded" in world.refused("delegates", "list", "--rpc-url", url)


def test_a_url_that_is_none(world: World) -> None:
    assert "can't be asked" in world.refused("delegates", "list", "--rpc-url", "what")


def test_nothing_or_something_else_at_the_address(world: World) -> None:
    nobody = world.addresses[FRIEND]
    assert f"no contract at {nobody}" in world.refused("delegates", "list", "--contract", nobody)
    line = world.refused("delegates", "list", "--contract", world.chain.multicall)
    assert "doesn't answer `delegatesOf`" in line
    assert "is not an address" in world.refused("delegates", "list", "--contract", "what")


def test_a_wallet_without_gas(world: World) -> None:
    (world.folder / "poor.key").write_text("11" * 32)
    line = world.refused("delegates", "add", world.addresses[FRIEND], who="poor")
    assert "has 0.0000 on chain 23295 and needs up to" in line
    assert "needs up to" in world.refused("admin", "deploy", who="poor")


def test_a_wallet_that_is_none(world: World) -> None:
    (world.folder / "odd.key").write_text("sk-canary")
    assert "sk-canary" not in world.refused("delegates", "add", world.addresses[FRIEND], who="odd")
    assert "can't be read" in world.refused("delegates", "add", world.addresses[FRIEND], who="missing")


def test_where_it_stands_comes_from_options_then_environment_then_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SAPPHIRE_RPC_URL", "SAPPHIRE_CHAIN_ID", "EKAI_CONTROL_PLANE_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    testnet = Place("https://testnet.sapphire.oasis.io", "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268", 23295)
    assert place() == testnet
    assert place(chain_id=23294).contract == "0x8212Da9695946dc97B89d2F7D2B47E623CE5d87b"
    (tmp_path / ".env").write_text("SAPPHIRE_RPC_URL=http://file\nSAPPHIRE_CHAIN_ID=7\nHOST=0.0.0.0\n")
    assert (place().rpc_url, place().chain_id) == ("http://file", 7)
    monkeypatch.setenv("SAPPHIRE_RPC_URL", "http://environment")
    assert (place().rpc_url, place().chain_id) == ("http://environment", 7)
    assert place("http://option", chain_id=8) == Place("http://option", testnet.contract, 8)
    monkeypatch.setenv("SAPPHIRE_CHAIN_ID", "many")
    with pytest.raises(CommandError, match="SAPPHIRE_CHAIN_ID"):
        place()


def test_a_transaction_that_fails_in_its_block_is_told_and_the_others_stand(world: World) -> None:
    acts = [
        Act("addDelegate", (world.addresses[ADMIN],), "first"),
        Act("removeDelegate", (world.addresses[FRIEND],), "second"),
        Act("addDelegate", (world.addresses[FRIEND],), "third"),
    ]
    landed: list[str] = []
    with pytest.raises(
        CommandError, match=r"^Transaction 0x[0-9a-f]{64} failed: the contract refused removeDelegate\.$"
    ):
        landed.extend(act.tells for act in world.plane.send(world.wallets[OWNER], acts))
    assert landed == [] or landed == ["first", "third"]
    assert set(world.json("delegates", "list")) == {world.addresses[ADMIN], world.addresses[FRIEND]}


def test_nothing_is_sent_when_one_would_fail(world: World) -> None:
    acts = [Act("addDelegate", (world.addresses[FRIEND],)), Act("addAllowedModel", (provider_id("groq"), b"m" * 32))]
    with pytest.raises(CommandError, match=r"^Nothing was sent: the provider is not registered"):
        list(world.plane.send(world.wallets[OWNER], acts))
    assert world.json("delegates", "list") == []


def test_a_node_that_heeds_the_sender_tells_all_reasons_beforehand(world: World) -> None:
    plane = world.plane
    assert not plane._heeds_sender
    plane.__dict__["_heeds_sender"] = True
    with pytest.raises(CommandError, match=r"^Nothing was sent: this wallet is not the administrator"):
        list(plane.send(world.wallets[OWNER], [Act("pause")]))


def test_the_gas_suffices_for_the_largest_key(world: World) -> None:
    for size in (1024, 130, 1024):
        world.do(OWNER, "setSecret", OPENAI, b"\xff" * size)
        assert len(world.plane.read("getSecretCiphertext", world.addresses[OWNER], OPENAI)[0]) == size


def test_every_error_of_the_contract_has_its_line() -> None:
    errors = {entry["name"]: entry["inputs"] for entry in contracts.control_plane().abi if entry["type"] == "error"}
    foreign = {"RoflOriginNotAuthorizedForApp"} - TEXTS.keys()
    assert errors.keys() - foreign == TEXTS.keys()
    assert TEXTS.keys() >= OF_SENDER
    address = "70997970c51812dc3a010c7d01b50e0d17dc79c8"
    data = keccak256(b"DelegateNotFound(address)")[:4].hex() + address.rjust(64, "0")
    assert read_refusal(f"0x{data}").text.startswith("0x70997970C51812dc3A010C7d01b50e0d17dc79C8 is not a delegate")
    data = keccak256(b"CiphertextTooLarge(uint256)")[:4].hex() + f"{2048:x}".rjust(64, "0")
    assert "2,048 bytes" in read_refusal(data).text


@pytest.mark.parametrize("data", ["", "0x", "0x12", "0xffffffff", "no hex"])
def test_an_unknown_revert_is_shown_as_the_node_says_it(data: str) -> None:
    assert read_refusal(data, "execution reverted: not owner").text == "not owner"
    assert read_refusal(data).text == "the contract gave no reason"


def test_a_revert_that_is_cut_short() -> None:
    assert read_refusal("0x" + keccak256(b"DelegateNotFound(address)")[:4].hex()).name == "DelegateNotFound"

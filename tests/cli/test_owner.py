"""`ekai delegates`, `allow`, `disallow`, `allowed`: what an owner says, and what then stands on chain."""

from __future__ import annotations

import pytest

from shared.chain import keccak256, model_ids, provider_id
from tests.cli.world import ADMIN, FRIEND, OWNER, World

OPENAI = provider_id("openai")


def _permitted(world: World, model: bytes) -> bool:
    return bool(world.plane.read("isModelPermitted", world.addresses[OWNER], OPENAI, model))


def _delegate(world: World) -> bool:
    return bool(world.plane.read("isDelegatePermitted", world.addresses[OWNER], world.addresses[FRIEND]))


def test_delegates_come_and_go(world: World) -> None:
    friend, other = world.addresses[FRIEND], world.addresses[ADMIN]
    assert "No delegates yet" in world.ok("delegates", "list")
    assert friend in world.ok("delegates", "add", friend.lower(), other, friend)
    assert _delegate(world)
    assert world.json("delegates", "list") == sorted([friend, other])
    assert world.ok("delegates", "list", "--owner", world.addresses[OWNER]).split() == sorted([friend, other])
    assert world.json("delegates", "list", who=FRIEND) == []
    world.ok("delegates", "remove", friend)
    assert not _delegate(world)
    assert world.json("delegates", "list") == [other]


def test_taking_away_what_was_never_given_is_told_before_anything_is_sent(world: World) -> None:
    friend, owner = world.addresses[FRIEND], world.addresses[OWNER]
    world.ok("delegates", "add", friend)
    stranger = world.addresses[ADMIN]
    assert stranger in world.refused("delegates", "remove", friend, stranger)
    assert _delegate(world)
    assert "not a delegate" in world.refused("delegates", "remove", owner)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("0x70997970C51812dc3A010C7d01b50e0d17dc79c8", "checksum"),
        ("0x70997970", "not an address"),
        ("friend.eth", "not an address"),
        ("0x" + "00" * 20, "zero address"),
    ],
)
def test_an_address_that_is_mistyped(world: World, address: str, told: str) -> None:
    assert told in world.refused("delegates", "add", address)
    assert world.json("delegates", "list") == []


def test_a_model_is_stored_as_the_hash_of_its_canonical_name(world: World) -> None:
    assert "Allowed: gpt-4o at openai" in world.ok("allow", "openai", "openai/gpt-4o", "GPT-4o")
    [stored] = world.plane.read("modelsOf", world.addresses[OWNER], OPENAI)
    assert stored == keccak256(b"gpt-4o")
    assert stored.hex() == "98c7013af37ed2b6efac38044502e8adbad9fc8af18e143eb8d24f98c02bb056"
    assert "allowed already" in world.ok("allow", "openai", "gpt-4o")
    assert world.json("allowed") == [{"provider": "openai", "model": "gpt-4o", "id": f"0x{stored.hex()}"}]
    assert "gpt-4o" in world.ok("allowed", "openai", "--owner", world.addresses[OWNER], who=FRIEND)
    assert world.json("allowed", "demo") == []


def test_models_that_cannot_be_allowed(world: World) -> None:
    assert "it is served by" in world.refused("allow", "openai", "claude-sonnet-5-5")
    assert "no model `gpt-what`" in world.refused("allow", "openai", "gpt-4o", "gpt-what")
    assert "no provider `opnai`" in world.refused("allow", "opnai", "gpt-4o")
    assert "add-provider" in world.refused("allow", "anthropic", "claude-sonnet-5-5")
    world.do(ADMIN, "pause")
    assert "paused" in world.refused("allow", "openai", "gpt-4o")
    assert not _permitted(world, keccak256(b"gpt-4o"))


def test_what_other_tools_stored_is_found_and_taken_away(world: World) -> None:
    for encoded in model_ids("gpt-4o"):
        world.do(OWNER, "addAllowedModel", OPENAI, encoded)
    unknown = keccak256(b"a model of tomorrow")
    world.do(OWNER, "addAllowedModel", OPENAI, unknown)
    world.do(OWNER, "addAllowedModel", OPENAI, b"model-of-tomorrow".ljust(32, b"\0"))
    assert "allowed already" in world.ok("allow", "openai", "gpt-4o")
    names = [row["model"] for row in world.json("allowed")]
    assert sorted(names) == ["?", "gpt-4o", "gpt-4o", "gpt-4o", "model-of-tomorrow"]
    world.ok("disallow", "openai", "gpt-4o", f"0x{unknown.hex()}")
    assert [row["model"] for row in world.json("allowed")] == ["model-of-tomorrow"]
    assert not any(_permitted(world, encoded) for encoded in model_ids("gpt-4o"))


def test_disallowing_all_or_nothing(world: World) -> None:
    world.ok("allow", "openai", "gpt-4o")
    assert "gpt-5.5 is not allowed" in world.refused("disallow", "openai", "gpt-4o", "gpt-5.5")
    assert _permitted(world, keccak256(b"gpt-4o"))
    world.do(ADMIN, "pause")
    world.ok("disallow", "openai", "gpt-4o")
    assert "No models yet" in world.ok("allowed")


def test_what_is_allowed_is_what_the_gateway_asks_for(world: World) -> None:
    """Every name of the catalog: the id that is stored is among those that a route of the model asks for."""
    from catalog.load import load
    from cli.names import names_at, read_model

    catalog = load()
    for provider in catalog.providers.values():
        known = names_at(provider, catalog)
        for model in catalog.models.values():
            offers = [offer for offer in model.offers if offer.provider == provider.id]
            if not offers:
                continue
            found = read_model(model.id, provider, catalog)
            asked = {id_ for name in (model.id, *(offer.id for offer in offers)) for id_ in model_ids(name)}
            assert found.name == model.id
            assert found.id in asked <= found.known_as
            assert known[found.id] == model.id
            assert read_model(f"{provider.id}/{model.id}", provider, catalog).id == found.id

"""Whose keys pay: what of a change the keys must agree to before it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from catalog.load import load
from catalog.serving import served
from shared.callers import Caller
from shared.errors import Code, GatewayError
from shared.keys import Opened, ProviderKey, Want
from shared.preferring import changed, shown
from shared.store import Preferences

ME, OWNER = "0x" + "a1" * 20, "0x" + "b2" * 20


class Keys:
    """The chain's word: `delegates` of owners, and the providers that an owner has keys for."""

    def __init__(self, *delegates: tuple[str, str], providers: tuple[str, ...] = ("openai",)) -> None:
        self.delegates = {*delegates, (ME, ME)}
        self.providers = providers
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []

    async def admit(self, owner: str, caller: str) -> None:
        self.asked.append((owner, caller, ()))
        if (owner, caller) not in self.delegates:
            raise GatewayError(Code.DELEGATE_NOT_PERMITTED, "Not a delegate.")

    async def open(self, owner: str, caller: str, wants: Sequence[Want]) -> Opened:
        self.asked.append((owner, caller, tuple(want.provider for want in wants)))
        keys = {want.provider: ProviderKey("k") for want in wants if want.provider in self.providers}
        if not keys:
            raise GatewayError(Code.SECRET_NOT_FOUND, "There is no key.")
        return Opened(keys)


def change(keys: Keys, before: Preferences, body: dict[str, object]) -> Preferences:
    gateway: Any = SimpleNamespace(keys=keys, catalog=served(load(), {}), clock=lambda: 1_795_521_600.9)
    return asyncio.run(changed(gateway, Caller(ME, before), body))


def test_an_owners_keys_need_the_owners_word() -> None:
    keys = Keys((OWNER, ME))
    after = change(keys, Preferences(ME), {"api_address": "0x" + "B2" * 20})
    assert after == Preferences(ME, OWNER, None, 1_795_521_600)
    assert keys.asked == [(OWNER, ME, ())]
    with pytest.raises(GatewayError) as caught:
        change(Keys(), Preferences(ME), {"api_address": OWNER})
    assert caught.value.code is Code.DELEGATE_NOT_PERMITTED


def test_a_change_of_models_asks_the_owner_that_was_set_before() -> None:
    keys = Keys((OWNER, ME))
    after = change(keys, Preferences(ME, OWNER, ("x",), 5), {"model_preferences": ["gpt-4o"]})
    assert (after.api_address, after.models) == (OWNER, ("gpt-4o",))
    assert {owner for owner, _, _ in keys.asked} == {OWNER}
    with pytest.raises(GatewayError) as caught:  # the delegation has ended meanwhile
        change(Keys(), Preferences(ME, OWNER, None, 5), {"model_preferences": ["gpt-4o"]})
    assert caught.value.code is Code.DELEGATE_NOT_PERMITTED


def test_a_change_of_owner_checks_the_models_that_stay() -> None:
    keys = Keys((OWNER, ME), providers=("anthropic",))
    with pytest.raises(GatewayError) as caught:
        change(keys, Preferences(ME, None, ("gpt-4o",), 5), {"api_address": OWNER})
    assert caught.value.code is Code.SECRET_NOT_FOUND
    assert "`gpt-4o`" in caught.value.message
    both = {"api_address": OWNER, "model_preferences": ["claude-haiku-4-5"]}
    assert change(keys, Preferences(ME, None, ("gpt-4o",), 5), both).models == ("claude-haiku-4-5",)


def test_back_to_ones_own_keys() -> None:
    for own in (None, ME, ME.upper().replace("0X", "0x")):
        assert change(Keys(), Preferences(ME, OWNER, None, 5), {"api_address": own}).api_address is None


def test_clearing_needs_nobodys_word() -> None:
    keys = Keys((OWNER, ME), providers=())
    assert change(keys, Preferences(ME, None, ("gpt-4o",), 5), {"model_preferences": None}).models is None
    assert keys.asked == []


def test_a_pin_is_checked_at_that_provider() -> None:
    keys = Keys(providers=("openrouter",))
    assert change(keys, Preferences(ME), {"model_preferences": ["x-ai/grok-4"]})
    with pytest.raises(GatewayError):
        change(keys, Preferences(ME), {"model_preferences": ["xai/grok-4"]})


def test_addresses_are_shown_checksummed_and_times_in_utc() -> None:
    found = shown(Preferences(ME, OWNER, ("a", "b"), 1_795_521_600))
    assert found["address"].lower() == ME
    assert found["address"] != ME
    assert found["api_address"].lower() == OWNER
    assert found["model_preferences"] == ["a", "b"]
    assert found["updated_at"] == "2026-11-24T12:00:00Z"
    assert shown(Preferences(ME))["api_address"].lower() == ME

"""Keys on chain over real sockets: who may use what, and a chain that lies, hangs, mixes up and leaves out."""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest
from fakenode import CHAIN_ID, CONTRACT, FakeNode, Reply, address

from shared.chain import provider_id
from shared.errors import Code, GatewayError
from shared.keys import Opened, Want
from shared.keys.chain import ChainKeys
from shared.keys.envelope import encrypt, open_for, public_key, seal_envelope, seal_for
from shared.keys.rofl import KeySource
from shared.keys.rpc import Rpc
from shared.keys.vault import Vault

T = TypeVar("T")

PRIVATE = bytes(range(0x10, 0x30))
PUBLIC = public_key(PRIVATE)
OWNER, FRIEND, STRANGER = address(0xA11CE), address(0xB0B), address(0xBAD)
CANARY = "sk-canary-5f0c1b7e"
MODEL = "gpt-4o"
WANT = Want("openai", (MODEL,))


def _node(**knobs: Any) -> FakeNode:
    """An owner with a key at two providers, who lets a friend use one model of one of them."""
    node = FakeNode(**{"registered": PUBLIC, **knobs})
    node.delegates.add((OWNER, FRIEND))
    node.store(OWNER, "openai", seal_envelope(CANARY, PUBLIC))
    node.allow(OWNER, "openai", MODEL)
    return node


@asynccontextmanager
async def _keys(
    node: FakeNode, *, seconds: float = 1.0, variable: str | None = PRIVATE.hex(), chain_id: int = CHAIN_ID, **more: Any
) -> AsyncIterator[ChainKeys]:
    async with node.serve():
        source = KeySource("/nonexistent/appd.sock", variable)
        keys = ChainKeys(Rpc(node.url, seconds=seconds), CONTRACT, chain_id, source, **more)
        try:
            yield keys
        finally:
            await keys.close()


def _with(node: FakeNode, work: Callable[[ChainKeys], Awaitable[T]], **more: Any) -> T:
    async def run() -> T:
        async with _keys(node, **more) as keys:
            return await work(keys)

    return asyncio.run(run())


def _open(node: FakeNode, *wants: Want, owner: str = OWNER, caller: str = FRIEND, **more: Any) -> Opened:
    return _with(node, lambda keys: keys.open(owner, caller, wants or (WANT,)), **more)


def _refused(node: FakeNode, *wants: Want, owner: str = OWNER, caller: str = FRIEND, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        _open(node, *wants, owner=owner, caller=caller, **more)
    assert CANARY not in f"{caught.value!r} {caught.value.message}"
    return caught.value


# ── who may ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delegate_gets_the_key_in_one_request() -> None:
    node = _node()
    opened = _open(node)
    assert opened.keys["openai"].value == CANARY
    assert opened.keys["openai"].version == 1
    assert CANARY not in repr(opened)
    assert (node.requests, opened.denied) == (1, {})


def test_an_owner_needs_no_delegation() -> None:
    node = _node()
    node.delegates.clear()
    assert _open(node, caller=OWNER.upper().replace("0X", "0x")).keys["openai"].value == CANARY


def test_a_stranger_is_refused() -> None:
    error = _refused(_node(), caller=STRANGER)
    assert (error.code, error.status) == (Code.DELEGATE_NOT_PERMITTED, 403)


@pytest.mark.parametrize("encoding", [0, 1, 2])
@pytest.mark.parametrize("allowed", ["openai/gpt-4o", "gpt-4o", "gpt-4o-2024-08-06"])
def test_any_name_in_any_encoding_permits(encoding: int, allowed: str) -> None:
    node = _node()
    node.models.clear()
    node.allow(OWNER, "openai", allowed, encoding)
    want = Want("openai", ("openai/gpt-4o", "gpt-4o", "gpt-4o-2024-08-06", "gpt-4o"))
    assert _open(node, want).keys["openai"].value == CANARY
    assert node.calls == 4 + 1 + 9, "the repeated name isn't asked about again"


def test_another_model_is_refused() -> None:
    error = _refused(_node(), Want("openai", ("gpt-4o-mini",)))
    assert (error.code, error.status) == (Code.MODEL_NOT_ALLOWED, 403)
    assert "gpt-4o-mini" in error.message


def test_a_model_allowed_at_one_provider_is_not_allowed_at_another() -> None:
    node = _node()
    node.store(OWNER, "openrouter", seal_envelope("sk-or", PUBLIC))
    opened = _open(node, WANT, Want("openrouter", (MODEL,)))
    assert opened.keys.keys() == {"openai"}
    assert opened.denied["openrouter"].code is Code.MODEL_NOT_ALLOWED


def test_an_owner_without_a_key() -> None:
    node = _node()
    node.secrets.clear()
    error = _refused(node)
    assert (error.code, error.status) == (Code.SECRET_NOT_FOUND, 404)
    assert "openai" in error.message


def test_candidates_drop_out_with_their_reasons() -> None:
    node = _node()
    node.store(OWNER, "anthropic", seal_envelope("sk-ant", public_key(bytes(32))))
    node.allow(OWNER, "anthropic", MODEL)
    node.store(OWNER, "openrouter", seal_envelope("sk-or", PUBLIC))
    opened = _open(node, *(Want(name, (MODEL,)) for name in ("xai", "openrouter", "anthropic", "openai")))
    assert opened.keys.keys() == {"openai"}
    assert {provider: error.code for provider, error in opened.denied.items()} == {
        "xai": Code.SECRET_NOT_FOUND,
        "openrouter": Code.MODEL_NOT_ALLOWED,
        "anthropic": Code.DECRYPTION_FAILED,
    }
    assert node.requests == 1


def test_where_none_is_left_the_owners_fault_comes_before_the_callers() -> None:
    node = _node()
    model = Want("openai", ("gpt-4o-mini",))
    assert _refused(node, Want("xai", (MODEL,)), model).code is Code.MODEL_NOT_ALLOWED
    node.store(OWNER, "anthropic", b"\xff")
    node.allow(OWNER, "anthropic", MODEL)
    assert _refused(node, model, Want("anthropic", (MODEL,))).code is Code.DECRYPTION_FAILED


def test_a_provider_that_the_contract_does_not_know_has_no_key() -> None:
    node = _node(known_providers=set())
    assert _refused(node).code is Code.SECRET_NOT_FOUND


def test_paused_is_no() -> None:
    error = _refused(_node(paused=True))
    assert (error.code, error.status) == (Code.SAPPHIRE_UNAVAILABLE, 503)
    assert "paused" in error.message
    assert _refused(_node(paused=True), caller=OWNER).code is Code.SAPPHIRE_UNAVAILABLE


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({}, ["older gateway key", "version 7"]),
        ({"sealed_to": 5}, ["version 5", "version 7"]),
        ({"registered": bytes(32)}, ["version 7", "not the key that this gateway holds"]),
    ],
)
def test_an_older_gateway_key_names_the_versions(knobs: dict[str, Any], words: list[str]) -> None:
    node = _node(key_version=7, **knobs)
    node.store(OWNER, "openai", seal_envelope("sk-x", public_key(b"o" * 32)), version=4)
    error = _refused(node)
    assert (error.code, error.status) == (Code.DECRYPTION_FAILED, 500)
    for word in ["openai (version 4)", *words]:
        assert word in error.message


def test_the_registered_key_serves_the_message_only() -> None:
    def spoil(number: int, asked: Any, honest: bytes) -> Reply:
        answers = orjson.loads(honest)
        answers[2]["result"] = "0x"
        return orjson.dumps(answers)

    node = _node(spoil=spoil, key_version=3)
    assert _open(node).keys["openai"].value == CANARY
    node.store(OWNER, "openai", seal_envelope("sk-x", public_key(b"o" * 32)))
    error = _refused(node)
    assert error.code is Code.DECRYPTION_FAILED
    assert "version 3" in error.message


def test_a_retired_gateway_key_still_opens() -> None:
    node = _node()
    node.store(OWNER, "anthropic", seal_envelope("sk-new", public_key(b"n" * 32)))
    node.allow(OWNER, "anthropic", MODEL)
    both = f"{(b'n' * 32).hex()},{PRIVATE.hex()}"
    opened = _open(node, WANT, Want("anthropic", (MODEL,)), variable=both)
    assert {provider: key.value for provider, key in opened.keys.items()} == {"openai": CANARY, "anthropic": "sk-new"}


def test_a_ciphertext_copied_from_another_owner_opens_for_nobody_else() -> None:
    node = _node()
    node.store(OWNER, "openai", seal_for(OWNER, provider_id("openai"), CANARY, PUBLIC))
    node.secrets[STRANGER, provider_id("openai")] = node.secrets[OWNER, provider_id("openai")]
    node.store(OWNER, "openrouter", node.secrets[OWNER, provider_id("openai")][0])
    for owner, provider in ((STRANGER, "openai"), (OWNER, "openrouter")):
        node.allow(owner, provider, MODEL)
    assert _open(node).keys["openai"].value == CANARY
    error = _refused(node, owner=STRANGER, caller=STRANGER)
    assert error.code is Code.DECRYPTION_FAILED
    assert "another owner" in error.message
    assert _refused(node, Want("openrouter", (MODEL,))).code is Code.DECRYPTION_FAILED


@pytest.mark.parametrize(
    "ciphertext",
    [b"", b"x" * 24_576, encrypt(b"sk\r\nx: y", PUBLIC), encrypt(b"", PUBLIC)],
    ids=["empty", "24 KB", "injecting", "nothing inside"],
)
def test_odd_ciphertexts_are_refused(ciphertext: bytes) -> None:
    node = _node()
    node.store(OWNER, "openai", ciphertext)
    assert _refused(node).code is Code.DECRYPTION_FAILED


def test_no_gateway_key_is_503_on_use_and_permissions_come_first() -> None:
    error = _refused(_node(), variable=None)
    assert (error.code, error.status) == (Code.SAPPHIRE_UNAVAILABLE, 503)
    assert _refused(_node(), caller=STRANGER, variable=None).code is Code.DELEGATE_NOT_PERMITTED


def test_what_changes_on_chain_holds_for_the_very_next_request() -> None:
    node = _node()

    async def work(keys: ChainKeys) -> None:
        async def code() -> Code | str:
            try:
                return (await keys.open(OWNER, FRIEND, [WANT])).keys["openai"].value
            except GatewayError as error:
                return error.code

        assert await code() == CANARY
        node.delegates.clear()
        assert await code() is Code.DELEGATE_NOT_PERMITTED
        node.delegates.add((OWNER, FRIEND))
        node.store(OWNER, "openai", seal_envelope("sk-second", PUBLIC), version=2)
        assert await code() == "sk-second"
        node.models.clear()
        assert await code() is Code.MODEL_NOT_ALLOWED
        node.secrets.clear()
        assert await code() is Code.SECRET_NOT_FOUND
        node.paused = True
        assert await code() is Code.SAPPHIRE_UNAVAILABLE

    _with(node, work)


# ── asked less often ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_yes_is_kept_for_the_ttl_and_a_no_is_not() -> None:
    node, now = _node(), [100.0]

    async def work(keys: ChainKeys) -> None:
        with pytest.raises(GatewayError):
            await keys.open(OWNER, STRANGER, [WANT])
        node.delegates.add((OWNER, STRANGER))
        await keys.open(OWNER, STRANGER, [WANT])
        for _ in range(5):
            await keys.open(OWNER, FRIEND, [WANT])
        assert node.requests == 3
        node.delegates.clear()
        await keys.open(OWNER, FRIEND, [WANT])
        now[0] += 10.0
        with pytest.raises(GatewayError):
            await keys.open(OWNER, FRIEND, [WANT])
        with pytest.raises(GatewayError):
            await keys.open(OWNER, address(1), [WANT])

    _with(node, work, ttl=10.0, clock=lambda: now[0])


def test_kept_grants_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.keys.chain._GRANTS", 3)
    node = _node()

    async def work(keys: ChainKeys) -> int:
        for number in range(10):
            node.delegates.add((OWNER, address(number)))
            await keys.open(OWNER, address(number), [WANT])
        return len(keys._granted)

    assert _with(node, work, ttl=60.0) == 3


def test_without_a_ttl_nothing_is_kept_and_a_revoked_key_is_dropped() -> None:
    node = _node()

    async def work(keys: ChainKeys) -> None:
        await keys.open(OWNER, FRIEND, [WANT])
        assert not keys._granted
        assert len(keys._vault._entries) == 1
        node.secrets.clear()
        with pytest.raises(GatewayError):
            await keys.open(OWNER, FRIEND, [WANT])
        assert not keys._vault._entries

    _with(node, work)


def test_a_ciphertext_is_opened_once_however_many_ask() -> None:
    node, opened = _node(), []

    def slow(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        opened.append(ciphertext)
        time.sleep(0.05)
        return open_for(owner, provider, ciphertext, keys)

    async def work(keys: ChainKeys) -> None:
        await asyncio.gather(*(keys.open(OWNER, FRIEND, [WANT]) for _ in range(50)))
        await keys.open(OWNER, FRIEND, [WANT])

    _with(node, work, vault=Vault(open_=slow))
    assert len(opened) == 1


def test_the_vault_is_bounded_in_number_and_age_and_drops_what_is_replaced() -> None:
    now, opened = [0.0], []

    def open_(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        opened.append(ciphertext)
        return ciphertext.decode()

    async def run() -> None:
        vault = Vault(entries=3, seconds=60, open_=open_, clock=lambda: now[0])
        for number in range(5):
            await vault.open(("a", bytes([number])), b"c%d" % number, (b"",))
        assert len(vault._entries) == 3
        await vault.open(("a", b"\x04"), b"c4", (b"",))
        assert len(opened) == 5
        await vault.open(("a", b"\x00"), b"c0", (b"",))  # was pushed out
        assert len(opened) == 6
        assert await vault.open(("a", b"\x04"), b"new", (b"",)) == "new"
        assert {entry.opening.result() for entry in vault._entries.values()} == {"new", "c0", "c3"}
        assert len(vault._entries) == 3
        now[0] = 61.0
        await vault.open(("a", b"\x04"), b"new", (b"",))
        assert opened.count(b"new") == 2
        vault.forget(("a", b"\x04"))
        assert len(vault._entries) == 2

    asyncio.run(run())


def test_the_vault_keeps_what_is_used() -> None:
    opened = []

    def open_(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        opened.append(ciphertext)
        return "sk"

    async def run() -> None:
        vault = Vault(entries=2, open_=open_)
        for ciphertext in (b"a", b"b", b"a", b"c", b"a"):
            await vault.open(("o", ciphertext), ciphertext, (b"",))

    asyncio.run(run())
    assert opened == [b"a", b"b", b"c"]


def test_a_fault_of_ours_is_not_kept() -> None:
    answers: list[Any] = [OSError("no threads"), "sk"]

    def open_(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async def run() -> str:
        vault = Vault(open_=open_)
        with pytest.raises(OSError, match="no threads"):
            await vault.open(("o", b""), b"c", (b"",))
        return await vault.open(("o", b""), b"c", (b"",))

    assert asyncio.run(run()) == "sk"


def test_a_refused_envelope_is_not_tried_again() -> None:
    tried = []

    def open_(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        tried.append(ciphertext)
        return open_for(owner, provider, ciphertext, keys)

    async def work(keys: ChainKeys) -> None:
        for _ in range(3):
            with pytest.raises(GatewayError):
                await keys.open(OWNER, FRIEND, [WANT])

    node = _node()
    node.store(OWNER, "openai", encrypt(b"", PUBLIC))
    _with(node, work, vault=Vault(open_=open_))
    assert len(tried) == 1


def test_one_who_hangs_up_while_a_key_is_opened_harms_nobody() -> None:
    async def run() -> str:
        def slow(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
            time.sleep(0.05)
            return "sk"

        vault = Vault(open_=slow)
        first = asyncio.create_task(vault.open(("a", b""), b"c", (b"",)))
        await asyncio.sleep(0.01)
        second = asyncio.create_task(vault.open(("a", b""), b"c", (b"",)))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(run()) == "sk"


def test_admit_asks_for_the_delegation_alone() -> None:
    _with(_node(), lambda keys: keys.admit(OWNER, FRIEND))
    _with(_node(), lambda keys: keys.admit(OWNER, OWNER))
    for node, code in ((_node(), Code.DELEGATE_NOT_PERMITTED), (_node(paused=True), Code.SAPPHIRE_UNAVAILABLE)):
        with pytest.raises(GatewayError) as caught:
            _with(node, lambda keys: keys.admit(OWNER, STRANGER))
        assert caught.value.code is code


# ── preferences ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_check_names_what_cannot_be_had() -> None:
    node = _node()
    models = {
        "gpt-4o": [WANT, Want("openrouter", (MODEL,))],
        "gpt-4o-mini": [Want("openai", ("gpt-4o-mini",))],
        "grok-4": [Want("xai", ("grok-4",))],
        "nobody": [],
    }
    refused = _with(node, lambda keys: keys.check(OWNER, FRIEND, models))
    assert {model: error.code for model, error in refused.items()} == {
        "gpt-4o-mini": Code.MODEL_NOT_ALLOWED,
        "grok-4": Code.SECRET_NOT_FOUND,
        "nobody": Code.SECRET_NOT_FOUND,
    }
    assert node.requests == 1


def test_check_without_models_checks_the_delegation() -> None:
    assert _with(_node(), lambda keys: keys.check(OWNER, FRIEND, {})) == {}
    with pytest.raises(GatewayError) as caught:
        _with(_node(), lambda keys: keys.check(OWNER, STRANGER, {}))
    assert caught.value.code is Code.DELEGATE_NOT_PERMITTED


def test_many_models_are_still_one_round_trip() -> None:
    node = _node(delay=0.1)
    models = {f"m{n}": [Want(p, (f"m{n}", f"m-{n}")) for p in ("openai", "anthropic", "xai")] for n in range(20)}

    async def work(keys: ChainKeys) -> None:
        assert len(await keys.check(OWNER, FRIEND, models)) == 20

    _with(node, work)
    assert node.requests == node.most_open == 5, "parts of a hundred calls, side by side"


# ── a chain that can't be trusted ────────────────────────────────────────────────────────────────────────────────


def _html(number: int, asked: Any, honest: bytes) -> Reply:
    return b"<!doctype html><title>502 Bad Gateway</title>"


def _hangs_up(number: int, asked: Any, honest: bytes) -> Reply:
    return None


def _shortened(number: int, asked: Any, honest: bytes) -> Reply:
    return orjson.dumps(orjson.loads(honest)[:-1])


def _doubled(number: int, asked: Any, honest: bytes) -> Reply:
    answers = orjson.loads(honest)
    return orjson.dumps([*answers[:-1], answers[0]])


def _twice(number: int, asked: Any, honest: bytes) -> Reply:
    answers = orjson.loads(honest)
    return orjson.dumps([*answers, answers[0]])


def _of_another(number: int, asked: Any, honest: bytes) -> Reply:
    return orjson.dumps([{**answer, "id": answer["id"] + 1000} for answer in orjson.loads(honest)])


def _huge(number: int, asked: Any, honest: bytes) -> Reply:
    return b"[" + b" " * (5 << 20) + honest[1:]


def _cut(number: int, asked: Any, honest: bytes) -> Reply:
    return honest[:-5]


def _every_third_left_out(number: int, asked: Any, honest: bytes) -> Reply:
    return orjson.dumps([answer for index, answer in enumerate(orjson.loads(honest)) if index % 3 != 2])


@pytest.mark.parametrize(
    "spoil",
    [_html, _hangs_up, _shortened, _doubled, _twice, _of_another, _huge, _cut, _every_third_left_out],
    ids=lambda f: f.__name__.strip("_"),
)
def test_no_usable_reply_is_no(spoil: Callable[[int, Any, bytes], Reply]) -> None:
    error = _refused(_node(spoil=spoil))
    assert (error.code, error.status) == (Code.SAPPHIRE_UNAVAILABLE, 503)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_html_with_an_error_status_is_no(status: int) -> None:
    assert _refused(_node(spoil=_html, status=status)).code is Code.SAPPHIRE_UNAVAILABLE


ODD_RESULTS: list[Any] = [
    None,
    True,
    1,
    "",
    "0x",
    "0x1",
    "yes",
    "0x" + "00" * 31 + "02",
    "0x" + "ff" * 32,
    "0x" + "00" * 31 + "01" + "00",
    ["0x" + "00" * 31 + "01"],
    {"yes": True},
]


@pytest.mark.parametrize("odd", ODD_RESULTS, ids=str)
@pytest.mark.parametrize("position", [0, 1, 3, 4, 5, 6, 7])
def test_an_odd_answer_to_any_call_is_no(position: int, odd: Any) -> None:
    def spoil(number: int, asked: Any, honest: bytes) -> Reply:
        answers = orjson.loads(honest)
        answers[position]["result"] = odd
        return orjson.dumps(answers)

    assert _refused(_node(spoil=spoil)).code is Code.SAPPHIRE_UNAVAILABLE


@pytest.mark.parametrize("position", [0, 1, 3, 4, 5])
def test_a_refused_call_is_no(position: int) -> None:
    def spoil(number: int, asked: Any, honest: bytes) -> Reply:
        answers = orjson.loads(honest)
        answers[position] = {"id": answers[position]["id"], "error": {"code": -32005, "message": "limit exceeded"}}
        return orjson.dumps(answers)

    assert _refused(_node(spoil=spoil)).code is Code.SAPPHIRE_UNAVAILABLE


def test_the_wrong_chain_is_no_at_every_request() -> None:
    node = _node()

    async def work(keys: ChainKeys) -> None:
        await keys.open(OWNER, FRIEND, [WANT])
        node.chain_id = 1
        with pytest.raises(GatewayError) as caught:
            await keys.open(OWNER, FRIEND, [WANT])
        assert caught.value.code is Code.SAPPHIRE_UNAVAILABLE
        assert str(CHAIN_ID) in caught.value.message

    _with(node, work)


def test_answers_out_of_order_are_put_in_order() -> None:
    node = _node(shuffled=True)
    node.store(OWNER, "openrouter", seal_envelope("sk-or", PUBLIC))
    wants = [WANT, Want("openrouter", ("gpt-4o-mini",)), Want("xai", (MODEL,))]

    async def work(keys: ChainKeys) -> None:
        for _ in range(20):
            assert {p: k.value for p, k in (await keys.open(OWNER, FRIEND, wants)).keys.items()} == {"openai": CANARY}

    _with(node, work)


def test_a_node_that_hangs_is_given_up() -> None:
    began = time.perf_counter()
    assert _refused(_node(delay=30), seconds=0.3).code is Code.SAPPHIRE_UNAVAILABLE
    assert time.perf_counter() - began < 10


def test_nobody_there_is_no() -> None:
    async def run() -> None:
        keys = ChainKeys(Rpc("http://127.0.0.1:9/"), CONTRACT, CHAIN_ID, KeySource("/nonexistent", PRIVATE.hex()))
        try:
            await keys.open(OWNER, FRIEND, [WANT])
        finally:
            await keys.close()

    with pytest.raises(GatewayError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.SAPPHIRE_UNAVAILABLE


def test_a_node_that_hangs_up_on_every_third_request_is_asked_once_more() -> None:
    def spoil(number: int, asked: Any, honest: bytes) -> Reply:
        return None if number % 3 == 0 else honest

    node = _node(spoil=spoil)

    async def work(keys: ChainKeys) -> None:
        for _ in range(12):
            assert (await keys.open(OWNER, FRIEND, [WANT])).keys["openai"].value == CANARY

    _with(node, work)


@pytest.mark.parametrize("status", [200, 400, 405, 413])
def test_a_node_without_batches_is_asked_singly_at_once(status: int) -> None:
    node = _node(batches=False, delay=0.05)

    def spoil(number: int, asked: Any, honest: bytes) -> Reply:
        node.status = status if isinstance(asked, list) else 200
        return honest

    node.spoil = spoil

    async def work(keys: ChainKeys) -> None:
        for _ in range(3):
            assert (await keys.open(OWNER, FRIEND, [WANT])).keys["openai"].value == CANARY
        with pytest.raises(GatewayError):
            await keys.open(OWNER, STRANGER, [WANT])

    _with(node, work)
    assert node.most_open == 8, "side by side"
    assert node.requests == 1 + 4 * 8, "and the batch isn't tried again"


def test_a_single_refusal_among_single_calls_is_no() -> None:
    def bend(answer: dict[str, Any]) -> dict[str, Any] | None:
        return None if answer["id"] % 3 == 0 else answer

    assert _refused(_node(batches=False, bend=bend)).code is Code.SAPPHIRE_UNAVAILABLE


# ── many at once ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_key_is_ever_used_for_anothers_request() -> None:
    node = _node(delay=0.01, shuffled=True)
    owners = [address(0x1000 + number) for number in range(20)]
    for number, owner in enumerate(owners):
        for provider in ("openai", "anthropic"):
            node.store(owner, provider, seal_envelope(f"sk-{number}-{provider}", PUBLIC))
            node.allow(owner, provider, MODEL, number % 3)
        node.delegates.add((owner, FRIEND))
    pick = random.Random(7)

    async def work(keys: ChainKeys) -> None:
        async def one(number: int) -> None:
            wants = [Want(provider, (MODEL,)) for provider in pick.sample(["openai", "anthropic", "xai"], 3)]
            opened = await keys.open(owners[number], FRIEND, wants)
            assert {provider: key.value for provider, key in opened.keys.items()} == {
                provider: f"sk-{number}-{provider}" for provider in ("openai", "anthropic")
            }

        for _ in range(3):
            await asyncio.gather(*(one(number % 20) for number in range(100)))

    _with(node, work, seconds=10.0)


def test_a_copied_ciphertext_gets_no_other_slot_of_the_vault() -> None:
    opened = []

    def open_(owner: str, provider: bytes, ciphertext: bytes, keys: tuple[bytes, ...]) -> str:
        opened.append(ciphertext)
        return "sk"

    async def run() -> None:
        vault = Vault(open_=open_)
        await vault.open(("a", b"p"), b"c", (b"",))
        await vault.open(("b", b"p"), b"c", (b"",))

    asyncio.run(run())
    assert len(opened) == 2


def test_a_key_stands_in_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    node = _node()
    _open(node)
    node.store(OWNER, "openai", encrypt(f"{CANARY}\r\nx: y".encode(), PUBLIC))
    _refused(node)
    _refused(_node(spoil=_html))
    assert caplog.records, "the clients do log"
    for secret in (CANARY, PRIVATE.hex()):
        assert secret not in caplog.text
        assert not any(secret in repr(record.__dict__) for record in caplog.records)


def test_one_round_trip_at_150_ms() -> None:
    node = _node(delay=0.15)
    for provider in ("anthropic", "openrouter", "google"):
        node.store(OWNER, provider, seal_envelope(f"sk-{provider}", PUBLIC))
        node.allow(OWNER, provider, MODEL)
    wants = [Want(p, (MODEL, f"{p}/{MODEL}")) for p in ("openai", "anthropic", "openrouter", "google", "xai")]

    async def work(keys: ChainKeys) -> list[float]:
        took = []
        for _ in range(7):
            began = time.perf_counter()
            await keys.open(OWNER, FRIEND, wants)
            took.append(time.perf_counter() - began)
        return took

    took = _with(node, work)
    assert node.requests == 7
    assert min(took) < 0.165  # the least, since other tests may run beside this one


def test_ready() -> None:
    _with(_node(), lambda keys: keys.ready())
    for node, more in ((_node(paused=True), {}), (_node(chain_id=1), {}), (_node(), {"variable": None})):
        with pytest.raises(GatewayError) as caught:
            _with(node, lambda keys: keys.ready(), **more)
        assert caught.value.status == 503


def test_an_odd_contract_address_is_found_at_the_start() -> None:
    with pytest.raises(ValueError):
        ChainKeys(Rpc("http://127.0.0.1:9/"), "0x1234", CHAIN_ID, KeySource("/nonexistent", None))


def test_this_path_imports_no_web3() -> None:
    code = (
        "import sys; import shared.keys.chain, shared.keys.appd, shared.control_plane;"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'web3', 'eth_account', 'eth_abi', 'eth_utils', 'sapphirepy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"

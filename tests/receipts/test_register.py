"""What is read of the chain: in how many questions, and from how far back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.receipts import receipt_of
from shared.receipts.calldata import write_receipt
from shared.receipts.register import Head, Register
from shared.receipts.sender import DeliveryError
from shared.receipts.transaction import Account
from shared.store.outbox import Entry
from tests.receipts.world import Node, World


def reading(world: World, work: Callable[[Register, Node], Awaitable[None]]) -> None:
    async def inner() -> None:
        node = world.node()
        register = Register(node, world.contract, world.chain.chain_id)
        try:
            await work(register, node)
        finally:
            await register.close()

    asyncio.run(inner())


async def _logged(world: World, register: Register, count: int) -> list[Entry]:
    """Receipts that stand on chain, sent from here on."""
    head = await register.head()
    account = Account.read(world.gateway.private_key)
    nonce = await register.nonce(account.address, head)
    entries = [Entry(receipt_of(world.row()), "sent", since=head.block, nonce=nonce + place) for place in range(count)]
    raws = [
        account.sign(entry.nonce or 0, head.gas_price, 500_000, world.contract, write_receipt(entry.receipt), 23295).raw
        for entry in entries
    ]
    assert all(isinstance(answer, str) for answer in await register.send(raws))
    return entries


def test_found_with_its_transaction_in_one_question(world: World) -> None:
    async def work(register: Register, node: Node) -> None:
        entries = await _logged(world, register, 40)
        node.asked.clear()
        found = await register.standing(entries, await register.head())
        transactions = {log["topics"][1]: log["transactionHash"] for log in world.logs()}
        assert {f"0x{key.hex()}": value for key, value in found.items()} == transactions
        assert node.asked.count("eth_getLogs") == 1
        assert "eth_call" not in node.asked

    reading(world, work)


def test_what_is_not_there_is_asked_of_the_contract_too(world: World) -> None:
    async def work(register: Register, node: Node) -> None:
        [there] = await _logged(world, register, 1)
        missing = Entry(receipt_of(world.row()), "sent", since=there.since)
        node.answers = lambda call, answer: [] if call.method == "eth_getLogs" else answer  # an index with holes
        assert await register.standing([there, missing], await register.head()) == {there.receipt.request_hash: ""}
        assert register.refuses_doubles

    reading(world, work)


def test_a_contract_without_a_memory(world: World) -> None:
    world.careless()

    async def work(register: Register, node: Node) -> None:
        entry = Entry(receipt_of(world.row()), "sent", since=world.block())
        for _ in range(3):
            assert await register.standing([entry], await register.head()) == {}
        assert register.refuses_doubles is False
        assert node.asked.count("eth_call") == 1

    reading(world, work)


def test_many_blocks_are_asked_for_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.receipts.register.LOG_BLOCKS", 10)

    async def work(register: Register, node: Node) -> None:
        entries = await _logged(world, register, 45)
        assert len(await register.standing(entries, await register.head())) == 45
        assert node.asked.count("eth_getLogs") == 5

    reading(world, work)


def test_what_was_long_ago_is_told_by_the_contract(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.receipts.register.LONG_AGO", 5)

    async def work(register: Register, node: Node) -> None:
        entries = await _logged(world, register, 8)
        missing = Entry(receipt_of(world.row()), "sent", since=entries[0].since)
        node.asked.clear()
        found = await register.standing([*entries, missing], await register.head())
        transactions = {log["topics"][1]: log["transactionHash"] for log in world.logs()}
        assert {f"0x{key.hex()}": value for key, value in found.items()} == transactions
        assert node.asked.count("eth_call") == 9

    reading(world, work)


@pytest.mark.parametrize("careless", [False, True])
def test_a_head_before_the_sending_says_nothing(world: World, careless: bool) -> None:
    if careless:
        world.careless()

    async def work(register: Register, node: Node) -> None:
        entry = Entry(receipt_of(world.row()), "sent", since=world.block())
        with pytest.raises(DeliveryError, match="lags"):
            await register.standing([entry], Head(world.block() - 1, 1))

    reading(world, work)

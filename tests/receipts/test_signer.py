"""Receipts signed with PRIVATE_KEY, on a real EVM, and everything that may go wrong on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import rlp  # type: ignore[import-untyped]  # rlp has no types

from emulator.devchain import PY_EVM, DevChain
from emulator.devchain.client import ask
from shared.keys.rpc import Answer, Ask, Fault, RpcError
from tests.receipts.world import Plain, Running, World, live, named, sends, until, values


@pytest.mark.parametrize("careless", [False, True])
def test_forty_receipts_in_order_each_once(world: World, tmp_path: Path, careless: bool) -> None:
    if careless:
        world.careless()

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 40)
        await running.states(logged=40)
        logs = world.logs()
        assert [log["topics"][1] for log in logs] == hashes
        assert [values(log) for log in logs] == [named(count) for count in range(1, 41)]
        assert await running.shown() == [("logged", log["transactionHash"], "") for log in logs]
        signers = {
            ask(world.chain.url, "eth_getTransactionByHash", log["transactionHash"])["from"].lower() for log in logs
        }
        assert signers == {world.gateway.address.lower()}

    live(tmp_path, world.signer, work)


def test_a_node_that_is_down_costs_time_only(world: World, tmp_path: Path) -> None:
    node = world.node()
    down = True

    def before(calls: Sequence[Ask]) -> None:
        if down:
            raise RpcError("the node can't be reached (ConnectError)")

    node.before = before

    async def work(running: Running) -> None:
        nonlocal down
        hashes = await world.enqueue(running.store, 5)

        async def noted() -> bool:
            return all("can't be reached" in error for _, _, error in await running.shown())

        await until(noted)
        await asyncio.sleep(0.3)
        assert [state for state, _, _ in await running.shown()] == ["pending"] * 5
        assert world.logged() == []
        down = False
        await running.states(logged=5)
        assert world.logged() == hashes
        assert {error for _, _, error in await running.shown()} == {""}

    live(tmp_path, lambda: world.signer(node), work)


def test_every_third_request_fails_before_or_after(world: World, tmp_path: Path) -> None:
    world.careless()
    node = world.node()
    count = 0

    def before(calls: Sequence[Ask]) -> None:
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise RpcError("the node answered 502 with something that isn't JSON")

    def after(calls: Sequence[Ask]) -> None:
        if count % 4 == 0:
            raise RpcError("the node didn't answer within 5 s")

    node.before, node.after = before, after

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 40)
        await running.states(logged=40)
        assert sorted(world.logged()) == sorted(hashes)

    live(tmp_path, lambda: world.signer(node), work)


def test_an_answer_that_is_lost_means_no_second_receipt(world: World, tmp_path: Path) -> None:
    world.careless()
    node = world.node()
    lost = 0

    def after(calls: Sequence[Ask]) -> None:
        nonlocal lost
        if sends(calls) and lost < 3:
            lost += 1
            raise RpcError("the node didn't answer within 5 s")

    node.after = after

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 10)
        await running.states(logged=10)
        assert lost >= 1
        assert world.logged() == hashes

    live(tmp_path, lambda: world.signer(node), work)


def test_a_transaction_that_the_node_drops_is_sent_again_with_its_nonce(world: World, tmp_path: Path) -> None:
    world.careless()
    node = world.node()
    dropped: list[str] = []

    async def dropping(calls: Sequence[Ask], plain: Plain) -> list[Answer]:
        """The node says yes and forgets the second transaction that it ever gets."""
        if not sends(calls):
            return await plain(calls)
        answers: list[Answer] = []
        for call in calls:
            if not dropped and len(answers) == 1:
                dropped.append(call.params[0])
                answers.append("0x" + "ab" * 32)
            else:
                answers += await plain([call])
        return answers

    node.instead = dropping

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 6)
        await running.states(logged=6)
        assert dropped
        assert world.logged() == hashes

    live(tmp_path, lambda: world.signer(node), work)


def test_a_stranger_to_the_owner_is_given_up_and_the_others_pass(world: World, tmp_path: Path) -> None:
    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 2)
        await world.enqueue(running.store, 1, delegate=world.stranger.address)
        hashes += await world.enqueue(running.store, 2)
        await running.states(logged=4, dead=1)
        assert world.logged() == hashes
        state, _, error = (await running.shown())[2]
        assert (state, error) == ("dead", "DelegateNeverPermitted")
        world.do(world.owner.address, "addDelegate(address)", world.stranger.address)
        assert await running.store.requeue_dead() == 1
        await running.states(logged=5)
        assert len(set(world.logged())) == len(world.logged()) == 5

    live(tmp_path, world.signer, work)


def test_a_gateway_that_is_not_named_and_then_is(world: World, tmp_path: Path) -> None:
    world.do(world.admin.address, "setGateway(address)", world.stranger.address)

    async def work(running: Running) -> None:
        await world.enqueue(running.store, 3)
        await running.states(dead=3)
        assert {error for _, _, error in await running.shown()} == {"NotAuthorized"}
        world.do(world.admin.address, "setGateway(address)", world.gateway.address)
        assert await running.store.requeue_dead() == 3
        await running.states(logged=3)
        assert len(set(world.logged())) == len(world.logged()) == 3

    live(tmp_path, world.signer, work)


def test_what_somebody_else_has_logged_counts(world: World, tmp_path: Path) -> None:
    async def first(running: Running) -> None:
        hashes.extend(await world.enqueue(running.store, 2))
        await running.states(logged=2)

    hashes: list[str] = []
    (tmp_path / "one").mkdir()
    live(tmp_path / "one", world.signer, first)
    world._count = 0

    async def second(running: Running) -> None:
        assert await world.enqueue(running.store, 2) == hashes
        await running.states(logged=2)
        assert world.logged() == hashes
        assert [(state, error) for state, _, error in await running.shown()] == [("logged", "")] * 2

    live(tmp_path, world.signer, second)


def test_a_foreign_transaction_may_take_a_nonce(world: World, tmp_path: Path) -> None:
    """Whoever uses the same key elsewhere delays receipts, and neither loses nor doubles them."""
    world.careless()
    node = world.node()
    taken = 0

    def before(calls: Sequence[Ask]) -> None:
        nonlocal taken
        if sends(calls) and taken < 3:
            taken += 1
            ask(world.chain.url, "eth_sendTransaction", {"from": world.gateway.address, "to": world.admin.address})

    node.before = before

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 10)
        await running.states(logged=10)
        assert taken == 3
        assert sorted(world.logged()) == sorted(hashes)

    live(tmp_path, lambda: world.signer(node), work)


@pytest.mark.parametrize(
    "message", ["transaction underpriced", "max fee per gas less than block base fee", "insufficient funds for gas"]
)
def test_a_node_that_takes_no_transaction(world: World, tmp_path: Path, message: str) -> None:
    node = world.node()
    prices: list[int] = []
    refusals = 3

    async def refusing(calls: Sequence[Ask], plain: Plain) -> list[Answer]:
        nonlocal refusals
        if not sends(calls):
            return await plain(calls)
        prices.append(_price(calls[0].params[0]))
        if refusals:
            refusals -= 1
            return [Fault(-32003, message) for _ in calls]
        return await plain(calls)

    node.instead = refusing

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 3)

        async def noted() -> bool:
            return any(message in error for _, _, error in await running.shown())

        await until(noted)
        await running.states(logged=3)
        assert world.logged() == hashes
        assert (prices[3] > prices[0]) == ("funds" not in message)

    live(tmp_path, lambda: world.signer(node), work)


def _price(raw: str) -> int:
    items: Any = rlp.decode(bytes.fromhex(raw[2:]))
    return int.from_bytes(items[1])


def test_nothing_is_sent_to_another_chain(world: World, tmp_path: Path) -> None:
    node = world.node()
    node.answers = lambda call, answer: "0x1" if call.method == "eth_chainId" else answer

    async def work(running: Running) -> None:
        await world.enqueue(running.store, 2)

        async def noted() -> bool:
            return all("not on chain" in error for _, _, error in await running.shown())

        await until(noted)
        assert "eth_sendRawTransaction" not in node.asked

    live(tmp_path, lambda: world.signer(node), work)


@pytest.mark.parametrize("odd", [None, "0x", "soon", [], {}, Fault(-32000, "header not found")], ids=repr)
@pytest.mark.parametrize("method", ["eth_getLogs", "eth_blockNumber", "eth_getTransactionCount", "eth_gasPrice"])
def test_a_node_that_talks_nonsense(world: World, tmp_path: Path, method: str, odd: Any) -> None:
    node = world.node()
    mad = True
    node.answers = lambda call, answer: odd if mad and call.method == method else answer

    async def work(running: Running) -> None:
        nonlocal mad
        hashes = await world.enqueue(running.store, 2)
        await asyncio.sleep(0.15)
        mad = False
        await running.states(logged=2)
        assert world.logged() == hashes

    live(tmp_path, lambda: world.signer(node), work)


def test_a_node_that_lags_does_not_make_doubles(world: World, tmp_path: Path) -> None:
    """Behind one address some nodes are blocks behind: what they don't see may well be there."""
    world.careless()
    node = world.node()
    count, behind = 0, False

    def lagging(call: Ask, answer: Answer) -> Answer:
        """Two of three requests for logs reach the node that is behind."""
        nonlocal count, behind
        if call.method == "eth_getLogs":
            count += 1
            behind = count % 3 != 0
            return [] if behind else answer
        if call.method == "eth_blockNumber" and behind:
            behind = False
            return hex(max(int(str(answer), 16) - 20, 0))
        return answer

    node.answers = lagging

    async def work(running: Running) -> None:
        hashes = await world.enqueue(running.store, 10)
        await running.states(logged=10)
        assert sorted(world.logged()) == sorted(hashes)

    live(tmp_path, lambda: world.signer(node), work)


def test_many_at_once_where_blocks_take_their_time(tmp_path: Path) -> None:
    with DevChain(engine=PY_EVM, block_time=0.15) as chain:
        world = World(chain)

        async def work(running: Running) -> None:
            hashes = await world.enqueue(running.store, 100)
            await running.states(logged=100)
            assert world.logged() == hashes

        live(tmp_path, lambda: world.signer(silence=3), work)
        assert len({log["blockNumber"] for log in world.logs()}) < 30

"""Receipts through appd's socket and Multicall3, on a real EVM, and everything that may go wrong on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from emulator.appd import Call, FakeAppd, RevertedError, on_chain
from shared.keys.appd import Appd
from shared.keys.rpc import Answer, Ask, RpcError
from shared.receipts import rofl
from shared.receipts.calldata import MULTICALL
from shared.receipts.worker import Worker
from shared.store.sqlite import SqliteStore
from tests.receipts.world import FAST, Node, Running, World, live, named, until, values

Work = Callable[[Running, FakeAppd], Awaitable[None]]


@dataclass
class Breaking(FakeAppd):
    """appd with a wall in front of sign-submit: `refusal` answers instead, `lost` answers are torn off after the deed."""

    lost: int = 0
    refusal: Callable[[Request], Response | None] = field(default=lambda request: None)

    def app(self) -> Starlette:
        return Starlette(routes=[Mount("/", app=self._wall(super().app()))])

    def _wall(self, inner: ASGIApp) -> ASGIApp:
        async def wall(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].endswith("sign-submit"):
                refusal = self.refusal(Request(scope))
                if refusal is not None:
                    await refusal(scope, receive, send)
                    return
                if self.lost > 0:
                    self.lost -= 1
                    await inner(scope, receive, _nowhere)
                    return
            await inner(scope, receive, send)

        return wall


async def _nowhere(message: Any) -> None:
    return None


def fake(world: World, **more: Any) -> Breaking:
    return Breaking(on_chain(world.chain.url, world.instance.address), **more)


def inside(world: World, folder: Path, appd: FakeAppd, work: Work, node: Node | None = None, **more: Any) -> None:
    """Runs `work` beside a worker that reaches `appd` through a socket."""

    async def inner() -> None:
        store = SqliteStore(str(folder / "gateway.db"))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(appd.serve(str(folder / "appd.sock")))
            worker = Worker(store, world.rofl(Appd.at(str(folder / "appd.sock")), node, **more), pace=FAST)
            worker.start()
            try:
                await work(Running(store, worker), appd)
            finally:
                await worker.stop(0)
                await store.close()

    asyncio.run(inner())


@pytest.mark.parametrize("careless", [False, True])
def test_many_receipts_in_few_transactions(world: World, tmp_path: Path, careless: bool) -> None:
    if careless:
        world.careless()

    async def prepare(running: Running) -> None:
        hashes.extend(await world.enqueue(running.store, 120))

    hashes: list[str] = []
    _offline(tmp_path, prepare)

    async def work(running: Running, appd: FakeAppd) -> None:
        await running.states(logged=120)
        logs = world.logs()
        assert [log["topics"][1] for log in logs] == hashes
        assert [values(log) for log in logs] == [named(count) for count in range(1, 121)]
        assert await running.shown() == [("logged", log["transactionHash"], "") for log in logs]
        assert len(appd.calls) == 3
        assert len({log["transactionHash"] for log in logs}) == len(appd.calls)

    inside(world, tmp_path, fake(world), work)


def test_one_receipt_goes_straight_to_the_contract(world: World, tmp_path: Path) -> None:
    async def work(running: Running, appd: FakeAppd) -> None:
        await world.enqueue(running.store, 1)
        await running.states(logged=1)
        assert [call.to.hex() for call in appd.calls] == [world.contract[2:].lower()]

    inside(world, tmp_path, fake(world), work)


def test_a_stranger_in_the_middle_is_given_up_alone(world: World, tmp_path: Path) -> None:
    async def prepare(running: Running) -> None:
        hashes.extend(await world.enqueue(running.store, 5))
        await world.enqueue(running.store, 1, delegate=world.stranger.address)
        hashes.extend(await world.enqueue(running.store, 5))

    hashes: list[str] = []
    _offline(tmp_path, prepare)

    async def work(running: Running, appd: FakeAppd) -> None:
        await running.states(logged=10, dead=1)
        assert world.logged() == hashes
        assert (await running.shown())[5] == ("dead", "", "DelegateNeverPermitted")
        assert len(appd.calls) == 2
        world.do(world.owner.address, "addDelegate(address)", world.stranger.address)
        assert await running.store.requeue_dead() == 1
        await running.states(logged=11)

    inside(world, tmp_path, fake(world), work)


def _offline(folder: Path, work: Callable[[Running], Awaitable[None]]) -> None:
    """Fills the outbox while nobody delivers."""

    async def inner() -> None:
        store = SqliteStore(str(folder / "gateway.db"))
        await work(Running(store, None))  # type: ignore[arg-type]  # no worker is wanted
        await store.close()

    asyncio.run(inner())


def test_an_app_that_is_not_authorised(world: World, tmp_path: Path) -> None:
    world.authorize(False)

    async def work(running: Running, appd: FakeAppd) -> None:
        await world.enqueue(running.store, 4)
        await running.states(dead=4)
        assert {error for _, _, error in await running.shown()} == {"RoflOriginNotAuthorizedForApp"}
        world.authorize(True)
        assert await running.store.requeue_dead() == 4
        await running.states(logged=4)
        assert len(set(world.logged())) == len(world.logged()) == 4

    inside(world, tmp_path, fake(world), work)


@pytest.mark.parametrize("careless", [False, True])
def test_a_time_out_after_the_deed_means_no_second_receipt(world: World, tmp_path: Path, careless: bool) -> None:
    """appd gives up while its transaction goes its way; the worker looks before it sends again."""
    if careless:
        world.careless()
    appd = fake(world)
    count = 0
    plain = appd.execute

    async def late(call: Call) -> bytes:
        nonlocal count
        count += 1
        if count > 2:
            return await plain(call)
        asyncio.get_running_loop().call_later(0.3, lambda: tasks.append(asyncio.ensure_future(plain(call))))
        await asyncio.sleep(30)
        return b""

    tasks: list[asyncio.Future[bytes]] = []
    appd.execute, appd.queue_seconds = late, 0.1

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 20)
        await running.states(logged=20)
        await asyncio.sleep(0.5)
        assert count >= 2
        assert world.logged() == hashes

    inside(world, tmp_path, appd, work, delays=rofl.Delays(0.8, 0.8, 0.2, 0.02))


@pytest.mark.parametrize("careless", [False, True])
def test_an_answer_that_is_lost_means_no_second_receipt(world: World, tmp_path: Path, careless: bool) -> None:
    if careless:
        world.careless()
    appd = fake(world)
    appd.lost = 2

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 10)
        await running.states(logged=10)
        assert world.logged() == hashes

    inside(world, tmp_path, appd, work)


def test_appd_is_not_there_yet(world: World, tmp_path: Path) -> None:
    async def inner() -> None:
        store = SqliteStore(str(tmp_path / "gateway.db"))
        path = str(tmp_path / "appd.sock")
        worker = Worker(store, world.rofl(Appd.at(path)), pace=FAST)
        running = Running(store, worker)
        worker.start()
        hashes = await world.enqueue(store, 3)

        async def noted() -> bool:
            shown = await running.shown()  # for a moment of each try they count as sent
            return all(state == "pending" and "ConnectError" in error for state, _, error in shown)

        await until(noted)
        async with fake(world).serve(path):
            await running.states(logged=3)
            await worker.stop(0)
        assert world.logged() == hashes
        await store.close()

    asyncio.run(inner())


@pytest.mark.parametrize(
    ("status", "text"),
    [(400, "gas price too low"), (413, "too large"), (422, "what?"), (500, "oh"), (400, "malformed address")],
)
def test_appd_refuses_for_a_while(world: World, tmp_path: Path, status: int, text: str) -> None:
    appd = fake(world)
    refusals = 2

    def refusal(request: Request) -> Response | None:
        nonlocal refusals
        refusals -= 1
        return PlainTextResponse(text, status) if refusals >= 0 else None

    appd.refusal = refusal

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 10)

        async def noted() -> bool:
            return any(text in error for _, _, error in await running.shown())

        await until(noted)
        await running.states(logged=10)
        assert world.logged() == hashes

    inside(world, tmp_path, appd, work)


@pytest.mark.parametrize("result", ["accounts", "core", "odd", "no cbor"])
def test_a_transaction_that_fails_as_a_whole(world: World, tmp_path: Path, result: str) -> None:
    """The app's account is empty, the gas didn't suffice, or the answer can't be read: nothing is lost with it."""
    appd = fake(world)
    bad = 2

    def refusal(request: Request) -> Response | None:
        nonlocal bad
        bad -= 1
        if bad < 0:
            return None
        told = {
            "accounts": {"fail": {"module": "accounts", "code": 2, "message": "insufficient balance"}},
            "core": {"fail": {"module": "core", "code": 12, "message": "out of gas"}},
            "odd": {"maybe": 1},
        }.get(result)
        data = b"\xff" if told is None else cbor2.dumps(told)
        return Response(b'{"data": "%b"}' % data.hex().encode(), media_type="application/json")

    appd.refusal = refusal

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 30)
        await running.states(logged=30)
        assert sorted(world.logged()) == sorted(hashes)  # a part of them may have had to wait

    inside(world, tmp_path, appd, work)


def test_without_multicall_receipts_go_one_by_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rofl, "MULTICALL", "0x" + "77" * 20)

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 6)
        await running.states(logged=6)
        assert world.logged() == hashes

    inside(world, tmp_path, fake(world), work)


def test_what_stands_already_counts_as_logged(world: World, tmp_path: Path) -> None:
    """The node tells nothing, so that only the contract's refusal can say it."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    hashes: list[str] = []

    async def first(running: Running, appd: FakeAppd) -> None:
        hashes.extend(await world.enqueue(running.store, 1))
        await running.states(logged=1)

    inside(world, tmp_path / "one", fake(world), first)
    world._count = 0

    async def second(running: Running, appd: FakeAppd) -> None:
        assert await world.enqueue(running.store, 1) == hashes
        await running.states(logged=1)
        assert len(appd.calls) == 1
        assert (await running.shown())[0][0] == "logged"
        assert world.logged() == hashes

    inside(world, tmp_path / "two", fake(world), second)


@pytest.mark.parametrize("careless", [False, True])
def test_a_node_that_fails_at_every_third_request(world: World, tmp_path: Path, careless: bool) -> None:
    if careless:
        world.careless()
    node, count = world.node(), 0

    def before(calls: Sequence[Ask]) -> None:
        nonlocal count
        count += 1
        if count % 3 == 0:
            raise RpcError("the node answered 502 with something that isn't JSON")

    node.before = before

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes: list[str] = []
        for _ in range(5):
            hashes += await world.enqueue(running.store, 7)
            await asyncio.sleep(0.05)
        await running.states(logged=35)
        assert world.logged() == hashes

    inside(world, tmp_path, fake(world), work, node)


def test_a_node_that_sees_the_block_late(world: World, tmp_path: Path) -> None:
    """appd says it is done, the node knows nothing of it for a while: no second transaction."""
    world.careless()
    node = world.node()
    blind = 4

    def answers(call: Ask, answer: Answer) -> Answer:
        nonlocal blind
        if call.method == "eth_getLogs" and blind:
            blind -= 1
            return []
        return answer

    node.answers = answers

    async def work(running: Running, appd: FakeAppd) -> None:
        hashes = await world.enqueue(running.store, 1)
        await running.states(logged=1)
        assert blind == 0
        assert world.logged() == hashes
        assert len(appd.calls) == 1

    inside(world, tmp_path, fake(world), work, node, delays=rofl.Delays(0.5, 0.5, 5.0, 0.02))


def test_a_bundle_that_reverts_is_tried_smaller(world: World, tmp_path: Path) -> None:
    appd = fake(world)
    plain = appd.execute
    sizes: list[int] = []

    async def small_only(call: Call) -> bytes:
        many = call.to.hex() == MULTICALL[2:].lower()
        size = int.from_bytes(call.data[36:68]) if many else 1
        sizes.append(size)
        if size > 5:
            raise RevertedError(b"")
        return await plain(call)

    appd.execute = small_only

    async def prepare(running: Running) -> None:
        hashes.extend(await world.enqueue(running.store, 30))

    hashes: list[str] = []
    _offline(tmp_path, prepare)

    async def work(running: Running, appd: FakeAppd) -> None:
        await running.states(logged=30)
        assert world.logged() == hashes
        assert sizes[:3] == [30, 12, 3]

    inside(world, tmp_path, appd, work)


def test_two_hundred_a_minute(world: World, tmp_path: Path) -> None:
    """Blocks of 6 s give ten transactions a minute; scaled down twenty times."""

    async def work(running: Running, appd: FakeAppd) -> None:
        begun = asyncio.get_running_loop().time()
        sent = 0
        while sent < 200:
            await world.enqueue(running.store, 5)
            sent += 5
            await asyncio.sleep(0.06)
        await running.states(logged=200)
        assert len(appd.calls) <= 12
        assert asyncio.get_running_loop().time() - begun < 15

    inside(world, tmp_path, fake(world, block_seconds=0.3), work)


def test_who_moves_out_takes_the_outbox_along(world: World, tmp_path: Path) -> None:
    """What appd had been given is looked for on chain, then signed with PRIVATE_KEY."""

    async def prepare(running: Running) -> None:
        hashes.extend(await world.enqueue(running.store, 3))

    hashes: list[str] = []
    _offline(tmp_path, prepare)

    async def crash(running: Running, appd: FakeAppd) -> None:
        async def sent() -> bool:
            return (await running.store.receipt_counts())["sent"] == 3

        await until(sent)

    async def nothing_comes_of_it(call: Call) -> bytes:
        raise RevertedError(b"")

    appd = fake(world, block_seconds=1)
    appd.execute = nothing_comes_of_it
    inside(world, tmp_path, appd, crash)
    assert world.logged() == []

    async def work(running: Running) -> None:
        await running.states(logged=3)
        assert world.logged() == hashes

    live(tmp_path, world.signer, work)

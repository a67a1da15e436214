"""The whole way on a real EVM: the contract, an owner's transactions, the gateway's reads, receipts through appd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_abi.abi import decode, encode
from eth_utils.abi import function_signature_to_4byte_selector

from emulator.appd import FakeAppd, on_chain
from emulator.devchain import PY_EVM, DevChain
from shared.chain import keccak256, model_ids, provider_id
from shared.control_plane import log_receipt, request_hash
from shared.errors import Code, GatewayError
from shared.keys import Want
from shared.keys.appd import Appd, Executed, Failed
from shared.keys.chain import ChainKeys
from shared.keys.envelope import public_key, seal_for
from shared.keys.rofl import KeySource
from shared.keys.rpc import Rpc

MODEL = "claude-sonnet-4-20250514"
APP = bytes.fromhex("00" + "5a" * 20)
RECEIPT = "ReceiptLogged(bytes32,address,address,bytes32,bytes32,uint32,uint32,uint64,uint64,uint64)"


class World:
    """A chain with the contract, the gateway's derived key registered, and an owner with a friend."""

    def __init__(self, chain: DevChain, socket_path: str) -> None:
        self.chain = chain
        self.socket_path = socket_path
        self.admin, self.owner, self.friend, self.instance = (account.address for account in chain.accounts[:4])

    def ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.chain.url, json=body, trust_env=False).json()
        assert "error" not in answer, answer
        return answer["result"]

    def do(self, sender: str, signature: str, *values: Any) -> None:
        types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
        data = function_signature_to_4byte_selector(signature) + encode(types, values)
        transaction = {"from": sender, "to": self.chain.control_plane, "data": f"0x{data.hex()}", "gas": hex(1_000_000)}
        sent = self.ask("eth_sendTransaction", transaction)
        assert self.ask("eth_getTransactionReceipt", sent)["status"] == "0x1"

    def store(self, key: str, provider: str = "anthropic") -> None:
        sealed = seal_for(self.owner, provider_id(provider), key, public_key(gateway_private()))
        self.do(self.owner, "setSecret(bytes32,bytes)", provider_id(provider), sealed)


def gateway_private() -> bytes:
    return bytes.fromhex("c03d5be0af20d8a326ed22b34757b0c7eee79854236ba13b382bf50997a6c04b")


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with DevChain(engine=PY_EVM) as chain:
        yield chain


@pytest.fixture
def world(chain: DevChain, tmp_path: Path) -> World:
    chain.deploy()
    world = World(chain, str(tmp_path / "appd.sock"))
    world.do(world.admin, "addProvider(bytes32)", provider_id("anthropic"))
    world.do(world.admin, "setRoflKey(bytes,bool)", public_key(gateway_private()), True)
    world.do(world.admin, "setRoflAppId(bytes21)", APP)
    world.do(world.owner, "addDelegate(address)", world.friend)
    world.do(world.owner, "addAllowedModel(bytes32,bytes32)", provider_id("anthropic"), model_ids(MODEL)[2])
    world.store("sk-ant-first")
    return world


def _run(world: World, work: Callable[[ChainKeys, Appd], Awaitable[None]], sender: str) -> None:
    async def run() -> None:
        async with FakeAppd(on_chain(world.chain.url, sender)).serve(world.socket_path):
            appd = Appd.at(world.socket_path)
            source = KeySource(world.socket_path, None)
            keys = ChainKeys(Rpc(world.chain.url), world.chain.control_plane, world.chain.chain_id, source)
            try:
                await keys.ready()
                await work(keys, appd)
            finally:
                await appd.close()
                await keys.close()

    asyncio.run(run())


def test_from_the_owners_transaction_to_the_key(world: World) -> None:
    wants = [Want("anthropic", (MODEL,)), Want("openai", (MODEL,))]

    async def work(keys: ChainKeys, appd: Appd) -> None:
        async def seen(caller: str, wanted: list[Want] = wants) -> Code | str:
            try:
                opened = await keys.open(world.owner, caller, wanted)
            except GatewayError as error:
                return error.code
            assert opened.keys.keys() == {"anthropic"}
            return opened.keys["anthropic"].value

        async def then(sender: str, signature: str, *values: Any) -> None:
            await asyncio.to_thread(world.do, sender, signature, *values)

        assert await seen(world.friend) == await seen(world.owner) == "sk-ant-first"
        assert await seen(world.admin) is Code.DELEGATE_NOT_PERMITTED
        assert await seen(world.friend, [Want("anthropic", ("claude-opus-4",))]) is Code.MODEL_NOT_ALLOWED
        assert await seen(world.friend, wants[1:]) is Code.SECRET_NOT_FOUND
        await asyncio.to_thread(world.store, "sk-ant-second")
        assert await seen(world.friend) == "sk-ant-second"
        await then(world.admin, "pause()")
        assert await seen(world.friend) is Code.SAPPHIRE_UNAVAILABLE
        await then(world.admin, "unpause()")
        await then(world.owner, "removeDelegate(address)", world.friend)
        assert await seen(world.friend) is Code.DELEGATE_NOT_PERMITTED
        await then(world.owner, "revokeSecret(bytes32)", provider_id("anthropic"))
        assert await seen(world.owner) is Code.SECRET_NOT_FOUND

    _run(world, work, world.instance)


def test_a_copied_ciphertext_and_a_rotated_key(world: World) -> None:
    sealed = seal_for(world.owner, provider_id("anthropic"), "sk-ant", public_key(gateway_private()))
    world.do(world.friend, "setSecret(bytes32,bytes)", provider_id("anthropic"), sealed)
    world.do(world.friend, "addAllowedModel(bytes32,bytes32)", provider_id("anthropic"), model_ids(MODEL)[0])
    stale = seal_for(world.owner, provider_id("anthropic"), "sk-ant", public_key(b"o" * 32))
    world.do(world.owner, "setSecret(bytes32,bytes)", provider_id("anthropic"), stale)
    world.do(world.admin, "setRoflKey(bytes,bool)", public_key(b"p" * 32), True)
    world.do(world.admin, "setRoflKey(bytes,bool)", public_key(gateway_private()), True)

    async def work(keys: ChainKeys, appd: Appd) -> None:
        for owner, words in (
            (world.friend, "another owner"),
            (world.owner, "version 1 of the gateway key, and now there is version 3"),
        ):
            with pytest.raises(GatewayError) as caught:
                await keys.open(owner, owner, [Want("anthropic", (MODEL,))])
            assert caught.value.code is Code.DECRYPTION_FAILED
            assert words in caught.value.message

    _run(world, work, world.instance)


def test_a_receipt_through_appd(world: World) -> None:
    provider, model = provider_id("anthropic"), model_ids(MODEL)[2]
    hashed = request_hash(b"r" * 16, world.owner, world.friend, provider, model, 1_795_000_000_000)
    # Reads have sender 0 here as on Sapphire, and 0 is the gateway while none is set.
    world.do(world.admin, "setGateway(address)", world.admin)
    call = log_receipt(hashed, world.owner, world.friend, provider, model, 1234, 56)

    async def work(keys: ChainKeys, appd: Appd) -> None:
        refused = await appd.sign_submit(world.chain.control_plane, call, 500_000)
        assert isinstance(refused, Failed)
        assert (refused.module, refused.code, refused.cause) == ("evm", 8, "RoflOriginNotAuthorizedForApp")
        await asyncio.to_thread(world.chain.authorize_origin, APP, world.instance)
        assert isinstance(await appd.sign_submit(world.chain.control_plane, call, 500_000), Executed)
        again = await appd.sign_submit(world.chain.control_plane, call, 500_000)
        assert isinstance(again, Failed)

    _run(world, work, world.instance)
    topics = [f"0x{keccak256(RECEIPT.encode()).hex()}", f"0x{hashed.hex()}"]
    logs = world.ask(
        "eth_getLogs", {"address": world.chain.control_plane, "fromBlock": "0x0", "toBlock": "latest", "topics": topics}
    )
    assert len(logs) == 1
    values = decode(
        ["bytes32", "bytes32", "uint32", "uint32", "uint64", "uint64", "uint64"], bytes.fromhex(logs[0]["data"][2:])
    )
    assert values[:6] == (provider, model, 1234, 56, 1, 1)

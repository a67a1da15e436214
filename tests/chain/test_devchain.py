"""The dev chain over HTTP: raw JSON-RPC, and web3.py as the judge of what it says."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest
from eth_account import Account as Signer
from eth_account.signers.local import LocalAccount
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError, TimeExhausted, TransactionNotFound, Web3RPCError
from web3.logs import DISCARD

import contracts
from emulator.devchain import ACCOUNTS, MULTICALL, PY_EVM, DevChain
from emulator.devchain.blockchain import Blockchain
from emulator.devchain.engines import DevChainError, find_anvil
from emulator.devchain.jsonrpc import methods_of, respond
from emulator.devchain.node import Node
from shared.chain import keccak256, model_ids, provider_id
from tests.chain.plane import KEYS, signatures, types

OPENAI = provider_id("openai")
MODEL = model_ids("gpt-4o")[2]
ERRORS = signatures(contracts.control_plane().abi, "error")
PRICE = 10**10


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with DevChain(engine=PY_EVM) as chain:
        yield chain


@pytest.fixture
def web3(chain: DevChain) -> Web3:
    return Web3(Web3.HTTPProvider(chain.url))


@pytest.fixture
def plane(chain: DevChain, web3: Web3) -> Contract:
    """A contract of the test's own."""
    return web3.eth.contract(address=Web3.to_checksum_address(chain.deploy()), abi=contracts.control_plane().abi)


@pytest.fixture
def payer(web3: Web3) -> LocalAccount:
    """A fresh account with money, so that nonces begin at 0."""
    account: LocalAccount = Signer.create()
    web3.eth.wait_for_transaction_receipt(
        web3.eth.send_transaction(
            {"from": ACCOUNTS[9].address, "to": account.address, "value": Web3.to_wei(1, "ether"), "gas": 21_000}
        )
    )
    return account


def rpc(chain: DevChain, body: object) -> Any:
    answer = httpx.post(chain.url, json=body, trust_env=False)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def call(chain: DevChain, method: str, *params: object) -> Any:
    return rpc(chain, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})


def error(chain: DevChain, method: str, *params: object) -> tuple[int, str]:
    answer = call(chain, method, *params)
    assert "result" not in answer
    return answer["error"]["code"], answer["error"]["message"]


def signed(account: LocalAccount, nonce: int, **fields: object) -> str:
    transaction = {
        "chainId": 23295,
        "nonce": nonce,
        "gas": 21_000,
        "gasPrice": PRICE,
        "value": 1,
        "data": b"",
        **fields,
    }
    transaction.setdefault("to", ACCOUNTS[5].address)
    return f"0x{bytes(account.sign_transaction(transaction).raw_transaction).hex()}"


class TestEnvelope:
    """JSON-RPC itself."""

    def test_single(self, chain: DevChain) -> None:
        assert call(chain, "eth_chainId") == {"jsonrpc": "2.0", "id": 7, "result": "0x5aff"}
        assert call(chain, "net_version")["result"] == "23295"
        assert "devchain" in call(chain, "web3_clientVersion")["result"]

    def test_params_may_be_left_out(self, chain: DevChain) -> None:
        assert rpc(chain, {"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"})["id"] == "a"

    def test_batch(self, chain: DevChain) -> None:
        calls = [
            {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
            {"jsonrpc": "2.0", "method": "eth_chainId", "params": []},
            {"jsonrpc": "2.0", "id": 2, "method": "eth_none", "params": []},
            "nonsense",
            {"jsonrpc": "2.0", "id": 3, "method": "eth_call", "params": [{"to": chain.control_plane, "data": "0x00"}]},
        ]
        answers = rpc(chain, calls)
        assert [answer["id"] for answer in answers] == [1, 2, None, 3]
        assert answers[0]["result"] == "0x5aff"
        assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32600, 3]

    def test_a_batch_of_fifty_calls(self, chain: DevChain) -> None:
        data = f"0x{keccak256(b'isPaused()')[:4].hex()}"
        calls = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_call",
                "params": [{"to": chain.control_plane, "data": data}, "latest"],
            }
            for number in range(50)
        ]
        assert rpc(chain, calls) == [
            {"jsonrpc": "2.0", "id": number, "result": f"0x{bytes(32).hex()}"} for number in range(50)
        ]

    @pytest.mark.parametrize(
        "body", [{"jsonrpc": "2.0", "method": "eth_chainId"}, [{"jsonrpc": "2.0", "method": "eth_chainId"}]]
    )
    def test_notifications_get_no_answer(self, chain: DevChain, body: object) -> None:
        answer = httpx.post(chain.url, json=body, trust_env=False)
        assert (answer.status_code, answer.content) == (204, b"")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", -32700),
            (b"", -32700),
            (b"\xff", -32700),
            (b"[]", -32600),
            (b"1", -32600),
            (b'{"id": 1, "method": "eth_chainId"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
            (b'{"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"}', -32600),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {"a": 1}}', -32602),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [1]}', -32602),
            (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs"}', -32602),
            (b"[" + b"1," * 1000 + b"1]", -32600),
        ],
    )
    def test_faults(self, chain: DevChain, body: bytes, code: int) -> None:
        answer = httpx.post(chain.url, content=body, trust_env=False).json()
        assert answer["error"]["code"] == code

    def test_only_post(self, chain: DevChain) -> None:
        assert httpx.get(chain.url, trust_env=False).status_code == 405

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("eth_getBalance", ["0x12"]),
            ("eth_getBalance", [5]),
            ("eth_getBalance", [ACCOUNTS[0].address, "0x01"]),
            ("eth_getBalance", [ACCOUNTS[0].address, "newest"]),
            ("eth_getBalance", [ACCOUNTS[0].address, "0x" + "f" * 80]),
            ("eth_call", ["0x"]),
            ("eth_call", [{"to": MULTICALL, "data": "0x0"}]),
            ("eth_call", [{"to": MULTICALL, "value": 1}]),
            ("eth_call", [{"to": MULTICALL, "from": "0x0"}]),
            ("eth_getTransactionReceipt", ["0x00"]),
            ("eth_sendRawTransaction", ["f8"]),
            ("eth_getLogs", [{"topics": ["0x00"]}]),
            ("eth_getLogs", [{"topics": [None] * 5}]),
            ("eth_getLogs", [{"address": 1}]),
            ("eth_getLogs", [{"blockHash": "0x" + "00" * 32, "fromBlock": "0x1"}]),
            ("eth_feeHistory", ["0x0", "latest", []]),
        ],
    )
    def test_wrong_params(self, chain: DevChain, method: str, params: list[object]) -> None:
        assert error(chain, method, *params)[0] == -32602


class TestReads:
    def test_out_of_range(self, chain: DevChain) -> None:
        far = hex(10**6)
        assert call(chain, "eth_getBlockByNumber", far, False)["result"] is None
        assert call(chain, "eth_getBlockByHash", "0x" + "11" * 32, False)["result"] is None
        assert call(chain, "eth_getTransactionByHash", "0x" + "11" * 32)["result"] is None
        assert call(chain, "eth_getTransactionReceipt", "0x" + "11" * 32)["result"] is None
        assert error(chain, "eth_call", {"to": chain.control_plane}, far) == (-32000, "header not found")
        assert error(chain, "eth_getBalance", ACCOUNTS[0].address, far) == (-32000, "header not found")
        assert error(chain, "eth_getLogs", {"blockHash": "0x" + "11" * 32}) == (-32000, "unknown block")

    def test_blocks(self, chain: DevChain, web3: Web3, plane: Contract) -> None:
        block = web3.eth.get_block("latest", full_transactions=True)
        assert web3.eth.get_block(block["hash"])["number"] == block["number"] == web3.eth.block_number
        assert web3.eth.get_block(block["number"] - 1)["hash"] == block["parentHash"]
        [transaction] = block["transactions"]
        assert not isinstance(transaction, bytes)
        assert transaction["from"] == chain.admin.address
        assert web3.eth.get_transaction(transaction["hash"]) == transaction
        assert web3.eth.get_block("earliest")["number"] == 0

    def test_the_past_is_kept(self, web3: Web3, payer: LocalAccount) -> None:
        now = web3.eth.block_number
        assert web3.eth.get_balance(payer.address) == Web3.to_wei(1, "ether")
        assert web3.eth.get_balance(payer.address, now - 1) == 0

    def test_code(self, web3: Web3, plane: Contract, payer: LocalAccount) -> None:
        assert web3.eth.get_code(plane.address) == contracts.control_plane().runtime
        assert web3.eth.get_code(Web3.to_checksum_address(MULTICALL)) == contracts.multicall().runtime
        assert web3.eth.get_code(payer.address) == b""

    def test_fees(self, web3: Web3) -> None:
        assert web3.eth.gas_price == 100 * 10**9
        history = web3.eth.fee_history(4, "latest", [10, 50])
        assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1
        assert [len(row) for row in history["reward"]] == [2] * len(history["gasUsedRatio"])
        assert web3.eth.max_priority_fee == 10**9

    def test_reverts_carry_their_data(self, plane: Contract) -> None:
        with pytest.raises(ContractCustomError) as caught:
            plane.functions.roflKeyAt(9).call()
        assert caught.value.data == f"0x{ERRORS['UnknownRoflKey'].encode(9).hex()}"

    def test_an_unsigned_call_comes_from_address_zero(self, web3: Web3, chain: DevChain) -> None:
        # CALLER, stored and returned: run as the code of a contract's creation.
        seen = web3.eth.call({"from": chain.admin.address, "data": "0x3360005260206000f3"})
        assert seen == bytes(32)

    def test_an_estimate_doesnt_tell_of_a_revert(self, chain: DevChain, plane: Contract) -> None:
        pause = {"from": chain.admin.address, "to": plane.address, "data": f"0x{keccak256(b'pause()')[:4].hex()}"}
        assert int(call(chain, "eth_estimateGas", pause)["result"], 16) < 30_000

    def test_an_estimate_is_enough_and_not_more(self, web3: Web3, payer: LocalAccount, plane: Contract) -> None:
        data = plane.encode_abi("addDelegate", [ACCOUNTS[2].address])
        gas = web3.eth.estimate_gas({"to": plane.address, "data": data})
        fields = {"to": plane.address, "data": data, "value": 0}
        short = web3.eth.send_raw_transaction(signed(payer, 0, gas=gas - 1, **fields))
        enough = web3.eth.send_raw_transaction(signed(payer, 1, gas=gas, **fields))
        assert [web3.eth.get_transaction_receipt(one)["status"] for one in (short, enough)] == [0, 1]


class TestTransactions:
    def test_a_transfer(self, web3: Web3, payer: LocalAccount) -> None:
        before = web3.eth.get_balance(ACCOUNTS[5].address)
        sent = web3.eth.send_raw_transaction(signed(payer, 0, value=12345))
        receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=5)
        assert (receipt["status"], receipt["gasUsed"], receipt["effectiveGasPrice"]) == (1, 21_000, PRICE)
        assert web3.eth.get_balance(ACCOUNTS[5].address) == before + 12345
        assert web3.eth.get_balance(payer.address) == Web3.to_wei(1, "ether") - 12345 - 21_000 * PRICE

    @pytest.mark.parametrize(
        "fees",
        [
            {"gasPrice": PRICE},
            {
                "gasPrice": PRICE,
                "accessList": [{"address": MULTICALL, "storageKeys": ["0x" + "00" * 32]}],
                "gas": 40_000,
            },
            {"gasPrice": None, "maxFeePerGas": 2 * PRICE, "maxPriorityFeePerGas": 1, "type": 2},
        ],
    )
    def test_every_type(self, web3: Web3, payer: LocalAccount, fees: dict[str, object]) -> None:
        fields = {"gas": 21_000, "gasPrice": PRICE, **fees}
        if fields["gasPrice"] is None:
            del fields["gasPrice"]
        transaction = {"chainId": 23295, "nonce": 0, "value": 1, "to": ACCOUNTS[5].address, **fields}
        made = payer.sign_transaction(transaction)
        sent = web3.eth.send_raw_transaction(made.raw_transaction)
        assert sent == made.hash
        shown = web3.eth.get_transaction(sent)
        assert (shown["from"], shown["nonce"], shown["r"]) == (payer.address, 0, made.r.to_bytes(32, "big"))
        assert shown["v"] == made.v
        receipt = web3.eth.get_transaction_receipt(sent)
        assert receipt["type"] == shown["type"]
        base_fee = web3.eth.get_block(receipt["blockNumber"])["baseFeePerGas"]
        assert receipt["effectiveGasPrice"] == (base_fee + 1 if shown["type"] == 2 else PRICE)

    @pytest.mark.parametrize(
        ("fields", "code", "message"),
        [
            ({"chainId": 23294}, -32000, "invalid chain id for signer"),
            ({"gas": 20_999}, -32000, "intrinsic gas too low"),
            ({"gas": 15_000_001}, -32000, "exceeds block gas limit"),
            ({"gasPrice": 0}, -32003, "max fee per gas less than block base fee"),
            ({"value": 10**18}, -32003, "insufficient funds for gas * price + value"),
        ],
    )
    def test_refusals(
        self, chain: DevChain, payer: LocalAccount, fields: dict[str, object], code: int, message: str
    ) -> None:
        assert error(chain, "eth_sendRawTransaction", signed(payer, 0, **fields)) == (code, message)
        assert call(chain, "eth_getTransactionCount", payer.address, "pending")["result"] == "0x0"

    @pytest.mark.parametrize("raw", ["0x", "0x00", "0xc0", "0x02c0", "0x7f00", "0xf800", "0x" + "ff" * 40])
    def test_nonsense(self, chain: DevChain, raw: str) -> None:
        assert error(chain, "eth_sendRawTransaction", raw)[0] == -32000

    def test_without_replay_protection(self, chain: DevChain, payer: LocalAccount) -> None:
        plain = payer.sign_transaction(
            {"nonce": 0, "gas": 21_000, "gasPrice": PRICE, "value": 1, "to": ACCOUNTS[5].address, "data": b""}
        )
        code, message = error(chain, "eth_sendRawTransaction", f"0x{bytes(plain.raw_transaction).hex()}")
        assert (code, "EIP-155" in message) == (-32000, True)

    def test_a_nonce_is_used_once(self, chain: DevChain, payer: LocalAccount) -> None:
        first = signed(payer, 0)
        assert "result" in call(chain, "eth_sendRawTransaction", first)
        assert error(chain, "eth_sendRawTransaction", first) == (-32000, "already known")
        code, message = error(chain, "eth_sendRawTransaction", signed(payer, 0, value=2))
        assert (code, message) == (-32000, "nonce too low: next nonce 1, tx nonce 0")

    def test_a_gap_holds_back_what_comes_after_it(self, chain: DevChain, web3: Web3, payer: LocalAccount) -> None:
        later = [web3.eth.send_raw_transaction(signed(payer, nonce)) for nonce in (2, 1)]
        with pytest.raises(TransactionNotFound):
            web3.eth.get_transaction_receipt(later[0])
        assert web3.eth.get_transaction(later[0])["blockNumber"] is None
        assert error(chain, "eth_sendRawTransaction", signed(payer, 2, value=9)) == (
            -32003,
            "replacement transaction underpriced",
        )
        assert error(chain, "eth_sendRawTransaction", signed(payer, 2)) == (-32000, "already known")
        assert web3.eth.get_transaction_count(payer.address, "pending") == 0
        first = web3.eth.send_raw_transaction(signed(payer, 0))
        blocks = [web3.eth.get_transaction_receipt(one)["blockNumber"] for one in (first, later[1], later[0])]
        assert blocks == sorted(blocks)
        assert web3.eth.get_transaction_count(payer.address) == 3

    def test_a_failed_transaction_is_in_its_block(self, web3: Web3, payer: LocalAccount, plane: Contract) -> None:
        data = plane.encode_abi("pause", [])
        sent = web3.eth.send_raw_transaction(signed(payer, 0, to=plane.address, data=data, value=0, gas=100_000))
        receipt = web3.eth.get_transaction_receipt(sent)
        assert (receipt["status"], receipt["logs"]) == (0, [])
        assert web3.eth.get_transaction_count(payer.address) == 1

    def test_it_signs_for_its_own_accounts_only(self, chain: DevChain, payer: LocalAccount) -> None:
        assert len(call(chain, "eth_accounts")["result"]) == len(ACCOUNTS)
        transaction = {"from": payer.address, "to": payer.address, "gas": "0x5208"}
        assert error(chain, "eth_sendTransaction", transaction) == (-32000, "unknown account")
        assert error(chain, "eth_sendTransaction", {"to": payer.address})[0] == -32602

    def test_many_senders_at_once(self, chain: DevChain, web3: Web3) -> None:
        def send(account: int) -> list[int]:
            own = Web3(Web3.HTTPProvider(chain.url))
            fields = {"from": ACCOUNTS[account].address, "to": ACCOUNTS[0].address, "gas": 21_000, "value": 1}
            sent = [own.eth.send_transaction(fields) for _ in range(10)]
            return [own.eth.get_transaction_receipt(one)["status"] for one in sent]

        before = web3.eth.block_number
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(send, range(2, 6))) == [[1] * 10] * 4
        assert web3.eth.block_number == before + 40

    def test_known_keys_fit_their_addresses(self) -> None:
        assert [Signer.from_key(account.private_key).address for account in ACCOUNTS] == [
            account.address for account in ACCOUNTS
        ]
        assert not any(account.private_key in repr(account) for account in ACCOUNTS)


class TestLogs:
    @pytest.fixture
    def logged(self, chain: DevChain, web3: Web3, plane: Contract) -> Contract:
        admin, owner = ACCOUNTS[0].address, ACCOUNTS[1].address
        plane.functions.addProvider(OPENAI).transact({"from": admin, "gas": 200_000})
        for friend in (2, 3):
            plane.functions.addDelegate(ACCOUNTS[friend].address).transact({"from": owner, "gas": 200_000})
        plane.functions.removeDelegate(ACCOUNTS[2].address).transact({"from": owner, "gas": 200_000})
        return plane

    def test_events_as_web3_reads_them(self, web3: Web3, logged: Contract) -> None:
        added = logged.events.DelegateAdded.get_logs(from_block=web3.eth.block_number - 5)
        assert [one["args"]["delegate"] for one in added] == [ACCOUNTS[2].address, ACCOUNTS[3].address]
        [removed] = logged.events.DelegateRemoved.get_logs(from_block="latest")
        receipt = web3.eth.get_transaction_receipt(removed["transactionHash"])
        assert logged.events.DelegateRemoved().process_receipt(receipt, errors=DISCARD) == (removed,)
        mine = logged.events.DelegateAdded.get_logs(
            from_block=web3.eth.block_number - 5, argument_filters={"delegate": ACCOUNTS[3].address}
        )
        assert [one["args"]["delegate"] for one in mine] == [ACCOUNTS[3].address]

    def test_filters(self, chain: DevChain, web3: Web3, logged: Contract) -> None:
        head = web3.eth.block_number
        added, removed = (
            f"0x{keccak256(f'Delegate{what}(address,address)'.encode()).hex()}" for what in ("Added", "Removed")
        )
        friend = "0x" + ACCOUNTS[2].address[2:].lower().rjust(64, "0")

        def count(**query: object) -> int:
            return len(call(chain, "eth_getLogs", {"fromBlock": hex(head - 4), "toBlock": "latest", **query})["result"])

        assert count() == 5
        assert count(address=logged.address) == 5
        assert count(address=[MULTICALL, logged.address]) == 5
        assert count(address=MULTICALL) == 0
        assert count(topics=[added]) == 2
        assert count(topics=[[added, removed]]) == 3
        assert count(topics=[[added, removed], None, friend]) == 2
        assert count(topics=[None, None, friend]) == 2
        assert count(topics=[added, None, friend, None]) == 0
        assert count(topics=[]) == 5
        assert count(toBlock=hex(head - 1)) == 4
        block_hash = web3.eth.get_block(head - 1)["hash"].to_0x_hex()
        assert len(call(chain, "eth_getLogs", {"blockHash": block_hash})["result"]) == 1

    def test_a_hundred_rounds_at_a_time(self, chain: DevChain, web3: Web3) -> None:
        while web3.eth.block_number < 101:
            chain.mine()
        head = web3.eth.block_number
        assert "result" in call(chain, "eth_getLogs", {"fromBlock": hex(head - 100), "toBlock": hex(head)})
        assert error(chain, "eth_getLogs", {"fromBlock": hex(head - 101), "toBlock": hex(head)}) == (
            -32000,
            "invalid request: max allowed of rounds in logs query is: 100",
        )
        assert error(chain, "eth_getLogs", {"fromBlock": hex(head), "toBlock": hex(head - 1)})[0] == -32000

    def test_many_receipts_in_one_transaction(self, chain: DevChain, web3: Web3, plane: Contract) -> None:
        """Multicall3 with the dev chain's ROFL origin, read back by web3."""
        app_id, admin = bytes.fromhex("00" + "cd" * 20), ACCOUNTS[0].address
        plane.functions.setRoflAppId(app_id).transact({"from": admin, "gas": 100_000})
        relayer, owner = ACCOUNTS[6].address, ACCOUNTS[1].address
        chain.authorize_origin(app_id, relayer)
        hashes = [keccak256(b"%d" % number) for number in range(50)]
        calls = [
            (plane.address, True, plane.encode_abi("logReceipt", [one, owner, owner, OPENAI, MODEL, 10, number]))
            for number, one in enumerate(hashes)
        ]
        multicall = web3.eth.contract(address=Web3.to_checksum_address(MULTICALL), abi=contracts.multicall().abi)
        sent = multicall.functions.aggregate3(calls).transact({"from": relayer, "gas": 5_000_000})
        receipt = web3.eth.get_transaction_receipt(sent)
        logs = plane.events.ReceiptLogged().process_receipt(receipt)
        assert [(log["args"]["requestHash"], log["args"]["completionTokens"]) for log in logs] == [
            (one, number) for number, one in enumerate(hashes)
        ]
        assert [log["logIndex"] for log in logs] == list(range(50))
        assert receipt["gasUsed"] / 50 < 40_000
        assert plane.functions.receiptBlock(hashes[9]).call() == receipt["blockNumber"]
        chain.authorize_origin(app_id, relayer, authorized=False)
        again = multicall.functions.tryAggregate(
            True, [(plane.address, plane.encode_abi("logReceipt", [bytes(32), owner, owner, OPENAI, MODEL, 1, 1]))]
        ).transact({"from": relayer, "gas": 500_000})
        assert web3.eth.get_transaction_receipt(again)["status"] == 0


class TestMulticall:
    """Reads through the dev chain's Multicall3: one snapshot in one call."""

    def test_reads(self, web3: Web3, plane: Contract) -> None:
        multicall = web3.eth.contract(address=Web3.to_checksum_address(MULTICALL), abi=contracts.multicall().abi)
        good, bad = plane.encode_abi("isPaused", []), plane.encode_abi("roflKeyAt", [3])
        unknown = ERRORS["UnknownRoflKey"].encode(3)
        assert multicall.functions.aggregate3([(plane.address, False, good), (plane.address, True, bad)]).call() == [
            (True, bytes(32)),
            (False, unknown),
        ]
        assert multicall.functions.tryAggregate(False, [(plane.address, bad)]).call() == [(False, unknown)]
        number, results = multicall.functions.aggregate([(plane.address, good)]).call()
        assert (number - web3.eth.block_number in (0, 1), results) == (True, [bytes(32)])
        for refused in (
            multicall.functions.aggregate([(plane.address, bad)]),
            multicall.functions.tryAggregate(True, [(plane.address, bad)]),
            multicall.functions.aggregate3([(plane.address, False, bad)]),
        ):
            with pytest.raises(Exception, match="Multicall3: call failed"):
                refused.call()

    def test_the_interface_is_that_of_the_original(self) -> None:
        """Selectors as https://www.multicall3.com/abi lists them."""
        found = signatures(contracts.multicall().abi, "function")
        assert {one.selector.hex() for one in found.values()} == {"252dba42", "82ad56cb", "bce38bd7"}
        assert types(found["aggregate3"].entry["outputs"]) == ["(bool,bytes)[]"]


class TestLife:
    def test_starts_fast(self) -> None:
        began = time.monotonic()
        with DevChain(engine=PY_EVM):
            assert time.monotonic() - began < 3

    def test_two_chains_know_nothing_of_each_other(self, chain: DevChain, web3: Web3) -> None:
        with DevChain(engine=PY_EVM, chain_id=1337) as other:
            there = Web3(Web3.HTTPProvider(other.url))
            assert (there.eth.chain_id, there.eth.block_number) == (1337, 1)
            assert web3.eth.chain_id == 23295
            assert other.control_plane == "0x5FbDB2315678afecb367f032d93F642f64180aa3"

    def test_stopping_frees_the_port_and_the_state(self) -> None:
        chain = DevChain(engine=PY_EVM).start()
        port = int(chain.url.rsplit(":", 1)[1])
        with pytest.raises(DevChainError):
            chain.start()
        chain.stop()
        chain.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.post(f"http://127.0.0.1:{port}", trust_env=False)
        with pytest.raises(DevChainError):
            _ = chain.url
        with pytest.raises(DevChainError):
            _ = chain.control_plane
        with DevChain(engine=PY_EVM, port=port) as again:
            assert again.url == f"http://127.0.0.1:{port}"
            assert call(again, "eth_blockNumber")["result"] == "0x1"

    def test_blocks_on_a_clock(self) -> None:
        with DevChain(engine=PY_EVM, block_time=0.3) as chain:
            web3 = Web3(Web3.HTTPProvider(chain.url))
            first = web3.eth.block_number
            fields = {"from": ACCOUNTS[1].address, "to": ACCOUNTS[0].address, "gas": 21_000}
            sent = [web3.eth.send_transaction(fields) for _ in range(3)]
            with pytest.raises(TransactionNotFound):
                web3.eth.get_transaction_receipt(sent[0])
            assert web3.eth.get_transaction_count(ACCOUNTS[1].address, "pending") == 3
            assert web3.eth.get_transaction_count(ACCOUNTS[1].address) == 0
            receipts = [web3.eth.wait_for_transaction_receipt(one, timeout=5, poll_latency=0.05) for one in sent]
            assert {receipt["blockNumber"] for receipt in receipts} == {first + 1}
            assert [receipt["transactionIndex"] for receipt in receipts] == [0, 1, 2]
            assert [receipt["cumulativeGasUsed"] for receipt in receipts] == [21_000, 42_000, 63_000]
            with pytest.raises(TimeExhausted):
                web3.eth.wait_for_transaction_receipt(bytes(32), timeout=0.1)

    def test_far_away(self) -> None:
        with DevChain(engine=PY_EVM, delay=0.15) as chain:
            began = time.monotonic()
            call(chain, "eth_chainId")
            assert 0.15 <= time.monotonic() - began < 0.5

    async def _from_async_code(self) -> int:
        chain = await asyncio.to_thread(DevChain(engine=PY_EVM).start)
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                calls = [
                    client.post(chain.url, json={"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []})
                    for _ in range(20)
                ]
                answers = await asyncio.gather(*calls)
            return sum(answer.json()["result"] == "0x1" for answer in answers)
        finally:
            await asyncio.to_thread(chain.stop)

    def test_beside_an_event_loop(self) -> None:
        assert asyncio.run(self._from_async_code()) == 20

    def test_nothing_of_it_is_imported_before_it_starts(self) -> None:
        code = "import sys, emulator.devchain; sys.exit(any(name.split('.')[0] in ('eth', 'web3') for name in sys.modules))"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_without_py_evm_it_says_what_is_needed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # None in its place makes an import fail as if the package weren't there.
        monkeypatch.setitem(sys.modules, "emulator.devchain.blockchain", None)
        with pytest.raises(DevChainError, match=r"ekai-gateway\[chain\]"):
            DevChain(engine=PY_EVM).start()

    def test_anvil_that_ends_at_once_is_told(self) -> None:
        false = shutil.which("false")
        assert false is not None
        with pytest.raises(DevChainError, match="anvil ended with 1"):
            DevChain(engine=false).start()
        with pytest.raises(DevChainError, match="No such file"):
            DevChain(engine="/nowhere/anvil").start()


@pytest.mark.skipif(find_anvil() is None, reason="no anvil on PATH")
def test_anvil_serves_as_well() -> None:
    anvil = find_anvil()
    with DevChain(engine=anvil) as chain:
        web3 = Web3(Web3.HTTPProvider(chain.url))
        assert "anvil" in web3.client_version
        assert web3.eth.get_code(Web3.to_checksum_address(chain.control_plane)) == contracts.control_plane().runtime
        plane = web3.eth.contract(
            address=Web3.to_checksum_address(chain.control_plane), abi=contracts.control_plane().abi
        )
        app_id = bytes.fromhex("00" + "cd" * 20)
        plane.functions.setRoflAppId(app_id).transact({"from": chain.admin.address, "gas": 100_000})
        chain.authorize_origin(app_id, ACCOUNTS[6].address)
        owner = ACCOUNTS[1].address
        sent = plane.functions.logReceipt(keccak256(b"1"), owner, owner, OPENAI, MODEL, 1, 2).transact(
            {"from": ACCOUNTS[6].address, "gas": 200_000}
        )
        receipt = web3.eth.wait_for_transaction_receipt(sent, timeout=5)
        assert len(plane.events.ReceiptLogged().process_receipt(receipt)) == 1


def test_web3_reports_the_nodes_own_words(web3: Web3, payer: LocalAccount) -> None:
    web3.eth.send_raw_transaction(signed(payer, 0))
    with pytest.raises(Web3RPCError, match="nonce too low"):
        web3.eth.send_raw_transaction(signed(payer, 0, value=2))


ADDRESS_TEXT = st.sampled_from([ACCOUNTS[0].address, ACCOUNTS[9].address, MULTICALL, "0x" + "00" * 19 + "01"])
QUANTITY_TEXT = st.integers(0, 2**70).map(hex)
PARAM = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=8)
    | st.sampled_from(["latest", "pending", "earliest", "0x", "0x0", "0x" + "11" * 32])
    | QUANTITY_TEXT
    | ADDRESS_TEXT
    | st.binary(max_size=80).map(lambda data: f"0x{data.hex()}"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "from",
                    "to",
                    "data",
                    "input",
                    "value",
                    "gas",
                    "nonce",
                    "fromBlock",
                    "toBlock",
                    "topics",
                    "address",
                    "blockHash",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def node() -> Node:
    return Node(Blockchain(23295, tuple(key.public_key.to_canonical_address() for key in KEYS), {}), tuple(KEYS))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_params_break_a_method(node: Node, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(node.methods)))
    params = data.draw(st.lists(PARAM, max_size=3))
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params})
    answer = respond(body, node, methods_of(node))
    assert isinstance(answer, dict)
    assert answer.get("error", {}).get("code") in (None, -32000, -32003, -32602, 3), answer
    orjson.dumps(answer)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 200), byte=st.integers(0, 255), kind=st.sampled_from([0, 1, 2]))
def test_no_transaction_breaks_the_node(node: Node, place: int, byte: int, kind: int) -> None:
    """Any byte of a good transaction may be another one."""
    fields: dict[str, object] = {"gasPrice": PRICE}
    if kind == 1:
        fields["accessList"] = [{"address": MULTICALL, "storageKeys": ["0x" + "00" * 32]}]
    elif kind == 2:
        fields = {"maxFeePerGas": PRICE, "maxPriorityFeePerGas": 1, "type": 2}
    transaction = {"chainId": 23295, "nonce": 5, "gas": 50_000, "value": 1, "to": MULTICALL, "data": b"", **fields}
    raw = bytearray(Signer.from_key(ACCOUNTS[4].private_key).sign_transaction(transaction).raw_transaction)
    raw[place % len(raw)] = byte
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [f"0x{raw.hex()}"]}
    answer = respond(orjson.dumps(body), node, methods_of(node))
    assert isinstance(answer, dict)
    assert answer.get("error", {}).get("code") in (None, -32000, -32003), answer


def test_small_blocks_do_not_eat_up_the_gas_limit() -> None:
    with DevChain(engine=PY_EVM) as chain:
        for _ in range(30):
            chain.mine()
        web3 = Web3(Web3.HTTPProvider(chain.url))
        assert web3.eth.get_block("latest")["gasLimit"] == web3.eth.get_block(0)["gasLimit"]
        assert web3.eth.get_block("latest")["number"] >= 30

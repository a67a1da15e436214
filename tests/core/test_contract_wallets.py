"""Wallets that are contracts: one ERC-1271 call, and nothing but its magic value is a yes (https://eips.ethereum.org/EIPS/eip-1271)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from eth_abi.abi import decode

from shared.chain import checksum_address
from shared.errors import Code, GatewayError
from shared.keys.rpc import Rpc
from shared.keys.wallets import ContractWallets

CONTRACT, DIGEST = "0x" + "ab" * 20, bytes(range(32))
YES = "0x1626ba7e" + "0" * 56


class Node:
    """A node that answers every `eth_call` alike."""

    def __init__(self) -> None:
        self.result: Any = YES
        self.fault: Any = None
        self.asked: list[dict[str, Any]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
                calls = sent if isinstance(sent, list) else [sent]
                node.asked += calls
                answers = [{"jsonrpc": "2.0", "id": call["id"], **node.answer()} for call in calls]
                raw = orjson.dumps(answers if isinstance(sent, list) else answers[0])
                self.send_response(200)
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self) -> dict[str, Any]:
        return {"error": self.fault} if self.fault is not None else {"result": self.result}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node()
    yield made
    made.close()


def accepts(node: Node, signature: bytes = b"\x01" * 65) -> bool:
    async def ask() -> bool:
        rpc = Rpc(node.url, seconds=2)
        try:
            return await ContractWallets(rpc).accepts(CONTRACT, DIGEST, signature)
        finally:
            await rpc.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("size", [1, 31, 32, 33, 65, 130, 4096])
def test_one_call_in_the_standards_form(node: Node, size: int) -> None:
    assert accepts(node, b"\x07" * size)
    [call] = node.asked
    assert call["method"] == "eth_call"
    [sent, block] = call["params"]
    assert (sent["to"], block) == (checksum_address(CONTRACT), "latest")
    raw = bytes.fromhex(sent["data"][2:])
    assert raw[:4].hex() == "1626ba7e"
    assert decode(["bytes32", "bytes"], raw[4:]) == (DIGEST, b"\x07" * size)


@pytest.mark.parametrize(
    "result",
    ["0x", "0x1626ba7e", "0x" + "0" * 64, "0x" + "f" * 64, "0x" + "0" * 63 + "1", YES[:-1] + "1", "0xffffffff" + "0" * 56, None, True, 5, [], {}, ""],
)  # fmt: skip
def test_everything_else_is_a_no(node: Node, result: object) -> None:
    node.result = result
    try:
        assert accepts(node) is False
    except GatewayError as error:
        assert error.code is Code.SAPPHIRE_UNAVAILABLE  # noqa: PT017  (an odd answer may count as none)


def test_a_contract_that_reverts_says_no(node: Node) -> None:
    node.fault = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    assert accepts(node) is False


def test_a_node_that_is_down_says_nothing(node: Node) -> None:
    node.url = "http://127.0.0.1:9"
    with pytest.raises(GatewayError) as caught:
        accepts(node)
    assert (caught.value.code, caught.value.status) == (Code.SAPPHIRE_UNAVAILABLE, 503)
    assert "127.0.0.1" not in caught.value.message

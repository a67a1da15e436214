"""A key on the dev chain, shared with a friend, and a node that answers from memory what it asked the chain once.

https://ethereum.org/developers/docs/apis/json-rpc/
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson
import uvloop

from bench.processes import command, cores, free_port
from cli.client import Client
from cli.onchain import Act, ControlPlane, carry_out
from cli.place import Place
from cli.sealing import gateway_key, held_key, seal
from cli.stage import wallet
from cli.wallet import Wallet
from emulator.devchain import DevChain
from shared.chain import checksum_address, model_ids, provider_id


@dataclass(frozen=True, slots=True)
class Share:
    """An owner whose key a friend may use, once `seal` has put it on chain."""

    chain: DevChain
    node: str
    administrator: Wallet
    owner: Wallet
    friend_key: str
    gateway_key: str

    def seal(self, gateway: str, provider: str, model: str) -> None:
        """The owner's and the administrator's transactions, for a gateway at a URL."""
        chain, client = self.chain, Client(gateway)
        plane = ControlPlane(Place(chain.url, chain.control_plane, chain.chain_id))
        named = provider_id(provider)
        known = [Act("setRoflKey", (held_key(client), True)), Act("addProvider", (named,))]
        carry_out(plane, self.administrator, known)
        sealed = seal(self.owner, provider, f"sk-{secrets.token_hex(24)}", gateway_key(plane, client).public)
        friend = checksum_address(chain.accounts[2].address)
        allow = Act("addAllowedModel", (named, model_ids(model)[0]))
        carry_out(plane, self.owner, [Act("setSecret", (named, sealed)), Act("addDelegate", (friend,)), allow])


@contextmanager
def shared_key(folder: Path) -> Iterator[Share]:
    """A chain of its own. Raises DevChainError where none can be run."""
    port = free_port()
    with DevChain() as chain:
        words = [sys.executable, "-m", "bench.chain", str(port), chain.url]
        with command(words, where=cores()[1:]):
            administrator, owner, friend = (account.private_key for account in chain.accounts[:3])
            wallets = (wallet(folder, "administrator", administrator), wallet(folder, "owner", owner))
            yield Share(chain, f"http://127.0.0.1:{port}", *wallets, friend, secrets.token_hex(32))


class Node(asyncio.Protocol):
    """One connection: each call is asked of the chain the first time, and answered from memory then."""

    def __init__(self, url: str, known: dict[bytes, object]) -> None:
        self._url, self._known, self._buffer = url, known, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = transport.write  # type: ignore[attr-defined]  # uvloop's own is no asyncio.Transport by name

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        asked = orjson.loads(body)
        answers = [self._answer(one) for one in (asked if isinstance(asked, list) else [asked])]
        reply = orjson.dumps(answers if isinstance(asked, list) else answers[0])
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply)
        self._write(head + reply)

    def _answer(self, call: dict[str, object]) -> dict[str, object]:
        what = orjson.dumps([call["method"], call.get("params")])
        if what not in self._known:
            answer = httpx.post(self._url, json=call, trust_env=False, timeout=30).json()
            if "result" not in answer:
                return dict(answer)
            self._known[what] = answer["result"]
        return {"jsonrpc": "2.0", "id": call["id"], "result": self._known[what]}


async def main(port: int, url: str) -> None:
    """Serves until it is told to stop."""
    known: dict[bytes, object] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Node(url, known), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))

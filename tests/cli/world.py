"""A chain with the contract, wallets in files, a gateway that tells what it is told, and the command in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from cli.client import CommandError
from cli.main import app
from cli.onchain import Act, ControlPlane
from cli.place import Place
from cli.wallet import Wallet
from emulator.devchain import DevChain
from shared.keys.envelope import public_key

PRIVATE = bytes.fromhex("c03d5be0af20d8a326ed22b34757b0c7eee79854236ba13b382bf50997a6c04b")
PUBLIC = public_key(PRIVATE)
ADMIN, OWNER, FRIEND, ACCOUNT = "admin", "owner", "friend", "account"


class Told:
    """A gateway's answers: path -> status and JSON."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.key(PUBLIC)

    def key(self, public: bytes) -> None:
        self.answers["/rofl/public-key"] = (200, {"publicKey": f"0x{public.hex()}"})


@contextmanager
def stand_in(told: Told) -> Iterator[str]:
    """A gateway that gives those answers; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = told.answers.get(self.path.partition("?")[0], (404, {}))
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "text/html" if isinstance(body, bytes) else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class World:
    """A fresh contract on the chain. Whoever is named in `who` runs the command."""

    def __init__(self, chain: DevChain, folder: Path, gateway: str, told: Told) -> None:
        self.chain = chain
        self.folder = folder
        self.gateway = gateway
        self.told = told
        self.contract = chain.deploy()
        self.wallets: dict[str, Wallet] = {}
        for name, account in zip((ADMIN, OWNER, FRIEND, ACCOUNT), chain.accounts, strict=False):
            file = folder / f"{name}.key"
            file.write_text(account.private_key)
            self.wallets[name] = Wallet.read(file)
        self.addresses = dict(
            zip((ADMIN, OWNER, FRIEND, ACCOUNT), (one.address for one in chain.accounts), strict=False)
        )

    @property
    def plane(self) -> ControlPlane:
        return ControlPlane(Place(self.chain.url, self.contract, self.chain.chain_id))

    def do(self, who: str, function: str, *arguments: Any) -> None:
        list(self.plane.send(self.wallets[who], [Act(function, arguments)]))

    def run(self, *arguments: str, who: str | None = OWNER, stdin: str | None = None, **settings: str) -> Result:
        """`ekai …`, with this chain in the settings."""
        environment = {
            "SAPPHIRE_RPC_URL": self.chain.url,
            "SAPPHIRE_CHAIN_ID": str(self.chain.chain_id),
            "EKAI_CONTROL_PLANE_ADDRESS": self.contract,
            "EKAI_URL": self.gateway,
            "EKAI_TOKEN": "token",
            "COLUMNS": "200",
            **settings,
        }
        signed = ("--private-key-file", str(self.folder / f"{who}.key")) if who else ()
        return CliRunner().invoke(app, [*arguments, *signed], input=stdin, env=environment)

    def ok(self, *arguments: str, who: str | None = OWNER, stdin: str | None = None, **settings: str) -> str:
        """What a command prints that must succeed."""
        result = self.run(*arguments, who=who, stdin=stdin, **settings)
        assert result.exception is None, (result.exception, result.output)
        return result.output

    def json(self, *arguments: str, who: str | None = OWNER) -> Any:
        return json.loads(self.ok(*arguments, "--json", who=who))

    def refused(self, *arguments: str, who: str | None = OWNER, stdin: str | None = None, **settings: str) -> str:
        """The one line of a command that must fail."""
        result = self.run(*arguments, who=who, stdin=stdin, **settings)
        assert isinstance(result.exception, CommandError), (result.exception, result.output)
        line = str(result.exception)
        assert "\n" not in line
        assert "Traceback" not in line
        return line

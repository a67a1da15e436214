"""The part of `ekai demo` that runs on a chain: an owner's encrypted key, a friend who may use it, and the receipts."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from catalog.serving import DEMO, served_catalog
from cli.client import Client, CommandError
from cli.keys import read_stored
from cli.names import read_model, read_provider
from cli.onchain import Act, ControlPlane, carry_out
from cli.place import Place
from cli.receipts import Compared, compare, count
from cli.sealing import gateway_key, held_key, seal
from cli.stage import gateway, log_in, ok, refused, show, stream, tell, wallet
from cli.wallet import Wallet
from emulator.devchain import DevChain
from shared.chain import checksum_address, provider_id

_MODEL, _OTHER = "demo-1", "demo-messages"
_RECEIPTS = 2
_RECEIPT_SECONDS = 60
_HELLO = [{"role": "user", "content": "Hello, with a key that I never saw."}]


@dataclass(frozen=True, slots=True)
class _World:
    """The contract, and those who use it."""

    plane: ControlPlane
    http: httpx.Client
    administrator: Wallet
    owner: Wallet
    friend: Wallet

    @property
    def client(self) -> Client:
        """For commands, which know the gateway by its URL."""
        return Client(str(self.http.base_url))

    def do(self, wallet: Wallet, *acts: Act) -> None:
        """Sends transactions and waits for them."""
        carry_out(self.plane, wallet, acts)


def chain_walk(folder: Path) -> None:
    """The loop on a chain of its own. Raises DevChainError where no chain can be run."""
    tell("6. Now with a chain: one of its own starts, with the control plane contract on it.")
    with DevChain() as chain:
        show(f"EkaiControlPlane {chain.control_plane} on chain {chain.chain_id}")
        accounts = dict(zip(("administrator", "owner", "friend", "receipts"), chain.accounts, strict=False))
        wallets = {name: wallet(folder, name, account.private_key) for name, account in accounts.items()}
        settings = {
            "KEYS": "chain", "SAPPHIRE_RPC_URL": chain.url, "SAPPHIRE_CHAIN_ID": str(chain.chain_id),
            "EKAI_CONTROL_PLANE_ADDRESS": chain.control_plane, "ROFL_SOCKET_PATH": str(folder / "no-appd.sock"),
            "ROFL_PRIVATE_KEY": secrets.token_hex(32), "PRIVATE_KEY": accounts["receipts"].private_key,
            "DEMO_UPSTREAM_URL": f"{{url}}/{DEMO}",
        }  # fmt: skip
        tell("7. A gateway starts that takes provider keys from the chain alone, and writes receipts there.")
        with gateway(folder, settings) as http:
            plane = ControlPlane(Place(chain.url, chain.control_plane, chain.chain_id))
            world = _World(plane, http, wallets["administrator"], wallets["owner"], wallets["friend"])
            _administer(world, wallets["receipts"])
            _share(world)
            _use(world)
            _refuse(world)
            _check(world)


def _administer(world: _World, account: Wallet) -> None:
    tell("8. The administrator registers the gateway's key and account, and the demo provider.")
    public = held_key(world.client)
    world.do(
        world.administrator,
        Act("setRoflKey", (public, True), f"ekai admin set-rofl-key         0x{public.hex()[:16]}…"),
        Act(
            "setGateway",
            (checksum_address(account.address),),
            f"ekai admin set-gateway          {checksum_address(account.address)}",
        ),
        Act("addProvider", (provider_id(DEMO),), f"ekai admin add-provider         {DEMO}"),
    )


def _share(world: _World) -> None:
    tell("9. An owner stores a provider key, encrypted to the gateway. A friend may use it, with one model.")
    to = gateway_key(world.plane, world.client)
    sealed = seal(world.owner, DEMO, f"demo-{secrets.token_hex(16)}", to.public)
    catalog = served_catalog({"DEMO_UPSTREAM_URL": str(world.http.base_url)})
    provider = read_provider(DEMO, catalog)
    model, friend = read_model(_MODEL, provider, catalog), checksum_address(world.friend.address)
    world.do(
        world.owner,
        Act(
            "setSecret", (provider_id(DEMO), sealed), f"ekai keys set {DEMO}              {len(sealed)} encrypted bytes"
        ),
        Act("addDelegate", (friend,), f"ekai delegates add              {friend}"),
        Act("addAllowedModel", (provider_id(DEMO), model.id), f"ekai allow {DEMO} {_MODEL}"),
    )
    [stored] = read_stored(world.plane, checksum_address(world.owner.address), [provider])
    if not stored.usable:
        raise CommandError(f"The stored key can't be used: {stored.why}.")
    show(f"ekai keys list                  {DEMO}, version {stored.version}, usable now")


def _use(world: _World) -> None:
    tell("10. The friend logs in, and asks over the Anthropic API and the OpenAI API. It never sees the key.")
    http, owner = world.http, checksum_address(world.owner.address)
    log_in(http, world.friend, world.plane.place.chain_id)
    ok(http.put("/user/preferences", json={"api_address": owner, "model_preferences": [_MODEL]}))
    stream(http, "/v1/messages", {"max_tokens": 200, "messages": _HELLO})
    stream(http, "/v1/chat/completions", {"messages": _HELLO})


def _refuse(world: _World) -> None:
    tell("11. A model that the owner didn't allow can't be chosen, and one that it takes back can't be used:")
    refused(world.http.put("/user/preferences", json={"model_preferences": [_OTHER]}), 403, "MODEL_NOT_ALLOWED")
    [id_] = world.plane.read("modelsOf", checksum_address(world.owner.address), provider_id(DEMO))
    world.do(world.owner, Act("removeAllowedModel", (provider_id(DEMO), id_), f"ekai disallow {DEMO} {_MODEL}"))
    refused(_ask(world.http), 403, "MODEL_NOT_ALLOWED")
    world.do(world.owner, Act("addAllowedModel", (provider_id(DEMO), id_)))

    tell("12. The owner removes the friend, and the very next request is refused:")
    friend = checksum_address(world.friend.address)
    world.do(world.owner, Act("removeDelegate", (friend,), f"ekai delegates remove {friend}"))
    refused(_ask(world.http), 403, "DELEGATE_NOT_PERMITTED")


def _ask(http: httpx.Client) -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": _MODEL, "messages": _HELLO})


def _check(world: _World) -> None:
    tell("13. Both calls left receipts on chain, which are read back and compared with the gateway's rows:")
    end = time.monotonic() + _RECEIPT_SECONDS
    compared = _compared(world)
    while any(one.state == "pending" for one in compared) and time.monotonic() < end:
        time.sleep(0.2)
        compared = _compared(world)
    for one in compared:
        show(f"block {one.block}: {one.model}, {one.prompt_tokens} in, {one.completion_tokens} out: {one.state}")
    counts = count(compared)
    show(", ".join(f"{number} {state}" for state, number in counts.items()))
    if counts != {"matched": _RECEIPTS, "pending": 0, "missing": 0, "differing": 0}:
        raise CommandError(f"Expected {_RECEIPTS} receipts that match.")


def _compared(world: _World) -> Sequence[Compared]:
    return compare(world.plane, ok(world.http.get("/usage", params={"scope": "me"}))["records"])

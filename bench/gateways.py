"""The gateway as users run it, in its variants: budgets, two workers, keys from the chain, DynamoDB."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
from coincurve import PrivateKey

from bench.processes import StartError, command, cores, free_port, wait_for
from bench.targets import Opener, Target
from cli.wallet import Wallet
from shared.dialects import Api

CHAIN_ID = 23295
_SECONDS = 30
_REGION = "eu-central-1"
_OPERATOR = "operator-of-the-benchmark"
_PROVIDERS = ("OPENAI", "ANTHROPIC", "GOOGLE")

CHAT, CHAT_ONLY, MESSAGES, RESPONSES_ONLY, GEMINI = (
    "openai/gpt-4o", "openai/gpt-5-search-api", "anthropic/claude-haiku-4-5", "openai/gpt-5.3-codex", "google/gemini-2.5-flash",
)  # fmt: skip
"""Names that pin the provider, so that the lane is the one in the case's name."""
MODELS: Mapping[tuple[Api, Api], str] = {
    ("chat_completions", "chat_completions"): CHAT,
    ("messages", "chat_completions"): CHAT_ONLY,
    ("responses", "chat_completions"): CHAT_ONLY,
    ("chat_completions", "messages"): MESSAGES,
    ("messages", "messages"): MESSAGES,
    ("responses", "messages"): MESSAGES,
    ("chat_completions", "responses"): RESPONSES_ONLY,
    ("messages", "responses"): CHAT,
    ("responses", "responses"): CHAT,
    # Google speaks chat itself, so a chat client is never translated for it.
    ("messages", "gemini"): GEMINI,
    ("responses", "gemini"): GEMINI,
}


@dataclass(frozen=True, slots=True)
class Variant:
    """How a gateway is run. `everywhere`: it may use all cores; `changed`: what bench.changed takes out of it."""

    name: str
    workers: int = 1
    everywhere: bool = False
    budgets: bool = False
    changed: str = ""


@contextmanager
def gateway(variant: Variant, provider: int, folder: Path) -> Iterator[Target]:
    """With local keys and SQLite, unless the variant says otherwise; logged in, with preferences."""
    with serving(variant, provider, folder) as (port, pid):
        token = log_in(port, folder, PrivateKey().secret.hex(), {"model_preferences": _named()})
        if variant.budgets:
            _cap(port, token)
        yield _target(variant, port, pid, token)


@contextmanager
def serving(variant: Variant, provider: int, folder: Path, **settings: str) -> Iterator[tuple[int, int]]:
    """Port and process id of a gateway. It keeps to its core, unless it may be everywhere."""
    port = free_port()
    usual = {
        "PORT": str(port), "WORKERS": str(variant.workers), "DATABASE_PATH": str(folder / "bench.db"), "LOG_LEVEL": "warning",
        "EKAI_CONFIG_DIR": str(folder), "OPERATOR_TOKEN": _OPERATOR, "LOG_FILE": str(folder / "gateway.log"),
        **{f"{name}_UPSTREAM_URL": f"http://127.0.0.1:{provider}" for name in _PROVIDERS},
    }  # fmt: skip
    if "KEYS" not in settings:
        usual |= {f"{name}_API_KEY": "sk-bench" for name in _PROVIDERS}
    words = ["bench.changed", variant.changed] if variant.changed else ["cli.main"]
    where = cores() if variant.everywhere else cores()[:1]
    environment = {**usual, **settings}
    with command([sys.executable, "-m", *words, "serve"], where=where, environment=environment) as server:
        wait_for(f"http://127.0.0.1:{port}/health", server, _SECONDS)
        yield port, server.pid


def log_in(port: int, folder: Path, private_key: str, preferences: Mapping[str, object]) -> str:
    """The token of a wallet, which has preferences then."""
    file = folder / "bench.key"
    file.write_text(private_key)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        login = http.post("/auth/login", json=Wallet.read(file).login(CHAIN_ID, 604_800)).raise_for_status()
        token = str(login.json()["token"])
        http.put("/user/preferences", json=preferences, headers={"authorization": f"Bearer {token}"}).raise_for_status()
    return token


def _cap(port: int, token: str) -> None:
    """A monthly cap for all, and caps of the owner's for everybody who uses its keys."""
    caps = {"dailyUsd": 1_000_000, "monthlyUsd": 10_000_000, "requestsPerMinute": 100_000_000}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
        operator, owner = ({"authorization": f"Bearer {shown}"} for shown in (_OPERATOR, token))
        http.put("/budget", json={"amountUsd": 100_000_000}, headers=operator).raise_for_status()
        http.put("/user/grants", json={"grants": {"*": caps}}, headers=owner).raise_for_status()


def _named() -> Sequence[str]:
    return list(dict.fromkeys(MODELS.values()))


def _target(
    variant: Variant, port: int, pid: int, token: str, models: Mapping[tuple[Api, Api], str] = MODELS
) -> Target:
    return Target(variant.name, port, models, pid, {"authorization": f"Bearer {token}"}, workers=variant.workers)


@contextmanager
def on_chain(variant: Variant, provider: int, folder: Path) -> Iterator[Target]:
    """A friend uses an owner's key, and the chain is asked about it for every request; receipts are off.

    The dev chain takes milliseconds for a call, so a node answers in its place that asks it once for each.
    """
    from bench.chain import shared_key  # web3 takes a second
    from emulator.devchain import DevChainError

    try:
        with shared_key(folder) as share:
            settings = {
                "KEYS": "chain", "SAPPHIRE_RPC_URL": share.node, "SAPPHIRE_CHAIN_ID": str(share.chain.chain_id),
                "EKAI_CONTROL_PLANE_ADDRESS": share.chain.control_plane, "ROFL_PRIVATE_KEY": share.gateway_key,
                "ROFL_SOCKET_PATH": str(folder / "no-appd.sock"), "RECEIPTS": "off",
            }  # fmt: skip
            with serving(variant, provider, folder, **settings) as (port, pid):
                share.seal(f"http://127.0.0.1:{port}", "openai", "gpt-4o")
                wanted = {"api_address": share.owner.address, "model_preferences": [CHAT]}
                token = log_in(port, folder, share.friend_key, wanted)
                yield _target(variant, port, pid, token, {("chat_completions", "chat_completions"): CHAT})
    except DevChainError as error:
        raise StartError(str(error)) from error


@contextmanager
def on_dynamodb(variant: Variant, provider: int, folder: Path) -> Iterator[Target]:
    """The table is in moto, which takes milliseconds for a call: only the CPU says something about the gateway."""
    moto, table = free_port(), "bench"
    aws = {
        "AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto}",
    }  # fmt: skip
    words = [sys.executable, "-m", "moto.server", "-p", str(moto)]
    with command(words, where=cores()[1:], log=folder / "moto.log") as running:
        wait_for(aws["AWS_ENDPOINT_URL"], running, _SECONDS)
        _make_table(aws["AWS_ENDPOINT_URL"], table)
        with serving(variant, provider, folder, **aws, STORE="dynamodb", DYNAMODB_TABLE=table) as (port, pid):
            token = log_in(port, folder, PrivateKey().secret.hex(), {"model_preferences": _named()})
            yield _target(variant, port, pid, token)


def _make_table(url: str, name: str) -> None:
    import boto3

    from shared.store.dynamo_table import create_table

    secret = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
    create_table(boto3.client("dynamodb", endpoint_url=url, region_name=_REGION, **secret), name)


EKAI, BUDGETS = Variant("Ekai"), Variant("Ekai, budgets", budgets=True)
UNRECORDED = Variant("Ekai, no rows", changed="unrecorded")
FREE, TWO = Variant("Ekai, 1 worker", everywhere=True), Variant("Ekai, 2 workers", workers=2, everywhere=True)
WARM, COLD = Variant("Ekai, chain, warm key"), Variant("Ekai, chain, cold key", changed="cold")
DYNAMO = Variant("Ekai, DynamoDB")
GATEWAYS: Mapping[str, Opener] = {
    "ekai": partial(gateway, EKAI),
    "budgets": partial(gateway, BUDGETS),
    "unrecorded": partial(gateway, UNRECORDED),
    "warm": partial(on_chain, WARM),
    "cold": partial(on_chain, COLD),
    "dynamodb": partial(on_dynamodb, DYNAMO),
    "one": partial(gateway, FREE),
    "two": partial(gateway, TWO),
}

"""What a gateway on one's own machine brings along: a wallet, a token, first preferences, and a line to paste."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coincurve import PrivateKey

from catalog.serving import DEMO
from catalog.types import Catalog, Match
from shared.callers import Callers, token_hash
from shared.chain import checksum_address, keccak256
from shared.keys.env import EnvKeys
from shared.settings import Settings
from shared.store import Preferences
from shared.store.opening import open_store
from shared.version import VERSION

FIRST_CHOICES = (
    "claude-sonnet-5-5", "gpt-5.5", "gemini-3.8-flash", "grok-4", "glm-5", "gpt-oss-120b", "openrouter/auto", "demo-1",
)  # fmt: skip
"""Of these, what can be served becomes the local wallet's preferences, as long as it has none of its own that can."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway is about to run, and with what."""

    settings: Settings
    port: int
    catalog: Catalog
    variables: Mapping[str, str]

    @property
    def url(self) -> str:
        """As a client on this machine writes it."""
        host = self.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Local:
    """The local caller. `token` is set only when it is fresh: then it is shown, once."""

    address: str
    models: tuple[str, ...]
    token: str | None


def mode_of(place: Place) -> str:
    """In one sentence: whose keys are used, and who may use them."""
    settings, catalog, variables = place.settings, place.catalog, place.variables
    if settings.key_source == "chain":
        return f"keys from the chain (control plane {settings.control_plane}, chain {settings.sapphire_chain_id})"
    providers = [name for name in EnvKeys(catalog.providers, variables).providers if name != DEMO]
    if providers:
        who = (
            "the addresses in ALLOWED_ADDRESSES"
            if settings.allowed_addresses
            else "whoever can reach this machine's loopback"
        )
        return f"local keys from .env for {', '.join(sorted(providers))}; usable by {who}"
    if DEMO in catalog.providers:
        return "demo: no provider key was found, so the built-in demo provider answers. Put a key into .env for real models"
    return "no provider key was found: nothing can be served until one stands in the environment or .env"


async def settle_in(place: Place, saved_token: str | None) -> Local:
    """The local wallet, its preferences and, unless `saved_token` still lives, a fresh token."""
    settings, catalog = place.settings, place.catalog
    address = _wallet(Path(settings.database_path).parent / "wallet.key")
    store = open_store(settings)
    try:
        now = int(time.time())
        preferences = await store.preferences(address)
        usable = set(EnvKeys(catalog.providers, place.variables).providers)
        if not any(_servable(catalog.find(name), usable) for name in preferences.models or ()):
            models = tuple(name for name in FIRST_CHOICES if _servable(catalog.find(name), usable))
            preferences = Preferences(address, None, models or None, now)
            await store.put_preferences(preferences)
        session = await store.session(token_hash(saved_token), now) if saved_token else None
        if session is not None:
            return Local(address, preferences.models or (), None)
        grant = await Callers(store, settings, time.time).issue(address)
        return Local(address, preferences.models or (), grant.token)
    finally:
        await store.close()


def _servable(match: Match | None, usable: set[str]) -> bool:
    if match is None:
        return False
    allowed = set(match.pinned) & usable if match.pinned else usable
    return any(offer.provider in allowed for offer in match.model.offers)


def _wallet(file: Path) -> str:
    """The lower-case address of the key in `file`, which is made if it is missing (readable by its owner alone)."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(PrivateKey().secret.hex() + "\n")
    public = PrivateKey(bytes.fromhex(file.read_text().strip().removeprefix("0x"))).public_key
    return "0x" + keccak256(public.format(compressed=False)[1:])[-20:].hex()


def welcome(place: Place, local: Local | None) -> str:
    """What is printed at start: address, mode, and for local use a token and a line to paste."""
    lines = [f"Ekai Gateway {VERSION} on {place.url}", f"Mode: {mode_of(place)}."]
    if local is None:
        return "\n".join(lines)
    lines.append(
        f"Your local wallet: {checksum_address(local.address)}; models: {', '.join(local.models) or 'none yet'}"
    )
    if local.token is not None:
        lines.append(f"Your token (shown this once, kept for the ekai command): {local.token}")
    if local.models:
        token = local.token or "$(.venv/bin/ekai token)"
        lines += ["Try it:", "", _curl(place.url, token, local.models[0]), ""]
    return "\n".join(lines)


def _curl(url: str, token: str, model: str) -> str:
    body = f'{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "Say hello."}}]}}'
    headers = f'-H "Authorization: Bearer {token}" -H "Content-Type: application/json"'
    return f"curl -N {url}/v1/chat/completions {headers} -d '{body}'"

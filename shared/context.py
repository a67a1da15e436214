"""What lives as long as the process: built once from the settings, frozen, handed in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from catalog.serving import served_catalog
from catalog.types import Catalog
from shared.billed import Billed
from shared.budget import Budgets
from shared.callers import Callers, ContractWallet
from shared.conversations import Conversations, Habits
from shared.health import Health
from shared.keys import Keys
from shared.keys.env import EnvKeys
from shared.keys.rofl import KeySource
from shared.pace import Pace
from shared.routing import HABITUAL_OUTPUT
from shared.settings import Settings, environment
from shared.store import Store
from shared.store.opening import open_store
from shared.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that lives as long as the process. Handed to every function."""

    settings: Settings
    catalog: Catalog
    keys: Keys
    store: Store
    callers: Callers
    budgets: Budgets
    upstream: Upstream
    health: Health
    conversations: Conversations
    habits: Habits
    billed: Billed
    logins: Pace
    gateway_key: KeySource
    clock: Callable[[], float]  # seconds since 1970
    ticks: Callable[[], float] = time.monotonic  # seconds that no clock change moves: for cooldowns and caches
    receipts_on: bool = False


def build(settings: Settings, clock: Callable[[], float] = time.time) -> Gateway:
    """The gateway for these settings. Opens the store; touches no network."""
    variables = environment()
    catalog = served_catalog(variables)
    store = open_store(settings)
    gateway_key = KeySource(settings.rofl_socket_path, _shown(settings.rofl_private_key))
    keys, contract_wallet = _keys(settings, catalog, variables, gateway_key)
    return Gateway(
        settings=settings,
        catalog=catalog,
        keys=keys,
        store=store,
        callers=Callers(store, settings, clock, contract_wallet),
        budgets=Budgets(
            store,
            clock,
            settings.max_attempts * settings.upstream_timeout + settings.stream_idle_timeout,
            settings.rate_limit_requests,
            settings.rate_limit_tokens,
        ),
        upstream=Upstream(settings.upstream_connect_timeout),
        health=Health(settings.cooldown_seconds),
        conversations=Conversations(),
        habits=Habits(HABITUAL_OUTPUT),
        billed=Billed(),
        logins=Pace(settings.login_attempts),
        gateway_key=gateway_key,
        clock=clock,
        receipts_on=settings.receipts_on,
    )


def _keys(
    settings: Settings, catalog: Catalog, variables: Mapping[str, str], gateway_key: KeySource
) -> tuple[Keys, ContractWallet | None]:
    """Where provider keys come from; with the chain at hand, also who answers for wallets that are contracts."""
    if settings.key_source == "env":
        return EnvKeys(catalog.providers, variables), None
    from shared.keys.chain import ChainKeys  # with its HTTP client: half of what a function takes to import
    from shared.keys.rpc import Rpc
    from shared.keys.wallets import ContractWallets

    rpc = Rpc(settings.sapphire_rpc_url)
    plane, chain_id = settings.control_plane, settings.sapphire_chain_id
    return ChainKeys(rpc, plane, chain_id, gateway_key, ttl=settings.authorization_ttl), ContractWallets(rpc).accepts


def _shown(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


async def close(gateway: Gateway) -> None:
    """Lets go of everything, in the order in which it is used."""
    await gateway.upstream.close()
    await gateway.keys.close()
    await gateway.gateway_key.close()
    await gateway.store.close()

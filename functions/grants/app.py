"""GET and PUT /user/grants: what the caller, as an owner of keys, allows each delegate on top of the chain."""

from __future__ import annotations

from datetime import UTC, datetime

from mangum import Mangum
from starlette.routing import Route

from shared.callers import Caller
from shared.context import Gateway
from shared.exchange import Exchange
from shared.grants import read_grants, spender_of, windows_at, write_grants
from shared.web import Endpoint, Reply, json_of, serve


async def read(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{address, grants: {delegate: {...}}}`, with what was spent in the present windows."""
    return await _shown(gateway, await gateway.callers.identify(exchange.headers))


async def write(exchange: Exchange, gateway: Gateway) -> Reply:
    """Sets the grants that are named, takes away those that are null; others keep."""
    caller = await gateway.callers.identify(exchange.headers)
    wanted = read_grants(await json_of(exchange, gateway), caller.address, gateway.catalog)
    windows = windows_at(datetime.fromtimestamp(gateway.clock(), UTC))
    since = {field: (window.name, int(window.begun.timestamp() * 1000)) for field, window in windows.items()}
    await gateway.store.put_grants(caller.address, wanted, since)
    return await _shown(gateway, caller)


async def _shown(gateway: Gateway, caller: Caller) -> Reply:
    grants = await gateway.store.grants(caller.address)
    spending: dict[tuple[str, str], int] = {}
    for field, window in windows_at(datetime.fromtimestamp(gateway.clock(), UTC)).items():
        for grant in grants:
            spending[spender_of(grant), field] = await gateway.store.spent(spender_of(grant), window.name)
    return Reply(write_grants(caller.address, grants, spending))


routes = [
    Route("/user/grants", Endpoint(read), methods=["GET"]),
    Route("/user/grants", Endpoint(write), methods=["PUT"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

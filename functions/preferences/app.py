"""GET and PUT /user/preferences: the models a caller likes, in order, and whose keys pay."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.exchange import Exchange
from shared.preferring import change, shown
from shared.web import Endpoint, Reply, json_of, serve


async def read(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{address, api_address, model_preferences, updated_at}`."""
    caller = await gateway.callers.identify(exchange.headers)
    return Reply(shown(caller.preferences))


async def write(exchange: Exchange, gateway: Gateway) -> Reply:
    """Keys that are left out keep their value."""
    caller = await gateway.callers.identify(exchange.headers)
    preferences = await change(gateway, caller, await json_of(exchange, gateway))
    return Reply(shown(preferences))


routes = [
    Route("/user/preferences", Endpoint(read), methods=["GET"]),
    Route("/user/preferences", Endpoint(write), methods=["PUT"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

"""GET and PUT /budget: the gateway's monthly cap."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.budget import read_budget, shown_budget
from shared.context import Gateway
from shared.errors import Code, GatewayError
from shared.exchange import Exchange
from shared.web import Endpoint, Reply, json_of, serve


async def read(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{amountUsd, alertOnly, window, spentMonthToDate, remaining}`."""
    return Reply(await shown_budget(gateway.store, gateway.clock()))


async def write(exchange: Exchange, gateway: Gateway) -> Reply:
    """Sets the cap; for the operator alone."""
    if not gateway.callers.is_operator(exchange.headers):
        raise GatewayError(Code.AUTHENTICATION_ERROR, "Only the operator may set the budget (OPERATOR_TOKEN).")
    await gateway.store.put_budget(read_budget(await json_of(exchange, gateway)))
    return Reply(await shown_budget(gateway.store, gateway.clock()))


routes = [
    Route("/budget", Endpoint(read), methods=["GET"]),
    Route("/budget", Endpoint(write), methods=["PUT"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

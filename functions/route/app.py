"""POST /v1/route: the same body and token as a completion; sends nothing, explains the choice."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.exchange import Exchange
from shared.explaining import api_of, explain
from shared.plan import read_json
from shared.web import Endpoint, Reply, query_of, serve


async def route(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{model, requested, api, estimate, routes: [{provider, id, api, native, estimated_cost_usd, taken, reason}]}`."""
    caller = await gateway.callers.identify(exchange.headers)
    raw = await exchange.body(gateway.settings.max_body_bytes)
    api = api_of(read_json(raw), query_of(exchange).get("endpoint", ""), exchange.headers)
    return Reply(await explain(gateway, caller, raw, api, exchange.headers))


routes = [Route("/v1/route", Endpoint(route), methods=["POST"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

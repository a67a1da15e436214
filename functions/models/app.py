"""GET /v1/models and /v1/models/{id}: what is served, in OpenAI's shape or Anthropic's."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.callers import tokens_in
from shared.context import Gateway
from shared.exchange import Exchange
from shared.listing import find, listed, write_list, write_model
from shared.web import Endpoint, Reply, query_of, serve


async def models(exchange: Exchange, gateway: Gateway) -> Reply:
    """With a token the caller's preferences, else the whole catalog."""
    caller = await gateway.callers.identify(exchange.headers) if tokens_in(exchange.headers) else None
    chosen = listed(gateway.catalog, caller.preferences.models if caller else None, query_of(exchange))
    return Reply(write_list(chosen, anthropic="anthropic-version" in exchange.headers))


async def model(exchange: Exchange, gateway: Gateway) -> Reply:
    """One model, by any of its names."""
    if tokens_in(exchange.headers):
        await gateway.callers.identify(exchange.headers)
    entry = find(gateway.catalog, exchange.scope["path_params"]["id"])
    return Reply(write_model(entry, anthropic="anthropic-version" in exchange.headers))


routes = [
    Route("/v1/models", Endpoint(models), methods=["GET"]),
    Route("/v1/models/{id:path}", Endpoint(model), methods=["GET"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

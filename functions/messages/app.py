"""POST /v1/messages and /v1/messages/count_tokens (https://platform.claude.com/docs/en/api/messages)."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.choosing import choose
from shared.context import Gateway
from shared.counting import count
from shared.dialects import dialect
from shared.exchange import Exchange
from shared.gateway import require_content
from shared.plan import Ask
from shared.selection import usable_routes
from shared.web import Completion, Endpoint, Reply, serve


async def count_tokens(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{"input_tokens": n}`; header `x-ekai-estimated: true` where the provider doesn't count."""
    caller = await gateway.callers.identify(exchange.headers)
    ask = Ask(await exchange.body(gateway.settings.max_body_bytes), dialect("messages"), exchange.headers)
    require_content(ask)
    choice = choose(caller.preferences, ask.model, gateway.catalog)
    routes, opened = await usable_routes(gateway, caller, ask, choice)
    route = next(
        (route for route in routes if route.endpoint.count), routes[0]
    )  # whoever serves it, the tokens are the same
    tokens, estimated = await count(gateway, ask, route, opened.keys[route.provider.id])
    headers = {"x-ekai-provider": route.provider.id, "x-ekai-model": choice.name}
    return Reply({"input_tokens": tokens}, headers=headers | ({"x-ekai-estimated": "true"} if estimated else {}))


routes = [
    Route("/v1/messages", Completion("messages"), methods=["POST"]),
    Route("/v1/messages/count_tokens", Endpoint(count_tokens), methods=["POST"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

"""GET /rofl/public-key: the X25519 key to which owners encrypt their provider keys."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.exchange import Exchange
from shared.keys.rofl import describe
from shared.web import Endpoint, Reply, serve

_PATIENCE = 2.0
"""Seconds that a request waits for a key that is still being derived."""


async def public_key(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{publicKey, publicKeyBytes, isInsideRofl, isAvailable, usage}`, or 503 with the reason."""
    status, body = describe(await gateway.gateway_key.state(_PATIENCE))
    return Reply(body, status)


routes = [Route("/rofl/public-key", Endpoint(public_key), methods=["GET"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

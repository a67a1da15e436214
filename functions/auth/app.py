"""POST /auth/login and /auth/logout: a token for a signed EIP-712 message."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.chain import checksum_address
from shared.context import Gateway
from shared.exchange import Exchange
from shared.web import Endpoint, Reply, json_of, serve


async def login(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{address, expiration, signature}` -> `{token, address, expiresAt, expiresIn}` (seconds)."""
    client = exchange.scope.get("client")
    gateway.logins.take(client[0] if client else "", gateway.ticks())
    issued = await gateway.callers.login(await json_of(exchange, gateway))
    ttl = gateway.settings.auth_token_ttl
    address = checksum_address(issued.address)
    body = {"token": issued.token, "address": address, "expiresAt": issued.expires_at, "expiresIn": ttl}
    return Reply(body, headers={"cache-control": "no-store"})


async def logout(exchange: Exchange, gateway: Gateway) -> Reply:
    """The token is dead."""
    await gateway.callers.logout(exchange.headers)
    return Reply(status=204)


routes = [
    Route("/auth/login", Endpoint(login), methods=["POST"]),
    Route("/auth/logout", Endpoint(logout), methods=["POST"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

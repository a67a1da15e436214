"""GET /health and /health/ready, and the greetings that clients send first."""

from __future__ import annotations

from datetime import UTC, datetime

from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.exchange import Exchange
from shared.version import VERSION
from shared.web import Endpoint, Reply, serve

_DOCS = {
    "models": "/v1/models",
    "usage": "/usage",
    "health": "/health",
    "public_key": "/rofl/public-key",
    "openapi": "/openapi.json",
}


async def health(exchange: Exchange, gateway: Gateway) -> Reply:
    """The process answers."""
    return Reply({"status": "healthy", "timestamp": _now(gateway), "version": VERSION})


async def ready(exchange: Exchange, gateway: Gateway) -> Reply:
    """Store and keys answer too; 503 with what doesn't."""
    problems: dict[str, str] = {}
    for name, check in (("store", gateway.store.ready), ("keys", gateway.keys.ready)):
        try:
            await check()
        except Exception as error:  # whatever is wrong there, it isn't ready
            problems[name] = type(error).__name__
    status = "unavailable" if problems else "ready"
    body = {
        "status": status,
        "timestamp": _now(gateway),
        "version": VERSION,
        **({"problems": problems} if problems else {}),
    }
    return Reply(body, 503 if problems else 200)


async def greeting(exchange: Exchange, gateway: Gateway) -> Reply:
    """Who this is, and where to go."""
    return Reply({"name": "Ekai Gateway", "version": VERSION, "links": _DOCS})


def _now(gateway: Gateway) -> str:
    return datetime.fromtimestamp(gateway.clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


routes = [
    Route("/", Endpoint(greeting), methods=["GET"]),
    Route("/api/hello", Endpoint(greeting), methods=["GET"]),
    Route("/health", Endpoint(health), methods=["GET"]),
    Route("/health/ready", Endpoint(ready), methods=["GET"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

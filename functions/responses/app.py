"""POST /v1/responses (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.errors import Code, GatewayError
from shared.exchange import Exchange
from shared.web import Completion, Endpoint, Reply, serve


async def no_websocket(exchange: Exchange, gateway: Gateway) -> Reply:
    """426 at once: Codex then falls back to POST without a pause, after any other status it tries for seconds."""
    raise GatewayError(
        Code.UPGRADE_NOT_SUPPORTED, "Responses are not served over a WebSocket here: POST /v1/responses."
    )


routes = [
    Route("/v1/responses", Completion("responses"), methods=["POST"]),
    Route("/v1/responses", Endpoint(no_websocket), methods=["GET"]),
]
app = serve(routes)
handler = Mangum(app, lifespan="off")

"""POST /v1/messages and /v1/messages/count_tokens (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.web import Completion, serve

routes = [Route("/v1/messages", Completion("messages"), methods=["POST"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

"""POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.web import Completion, serve

routes = [Route("/v1/chat/completions", Completion("chat_completions"), methods=["POST"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

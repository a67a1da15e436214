"""GET /openapi.json: what this gateway serves, in OpenAPI's words (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import orjson
import yaml
from mangum import Mangum
from starlette.routing import Route

from shared.context import Gateway
from shared.exchange import Exchange
from shared.version import VERSION
from shared.web import Endpoint, Reply, serve

_FILE = Path(__file__).with_name("description.yaml")


@cache
def description() -> bytes:
    """The description as JSON; read when it is first asked for."""
    told = yaml.safe_load(_FILE.read_bytes())
    told["info"]["version"] = VERSION
    return orjson.dumps(told)


async def openapi(exchange: Exchange, gateway: Gateway) -> Reply:
    """The whole description."""
    return Reply(description())


routes = [Route("/openapi.json", Endpoint(openapi), methods=["GET"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

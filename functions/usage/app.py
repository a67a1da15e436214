"""GET /usage: what was used and what it cost, for everybody, for a caller, or for the operator."""

from __future__ import annotations

from mangum import Mangum
from starlette.routing import Route

from shared.callers import tokens_in
from shared.context import Gateway
from shared.errors import Code, GatewayError
from shared.exchange import Exchange
from shared.reports import read_report, write_csv, write_report
from shared.store import Scope
from shared.web import Endpoint, Reply, query_of, serve


async def usage(exchange: Exchange, gateway: Gateway) -> Reply:
    """`{totalRequests, totalCost, totalTokens, costByProvider, costByModel, records}`, or CSV."""
    query = query_of(exchange)
    scope, who = await _audience(exchange, gateway, query.get("scope", ""))
    report = read_report(query, scope, who, gateway.clock())
    totals, rows = await gateway.store.usage(report.query)
    if report.csv:
        headers = {"content-disposition": 'attachment; filename="usage.csv"'}
        return Reply(write_csv(rows, report).encode(), headers=headers, content_type="text/csv; charset=utf-8")
    return Reply(write_report(totals, rows, report))


async def _audience(exchange: Exchange, gateway: Gateway, wanted: str) -> tuple[Scope, str | None]:
    """Who asks for what: `me` wants a token, `all` the operator's, everything else shows everybody's totals without addresses."""
    if wanted == "all":
        if not gateway.callers.is_operator(exchange.headers):
            raise GatewayError(Code.AUTHENTICATION_ERROR, "`scope=all` is for the operator (OPERATOR_TOKEN).")
        return "all", None
    if wanted == "me":
        return "me", (await gateway.callers.identify(exchange.headers)).address
    if wanted not in ("", "public"):
        raise GatewayError(Code.VALIDATION_ERROR, "`scope` may be `me` or `all`.", param="scope")
    closed = bool(tokens_in(exchange.headers)) or gateway.settings.public_usage == "off"
    if closed and not gateway.callers.is_operator(exchange.headers):
        await gateway.callers.identify(exchange.headers)
    return "public", None


routes = [Route("/usage", Endpoint(usage), methods=["GET"])]
app = serve(routes)
handler = Mangum(app, lifespan="off")

"""The story of one completion: who asks, for what, who serves it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from shared.attempts import first_answer
from shared.choosing import choose
from shared.context import Gateway
from shared.delivery import deliver, end, out_of_time
from shared.dialects import Dialect
from shared.errors import Code, GatewayError, invalid
from shared.exchange import ClientGoneError, Exchange
from shared.grants import check
from shared.ledger import Ledger, request_id
from shared.metering import estimated_tokens
from shared.plan import Ask
from shared.selection import remember, usable_routes

log = logging.getLogger("ekai.gateway")

CLIENT_CLOSED = 499
"""nginx's status for a client that hung up; only the row ever shows it."""

_LONGEST_NAME = 200
"""Characters of a model's name that are kept: no model has a longer one, but a client may send any text."""


_COME_BACK = "5"
"""Seconds after which a limit may be tried again where the provider names no time."""


async def complete(exchange: Exchange, gateway: Gateway, client: Dialect) -> None:
    """Serves one request of a client API, from its token to its row. Raises nothing but the server's own cancellation."""
    now = int(gateway.clock() * 1000)
    ledger = Ledger(gateway.store, request_id(now), now, client.api, gateway.receipts_on, billed=gateway.billed)
    try:
        await _serve(exchange, gateway, client, ledger)
    except ClientGoneError:
        await ledger.close("client_gone", CLIENT_CLOSED)
    except GatewayError as error:
        await _refuse(exchange, client, ledger, error)
    except Exception:
        log.exception("an unexpected error", extra={"request_id": ledger.id})
        await _refuse(
            exchange, client, ledger, GatewayError(Code.INTERNAL_ERROR, "The gateway failed; it has logged why.")
        )
    finally:
        await ledger.close("broken", 500)


async def _serve(exchange: Exchange, gateway: Gateway, client: Dialect, ledger: Ledger) -> None:
    caller = ledger.caller = await gateway.callers.identify(exchange.headers)
    ask = Ask(await exchange.body(gateway.settings.max_body_bytes), client, exchange.headers)
    ledger.model_requested, ledger.stream, ledger.request_chars = ask.model[:_LONGEST_NAME], ask.stream, len(ask.raw)
    require_content(ask)
    choice = choose(caller.preferences, ask.model, gateway.catalog)
    ledger.model = choice.match.model.id
    check(caller.grants, choice, gateway.catalog, gateway.clock())
    last, attempt, settings = b"", None, gateway.settings
    limit = asyncio.timeout(None)
    watch = exchange.watch(limit, settings.ping_interval, settings.stream_idle_timeout)
    try:
        async with limit:
            routes, opened = await usable_routes(gateway, caller, ask, choice)
            tokens = estimated_tokens(len(ask.raw)) + gateway.habits.output(ledger.model)
            ledger.held = await gateway.budgets.hold(
                ledger.id, ledger.at, routes[0].estimate, caller.address, caller.grants, tokens, caller.budget
            )
            attempt = await first_answer(gateway, ask, choice, routes, opened, ledger)
            last = await deliver(exchange, attempt, choice, ledger, watch)
    except TimeoutError:
        if not limit.expired():
            raise
    finally:
        if attempt is not None:
            attempt.answer.close()
        await watch.stop()
    if watch.gone:
        raise ClientGoneError
    if watch.late and attempt is None:
        raise out_of_time()
    if attempt is not None:
        remember(gateway, caller, ask, attempt)
        await end(exchange, attempt, ledger, last, watch)


def require_content(ask: Ask) -> None:
    """Raises VALIDATION_ERROR for a body without a conversation, before anybody is asked for anything."""
    field = "input" if ask.client.api == "responses" else "messages"
    value = ask.body.get(field)
    if ask.client.api == "responses":
        elsewhere = any(ask.body.get(name) for name in ("prompt", "previous_response_id", "conversation"))
        if isinstance(value, str | list) and (value or elsewhere):
            return
        if value is None and elsewhere:
            return
        raise invalid("`input` must be a string or a list of items, and must not be empty.", field)
    if not isinstance(value, list) or not value:
        raise invalid("`messages` must be a list with at least one message.", field)


async def _refuse(exchange: Exchange, client: Dialect, ledger: Ledger, error: GatewayError) -> None:
    """The error in the client's own shape; in a reply that has begun there is only its end."""
    if exchange.started:
        await ledger.close("broken", error.status, error)
        with suppress(ClientGoneError):
            await exchange.finish()
        return
    status = 529 if error.code is Code.OVERLOADED and client.api == "messages" else error.status
    by_provider = error.code is Code.PROVIDER_ERROR and error.status >= 500
    await ledger.close("broken" if by_provider or error.status >= 500 else "refused", status, error)
    headers = {"x-request-id": ledger.id, **error.headers}
    if client.api == "responses" and status == 429 and error.provider_code != "insufficient_quota":
        # Codex (https://github.com/openai/codex, 0.169) gives up at once where no header says when to come back.
        headers.setdefault("retry-after", _COME_BACK)
    with suppress(ClientGoneError):
        await exchange.reply_json(status, client.write_error(error, ledger.id), headers)

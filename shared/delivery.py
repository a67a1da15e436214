"""A reply on its way to the client: headers, pieces, and the row before the last of them."""

from __future__ import annotations

import asyncio
import logging

from shared.attempts import Attempt, passed_on
from shared.choosing import Choice
from shared.errors import Code, GatewayError
from shared.exchange import ClientGoneError, Exchange, Watch
from shared.ledger import Ledger
from shared.metering import exact_dollars

log = logging.getLogger("ekai.gateway")

_TRAILER_SECONDS = 2.0
"""How long the end of the provider's bytes is waited for once its terminal event was seen."""


async def deliver(exchange: Exchange, attempt: Attempt, choice: Choice, ledger: Ledger, watch: Watch) -> bytes:
    """Sends the reply but for its last piece, which it returns: the row is written before that."""
    relay = attempt.relay
    ledger.usage, ledger.output_chars = relay.usage, relay.output_chars
    ledger.first_byte()
    headers = reply_headers(attempt, choice, ledger)
    if not ledger.stream:
        cost = ledger.cost()
        if cost is not None:
            headers["x-ekai-cost-usd"] = exact_dollars(cost.total)
        headers |= {"content-type": "application/json", "content-length": str(len(attempt.first))}
        exchange.start(200, headers.items())
        return attempt.first
    headers |= {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"}
    exchange.start(200, headers.items())
    exchange.streaming = True
    try:
        return await _pump(exchange, attempt, watch)
    except GatewayError as error:
        return relay.break_off(error)
    except ClientGoneError:
        raise
    except Exception:
        log.exception("a stream could not be passed on", extra={"request_id": ledger.id})
        return relay.break_off(GatewayError(Code.INTERNAL_ERROR, "The gateway failed; it has logged why."))
    finally:
        ledger.usage, ledger.output_chars = relay.usage, relay.output_chars


async def _pump(exchange: Exchange, attempt: Attempt, watch: Watch) -> bytes:
    """Passes the stream on piece by piece, up to the piece that ends it."""
    relay = attempt.relay
    if not relay.ended:
        await exchange.write(attempt.first)
        while chunk := await attempt.answer.read():
            if watch.gone:  # a provider that always has more leaves no moment in which the cancellation could arrive
                raise ClientGoneError
            watch.heard()
            piece = relay.feed(chunk)
            if relay.ended or relay.failed:
                watch.let_end()
                return piece + await _trailer(attempt)
            await exchange.write(piece)
        return relay.close()
    watch.let_end()
    return attempt.first + await _trailer(attempt)


async def _trailer(attempt: Attempt) -> bytes:
    """What follows a terminal event (usage, `[DONE]`), to the end of the bytes."""
    out: list[bytes] = []
    try:
        async with asyncio.timeout(_TRAILER_SECONDS):
            while chunk := await attempt.answer.read():
                out.append(attempt.relay.feed(chunk))
    except (TimeoutError, GatewayError) as error:
        log.debug("the provider did not end its stream: %s", type(error).__name__)
    out.append(attempt.relay.close())
    return b"".join(out)


async def end(exchange: Exchange, attempt: Attempt, ledger: Ledger, last: bytes, watch: Watch) -> None:
    """The row, then the last piece."""
    relay = attempt.relay
    if watch.stalled and not relay.ended:
        last = relay.break_off(GatewayError(Code.PROVIDER_ERROR, "The provider's stream stalled.", status=504))
    elif watch.late and not relay.ended:
        last = relay.break_off(out_of_time())
    ledger.usage, ledger.output_chars = relay.usage, relay.output_chars
    await ledger.close("broken" if relay.failed else "complete", 200, relay.failed)
    await exchange.finish(last)


def out_of_time() -> GatewayError:
    """The process ends soon, and the provider isn't done."""
    return GatewayError(
        Code.PROVIDER_ERROR, "The provider's reply takes longer than the gateway may run here.", status=504
    )


def reply_headers(attempt: Attempt, choice: Choice, ledger: Ledger) -> dict[str, str]:
    """The headers of every completion (contract, "Headers")."""
    headers = {
        "x-request-id": ledger.id,
        "x-ekai-provider": attempt.plan.route.provider.id,
        "x-ekai-model": choice.name,
        **passed_on(attempt.answer.headers),
    }
    headers |= ledger.held.headers(ledger.at / 1000)
    if choice.substituted:
        headers["x-ekai-model-requested"] = ledger.model_requested
    if ledger.attempts > 1:
        headers["x-ekai-attempts"] = str(ledger.attempts)
    if attempt.plan.dropped:
        headers["x-ekai-dropped"] = ",".join(attempt.plan.dropped)
    if request_hash := ledger.request_hash:
        headers["x-ekai-request-hash"] = request_hash
    return headers

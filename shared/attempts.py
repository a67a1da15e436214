"""One route after the other until a provider begins to answer: what is sent, what moves on to the next, what ends it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from math import isnan

from shared.choosing import Choice
from shared.context import Gateway
from shared.dialects import Writing, dialect
from shared.errors import Code, GatewayError, unsupported
from shared.keys import Opened
from shared.ledger import Ledger
from shared.plan import Ask, Plan, plan
from shared.relay import Passthrough, Relay, Translated
from shared.routing import Route
from shared.sse import MAX_EVENT
from shared.upstream import Answer

log = logging.getLogger("ekai.gateway")

_PASSED_ON = ("retry-after", "retry-after-ms", "x-ratelimit-", "anthropic-ratelimit-")
_KEY_REFUSED = frozenset({401, 402, 403})
_MOVES_ON = _KEY_REFUSED | {408, 409, 429}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A provider that has begun to answer: `first` is what the client gets first."""

    plan: Plan
    answer: Answer
    relay: Relay
    first: bytes


def pair(route: Route, opened: Opened) -> tuple[str, int]:
    return route.provider.id, hash(opened.keys[route.provider.id].value)


async def first_answer(
    gateway: Gateway, ask: Ask, choice: Choice, routes: Iterable[Route], opened: Opened, ledger: Ledger
) -> Attempt:
    """Tries one route after the other until a provider begins to answer. Raises the last provider's error, which then names all
    attempts, or the first refusal where nothing could be sent."""
    failures: list[tuple[Route, GatewayError]] = []
    refusal: GatewayError | None = None
    for route in routes:
        if ledger.attempts == gateway.settings.max_attempts:
            break
        try:
            planned = plan(ask, route, opened.keys[route.provider.id])
        except GatewayError as error:
            refusal = refusal or error
            continue
        tried = await _attempt(gateway, ask, choice, planned, opened, ledger)
        if isinstance(tried, Attempt):
            return tried
        failures.append((route, tried))
    if not failures:
        raise refusal or unsupported("No provider can serve this request.")
    raise _summed_up(failures)


async def _attempt(
    gateway: Gateway, ask: Ask, choice: Choice, planned: Plan, opened: Opened, ledger: Ledger
) -> Attempt | GatewayError:
    """One provider's chance: its answer, or the error after which the next one gets its own. Raises what ends it for all."""
    route = planned.route
    ledger.plan = planned
    ledger.attempts += 1
    try:
        attempt = await _begun(gateway, ask, choice, planned, ledger)
    except GatewayError as told:
        failure = told.without(opened.keys[route.provider.id].value)
        if not _judge(gateway, route, opened, failure):
            raise failure from None
        log.info(
            "%s failed with %s",
            route.provider.id,
            failure.status,
            extra={"request_id": ledger.id, "model": route.offer.id},
        )
        return failure
    gateway.health.succeeded(pair(route, opened))
    return attempt


def _judge(gateway: Gateway, route: Route, opened: Opened, error: GatewayError) -> bool:
    """Whether the next provider is to be tried; the failing one's health suffers."""
    if error.code is not Code.PROVIDER_ERROR or not (error.status in _MOVES_ON or error.status >= 500):
        return False
    refused = error.status in _KEY_REFUSED
    wait = retry_after(error.headers.get("retry-after", ""), gateway.clock())
    gateway.health.failed(pair(route, opened), gateway.ticks(), at_once=refused, wait=wait)
    return True


def retry_after(text: str, now: float) -> float | None:
    """The seconds that a provider asks for, in either form of https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(text).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return None if isnan(seconds) else max(seconds, 0.0)


def _summed_up(failures: list[tuple[Route, GatewayError]]) -> GatewayError:
    """One error for all attempts: the last one's status and headers, everybody's message."""
    route, last = failures[-1]
    if len(failures) == 1:
        message = f"{route.provider.title}: {last.message}"
    else:
        told = "; ".join(f"{route.provider.title} ({error.status}): {error.message}" for route, error in failures)
        message = f"All {len(failures)} providers that were tried failed. {told}"
    return GatewayError(
        last.code,
        message,
        status=last.status,
        provider_code=last.provider_code,
        headers=last.headers,
        details=last.details,
    )


async def _begun(gateway: Gateway, ask: Ask, choice: Choice, planned: Plan, ledger: Ledger) -> Attempt:
    """Sends the call and reads until the reply has begun. Raises PROVIDER_ERROR; then nothing stays open."""
    answer = await gateway.upstream.send(planned.call, gateway.settings.upstream_timeout)
    try:
        if not 200 <= answer.status < 300:
            raise await _told(answer, planned)
        relay = _relay(ask, choice, planned, ledger)
        first = await _opening(answer, relay) if ask.stream else relay.whole(await answer.whole())
    except BaseException:
        answer.close()
        raise
    answer.in_time()
    ledger.answered = True
    return Attempt(planned, answer, relay, first)


async def _told(answer: Answer, planned: Plan) -> GatewayError:
    """The provider's own error, with the headers that clients act upon."""
    status = answer.status if answer.status >= 400 else 502
    error = dialect(planned.route.endpoint.api).read_error(status, await answer.error_body())
    return GatewayError(
        error.code,
        error.message,
        status=error.status,
        param=error.param,
        provider_code=error.provider_code,
        headers={**error.headers, **passed_on(answer.headers)},
        details=error.details,
    )


def _relay(ask: Ask, choice: Choice, planned: Plan, ledger: Ledger) -> Relay:
    if planned.reading is None:
        return Passthrough(ask.client, ask.client.repair(ask.body, planned.target))
    writing = Writing(ask.request, ask.body, choice.name, ledger.id, ledger.at // 1000)
    return Translated(ask.client, dialect(planned.route.endpoint.api), planned.reading, writing)


async def _opening(answer: Answer, relay: Relay) -> bytes:
    """The first piece of a stream. What fails before it may still be tried elsewhere."""
    out: list[bytes] = []
    size = 0
    while chunk := await answer.read():
        out.append(relay.feed(chunk))
        size += len(chunk)
        if relay.failed is not None:
            raise relay.failed
        if relay.progress:
            return b"".join(out)
        if size > MAX_EVENT:
            raise GatewayError(
                Code.PROVIDER_ERROR, "The provider sent no event in more bytes than the gateway accepts."
            )
    out.append(relay.close())
    if relay.failed is not None:
        raise relay.failed
    return b"".join(out)


def passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """A provider's headers about limits and waiting."""
    return {name.lower(): value for name, value in headers.items() if name.lower().startswith(_PASSED_ON)}

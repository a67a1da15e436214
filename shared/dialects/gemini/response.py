"""Whole replies: https://ai.google.dev/api/generate-content#generatecontentresponse."""

from __future__ import annotations

from shared.canonical import Json, Response
from shared.dialects import Reading, Writing
from shared.dialects.depth import check
from shared.dialects.gemini.stream import events_of
from shared.errors import Code, GatewayError, unsupported
from shared.streams import fold


def read_response(body: Json, reading: Reading) -> Response:
    """The reply, read as the stream of one event that it is. Raises PROVIDER_ERROR for one that is no reply."""
    check(body)
    return fold(events_of(body, reading))


def write_response(response: Response, writing: Writing) -> Json:
    """No client speaks Gemini to the gateway."""
    raise unsupported("Gemini is spoken to providers only.")


def read_count(body: Json) -> int:
    """`totalTokens` of a reply to `:countTokens`: https://ai.google.dev/api/tokens."""
    total = body.get("totalTokens")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise GatewayError(Code.PROVIDER_ERROR, "The provider's token count can't be read.")
    return total

"""A route and a client's body to the HTTP call that goes out: pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

import orjson

from shared.canonical import Json, Request, Target
from shared.dialects import Dialect, Reading, dialect
from shared.errors import Code, GatewayError, invalid
from shared.keys import ProviderKey
from shared.routing import Route
from shared.version import USER_AGENT


@dataclass(frozen=True, slots=True)
class Call:
    """One POST to a provider. Neither headers nor body show in a repr: they hold a key and a conversation."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    stream: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The call, what had to be dropped (by the client's names), and what a reader of the reply must know (None: it passes through)."""

    route: Route
    target: Target
    call: Call
    dropped: tuple[str, ...]
    reading: Reading | None


class Ask:
    """A client's request as it came: bytes, parsed body, dialect. Its canonical form is read when it is first needed."""

    __slots__ = ("_request", "body", "client", "conversation", "headers", "model", "raw", "stream")

    def __init__(self, raw: bytes, client: Dialect, headers: Mapping[str, str]) -> None:
        self.raw = raw
        self.client = client
        self.headers = headers
        self.body = read_json(raw)
        self.model = _text(self.body, "model")
        self.stream = _flag(self.body, "stream")
        self._request: Request | None = None
        self.conversation: tuple[bytes | None, ...] = ()  # its key, once `conversations.key_of` was asked for it

    @property
    def request(self) -> Request:
        """The canonical form. Raises VALIDATION_ERROR or UNSUPPORTED_BY_MODEL."""
        if self._request is None:
            self._request = self.client.read_request(self.body)
        return self._request


MOST_VALUES = 2_000_000
"""Commas and brackets in a body. No prompt that a model takes has so many, and 50 MB of `[],` would take 1.2 GB as objects."""


def read_json(raw: bytes) -> Json:
    """A JSON object. Raises VALIDATION_ERROR, and REQUEST_TOO_LARGE for one of too many values."""
    if len(raw) > MOST_VALUES and sum(map(raw.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise GatewayError(Code.REQUEST_TOO_LARGE, f"The body holds more than {MOST_VALUES:,} values.")
    try:
        body = orjson.loads(raw)
    except ValueError as error:
        raise invalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    return body


def write_json(body: Json) -> bytes:
    """Raises VALIDATION_ERROR for what can be read but not written: orjson reads deeper nesting than it writes."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise invalid("The body is nested too deeply.") from None


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if value is None:
        raise invalid(f"`{name}` is missing.", name)
    if not isinstance(value, str) or not value.strip():
        raise invalid(f"`{name}` must be a non-empty string.", name)
    return value


def _flag(body: Json, name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"`{name}` must be true or false.", name)
    return bool(value)


def plan(ask: Ask, route: Route, key: ProviderKey) -> Plan:
    """The call for this route. Raises UNSUPPORTED_BY_MODEL where the request can't be served there."""
    target = route.target
    if route.native and not ask.client.lacks(ask.body, target):
        payload, dropped = _adapted(ask, route, target)
        return Plan(route, target, _call(ask, route, key, payload), dropped, None)
    written = dialect(route.endpoint.api).write_request(ask.request, target)
    body = {**route.provider.body_defaults, **written.body}
    names = ask.client.names
    dropped = tuple(dict.fromkeys(names.get(name, name) for name in (*ask.request.dropped, *written.dropped)))
    return Plan(route, target, _call(ask, route, key, write_json(body)), dropped, Reading(target, written.tools))


def _adapted(ask: Ask, route: Route, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The client's own bytes where nothing but the model's name has to change."""
    named = ask.body if ask.model == route.offer.id else {**ask.body, "model": route.offer.id}
    adapted, dropped = ask.client.adapt(named, target)
    if adapted is not named:
        return write_json(adapted), dropped
    if named is ask.body:
        return ask.raw, dropped
    return _with_model(ask.raw, ask.model, route.offer.id) or write_json(named), dropped


def _with_model(raw: bytes, old: str, new: str) -> bytes | None:
    """`raw` with the model's name exchanged in place; None unless exactly one place can be meant.

    Inside a JSON string the quotes would be escaped, so what matches is a member; a nested one makes it two.
    """
    places = [found.span() for found in _member(old).finditer(raw)]
    if len(places) != 1:
        return None
    [(start, end)] = places
    rest = memoryview(raw)
    return b"".join((rest[:start], b'"model":', orjson.dumps(new), rest[end:]))


@lru_cache(maxsize=1024)
def _member(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"model"\s*:\s*' + re.escape(orjson.dumps(name)))


def counting_call(ask: Ask, route: Route, key: ProviderKey, body: Json) -> Call:
    """The call that has the provider count a prompt's tokens."""
    path = _filled(route.endpoint.count, route)
    headers = _headers(ask, route, key, stream=False)
    return Call(f"{route.provider.root}{path}", headers, write_json(body), stream=False)


def _call(ask: Ask, route: Route, key: ProviderKey, payload: bytes) -> Call:
    return Call(_url(route, ask.stream), _headers(ask, route, key, ask.stream), payload, ask.stream)


def _headers(ask: Ask, route: Route, key: ProviderKey, stream: bool) -> dict[str, str]:
    provider, endpoint = route.provider, route.endpoint
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "user-agent": USER_AGENT,
        **provider.headers,
    }
    for name in provider.forward_headers:
        if (value := ask.headers.get(name)) is not None:
            headers[name] = value
    if endpoint.auth is not None and key.value:
        auth = endpoint.auth
        headers[auth.header] = f"{auth.scheme} {key.value}" if auth.scheme else key.value
    return headers


def _url(route: Route, stream: bool) -> str:
    endpoint = route.endpoint
    query = f"?{endpoint.query}" if endpoint.query and stream else ""
    return f"{route.provider.root}{_filled(endpoint.path, route, stream)}{query}"


def _filled(path: str, route: Route, stream: bool = False) -> str:
    if "{" not in path:
        return path
    method = "streamGenerateContent" if stream else "generateContent"
    return path.format(model=quote(route.offer.id, safe=":@"), method=method)

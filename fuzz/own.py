"""Harnesses of the gateway's own readers: logins, envelopes, preferences, limits, queries, headers, streams, the catalog."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qsl

import orjson
import yaml

from catalog.load import HERE, CatalogError, load
from catalog.serving import served
from catalog.types import Catalog
from fuzz.source import Source, dumped
from shared.attempts import retry_after
from shared.budget import read_budget
from shared.callers import Caller, tokens_in
from shared.context import Gateway
from shared.control_plane import AbiError, read_bool, read_rofl_key, read_secret
from shared.dialects.seal import PREFIX, unseal
from shared.dialects.toolnames import Unwrap
from shared.errors import GatewayError
from shared.explaining import api_of
from shared.grants import read_grants
from shared.keys.envelope import EnvelopeError, encrypt, open_for, public_key
from shared.listing import find, listed, write_list
from shared.login import check_times, digest, read_login, recover
from shared.preferring import changed, shown
from shared.reports import read_report
from shared.sse import SSE, Gate, Parser
from shared.store import Preferences

NOW = 1_790_000_000
ADDRESS = "0x" + "ab" * 20
PRIVATE = bytes(range(32))
_PROVIDER = bytes(32)
_SHORTEST_SIGNATURE = 65


@cache
def catalog() -> Catalog:
    return load()


def refused(read: Callable[[], object]) -> None:
    """It reads, or says in words what the caller did wrong."""
    error: GatewayError | None = None
    try:
        read()
    except GatewayError as caught:
        error = caught
    assert error is None or (400 <= error.status < 500 and error.message)


def json_of(source: Source, names: tuple[str, ...], words: tuple[str, ...] = ()) -> Any:
    """Bytes that are JSON, or an object of these names."""
    if source.below(4) == 0:
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(source.rest())
    return source.object(names, words)


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def sse(data: bytes) -> None:
    """A stream in pieces is the stream as one, and no byte is lost or passed twice on the way through the gate."""
    source = Source(data)
    parser, gate, out = Parser(), Gate(), b""
    pieces: list[bytes] = []
    events: list[SSE] = []
    while not source.over:
        pieces.append(source.pick((b"data: ", b"event: x\n", b"\n", b"\r", b"\n\n", b"\xef\xbb\xbf", b":", b"")))
        pieces.append(source.raw(12))
    for piece in pieces:
        events += parser.feed(piece)
        out += gate.feed(piece, parser.at_boundary)
    whole = b"".join(pieces)
    assert events == Parser().feed(whole)
    assert whole.startswith(out)
    assert Parser().feed(b"".join(event.encode() for event in events)) == events


def seals(data: bytes) -> None:
    """A seal of anybody's making, and arguments of a free-text tool."""
    text = data.decode("utf-8", "replace")
    for sealed in (text, PREFIX + text, f"{PREFIX}maker.{text}"):
        opened = unseal(sealed)
        assert opened is None or opened.maker
    source, unwrap = Source(data), Unwrap()
    with suppress(GatewayError):
        while not source.over:
            unwrap.feed(source.pick(('{"input":"', '"}', "\\", "\\ud83d", "\\u", "{", " ", "")) + source.text())
        unwrap.close()


def envelopes(data: bytes) -> None:
    """A key's envelope as anybody may put it on chain, and one that is honest but holds anything."""
    source = Source(data)
    match source.below(3):
        case 0:
            sealed = source.rest()
        case 1:
            sealed = encrypt(source.rest(), public_key(PRIVATE), ephemeral_private_key=PRIVATE[::-1], nonce=bytes(15))
        case _:
            honest = bytearray(
                encrypt(source.raw(40), public_key(PRIVATE), ephemeral_private_key=PRIVATE[::-1], nonce=bytes(15))
            )
            honest[source.below(len(honest))] ^= source.below(256)
            sealed = bytes(honest)
    with suppress(EnvelopeError):
        key = open_for(ADDRESS, _PROVIDER, sealed, [PRIVATE])
        assert key == key.strip()
        assert key.isprintable() or not key.isascii()


def chain(data: bytes) -> None:
    """What a node may answer."""
    for read in (read_bool, read_secret, read_rofl_key):
        with suppress(AbiError):
            read(data)


# ── our own routes ───────────────────────────────────────────────────────────────────────────────────────────────


def logins(data: bytes) -> None:
    """A wallet's message and its signature."""
    source = Source(data)
    body = json_of(source, ("address", "expiration", "signature"), (ADDRESS, "0x" + "11" * 65))
    if source.chance(2) and isinstance(body, dict):
        signature = source.raw(_SHORTEST_SIGNATURE).ljust(_SHORTEST_SIGNATURE, b"\x1b")
        body |= {"address": ADDRESS, "expiration": NOW + 604_800, "signature": "0x" + signature.hex()}

    def read() -> None:
        login = read_login(body)
        check_times(login, NOW, 604_800, 300)
        recover(login.signature, digest(login.address, login.expiration, 23_295))

    refused(read)


def preferences(data: bytes) -> None:
    """PUT /user/preferences."""
    source = Source(data)
    body = json_of(source, ("api_address", "model_preferences"), (ADDRESS, *list(catalog().models)[:50]))
    keys = SimpleNamespace(admit=_nothing, open=_nothing)
    gateway = cast(Gateway, SimpleNamespace(clock=lambda: NOW, catalog=catalog(), keys=keys))
    caller = Caller(ADDRESS, Preferences(ADDRESS))
    if isinstance(body, dict):
        refused(lambda: orjson.dumps(shown(finished(changed(gateway, caller, body)))))


async def _nothing(*_: object) -> None:
    return None


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never waits."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("It waits for something.")


_LIMITS = (
    "dailyUsd",
    "weeklyUsd",
    "monthlyUsd",
    "requestsPerMinute",
    "tokensPerMinute",
    "models",
    "providers",
    "expiresAt",
)


def limits(data: bytes) -> None:
    """Grants and the gateway's budget."""
    source = Source(data)
    times = ("2027-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31", "1e-9", "0.1", "1e400", "openai", "*")
    grants = {source.text((ADDRESS, "*")): json_of(source, _LIMITS, times) for _ in range(source.below(4))}
    refused(lambda: read_grants({"grants": grants}, ADDRESS, catalog()))
    refused(lambda: read_grants(cast(Mapping[str, object], {"grants": source.json(_LIMITS)}), ADDRESS, catalog()))
    refused(lambda: read_budget(source.object(("amountUsd", "alertOnly", "period"), times)))


_QUERY = ("startTime", "endTime", "timezone", "limit", "format", "scope", "provider", "endpoint", "search", "offset", "after_id", "before_id")  # fmt: skip
_VALUES = ("2026-11-24T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "UTC", "../UTC", "/etc/passwd", "Europe", "csv", "10", "openai", "messages")  # fmt: skip


def queries(data: bytes) -> None:
    """Query strings of /usage and /v1/models, and names in its path."""
    source = Source(data)
    query = {source.text(_QUERY): source.text(_VALUES) for _ in range(source.below(6))}
    query |= dict(parse_qsl(source.raw(60).decode("latin-1"), keep_blank_values=True))
    refused(lambda: read_report(query, "public", None, NOW))
    refused(lambda: orjson.dumps(write_list(listed(catalog(), None, query), anthropic=source.chance(2))))
    refused(lambda: find(catalog(), source.text(tuple(catalog().models))))
    refused(lambda: api_of(source.object(("messages", "input", "system"), ()), source.text(("messages", "chat")), {}))


def headers(data: bytes) -> None:
    """Headers of callers and of providers, as HTTP parsers pass them on: any latin-1."""
    source = Source(data)
    words = (
        "Bearer ",
        "bearer",
        "Basic",
        "Wed, 21 Oct 9999 07:28:00 GMT",
        "Thu, 01 Jan 0001 00:00:00 GMT",
        "-5",
        "nan",
        "1e400",
    )
    given = [source.text(words) + source.raw(30).decode("latin-1") for _ in range(3)]
    assert all(tokens_in({"authorization": given[0], "x-api-key": given[1]}))
    seconds = retry_after(given[2], NOW)
    assert seconds is None or seconds >= 0


# ── the catalog ──────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _rows(kind: str) -> tuple[Any, ...]:
    return tuple(yaml.safe_load(path.read_bytes()) for path in sorted((HERE / kind).glob("*.yaml")))


def catalogs(data: bytes) -> None:
    """YAML that an operator has changed, and addresses in the environment."""
    source = Source(data)
    words = (*catalog().providers, "input", "output", "chat_completions", "budget", "2026-01-01")
    provider: Any = orjson.loads(orjson.dumps(source.pick(_rows("providers")), default=str))
    models: Any = orjson.loads(orjson.dumps(source.pick(_rows("models"))[:2], default=str))
    for _ in range(source.below(3) + 1):
        provider, models = source.bend(provider, words), source.bend(models, words)
    with TemporaryDirectory() as folder, suppress(CatalogError):
        root = Path(folder)
        for kind, rows in (("providers", provider), ("models", models)):
            (root / kind).mkdir()
            written = source.rest() if source.chance(6) else dumped(rows)
            (root / kind / "one.yaml").write_bytes(written)
        load(root, check=source.chance(2))
    served(catalog(), {source.text(("OPENAI_UPSTREAM_URL", "DEMO_UPSTREAM_URL")): source.text(("http://x/v1/",))})

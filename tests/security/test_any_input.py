"""Whatever strangers, callers and providers send: readers give a value or a GatewayError, and no other exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.load import load
from shared.attempts import retry_after
from shared.budget import read_budget
from shared.callers import tokens_in
from shared.canonical import Opaque
from shared.dialects import Api, dialect
from shared.dialects.failures import read_error
from shared.dialects.seal import PREFIX, seal, unseal
from shared.dialects.toolnames import Unwrap, wrap
from shared.errors import GatewayError
from shared.explaining import api_of
from shared.grants import read_grants
from shared.listing import find, listed, write_list
from shared.login import check_times, digest, read_login, recover
from shared.plan import Ask, read_json
from shared.reports import read_report
from shared.sse import SSE, Gate, Parser
from tests.gateway.wire import APIS

CATALOG = load()
OWNER = "0x" + "ab" * 20
NOW = 1_790_000_000.0

texts = st.text(max_size=60)
leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
json_like = st.dictionaries(texts, values, max_size=6)


def with_names(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects in which the names that a reader looks at are there more often than not."""
    return st.dictionaries(st.sampled_from(names) | texts, values, max_size=6)


# ── bytes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.binary(max_size=300) | json_like.map(lambda body: repr(body).encode()))
@example(b'{"a":' * 2_000 + b"1" + b"}" * 2_000)
@example(b'{"a": 1e999999, "a": "\\ud800"}')
def test_a_body_is_an_object_or_refused(raw: bytes) -> None:
    error = error_of(lambda: read_json(raw))
    assert error is None or (error.status == 400 and error.message.isprintable())


@given(
    st.lists(
        st.binary(max_size=40) | st.sampled_from([b"data: ", b"event: x\n", b"\n", b"\r", b"\n\n", b"\xef\xbb\xbf"]),
        max_size=30,
    )
)
def test_any_bytes_are_a_stream(pieces: list[bytes]) -> None:
    """In pieces and as one they are the same events, and no byte is lost or passed twice on the way through the gate."""
    parser, whole, gate, out = Parser(), Parser(), Gate(), b""
    events: list[SSE] = []
    for piece in pieces:
        events += parser.feed(piece)
        out += gate.feed(piece, parser.at_boundary)
    assert events == whole.feed(b"".join(pieces))
    assert b"".join(pieces).startswith(out)


@given(st.integers(0, 700), st.binary(max_size=300) | values.map(lambda value: orjson.dumps(str(value))))
def test_any_failure_of_a_provider_can_be_told(status: int, body: bytes) -> None:
    told = read_error(status, body)
    assert 400 <= told.status < 600
    for api in APIS:
        orjson.dumps(dialect(cast(Api, api.name)).write_error(told, "r"))


# ── seals and names ──────────────────────────────────────────────────────────────────────────────────────────────


@given(
    texts
    | texts.map(PREFIX.__add__)
    | st.binary(max_size=60).map(lambda raw: PREFIX + "openai." + raw.decode("latin-1"))
)
@example(PREFIX + "a." + "W1tbW1tb" * 500)
@example(PREFIX + "openai.WyJhIiwxXQ")
@example(PREFIX + "openai.MTIz")
@example(PREFIX + "openai.bnVsbA")
def test_no_string_breaks_the_seal(text: str) -> None:
    opened = unseal(text)
    assert opened is None or opened.maker


@given(st.sampled_from(["openai", "anthropic", "z.ai"]), texts, texts)
def test_what_was_sealed_comes_back(maker: str, kind: str, data: str) -> None:
    opaque = Opaque(maker, kind, data)
    try:
        sealed = seal(opaque)
    except TypeError:  # a lone surrogate is no text that any JSON could have brought
        assert not (kind + data).isprintable()
        return
    assert sealed.isascii()
    assert unseal(sealed) == opaque


@given(texts, st.lists(st.integers(1, 6), max_size=8))
def test_a_wrapped_text_comes_back_in_any_pieces(text: str, cuts: list[int]) -> None:
    wrapped, unwrap, out = wrap(text), Unwrap(), ""
    for cut in cuts:
        piece, wrapped = wrapped[:cut], wrapped[cut:]
        out += unwrap.feed(piece)
    assert out + unwrap.feed(wrapped) == text


@given(st.lists(texts | st.sampled_from(['{"input":"', '"}', "\\", "\\u", "{", "d83d"]), max_size=8))
def test_no_arguments_break_the_unwrapping(pieces: list[str]) -> None:
    unwrap = Unwrap()
    error = error_of(lambda: [unwrap.feed(piece) for piece in pieces])
    assert error is None or error.status == 502


# ── bodies and queries of our own routes ─────────────────────────────────────────────────────────────────────────


@given(with_names("address", "expiration", "signature"))
def test_any_login(body: dict[str, Any]) -> None:
    with_errors(lambda: read_login(body))


@settings(max_examples=60)
@given(st.binary(min_size=65, max_size=65), st.integers(0, 2**63 - 1))
@example(bytes(65), 0)
@example(b"\xff" * 65, 2**63 - 1)
def test_any_signature(raw: bytes, expiration: int) -> None:
    login = read_login({"address": OWNER, "expiration": expiration, "signature": "0x" + raw.hex()})
    with_errors(lambda: check_times(login, int(NOW), 604_800, 300))
    with_errors(lambda: recover(login.signature, digest(login.address, login.expiration, 23295)))


LIMITS = ("dailyUsd", "weeklyUsd", "monthlyUsd", "requestsPerMinute", "models", "providers", "expiresAt")


moments = st.datetimes().map(lambda moment: moment.isoformat() + "+23:59")
limits = st.dictionaries(st.sampled_from(LIMITS), values | moments | st.lists(texts) | st.just("1e-9"), max_size=4)


@given(st.dictionaries(st.sampled_from([OWNER, "0x" + "cd" * 20, "*"]) | texts, limits | values, max_size=3))
def test_any_grants(grants: dict[str, Any]) -> None:
    with_errors(lambda: read_grants({"grants": grants}, OWNER, CATALOG))


@given(with_names("amountUsd", "alertOnly"))
def test_any_budget(body: dict[str, Any]) -> None:
    with_errors(lambda: read_budget(body))


TIMES = st.sampled_from(
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01",
        "9999-12-31T23:59:59",
        "20261124T01Z",
        "24:00",
    ]
)
ZONES = st.sampled_from(
    ["Pacific/Kiritimati", "America/Los_Angeles", "../UTC", "/etc/passwd", "\x00", "UTC", "a" * 5_000, ".", "Europe"]
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "startTime": TIMES | texts,
            "endTime": TIMES | texts,
            "timezone": ZONES | texts,
            "limit": texts,
            "format": texts,
        },
    )
)
def test_any_usage_query(query: dict[str, str]) -> None:
    with_errors(lambda: read_report(query, "public", None, NOW))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: texts | st.just("1" * 30)
            for name in ("provider", "endpoint", "search", "limit", "offset", "after_id", "before_id")
        },
    ),
    st.booleans(),
)
def test_any_listing(query: dict[str, str], anthropic: bool) -> None:
    with_errors(lambda: orjson.dumps(write_list(listed(CATALOG, None, query), anthropic=anthropic)))


@given(texts | st.sampled_from(["gpt-4o", "openrouter/", "/", "a/b/c", "openrouter/a/b:free", "claude-ekai-"]))
def test_any_models_name(name: str) -> None:
    with_errors(lambda: find(CATALOG, name))


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────────────


@given(texts, texts)
def test_any_tokens(bearer: str, key: str) -> None:
    found = tokens_in({"authorization": bearer, "x-api-key": key})
    assert all(found)


@given(
    texts
    | st.floats().map(str)
    | st.sampled_from(
        ["1e400", "-5", "nan", "inf", "Wed, 21 Oct 9999 07:28:00 GMT", "Thu, 01 Jan 0001 00:00:00 GMT", "x" * 5_000]
    )
)
def test_any_retry_after(text: str) -> None:
    seconds = retry_after(text, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@given(
    body=with_names("model", "messages", "input", "stream", "tools", "max_tokens", "system", "metadata"), named=texts
)
def test_any_request(api: Any, body: dict[str, Any], named: str) -> None:
    try:
        raw = orjson.dumps(body)
    except TypeError:  # more than 64 bits, or no text
        return
    with_errors(lambda: api_of(body, named, {}))
    with_errors(lambda: Ask(raw, dialect(api.name), {}).request)


def error_of(read: Callable[[], object]) -> GatewayError | None:
    """What it says is wrong; any other exception fails the test."""
    try:
        read()
    except GatewayError as error:
        return error
    return None


def with_errors(read: Callable[[], object]) -> None:
    """It reads, or says what the caller did wrong."""
    error = error_of(read)
    assert error is None or (400 <= error.status < 500 and error.message)

"""When a provider is left out for a while, and when it gets its next chance."""

from __future__ import annotations

import pytest

from shared.attempts import retry_after
from shared.health import MOST, TOLERATED, Health

PAIR = ("openai", 1)


def test_it_takes_more_than_a_stumble() -> None:
    health = Health(30)
    for _ in range(TOLERATED):
        health.failed(PAIR, 100)
        assert not health.out(PAIR, 100)
    health.failed(PAIR, 100)
    assert health.out(PAIR, 129.9)
    assert not health.out(("openai", 2), 100)
    assert not health.out(PAIR, 130)


def test_failures_must_be_in_a_row() -> None:
    health = Health(30)
    for _ in range(10):
        for _ in range(TOLERATED):
            health.failed(PAIR, 100)
        health.succeeded(PAIR)
    assert not health.out(PAIR, 100)


def test_half_open() -> None:
    health = Health(30)
    for _ in range(TOLERATED + 1):
        health.failed(PAIR, 100)
    assert not health.out(PAIR, 130)
    health.failed(PAIR, 130)  # the probe failed: out again at once
    assert health.out(PAIR, 159.9)
    health.succeeded(PAIR)
    health.failed(PAIR, 160)
    assert not health.out(PAIR, 160)


def test_a_refused_key_needs_only_one() -> None:
    health = Health(30)
    health.failed(PAIR, 100, at_once=True)
    assert health.out(PAIR, 129)


@pytest.mark.parametrize(
    ("wait", "until"), [(5.0, 105), (90.0, 190), (0.0, 100), (10.0**9, 3_700), (-5.0, 100), (float("inf"), 3_700)]
)
def test_a_provider_is_left_alone_for_as_long_as_it_asks_but_for_an_hour_at_most(wait: float, until: float) -> None:
    health = Health(30)
    health.failed(PAIR, 100, wait=wait)
    assert not health.out(PAIR, until)
    assert until == 100 or health.out(PAIR, until - 0.01)


def test_no_cooldown_is_none() -> None:
    health = Health(0)
    for _ in range(10):
        health.failed(PAIR, 100, at_once=True, wait=50)
    assert not health.out(PAIR, 100)


def test_it_forgets_the_oldest() -> None:
    health = Health(30)
    for number in range(MOST + 10):
        health.failed(number, 100, at_once=True)
    assert not health.out(9, 100)
    assert health.out(10, 100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("7", 7.0),
        ("0.5", 0.5),
        (" 7 ", 7.0),
        ("Thu, 01 Jan 1970 00:02:30 GMT", 50.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("-3", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("1" * 500, float("inf")),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    got = retry_after(text, 100)
    assert got == seconds or (text.startswith("Fri") and got is not None and got > 10**11)

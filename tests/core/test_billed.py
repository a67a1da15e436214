"""A provider's own bill beside our figure: what differs is told once."""

from __future__ import annotations

import logging

import pytest

from shared.billed import Billed


def test_a_difference_is_told_once_for_each_offer(caplog: pytest.LogCaptureFixture) -> None:
    billed = Billed()
    with caplog.at_level(logging.WARNING):
        billed.compare("openrouter", "a", 1000, 1009)  # within 1 %
        billed.compare("openrouter", "a", 1000, None)
        billed.compare("openrouter", "a", 0, 0)
        assert not caplog.records
        billed.compare("openrouter", "a", 1000, 1020)
        billed.compare("openrouter", "a", 1000, 1020)
        billed.compare("openrouter", "b", None, 5)
    assert [record.getMessage() for record in caplog.records] == [
        "openrouter billed $0.00000102 for a where we count $0.000001",
        "openrouter billed $0.000000005 for b where we count no price",
    ]

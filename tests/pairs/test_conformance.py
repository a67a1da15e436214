"""The page that says what becomes of each feature is what a run gives."""

from __future__ import annotations

from scripts.conformance import PAGE, page
from scripts.conformance_features import GROUPS


def test_the_committed_page_is_what_a_run_gives() -> None:
    assert PAGE.read_text() == page(), "run `python -m scripts.conformance`, and look at what changed"


def test_every_feature_can_be_asked_for_somewhere() -> None:
    names = [feature.name for group in GROUPS for feature in group.features]
    assert len(set(names)) == len(names) > 50
    for group in GROUPS:
        for feature in group.features:
            assert feature.chat or feature.messages or feature.responses or "function" in feature.name

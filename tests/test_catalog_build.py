"""The script that rebuilds the catalog: what it takes from its sources, and that it never changes a price that was written down."""

from __future__ import annotations

import sys
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from catalog.load import HERE

sys.path.insert(0, str(HERE.parent / "scripts"))

import build_catalog
from catalog_rows import CurationError, Sources, rows_of_file, written
from catalog_sources import DATA_FILE, Entry, GenaiPrices, LiteLLM, number

TODAY = date(2026, 11, 24)
LITELLM = {
    "gpt-9": {
        "mode": "chat",
        "input_cost_per_token": 2e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1e-07,
        "cache_creation_input_token_cost_above_12hr": 5e-06,
        "input_cost_per_token_above_272k_tokens": 4e-06,
        "output_cost_per_token_above_272k_tokens": 1.5e-05,
        "input_cost_per_token_priority": 4e-06,
        "output_cost_per_token_priority": 2e-05,
        "input_cost_per_token_above_272k_tokens_priority": 8e-06,
        "input_cost_per_token_batches": 1e-06,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01},
        "max_input_tokens": 922_000,
        "max_output_tokens": 128_000,
        "supports_vision": True,
        "supports_pdf_input": True,
        "supported_endpoints": ["/v1/chat/completions", "/v1/batch", "/v1/responses"],
        "deprecation_date": "2027-03-01",
        "successor_model": "gpt-10",
    },
    "gpt-9-pro": {
        "mode": "responses",
        "input_cost_per_token": 1e-05,
        "output_cost_per_token": 5e-05,
        "max_input_tokens": 1000,
    },
    "gpt-9-draw": {"mode": "image_generation", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "claude-haiku-4-5": {"mode": "chat", "input_cost_per_token": 9e-06, "output_cost_per_token": 9e-06},
}


class Nothing(GenaiPrices):
    """A dataset that knows no model."""

    def model(self, provider: str, name: str) -> Any:
        return None


@pytest.fixture
def litellm(tmp_path: Path) -> LiteLLM:
    path = tmp_path / "prices.json"
    path.write_bytes(orjson.dumps(LITELLM))
    return LiteLLM(path)


@pytest.fixture
def sources(litellm: LiteLLM) -> Sources:
    return Sources(Nothing(TODAY), litellm, TODAY)


def test_litellm_prices(litellm: LiteLLM) -> None:
    entry = litellm.entry("openai", "gpt-9")
    assert entry is not None
    assert entry.rates == {"input": 2, "output": 10, "cache_read": 0.1, "cache_write_1h": 5, "web_search": 10}
    assert entry.tiers == {272_000: {"input": 4, "output": 15}}
    assert entry.service == {"priority": {"input": 4, "output": 20}, "batch": {"input": 1}}
    assert entry.tier_service == {272_000: {"priority": {"input": 8}}}
    assert litellm.entry("openai", "gpt-9-draw") is None
    assert litellm.entry("openrouter", "gpt-9") is None


def test_litellm_facts(litellm: LiteLLM) -> None:
    facts = litellm.facts("openai", "gpt-9")
    assert facts["input"] == ["text", "image", "pdf"]
    assert facts["apis"] == ["chat_completions", "responses"]
    assert (facts["retires"], facts["successor"]) == (date(2027, 3, 1), "gpt-10")
    assert litellm.facts("openai", "gpt-9-pro")["apis"] == ["responses"]


def test_litellm_is_read_out_of_its_wheel(tmp_path: Path) -> None:
    path = tmp_path / "litellm-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(DATA_FILE, orjson.dumps(LITELLM))
    assert LiteLLM(path).source == "litellm 1.2.3"
    assert "litellm" not in sys.modules


def test_genai_prices_of_a_day() -> None:
    before = GenaiPrices(date(2026, 7, 29)).entries("openai", "gpt-5.6-luna")
    after = GenaiPrices(date(2026, 7, 30)).entries("openai", "gpt-5.6-luna")
    assert [entry.rates["input"] for entry in before] == [1, 0.2]  # today's, and what is announced
    assert [(entry.rates["input"], entry.since) for entry in after] == [(0.2, date(2026, 7, 30))]
    assert before[0].service == {}  # the service tiers were read in October
    assert GenaiPrices(TODAY).entries("openai", "no-such-model") == []
    assert GenaiPrices(TODAY).entries("nobody", "gpt-4o") == []


def curated(**line: Any) -> dict[str, Any]:
    family = {"input": ["text"], "flags": {"json_schema": True}, "offers": {"openai": {"id": "{id}"}}}
    return {
        "vendor": "openai",
        "families": {"f": family},
        "models": [{"id": "gpt-9", "family": "f", "name": "GPT-9"} | line],
    }


def test_a_model_from_curation_and_facts(sources: Sources) -> None:
    (row,) = rows_of_file(curated(flags={"thinking": "effort"}, aliases=["gpt-9-latest"]), {}, sources)
    assert row["limits"] == {"context": 922_000, "output": 128_000}
    assert row["flags"] == {"json_schema": True, "thinking": "effort"}
    assert (row["retires"], row["successor"]) == (date(2027, 3, 1), "gpt-10")
    (offer,) = row["offers"]
    assert (offer["provider"], offer["id"], offer["apis"]) == ("openai", "gpt-9", ["chat_completions", "responses"])
    assert [(price["since"], price["rates"]["input"]) for price in offer["prices"]] == [(TODAY, 2)]


def test_curation_beats_facts(sources: Sources) -> None:
    (row,) = rows_of_file(curated(context=5, max_output=4, input=["text", "audio"], successor="x"), {}, sources)
    assert row["limits"] == {"context": 5, "output": 4}
    assert row["input"] == ["text", "audio"]
    assert row["successor"] == "x"


def test_an_output_as_large_as_the_window_is_no_limit(sources: Sources) -> None:
    (row,) = rows_of_file(curated(context=100, max_output=100), {}, sources)
    assert row["limits"] == {"context": 100}


def test_offers_are_merged_and_taken_away(sources: Sources) -> None:
    (row,) = rows_of_file(
        curated(offers={"openai": {"apis": ["responses"]}, "openrouter": "openai/gpt-9"}), {}, sources
    )
    assert [(offer["id"], offer.get("apis")) for offer in row["offers"]] == [
        ("gpt-9", ["responses"]),
        ("openai/gpt-9", None),
    ]
    with pytest.raises(CurationError, match="nobody offers it"):
        rows_of_file(curated(offers={"openai": None}), {}, sources)


def test_snapshots_are_models_of_the_maker_alone(sources: Sources) -> None:
    line = curated(snapshots=["gpt-9-2026-05-01"], aliases=["a"], offers={"openrouter": "openai/gpt-9"})
    row, snapshot = rows_of_file(line, {}, sources)
    assert (row["id"], row["released"]) == ("gpt-9", date(2026, 5, 1))
    assert (snapshot["id"], snapshot["name"], snapshot["released"]) == (
        "gpt-9-2026-05-01",
        "GPT-9 (2026-05-01)",
        date(2026, 5, 1),
    )
    assert "aliases" not in snapshot
    assert [(offer["provider"], offer["id"]) for offer in snapshot["offers"]] == [("openai", "gpt-9-2026-05-01")]


def test_disagreeing_sources_are_told_and_not_mixed(litellm: LiteLLM) -> None:
    both = Sources(GenaiPrices(TODAY), litellm, TODAY)
    line = {
        "vendor": "anthropic",
        "models": [{"id": "claude-haiku-4-5", "name": "H", "flags": {}, "offers": {"anthropic": "claude-haiku-4-5"}}],
    }
    (row,) = rows_of_file(line, {}, both)
    assert row["offers"][0]["prices"][0]["rates"]["input"] == 1
    assert len(both.notes) == 1
    assert "anthropic/claude-haiku-4-5" in both.notes[0]


def test_openrouter_writes_for_an_hour_cost_twice_the_input(litellm: LiteLLM) -> None:
    line: dict[str, Any] = {"id": "claude-sonnet-5-5", "name": "S", "flags": {}}
    line["offers"] = {"openrouter": {"id": "anthropic/claude-sonnet-5.5", "multiples": {"cache_write_1h": 2}}}
    (row,) = rows_of_file({"vendor": "anthropic", "models": [line]}, {}, Sources(GenaiPrices(TODAY), litellm, TODAY))
    assert row["offers"][0]["prices"][0]["rates"]["cache_write_1h"] == 4


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────


def price(dollars: float, since: date | None = None, source: str = "new") -> Entry:
    return Entry(source, {"input": dollars, "output": dollars}, since)


def days(rows: list[dict[str, Any]]) -> list[tuple[date, float]]:
    return [(row["since"], row["rates"]["input"]) for row in rows]


def test_what_is_written_down_stays() -> None:
    before = written([], [price(1, source="old")], date(2026, 1, 1))
    again = written(before, [price(1)], TODAY)
    assert again == before
    assert again[0]["source"] == "old"


def test_a_change_is_added_with_its_day() -> None:
    before = written([], [price(1)], date(2026, 1, 1))
    kept = orjson.dumps(before)
    assert days(written(before, [price(2)], TODAY)) == [(date(2026, 1, 1), 1), (TODAY, 2)]
    assert days(written(before, [price(2, date(2026, 10, 1))], TODAY)) == [
        (date(2026, 1, 1), 1),
        (date(2026, 10, 1), 2),
    ]
    assert days(written(before, [price(2, date(2025, 1, 1))], TODAY)) == [(date(2026, 1, 1), 1), (TODAY, 2)]
    assert orjson.dumps(before) == kept


def test_a_history_that_was_written_by_hand_is_taken_once() -> None:
    history = [price(1, date(2026, 1, 1)), price(2, date(2026, 5, 1))]
    before = written([], history, TODAY)
    assert days(before) == [(date(2026, 1, 1), 1), (date(2026, 5, 1), 2)]
    assert written(before, history, TODAY) == before


def test_a_correction_on_the_same_day_replaces() -> None:
    before = written([], [price(1)], TODAY)
    assert days(written(before, [price(2)], TODAY)) == [(TODAY, 2)]


def test_announcements_may_be_corrected_until_they_hold() -> None:
    later = date(2027, 1, 1)
    before = written([], [price(1), price(2, later)], TODAY)
    assert days(before) == [(TODAY, 1), (later, 2)]
    assert days(written(before, [price(1), price(3, later)], TODAY)) == [(TODAY, 1), (later, 3)]
    assert days(written(before, [price(2, later)], later)) == [(TODAY, 1), (later, 2)]


@pytest.mark.parametrize(
    ("text", "value"), [("0.041666666666666664", 0.041666667), ("2.50", 2.5), ("5", 5), ("0.003625", 0.003625)]
)
def test_numbers(text: str, value: float) -> None:
    assert number(text) == value
    assert isinstance(number("5.0"), int)


# ── the files in the repository ──────────────────────────────────────────────────────────────────────────────────


def test_curation_and_models_hold_the_same_models() -> None:
    for curation in (HERE / "curation").glob("*.yaml"):
        lines = yaml.safe_load(curation.read_text())["models"]
        wanted = [name for line in lines for name in (line["id"], *line.get("snapshots", ()))]
        built = yaml.safe_load((HERE / "models" / curation.name).read_text())
        assert [row["id"] for row in built] == wanted, curation.name


def test_built_files_are_as_the_script_writes_them() -> None:
    for curation in (HERE / "curation").glob("*.yaml"):
        text = (HERE / "models" / curation.name).read_text()
        assert build_catalog.text_of(yaml.safe_load(text), curation.name) == text, curation.name


def test_every_quirk_of_a_provider_names_its_source() -> None:
    for path in (HERE / "providers").glob("*.yaml"):
        lines = path.read_text().splitlines()
        covered = False
        for line in lines:
            if not line.startswith("      - "):
                covered = False
                continue
            comment = line.partition("#")[2]
            assert comment or covered, f"{path.name}: {line.strip()}"
            covered = covered or "all that follow" in comment or "as the next" in comment

"""The list of models: filters, pages, and the shapes of two APIs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.load import load
from catalog.serving import served
from shared.choosing import PICKER_PREFIX
from shared.errors import Code, GatewayError
from shared.listing import find, listed, write_list, write_model

REAL = served(load(), {})


def names(preferred: list[str] | None = None, **query: str) -> list[str]:
    return [entry.name for entry in listed(REAL, preferred, query).entries]


def test_everything_that_is_served_and_nothing_else() -> None:
    everything = names()
    assert len(everything) > 100
    assert {"gpt-4o", "claude-haiku-4-5", "grok-4"} <= set(everything)
    assert not any(name.startswith("demo") for name in everything)  # no provider of it is on here
    assert len(set(everything)) == len(everything)


@pytest.mark.parametrize("name", ["google", "GOOGLE", "xai", "groq", "zai"])
def test_by_provider(name: str) -> None:
    found = listed(REAL, None, {"provider": name}).entries
    assert found
    assert all(name.lower() in entry.providers for entry in found)
    others = set(names()) - {entry.name for entry in found}
    assert all(name.lower() not in entry.providers for entry in listed(REAL, list(others), {}).entries)


@pytest.mark.parametrize("spelling", ["messages", "/v1/messages", "v1/messages", "/messages", "/v1/messages/"])
def test_by_endpoint(spelling: str) -> None:
    found = write_list(listed(REAL, None, {"endpoint": spelling}), anthropic=False)["data"]
    assert found
    assert all("messages" in model["endpoints"] for model in found)
    assert "claude-haiku-4-5" in [model["id"] for model in found]
    assert names(endpoint=spelling) == names(endpoint="messages")


def test_chat_completions_in_any_spelling() -> None:
    assert names(endpoint="/v1/chat/completions") == names(endpoint="chat_completions") != []
    assert names(endpoint="embeddings") == []
    assert names(provider="nobody") == []


def test_search_finds_names_and_aliases_in_any_case() -> None:
    assert "claude-haiku-4-5" in names(search="HAIKU")
    assert names(search="gpt-4o-mini") == [name for name in names() if name in names(search="gpt-4o-mini")]
    alias = next(model for model in REAL.models.values() if model.aliases)
    assert alias.id in names(search=alias.aliases[0])
    assert names(search="no such model") == []
    assert names(search="") == names()


@given(st.integers(1, 60), st.sampled_from(["", "claude", "gpt"]))
def test_pages_by_offset_hold_every_model_once(limit: int, search: str) -> None:
    everything, got, offset = names(search=search), [], 0
    while True:
        page = listed(REAL, None, {"limit": str(limit), "offset": str(offset), "search": search})
        assert page.total == len(everything)
        got += [entry.name for entry in page.entries]
        offset += limit
        if not page.has_more:
            break
        assert len(page.entries) == limit
    assert got == everything


@pytest.mark.parametrize("limit", [1, 7, 50, 1000])
def test_pages_by_the_last_id_hold_every_model_once(limit: int) -> None:
    """As Anthropic's SDK pages: `after_id` is the `last_id` that it was shown."""
    got: list[str] = []
    query = {"limit": str(limit)}
    while True:
        page = write_list(listed(REAL, None, query), anthropic=True)
        got += [model["id"] for model in page["data"]]
        if not page["has_more"]:
            break
        assert page["last_id"] == got[-1]
        query["after_id"] = page["last_id"]
    assert [find(REAL, name).model.id for name in got] == names()


def test_pages_backwards() -> None:
    everything = names()
    page = listed(REAL, None, {"limit": "3", "before_id": everything[10]})
    assert [entry.name for entry in page.entries] == everything[7:10]
    assert page.has_more
    page = listed(REAL, None, {"limit": "30", "before_id": f"{PICKER_PREFIX}{everything[10]}"})
    assert [entry.name for entry in page.entries] == everything[:10]
    assert not page.has_more


def test_an_id_that_is_not_listed_ends_the_pages() -> None:
    page = listed(REAL, None, {"after_id": "nope"})
    assert (page.entries, page.has_more) == ((), False)
    assert write_list(page, anthropic=True) == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize(
    "query",
    [{"limit": "-1"}, {"limit": "x"}, {"offset": "1.5"}, {"offset": ""}, {"limit": "9" * 30}, {"offset": "0" * 5000}, {"limit": "²"}, {"limit": "0"}],
    ids=lambda query: str(query)[:30],
)  # fmt: skip
def test_numbers_that_are_none(query: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        listed(REAL, None, query)
    assert (caught.value.code, caught.value.param) == (Code.VALIDATION_ERROR, next(iter(query)))


def test_an_offset_beyond_the_end_is_an_empty_page() -> None:
    page = listed(REAL, None, {"offset": "5000"})
    assert (page.entries, page.has_more, page.total) == ((), False, len(names()))


def test_preferences_in_their_order_and_as_they_were_written() -> None:
    mine = ["gpt-4o", "Claude-Haiku-4-5", "openai/gpt-4o-mini", "some-vendor/some-model", "gone-1"]
    assert names(mine) == mine[:4]
    entries = listed(REAL, mine, {}).entries
    assert entries[3].providers == ("openrouter",)
    assert set(entries[2].providers) == {"openai", "openrouter"}
    assert names(mine, search="gpt") == ["gpt-4o", "openai/gpt-4o-mini"]
    assert names(mine, offset="1", limit="1") == ["Claude-Haiku-4-5"]
    assert names([]) == []


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_openais_shape() -> None:
    page = write_list(listed(REAL, None, {}), anthropic=False)
    assert page["object"] == "list"
    for model in page["data"]:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["created"] > 1_600_000_000
        assert model["owned_by"]
        assert model["providers"]
        assert model["endpoints"] or "gemini" in str(REAL.models[model["id"]].offers)


def test_anthropics_shape() -> None:
    page = write_list(listed(REAL, None, {"limit": "20"}), anthropic=True)
    assert set(page) == {"data", "has_more", "first_id", "last_id"}
    assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
    for model in page["data"]:
        assert set(model) == {"type", "id", "display_name", "created_at"}
        assert model["type"] == "model"
        assert datetime.fromisoformat(model["created_at"]).utcoffset() is not None
        assert "claude" in model["id"] or "anthropic" in model["id"]


@pytest.mark.parametrize(
    "name", ["gpt-4o", "some-vendor/some-model", "x-ai/grok-4", "claude-haiku-4-5", "CLAUDE-haiku-4-5"]
)
def test_a_picker_alias_means_its_model(name: str) -> None:
    shown = write_model(find(REAL, name), anthropic=True)
    again = find(REAL, shown["id"])
    assert again.model.id == find(REAL, name).model.id
    assert write_model(again, anthropic=True)["id"] == shown["id"]


def test_what_retires_says_so() -> None:
    retiring = next(model for model in REAL.models.values() if model.retires)
    shown = write_model(find(REAL, retiring.id), anthropic=False)
    assert shown["retires"] == str(retiring.retires)


@pytest.mark.parametrize(
    "name", ["", " ", "nope", "demo-1", "../../etc/passwd", "a/../b", "x" * 5000, "gpt-4o\0", "<script>", "ü/ü", "/", "openai/"]
)  # fmt: skip
def test_models_that_there_are_not(name: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        find(REAL, name)
    assert (caught.value.code, caught.value.status) == (Code.MODEL_NOT_FOUND, 404)
    assert len(caught.value.message) < 300

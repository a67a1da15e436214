"""The catalog as it is delivered: whole, and without contradictions."""

from __future__ import annotations

import re

import pytest

from catalog.load import HERE, load
from catalog.schema import QUIRKS
from catalog.types import Catalog
from shared.canonical import EFFORTS

ROOT = HERE.parent


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(check=True)


def test_the_full_check_and_the_lean_reading_agree(catalog: Catalog) -> None:
    assert load() == catalog


def test_size(catalog: Catalog) -> None:
    assert len(catalog.models) > 300
    vendors = {model.vendor for model in catalog.models.values()}
    assert {"openai", "anthropic", "google", "xai", "zai", "deepseek", "qwen", "moonshotai", "meta", "demo"} <= vendors
    served = {found.provider for model in catalog.models.values() for found in model.offers}
    assert served == set(catalog.providers)


def test_models_are_whole(catalog: Catalog) -> None:
    for model in catalog.models.values():
        assert model.limits.context, model.id
        assert "text" in model.input, model.id
        assert "text" in model.output, model.id
        flags = model.flags
        assert flags.thinking != "effort" or flags.effort, model.id
        assert list(flags.effort) == sorted(flags.effort, key=EFFORTS.index), model.id
        assert ("none" in flags.effort) == (flags.thinking_off == "none") or flags.thinking in ("budget", "none"), (
            model.id
        )
        for found in model.offers:
            assert found.limits.context, (model.id, found.provider)
            assert found.quirks <= QUIRKS, (model.id, found.provider)
            assert ("no_stop" in found.quirks) == (not found.flags.stop) or found.provider == "ollama", model.id
        if model.retires and model.released:
            assert model.released < model.retires, model.id


def test_providers(catalog: Catalog) -> None:
    for provider in catalog.providers.values():
        assert provider.no_key or provider.env, provider.id
        for api, endpoint in provider.endpoints.items():
            assert endpoint.api == api
            assert endpoint.quirks <= QUIRKS
            assert endpoint.auth is not None or provider.no_key
            assert ("{model}" in endpoint.path) == (api == "gemini")
    anthropic = catalog.providers["anthropic"]
    assert anthropic.endpoints["messages"].auth is not None
    assert anthropic.endpoints["messages"].auth.header == "x-api-key"
    assert anthropic.endpoints["messages"].auth.scheme == ""
    assert set(anthropic.endpoints) == {"messages"}
    google = catalog.providers["google"].endpoints
    assert google["gemini"].auth is not None
    assert google["gemini"].auth.header == "x-goog-api-key"
    assert google["chat_completions"].auth is not None
    assert google["chat_completions"].auth.scheme == "Bearer"
    assert catalog.providers["ollama"].base_url_env == "OLLAMA_BASE_URL"


@pytest.mark.parametrize(
    ("provider", "api", "url"),
    [
        ("openai", "chat_completions", "https://api.openai.com/v1/chat/completions"),
        ("openai", "responses", "https://api.openai.com/v1/responses"),
        ("anthropic", "messages", "https://api.anthropic.com/v1/messages"),
        ("google", "chat_completions", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("google", "gemini", "https://generativelanguage.googleapis.com/v1beta/models/{model}:{method}"),
        ("xai", "chat_completions", "https://api.x.ai/v1/chat/completions"),
        ("xai", "responses", "https://api.x.ai/v1/responses"),
        ("openrouter", "chat_completions", "https://openrouter.ai/api/v1/chat/completions"),
        ("openrouter", "messages", "https://openrouter.ai/api/v1/messages"),
        ("openrouter", "responses", "https://openrouter.ai/api/v1/responses"),
        ("zai", "chat_completions", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("zai", "messages", "https://api.z.ai/api/anthropic/v1/messages"),
        ("groq", "chat_completions", "https://api.groq.com/openai/v1/chat/completions"),
        ("groq", "responses", "https://api.groq.com/openai/v1/responses"),
        ("ollama", "messages", "http://127.0.0.1:11434/v1/messages"),
        ("demo", "gemini", "http://127.0.0.1:3001/demo/v1beta/models/{model}:{method}"),
    ],
)
def test_addresses(catalog: Catalog, provider: str, api: str, url: str) -> None:
    row = catalog.providers[provider]
    assert row.root + next(end.path for name, end in row.endpoints.items() if name == api) == url


def test_dialects_read_known_quirks_only() -> None:
    """A name that is misspelt in a dialect would never match, and nobody would notice."""
    asked = re.compile(r'"([a-z_]+)" (?:not )?in [\w.]*quirks')
    found = {name for path in (ROOT / "shared").rglob("*.py") for name in asked.findall(path.read_text())}
    assert found
    assert found <= QUIRKS

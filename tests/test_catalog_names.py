"""What users type, and the model that it means: names, aliases, pins, and what the catalog doesn't list."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from catalog.load import load
from catalog.names import spellings
from catalog.types import FREE, Catalog, Offer

README = [
    "gpt-4o",
    "gpt-4o-mini",
    "claude-haiku-4-5",
    "claude-sonnet-4-20250514",
    "grok-code-fast-1",
    "grok-3",
    "grok-4",
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load(check=True)


def offer(catalog: Catalog, name: str, provider: str) -> Offer:
    match = catalog.find(name)
    assert match is not None, name
    return next(found for found in match.model.offers if found.provider == provider)


@pytest.mark.parametrize("name", README)
def test_names_of_the_original_readme(catalog: Catalog, name: str) -> None:
    match = catalog.find(name)
    assert match is not None
    assert match.model.listed
    assert match.pinned == ()
    first = match.model.offers[0]
    assert match.model.vendor in catalog.providers[first.provider].vendor_of
    assert first.id in (name, name.replace("grok-4", "grok-4-0709"))


@pytest.mark.parametrize(
    ("name", "model", "pinned"),
    [
        ("GPT-4o", "gpt-4o", ()),
        (" gpt-4o ", "gpt-4o", ()),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06", ()),
        ("openai/gpt-4o", "gpt-4o", ("openai", "openrouter")),
        ("OpenAI/GPT-4o", "gpt-4o", ("openai", "openrouter")),
        ("openai/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", ("openai",)),
        ("openrouter/openai/gpt-4o", "gpt-4o", ("openrouter",)),
        ("openrouter/gpt-4o", "gpt-4o", ("openrouter",)),
        ("openai/gpt-oss-120b", "gpt-oss-120b", ()),
        ("groq/gpt-oss-120b", "gpt-oss-120b", ("groq",)),
        ("groq/openai/gpt-oss-120b", "gpt-oss-120b", ("groq",)),
        ("ollama/gpt-oss:120b", "gpt-oss-120b", ("ollama",)),
        ("gpt-oss:120b", "gpt-oss-120b", ()),
        ("claude-sonnet-5.5", "claude-sonnet-5-5", ()),
        ("claude-sonnet-5-5", "claude-sonnet-5-5", ()),
        ("claude-sonnet-5-5[1m]", "claude-sonnet-5-5", ()),
        ("claude-haiku-4.5-20251001", "claude-haiku-4-5", ()),
        ("claude-sonnet-4", "claude-sonnet-4-20250514", ()),
        ("anthropic/claude-sonnet-5.5", "claude-sonnet-5-5", ("anthropic", "openrouter")),
        ("anthropic/claude-sonnet-5-5", "claude-sonnet-5-5", ("anthropic",)),
        ("x-ai/grok-4.7", "grok-4.7", ()),
        ("xai/grok-4-0709", "grok-4", ("xai",)),
        ("google/gemini-3.8-flash", "gemini-3.8-flash", ("google", "openrouter")),
        ("gemini-flash-latest", "gemini-3.8-flash", ()),
        ("qwen/qwen3-32b", "qwen3-32b", ()),
        ("demo/demo-1", "demo-1", ("demo",)),
    ],
)
def test_lookups(catalog: Catalog, name: str, model: str, pinned: tuple[str, ...]) -> None:
    match = catalog.find(name)
    assert match is not None
    assert (match.model.id, match.pinned, match.model.listed) == (model, pinned, True)


@pytest.mark.parametrize(
    ("name", "provider", "sent"),
    [
        ("newcomer/model-1", "openrouter", "newcomer/model-1"),
        ("openai/gpt-99", "openrouter", "openai/gpt-99"),
        ("openrouter/newcomer/model-1", "openrouter", "newcomer/model-1"),
        ("openrouter/auto", "openrouter", "openrouter/auto"),
        ("~anthropic/claude-sonnet-latest", "openrouter", "~anthropic/claude-sonnet-latest"),
        ("Newcomer/Model-1:nitro", "openrouter", "Newcomer/Model-1:nitro"),
        ("ollama/llama3.3", "ollama", "llama3.3"),
        ("ollama/hf.co/somebody/Model-GGUF:Q4_K_M", "ollama", "hf.co/somebody/Model-GGUF:Q4_K_M"),
        ("groq/compound", "groq", "compound"),
        ("xai/grok-9", "xai", "grok-9"),
        ("zai/glm-9", "zai", "glm-9"),
    ],
)
def test_what_is_not_listed(catalog: Catalog, name: str, provider: str, sent: str) -> None:
    match = catalog.find(name)
    assert match is not None
    assert match.pinned == (provider,)
    assert not match.model.listed
    (only,) = match.model.offers
    assert (only.provider, only.id) == (provider, sent)
    assert set(only.apis) == set(catalog.providers[provider].endpoints)
    assert only.input == {"text", "image", "pdf"}
    assert only.prices == ((FREE,) if provider == "ollama" else ())


def test_variants_of_a_slug(catalog: Catalog) -> None:
    listed = offer(catalog, "deepseek/deepseek-v3.2", "openrouter")
    for name, prices in (("deepseek/deepseek-v3.2:free", (FREE,)), ("openrouter/deepseek/deepseek-v3.2:nitro", ())):
        match = catalog.find(name)
        assert match is not None
        (only,) = match.model.offers
        assert only.id == name.removeprefix("openrouter/")
        assert only.prices == prices
        assert only.limits == listed.limits
        assert only.flags == listed.flags


def test_a_provider_that_is_off_is_no_vendor(catalog: Catalog) -> None:
    without = {key: value for key, value in catalog.providers.items() if key != "ollama"}
    served = replace(catalog, providers=without)
    for name in ("ollama/llama3.3", "ollama/gpt-oss:120b", "Ollama/x"):
        assert served.find(name) is None
    assert served.find("gpt-oss:120b") is not None


@pytest.mark.parametrize(
    "name",
    ["", " ", "/", "gpt", "no-such-model", "a/b/c", "a b/c", "../etc/passwd", "a/" + "b" * 300, "é/ü", "a/"],
)
def test_what_is_no_model(catalog: Catalog, name: str) -> None:
    assert catalog.find(name) is None


def test_every_listed_name_leads_to_its_model(catalog: Catalog) -> None:
    for model in catalog.models.values():
        for name in (model.id, *model.aliases):
            match = catalog.find(name)
            assert match is not None
            assert match.model is model, name
        for found in model.offers:
            match = catalog.find(f"{found.provider}/{found.id}")
            assert match is not None
            assert match.model is model, found.id
            assert match.pinned[0] == found.provider


def test_spellings() -> None:
    assert spellings("claude-opus-4-5-20251101") == ("claude-opus-4-5-20251101", "claude-opus-4.5-20251101")
    assert spellings("gpt-4.1-2025-04-14") == ("gpt-4.1-2025-04-14", "gpt-4-1-2025-04-14")
    assert spellings("gpt-4o") == ("gpt-4o",)


def test_a_lookup_takes_microseconds(catalog: Catalog) -> None:
    names = ["gpt-4o", "anthropic/claude-sonnet-5.5", "openrouter/openai/gpt-4o", "nobody/knows-this"]

    def once() -> float:
        begin = time.process_time()
        for _ in range(200):
            for name in names:
                catalog.find(name)
        return (time.process_time() - begin) / 800

    assert min(once() for _ in range(5)) < 50e-6

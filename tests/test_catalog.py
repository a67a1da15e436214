"""The catalog as it is delivered: whole, priced, without clashes, and understood by every name that users type."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from catalog.load import HERE, CatalogError, load
from catalog.names import spellings
from catalog.schema import QUIRKS
from catalog.types import FREE, Catalog, Offer, Rates
from shared.canonical import EFFORTS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
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


def rates(catalog: Catalog, name: str, provider: str) -> Rates:
    price = offer(catalog, name, provider).price(NOW)
    assert price is not None
    return price.rates


# ── the whole ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_full_check_and_the_lean_reading_agree(catalog: Catalog) -> None:
    assert load() == catalog


def test_size(catalog: Catalog) -> None:
    assert len(catalog.models) > 300
    vendors = {model.vendor for model in catalog.models.values()}
    assert {"openai", "anthropic", "google", "xai", "zai", "deepseek", "qwen", "moonshotai", "meta", "demo"} <= vendors
    served = {found.provider for model in catalog.models.values() for found in model.offers}
    assert served == set(catalog.providers)


def test_every_offer_has_a_price_with_source_and_day(catalog: Catalog) -> None:
    for model in catalog.models.values():
        for found in model.offers:
            where = f"{model.id} at {found.provider}"
            assert found.prices, where
            assert [price.since for price in found.prices] == sorted({price.since for price in found.prices}), where
            for price in found.prices:
                assert price.source, where
                assert price is FREE or price.since.year >= 2024, where
                assert [tier.over for tier in price.tiers] == sorted({tier.over for tier in price.tiers}), where
            if catalog.providers[found.provider].free:
                assert found.prices == (FREE,), where


def test_rates_are_plausible(catalog: Catalog) -> None:
    """A slip of a factor of a thousand, a cached token dearer than a fresh one, a write cheaper than a read: all are mistakes."""
    for model in catalog.models.values():
        for found in model.offers:
            price = found.price(NOW)
            assert price is not None
            for known in (price.rates, *(tier.rates for tier in price.tiers)):
                where = f"{model.id} at {found.provider}: {known}"
                assert 0 <= known.input <= 300_000_000_000, where
                assert known.input == 0 or known.input >= 1_000_000, where
                assert known.output >= known.input or model.vendor in {"ai21", "morph", "moonshotai"}, where
                assert known.cache_read is None or known.cache_read <= known.input, where
                if known.cache_write_5m is not None and known.cache_write_1h is not None:
                    assert known.cache_write_5m < known.cache_write_1h, where


def test_tiers_cost_more_and_know_the_same_service_tiers(catalog: Catalog) -> None:
    for model in catalog.models.values():
        for found in model.offers:
            for price in found.prices:
                for tier in price.tiers:
                    assert tier.rates.input >= price.rates.input, model.id
                    assert tier.service_tiers.keys() == price.service_tiers.keys(), model.id
                    for name, part in tier.service_tiers.items():
                        assert part.input >= price.service_tiers[name].input, (model.id, name)


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


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
        begin = time.perf_counter()
        for _ in range(200):
            for name in names:
                catalog.find(name)
        return (time.perf_counter() - begin) / 800

    assert min(once() for _ in range(5)) < 50e-6


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "provider", "dollars"),
    [  # input, output, cache read, cache write 5 min, cache write 1 h; dollars per million tokens
        ("gpt-4o", "openai", ("2.5", "10", "1.25", None, None)),
        ("gpt-4o-mini", "openai", ("0.15", "0.6", "0.075", None, None)),
        ("gpt-4o-mini", "openrouter", ("0.15", "0.6", "0.075", None, None)),
        ("gpt-6.1-sol", "openai", ("2", "10", "0.1", "2.5", "5")),
        ("gpt-5.6-luna", "openai", ("0.2", "1.2", "0.02", "0.25", "0.5")),
        ("claude-haiku-4-5", "anthropic", ("1", "5", "0.1", "1.25", "2")),
        ("claude-sonnet-4-20250514", "anthropic", ("3", "15", "0.3", "3.75", "6")),
        ("claude-sonnet-5-5", "anthropic", ("2", "10", "0.1", "2.5", "4")),
        ("claude-sonnet-5-5", "openrouter", ("2", "10", "0.1", "2.5", "4")),
        ("claude-opus-5-5", "openrouter", ("4", "20", "0.2", "5", "8")),
        ("gemini-2.5-pro", "google", ("1.25", "10", "0.125", None, None)),
        ("gemini-3.8-flash", "google", ("0.75", "3.75", "0.075", None, None)),
        ("grok-4.7", "xai", ("2", "6", "0.5", None, None)),
        ("grok-4", "xai", ("1.25", "2.5", "0.2", None, None)),
        ("gpt-oss-120b", "groq", ("0.15", "0.6", "0.075", None, None)),
        ("glm-5.3", "zai", ("1.4", "4.4", "0.26", None, None)),
        ("glm-4.5-flash", "zai", ("0", "0", None, None, None)),
    ],
)
def test_golden_prices(catalog: Catalog, name: str, provider: str, dollars: tuple[str | None, ...]) -> None:
    known = rates(catalog, name, provider)
    found = (known.input, known.output, known.cache_read, known.cache_write_5m, known.cache_write_1h)
    assert found[:3] == tuple(None if text is None else int(Decimal(text) * 10**9) for text in dollars[:3])
    if "cache" in name or dollars[3] is not None:
        assert found[3:] == tuple(None if text is None else int(Decimal(text) * 10**9) for text in dollars[3:])


def test_long_prompts_and_service_tiers(catalog: Catalog) -> None:
    price = offer(catalog, "gpt-6.1-sol", "openai").price(NOW)
    assert price is not None
    (tier,) = price.tiers
    assert (tier.over, tier.rates.input, tier.rates.output) == (272_000, 4_000_000_000, 15_000_000_000)
    assert price.service_tiers["flex"].input == 1_000_000_000
    assert price.service_tiers["priority"].output == 20_000_000_000
    assert price.service_tiers["fast"] == price.service_tiers["priority"]
    assert tier.service_tiers["priority"].output == 30_000_000_000
    assert tier.service_tiers["flex"].cache_read == 100_000_000
    flat = offer(catalog, "gpt-5.4", "openai").price(NOW)
    assert flat is not None
    assert flat.tiers[0].service_tiers["priority"].input == 5_000_000_000  # published without a long-prompt rate
    haiku = offer(catalog, "claude-haiku-5-5", "openrouter").price(NOW)
    assert haiku is not None
    assert [(part.over, part.rates.cache_write_1h) for part in haiku.tiers] == [(100_000, 1_000_000_000)]
    grok = offer(catalog, "grok-4.7", "xai").price(NOW)
    assert grok is not None
    assert grok.tiers[0].over == 199_999  # "200k and above"
    assert rates(catalog, "claude-sonnet-5-5", "anthropic").web_search == 10_000_000  # $10 per thousand


def test_announced_prices_wait_for_their_day(catalog: Catalog) -> None:
    argon = offer(catalog, "gemini-4-argon", "google")
    assert [price.rates.input for price in argon.prices] == [2_000_000_000, 4_000_000_000]

    def at(*day: int) -> int:
        price = argon.price(datetime(*day, tzinfo=UTC))  # type: ignore[arg-type, misc]  # day, hour, minute
        assert price is not None
        return price.rates.input

    assert at(2026, 11, 30, 23, 59) == 2_000_000_000
    assert at(2026, 12, 1) == 4_000_000_000
    assert at(2020, 1, 1) == 2_000_000_000  # before the first one: the oldest that is known


def test_prices_agree_with_genai_prices(catalog: Catalog) -> None:
    """The dataset's own calculation, for every offer that was priced by the installed version."""
    from importlib.metadata import version

    from genai_prices import Usage
    from genai_prices.data_snapshot import get_snapshot

    source = f"genai-prices {version('genai-prices')}"
    known = {provider.id: provider for provider in get_snapshot().providers}
    usage = Usage(input_tokens=20_000, cache_read_tokens=15_000, output_tokens=1_000)
    compared = 0
    for model in catalog.models.values():
        for found in model.offers:
            price = found.price(NOW)
            provider = known.get({"xai": "x-ai"}.get(found.provider, found.provider))
            if provider is None or price is None or price.source != source:
                continue
            info = provider.find_model(found.id)
            if info is None:
                continue
            theirs = info.calc_price(usage, provider, genai_request_timestamp=NOW).total_price
            read = price.rates.input if price.rates.cache_read is None else price.rates.cache_read
            ours = Decimal(5_000 * price.rates.input + 15_000 * read + 1_000 * price.rates.output) / 10**15
            assert abs(ours - theirs) < Decimal("1e-9"), (model.id, found.provider)
            compared += 1
    assert compared > 300


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    root = tmp_path / "catalog"
    for folder in ("providers", "models"):
        shutil.copytree(HERE / folder, root / folder)
    return root


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "m", "offers": [{"provider": "nobody", "id": "m"}]}, "m: unknown provider nobody"),
        (
            {"id": "m", "offers": [{"provider": "anthropic", "id": "m", "apis": ["responses"]}]},
            "doesn't serve responses",
        ),
        ({"id": "m", "aliases": ["GPT-4o"], "offers": [{"provider": "openai", "id": "m"}]}, "GPT-4o: names both"),
        ({"id": "m", "offers": [{"provider": "openai", "id": "gpt-4o"}]}, "gpt-4o: names both"),
        ({"id": "gpt-4o", "offers": [{"provider": "openai", "id": "m"}]}, "a second model of this id"),
        ({"id": "m", "offers": [{"provider": "openai", "id": "m"}] * 2}, "two offers of one provider"),
        ({"id": "m", "offers": [{"provider": "openai", "id": "m", "prize": 1}]}, "unknown prize"),
        ({"id": "m", "colour": "red", "offers": [{"provider": "openai", "id": "m"}]}, "colour"),
        ({"id": "m", "flags": {"flies": True}, "offers": [{"provider": "openai", "id": "m"}]}, "flies"),
        ({"id": "m", "successor": "nobody", "offers": [{"provider": "openai", "id": "m"}]}, "unknown successor nobody"),
        ({"id": "m"}, "m: missing 'offers'"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_mistakes_are_named(copy: Path, row: dict[str, object], said: str, check: bool) -> None:
    wrong = {"name": "M", "vendor": "v", "input": ["text"]} | row
    (copy / "models" / "zz.yaml").write_text(yaml.safe_dump([wrong]))
    with pytest.raises(CatalogError, match=r"zz\.yaml|names both|unknown successor") as caught:
        load(copy, check=check)
    assert check or said in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aliases": "gpt"},
        {"input": ["smell"]},
        {"limits": {"context": "many"}},
        {"offers": [{"provider": "openai", "id": "m", "quirks": ["odd"]}]},
        {"offers": [{"provider": "openai", "id": "m", "prices": [{"since": "today", "source": "me", "rates": {}}]}]},
        {
            "offers": [
                {"provider": "openai", "id": "m", "prices": [{"since": NOW.date(), "rates": {"input": 1, "output": 1}}]}
            ]
        },
        {"flags": {"effort": ["most"]}},
    ],
)
def test_the_full_check_sees_wrong_values(copy: Path, wrong: dict[str, object]) -> None:
    row = {
        "id": "m",
        "name": "M",
        "vendor": "v",
        "input": ["text"],
        "offers": [{"provider": "openai", "id": "m"}],
    } | wrong
    (copy / "models" / "zz.yaml").write_text(yaml.safe_dump([row]))
    with pytest.raises(CatalogError, match=r"zz\.yaml"):
        load(copy, check=True)


@pytest.mark.parametrize("text", ["[", "- {id: m", "- just text", "", "a: b"])
def test_broken_files(copy: Path, text: str) -> None:
    (copy / "models" / "zz.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"zz\.yaml"):
        load(copy)


def test_an_empty_folder_is_no_catalog(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no YAML files"):
        load(tmp_path)


def test_reading_touches_no_network_and_not_pydantic() -> None:
    program = (
        "import socket, sys\n"
        "def no(*_, **__): raise AssertionError('network')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = no\n"
        "from catalog.load import load\n"
        "catalog = load()\n"
        "print(len(catalog.models), [name for name in ('pydantic', 'genai_prices', 'openai', 'httpx') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=HERE.parent)
    assert done.stdout.split(" ", 1)[1].strip() == "[]"


def test_reading_is_quick() -> None:
    def once() -> float:
        begin = time.perf_counter()
        load()
        return time.perf_counter() - begin

    assert min(once() for _ in range(3)) < 0.25

"""What others publish about models: prices from genai-prices, facts and further prices from LiteLLM's data file.

https://github.com/pydantic/genai-prices and https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json;
both are read as data only. Rates are US dollars per million tokens, as in the catalog's files.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

Part = dict[str, float]

GENAI_IDS = {"xai": "x-ai"}
LITELLM_PREFIXES = {"openai": "", "anthropic": "", "google": "gemini/", "xai": "xai/", "zai": "zai/", "groq": "groq/"}
DATA_FILE = "litellm/model_prices_and_context_window_backup.json"

_GENAI_FIELDS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "web_searches_kcount": "web_search",
}
_LITELLM_FIELDS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_1h",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_LITELLM_TIERS = {"flex": "flex", "priority": "priority", "ultrafast": "ultrafast", "batches": "batch"}
_LITELLM_KEY = re.compile(r"(?P<field>.+?)(_above_(?P<over>\d+)k_tokens)?(_(?P<tier>flex|priority|ultrafast|batches))?")


@dataclass(slots=True)
class Entry:
    """One price: what holds from `since` on (None: always). Parts name what differs from `rates`."""

    source: str
    rates: Part
    since: date | None = None
    tiers: dict[int, Part] = field(default_factory=dict)
    service: dict[str, Part] = field(default_factory=dict)
    tier_service: dict[int, dict[str, Part]] = field(default_factory=dict)

    def row(self, since: date) -> dict[str, Any]:
        """The entry as it stands in a file."""
        row: dict[str, Any] = {"since": since, "source": self.source, "rates": _ordered(self.rates)}
        if self.tiers:
            row["tiers"] = [
                {"over": over, "rates": _ordered(part)} | _named("service_tiers", self.tier_service.get(over, {}))
                for over, part in sorted(self.tiers.items())
            ]
        return row | _named("service_tiers", self.service)


def _named(name: str, parts: dict[str, Part]) -> dict[str, Any]:
    kept = {key: _ordered(part) for key, part in sorted(parts.items()) if part}
    return {name: kept} if kept else {}


def _ordered(part: Part) -> Part:
    return {name: part[name] for name in _GENAI_FIELDS.values() if name in part}


def number(value: Any) -> float:
    """A rate without the dust of binary fractions; whole numbers stay whole."""
    short = round(float(value), 9)
    return int(short) if short == int(short) else short


# ── genai-prices ─────────────────────────────────────────────────────────────────────────────────────────────────


class GenaiPrices:
    """The dataset of the installed package, on a given day."""

    def __init__(self, today: date) -> None:
        from importlib.metadata import version

        from genai_prices.data_snapshot import get_snapshot

        self.source = f"genai-prices {version('genai-prices')}"
        self._now = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
        self._providers = {provider.id: provider for provider in get_snapshot().providers}

    def model(self, provider: str, name: str) -> Any:
        """The dataset's model for a provider's id, or None."""
        known = self._providers.get(GENAI_IDS.get(provider, provider))
        models = known.models if known else []
        exact = [model for model in models if model.id.lower() == name.lower()]
        return next(iter(exact or [model for model in models if model.is_match(name.lower())]), None)

    def entries(self, provider: str, name: str) -> list[Entry]:
        """The price of today and those that are announced, oldest first; nothing where the dataset has none."""
        model = self.model(provider, name)
        if model is None:
            return []
        prices = model.prices if isinstance(model.prices, list) else [None]
        found: list[Entry] = []
        for price in prices:
            start = getattr(price.constraint, "start_date", None) if price else None
            entry = self._entry(price.prices if price else model.prices, model.price_variants or [], start)
            if entry is None:
                continue
            if start is None or start <= self._now.date():
                found = [entry]  # the last one that holds wins
            else:
                found.append(entry)
        return found

    def _entry(self, price: Any, variants: list[Any], since: date | None) -> Entry | None:
        rates, tiers = _genai_parts(price)
        if "input" not in rates or "output" not in rates:
            return None
        entry = Entry(self.source, rates, since, {over: _differing(part, rates) for over, part in tiers.items()})
        moment = max(self._now, datetime.combine(since, time(12), UTC)) if since else self._now
        for variant in variants:
            name = next(iter(variant.when.values()))
            waits = variant.constraint is not None and not variant.constraint.active(moment)
            if name == "default" or waits or len(variant.when) != 1:
                continue
            base, above = _genai_parts(variant.prices)
            entry.service[name] = _differing(base, rates)
            for over, part in entry.tiers.items():
                full = rates | part
                wanted = full | base | above.get(over, {})
                entry.tier_service.setdefault(over, {})[name] = _differing(wanted, full | entry.service[name])
        return entry

    def context(self, provider: str, name: str) -> int | None:
        """The whole window, in tokens."""
        model = self.model(provider, name)
        return model.context_window if model else None

    def released(self, provider: str, name: str) -> date | None:
        """The oldest date among the dated ids that the dataset knows for a model. OpenRouter turns some names around in them."""
        model = self.model(provider, name)
        if model is None:
            return None
        start = "" if provider == "openrouter" else re.escape(name.lower())
        found = re.findall(rf"{start}-(20\d\d)-?(\d\d)-?(\d\d)'", str(model.match))
        days = [date(int(y), int(m), int(d)) for y, m, d in found if 1 <= int(m) <= 12 and 1 <= int(d) <= 31]
        return min((day for day in days if day <= self._now.date()), default=None)


def _genai_parts(price: Any) -> tuple[Part, dict[int, Part]]:
    base: Part = {}
    tiers: dict[int, Part] = {}
    values = {
        ours: getattr(price, theirs) for theirs, ours in _GENAI_FIELDS.items() if getattr(price, theirs) is not None
    }
    starts = sorted(
        {tier.start for value in values.values() if not isinstance(value, Decimal | int) for tier in value.tiers}
    )
    for name, value in values.items():
        if isinstance(value, Decimal | int):
            base[name] = number(value)
            continue
        base[name] = number(value.base)
        for start in starts:
            reached = [tier.price for tier in value.tiers if tier.start <= start]
            tiers.setdefault(start, {})[name] = number(reached[-1] if reached else value.base)
    return base, tiers


def _differing(part: Part, base: Part) -> Part:
    return {name: value for name, value in part.items() if base.get(name) != value}


# ── LiteLLM ──────────────────────────────────────────────────────────────────────────────────────────────────────


class LiteLLM:
    """LiteLLM's data file, read out of a wheel (or given as JSON)."""

    def __init__(self, path: Path) -> None:
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                raw = wheel.read(DATA_FILE)
            self.source = f"litellm {path.name.split('-')[1]}"
        else:
            raw, self.source = path.read_bytes(), f"litellm ({path.name})"
        self._rows: dict[str, dict[str, Any]] = orjson.loads(raw)

    def row(self, provider: str, name: str) -> dict[str, Any] | None:
        """The row of a provider's id."""
        prefix = LITELLM_PREFIXES.get(provider)
        row = self._rows.get(f"{prefix}{name}") if prefix is not None else None
        return row if row and row.get("mode") in ("chat", "responses") else None

    def entry(self, provider: str, name: str) -> Entry | None:
        """The price that the file holds, which has no date."""
        row = self.row(provider, name)
        if row is None or row.get("input_cost_per_token") is None or row.get("output_cost_per_token") is None:
            return None
        parts: dict[tuple[int, str], Part] = {}
        for key, value in row.items():
            match = _LITELLM_KEY.fullmatch(key)
            ours = _LITELLM_FIELDS.get(match["field"]) if match else None
            if match and ours and isinstance(value, int | float):
                over = int(match["over"] or 0) * 1000
                tier = _LITELLM_TIERS.get(match["tier"] or "", "")
                parts.setdefault((over, tier), {})[ours] = number(Decimal(str(value)) * 1_000_000)
        rates = parts.pop((0, ""))
        if search := row.get("search_context_cost_per_query", {}).get("search_context_size_medium"):
            rates["web_search"] = number(search * 1000)
        entry = Entry(self.source, rates)
        for (over, tier), part in sorted(parts.items()):
            if not tier:
                entry.tiers[over] = _differing(part, rates)
            elif not over:
                entry.service[tier] = _differing(part, rates)
            elif over in entry.tiers:
                below = rates | entry.tiers[over] | entry.service.get(tier, {})
                entry.tier_service.setdefault(over, {})[tier] = _differing(part, below)
        return entry

    def facts(self, provider: str, name: str) -> dict[str, Any]:
        """Limits, modalities, end of life and APIs, as the catalog's files name them."""
        row = self.row(provider, name)
        if row is None:
            return {}
        facts: dict[str, Any] = {
            "context": row.get("max_input_tokens"),
            "output": row.get("max_output_tokens"),
            "input": ["text"] + [ours for theirs, ours in _MODALITIES.items() if row.get(f"supports_{theirs}")],
            "retires": date.fromisoformat(row["deprecation_date"]) if row.get("deprecation_date") else None,
            "successor": (row.get("successor_model") or "").rpartition("/")[2] or None,
        }
        paths = {path.removeprefix("/v1/") for path in row.get("supported_endpoints", ())}
        apis = [api for path, api in _PATHS.items() if path in paths]
        facts["apis"] = ["responses"] if row["mode"] == "responses" else apis
        return facts


_MODALITIES = {"vision": "image", "pdf_input": "pdf", "audio_input": "audio", "video_input": "video"}
_PATHS = {"chat/completions": "chat_completions", "responses": "responses"}


def fetch_litellm(version: str, folder: Path) -> Path:
    """Downloads the wheel (nothing is installed, nothing imported) and answers where it is."""
    wanted = f"litellm=={version}" if version else "litellm"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(folder),
    ]
    subprocess.run([*pip, wanted], check=True)
    return next(folder.glob("litellm-*.whl"))


def litellm(path: Path | None, version: str = "") -> LiteLLM:
    """The data file: at `path`, or downloaded for the moment."""
    if path is not None:
        return LiteLLM(path)
    with tempfile.TemporaryDirectory() as folder:
        return LiteLLM(fetch_litellm(version, Path(folder)))

"""From curation and sources to the rows of `catalog/models`. Pure: files are read and written elsewhere.

A curated value beats a published one. genai-prices beats LiteLLM, which fills in what the first is silent about where both
agree on input and output. A price that is written down is never changed: another one is added below it, with its day.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from catalog_sources import Entry, GenaiPrices, LiteLLM, Part

Row = dict[str, Any]


@dataclass(slots=True)
class Sources:
    """Where facts come from, and what was noticed on the way."""

    genai: GenaiPrices
    litellm: LiteLLM
    today: date
    notes: list[str] = field(default_factory=list)


class CurationError(ValueError):
    """The curated files don't hold what a model needs."""


def rows_of_file(curated: Row, old: dict[str, Row], sources: Sources) -> list[Row]:
    """All models of one curated file; `old` holds the rows that are written down, by model id."""
    rows: list[Row] = []
    for line in curated["models"]:
        family = curated.get("families", {}).get(line.get("family"), {})
        known = {"vendor": curated["vendor"]} | family | line
        known["flags"] = family.get("flags", {}) | line.get("flags", {})
        offers = _offers(family.get("offers", {}), line.get("offers", {}), line["id"])
        rows.append(_model(known, offers, old.get(line["id"], {}), sources))
        rows += [_snapshot(known, offers, name, old.get(name, {}), sources) for name in line.get("snapshots", ())]
    return rows


def _offers(family: Row, line: Row, model: str) -> dict[str, Row]:
    offers: dict[str, Row] = {}
    for provider in dict.fromkeys((*family, *line)):
        if provider in line and line[provider] is None:
            continue
        offer = _offer_of(family.get(provider)) | _offer_of(line.get(provider))
        offers[provider] = offer | {"id": str(offer.get("id", "{id}")).format(id=model)}
    return offers


def _offer_of(value: Any) -> Row:
    return {"id": value} if isinstance(value, str) else dict(value or {})


def _snapshot(known: Row, offers: dict[str, Row], snapshot: str, old: Row, sources: Sources) -> Row:
    """A dated id of its own: only the maker serves it, under exactly that id."""
    provider, offer = next(iter(offers.items()))
    day = _day_in(snapshot)
    line = {key: value for key, value in known.items() if key not in ("aliases", "released", "name")}
    line |= {"id": snapshot, "name": f"{known['name']} ({day or snapshot})", "released": day}
    return _model(line, {provider: offer | {"id": snapshot}}, old, sources)


def _model(known: Row, offers: dict[str, Row], old: Row, sources: Sources) -> Row:
    if not offers:
        raise CurationError(f"{known['id']}: nobody offers it")
    published: list[Row] = [sources.litellm.facts(provider, offer["id"]) for provider, offer in offers.items()]
    facts: Row = next((found for found in published if found), {})
    row: Row = {"id": known["id"], "name": known["name"], "vendor": known["vendor"]}
    limits = _limits(known, facts, offers, sources)
    row |= _present("aliases", known.get("aliases")) | _present("limits", limits)
    row["input"] = known.get("input") or facts.get("input") or ["text"]
    row |= _present("output", known.get("output")) | _present("flags", known["flags"])
    row |= _present("released", _released(known, offers, sources))
    row |= _present("retires", known.get("retires") or facts.get("retires"))
    row |= _present("successor", known.get("successor") or facts.get("successor"))
    before = {offer["provider"]: offer.get("prices", []) for offer in old.get("offers", ())}
    row["offers"] = [_offer(name, offer, before.get(name, []), sources) for name, offer in offers.items()]
    return row


def _present(name: str, value: Any) -> Row:
    return {name: value} if value else {}


def _limits(known: Row, facts: Row, offers: dict[str, Row], sources: Sources) -> Row:
    windows = (sources.genai.context(provider, offer["id"]) for provider, offer in offers.items())
    window = next(filter(None, windows), None) or 0
    context = known.get("context") or max(
        window, facts.get("context") or 0
    )  # the one may round, the other leave out the output
    output = known.get("max_output") or facts.get("output") or 0
    # An output as large as the window only says that nobody set a limit.
    return _present("context", context) | _present("output", output if output < (context or output + 1) else None)


def _released(known: Row, offers: dict[str, Row], sources: Sources) -> date | None:
    if known.get("released"):
        return date.fromisoformat(str(known["released"]))
    named = [_day_in(name) for name in (known["id"], *known.get("aliases", ()), *known.get("snapshots", ()))]
    days = [day for day in named if day]
    days += [day for provider, offer in offers.items() if (day := sources.genai.released(provider, offer["id"]))]
    return min(days, default=None)


def _day_in(name: str) -> date | None:
    found = re.search(r"-(20\d\d)-?([01]\d)-?([0-3]\d)$", name)
    return date(int(found[1]), int(found[2]), int(found[3])) if found else None


# ── offers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _offer(provider: str, offer: Row, before: list[Row], sources: Sources) -> Row:
    row: Row = {"provider": provider, "id": offer["id"]}
    own = sources.litellm.facts(provider, offer["id"]) if "apis" not in offer else {}
    row |= _present("apis", offer.get("apis") or own.get("apis"))
    for key in ("limits", "flags", "input", "output", "quirks"):
        row |= _present(key, offer.get(key))
    entries = _entries(provider, offer, sources)
    return row | _present("prices", written(before, entries, sources.today))


def _entries(provider: str, offer: Row, sources: Sources) -> list[Entry]:
    if "prices" in offer:
        return [
            Entry(row["source"], row["rates"], row["since"], {t["over"]: t["rates"] for t in row.get("tiers", ())})
            for row in offer["prices"]
        ]
    name: str = offer.get("priced_as") or offer["id"]
    entries = sources.genai.entries(provider, name)
    other = sources.litellm.entry(provider, name)
    if not entries:
        return [other] if other else []
    if other:
        if _same(entries[0].rates, other.rates):
            entries = [_filled(entry, other) if _same(entry.rates, other.rates) else entry for entry in entries]
        else:
            sources.notes.append(f"{provider}/{name}: {_told(entries[0])}, but {_told(other)}")
    return [_multiplied(entry, offer.get("multiples", {})) for entry in entries]


def _same(one: Part, other: Part) -> bool:
    return one["input"] == other["input"] and one["output"] == other["output"]


def _told(entry: Entry) -> str:
    return f"{entry.source} says ${entry.rates['input']}/${entry.rates['output']}"


def _filled(entry: Entry, other: Entry) -> Entry:
    """What the second source knows beyond the first. "fast" is OpenAI's newer word for "priority"."""
    other = replace(other, service=_also_fast(other.service, entry))
    above_other = {over: _also_fast(parts, entry) for over, parts in other.tier_service.items()}
    tiers = {over: other.tiers.get(over, {}) | part for over, part in entry.tiers.items()}
    names = dict.fromkeys((*other.service, *entry.service))
    service = {name: other.service.get(name, {}) | entry.service.get(name, {}) for name in names}
    above = {
        over: {
            name: above_other.get(over, {}).get(name, {}) | entry.tier_service.get(over, {}).get(name, {})
            for name in names
        }
        for over in tiers
    }
    rates = other.rates | entry.rates
    return replace(entry, rates=rates, tiers=tiers, service=service, tier_service=above)


def _also_fast(parts: dict[str, Part], entry: Entry) -> dict[str, Part]:
    same = "fast" in entry.service and entry.service["fast"] == entry.service.get("priority")
    return parts | {"fast": parts["priority"]} if same and "priority" in parts else parts


def _multiplied(entry: Entry, multiples: dict[str, float]) -> Entry:
    """Rates that a provider derives from its input rate and the sources leave out."""

    def part(rates: Part, base: Part) -> Part:
        found = rates | {
            name: round(rates["input"] * factor, 9)
            for name, factor in multiples.items()
            if name not in rates and "input" in rates
        }
        return {name: int(value) if value == int(value) else value for name, value in found.items()}

    if not multiples:
        return entry
    return replace(
        entry,
        rates=part(entry.rates, {}),
        tiers={over: part(rates, entry.rates) for over, rates in entry.tiers.items()},
    )


# ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────


def written(before: list[Row], entries: Iterable[Entry], today: date) -> list[Row]:
    """The prices of an offer with those of the sources added. What is in force stays as it is written; a change gets today's
    date, or the day that the source names; what is only announced may still be corrected."""
    rows = [row for row in before if row["since"] <= today]
    announced = [row for row in before if row["since"] > today]
    for entry in entries:
        if entry.since and entry.since > today:
            announced = [row for row in announced if row["since"] != entry.since] + [entry.row(entry.since)]
            continue
        last = rows[-1] if rows else None
        if any(row["since"] == entry.since and _content(row) == _content(entry.row(row["since"])) for row in rows):
            continue
        if last is None:
            rows.append(entry.row(entry.since or today))
        elif _content(last) != _content(entry.row(last["since"])):
            since = entry.since if entry.since and entry.since > last["since"] else today
            if since == last["since"]:
                rows.pop()  # written down earlier today: a correction, not a change
            rows.append(entry.row(since))
    return rows + sorted(announced, key=lambda row: row["since"])


def _content(row: Row) -> Row:
    return {key: value for key, value in row.items() if key not in ("since", "source")}

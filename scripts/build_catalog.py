"""Rebuilds `catalog/models/*.yaml` from `catalog/curation/*.yaml`, genai-prices and LiteLLM's data file.

    python scripts/build_catalog.py           # write, and say what changed
    python scripts/build_catalog.py --diff    # only show what would change
    python scripts/build_catalog.py --check   # the same, and exit 1 if anything would

See docs/providers-and-models.md. LiteLLM's wheel is downloaded for the moment with pip and read as data; `--litellm` names a
wheel or JSON file instead.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from catalog_rows import Sources, rows_of_file
from catalog_sources import GenaiPrices, litellm

CATALOG = Path(__file__).parent.parent / "catalog"
HEAD = "# Built by scripts/build_catalog.py from catalog/curation/{name}: change that, then run the script.\n"


class _Dumper(yaml.SafeDumper):
    """No anchors: a reader of the file sees every value where it holds."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text_of(rows: list[dict[str, Any]], name: str) -> str:
    """The file for these rows."""
    parts = (yaml.dump([row], Dumper=_Dumper, default_flow_style=None, sort_keys=False, width=160) for row in rows)
    return HEAD.format(name=name) + "\n".join(parts)


def build(sources: Sources) -> dict[Path, str]:
    """What every file of `catalog/models` should hold."""
    files: dict[Path, str] = {}
    for curated in sorted((CATALOG / "curation").glob("*.yaml")):
        path = CATALOG / "models" / curated.name
        old = yaml.safe_load(path.read_text()) if path.exists() else []
        rows = rows_of_file(yaml.safe_load(curated.read_text()), {row["id"]: row for row in old}, sources)
        files[path] = text_of(rows, curated.name)
        priceless = [
            f"{row['id']} at {offer['provider']}" for row in rows for offer in row["offers"] if "prices" not in offer
        ]
        sources.notes.extend(f"no price: {offer}" for offer in priceless if not offer.endswith(" ollama"))
    return files


def main() -> int:
    """Writes or compares. 0: as it should be."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 if anything would change")
    options.add_argument("--diff", action="store_true", help="change nothing; print what would change")
    options.add_argument("--litellm", type=Path, help="LiteLLM's wheel or JSON file (default: download)")
    options.add_argument("--litellm-version", default="", help="which version to download (default: the newest)")
    options.add_argument("--date", type=date.fromisoformat, default=date.today(), help="the day of new prices")
    chosen = options.parse_args()

    sources = Sources(GenaiPrices(chosen.date), litellm(chosen.litellm, chosen.litellm_version), chosen.date)
    changed = Counter[str]()
    for path, text in build(sources).items():
        old = path.read_text() if path.exists() else ""
        changed["changed" if text != old else "same"] += 1
        if text != old and (chosen.check or chosen.diff):
            names = (f"a/{path.name}", f"b/{path.name}")
            sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), *names))
        elif text != old:
            path.write_text(text)
            print(f"wrote {path.relative_to(CATALOG.parent)}")
    for note in sources.notes:
        print(f"note: {note}", file=sys.stderr)
    print(f"{changed['changed']} files differ, {changed['same']} don't", file=sys.stderr)
    return 1 if chosen.check and changed["changed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Reading the files: mistakes are named, nothing is fetched, and it is quick."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest
import yaml

from catalog.load import HERE, CatalogError, load


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
                {
                    "provider": "openai",
                    "id": "m",
                    "prices": [{"since": date(2026, 1, 1), "rates": {"input": 1, "output": 1}}],
                }
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


@pytest.mark.parametrize("text", ["[", "- {id: m", "- just text", "", "a: b", "- {id: m, released: 2026-13-45}"])
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
    """In processor time: the machine may be busy with something else."""

    def once() -> float:
        begin = time.process_time()
        load()
        return time.process_time() - begin

    assert min(once() for _ in range(5)) < 0.25

"""`ekai demo`: the true loop, seen from outside. It ends by itself and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_whole_loop(tmp_path: Path) -> None:
    temporary, place = tmp_path / "tmp", tmp_path / "place"
    temporary.mkdir()
    place.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary), "HOME": str(place),
        "EKAI_CONFIG_DIR": str(place / "config"), "COLUMNS": "200",
        # Nothing of the caller's own settings may reach the demonstration.
        "OPENAI_API_KEY": "sk-canary", "KEYS": "chain", "SAPPHIRE_RPC_URL": "http://127.0.0.1:9", "PRIVATE_KEY": "no",
        "OLLAMA_BASE_URL": "http://127.0.0.1:9", "RECEIPTS": "off", "ALLOWED_ADDRESSES": "0x0",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "demo"],
        cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
        start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for told in (
        "403 MODEL_NOT_ALLOWED: `demo-messages`",
        "403 DELEGATE_NOT_PERMITTED",
        "demo, version 1, usable now",
        "2 matched, 0 pending, 0 missing, 0 differing",
    ):
        assert told in done.stdout
    assert done.stdout.count("You said: Hello, with a key that I never saw.") == 2
    assert not re.search(r"demo-[0-9a-f]{32}", done.stdout)
    assert "canary" not in done.stdout
    assert list(temporary.iterdir()) == []
    assert list(place.iterdir()) == []

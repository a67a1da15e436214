"""One harness under atheris: `python -m fuzz.one NAME CORPUS [libFuzzer's flags]`. Ends when the time is over, or with a finding."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["shared", "catalog"]):
    from fuzz.harnesses import HARNESSES
    from fuzz.recordings import FOLDERS
    from shared.dialects import dialect

    for api in FOLDERS:
        dialect(api)  # imported when first asked for, which would be too late here


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, *rest = sys.argv[1:]
    atheris.Setup([f"fuzz {name}", *rest], HARNESSES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()

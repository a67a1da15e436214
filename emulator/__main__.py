"""`python -m emulator`: the gateway as the image runs it."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from emulator.local import welcome
from emulator.server import AddressError, run
from shared.settings import Settings, problems

if __name__ == "__main__":
    try:
        settings = Settings()
        run(settings, lambda place: print(welcome(place, None), flush=True))  # noqa: T201 (for people)
    except ValidationError as error:
        sys.exit(problems(error))
    except AddressError as error:
        sys.exit(str(error))

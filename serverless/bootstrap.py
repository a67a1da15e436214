"""Lambda's own bootstrap with the secrets set before it: `serverless/buffered` starts it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from serverless.environment import prepare


def main(arguments: list[str]) -> None:
    """Runs the script that the runtime would have run, as if it had been started itself."""
    prepare(os.environ)
    sys.argv = arguments
    sys.path.insert(0, str(Path(arguments[0]).parent))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])

"""`make bench-quick`: the gateway beside the direct call and nginx, in under a minute."""

from __future__ import annotations

import sys

from bench.__main__ import main

if __name__ == "__main__":
    sys.argv[1:1] = ["--quick"]
    main()

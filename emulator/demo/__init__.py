"""The demo provider: an upstream of our own that speaks all four wire formats, so that everything can be tried without a key.

A scripted model answers; what it can be asked for stands in `model`, and the faults that it plays in `commands`.
"""

from __future__ import annotations

import os

from starlette.routing import Route

from emulator.demo.server import MODELS, demo_routes, key_hash

routes: list[Route] = demo_routes(float(os.environ.get("DEMO_PAUSE_MS", "15")) / 1000)

__all__ = ["MODELS", "demo_routes", "key_hash", "routes"]

"""Housekeeping on a schedule: what has expired goes, and rows beyond USAGE_RETENTION_DAYS become totals."""

from __future__ import annotations

import asyncio
import logging

from shared.context import build, close
from shared.settings import Settings

log = logging.getLogger("ekai.serverless")

_DAY = 86_400


def handler(event: object, context: object) -> None:
    """For a schedule; neither event nor context matters."""
    asyncio.run(keep_house(Settings()))


async def keep_house(settings: Settings) -> None:
    """Once through the store. Raises what the store raises: Lambda tries again, and an alarm tells."""
    gateway = build(settings)
    try:
        now = gateway.clock()
        await gateway.store.expire(int(now))
        if settings.usage_retention_days is not None:
            gone = await gateway.store.prune(int((now - settings.usage_retention_days * _DAY) * 1000))
            log.info("%d rows became totals", gone)
    finally:
        await close(gateway)

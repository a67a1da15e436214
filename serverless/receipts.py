"""The receipts worker on a schedule: delivers what waits, and tells how long the oldest has waited."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Protocol

from serverless.metrics import write_metrics
from shared.context import build, close
from shared.receipts.worker import worker_for
from shared.settings import Settings
from shared.store.outbox import Outbox

MARGIN = 10.0
"""Seconds before the function's end at which nothing more is begun."""

_LOOKED_AT = 200


class Context(Protocol):
    """What Lambda's context tells."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is ended."""


def handler(event: object, context: Context) -> None:
    """For a schedule; the event says nothing."""
    asyncio.run(deliver(Settings(), context.get_remaining_time_in_millis() / 1000 - MARGIN))


async def deliver(settings: Settings, seconds: float) -> None:
    """Delivers for at most `seconds`, then writes the metrics that the alarms watch."""
    gateway = build(settings)
    try:
        worker = worker_for(settings, gateway.store, gateway.clock)
        if worker is not None:
            await worker.drain(max(seconds, 0.0))
        now = gateway.clock()
        values = {
            "OldestReceiptSeconds": (await waiting(gateway.store, now), "Seconds"),
            "DeadReceipts": (float((await gateway.store.receipt_counts()).get("dead", 0)), "Count"),
        }
        namespace = os.environ.get("METRICS_NAMESPACE", "EkaiGateway")
        sys.stdout.write(write_metrics(namespace, now, values) + "\n")
        sys.stdout.flush()
    finally:
        await close(gateway)


async def waiting(outbox: Outbox, now: float) -> float:
    """Seconds since the request of the oldest receipt that isn't on chain; 0 where none waits."""
    entries = await outbox.open_receipts(round(now * 1000), _LOOKED_AT)
    # A request's id begins with its time: 12 hex digits of milliseconds.
    begun = [int(entry.receipt.request_id[:12], 16) / 1000 for entry in entries]
    return max(now - min(begun), 0.0) if begun else 0.0

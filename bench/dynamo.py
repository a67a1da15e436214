"""Many replicas on one DynamoDB (moto): latency, units and conflicts against the number of callers.

python -m bench.dynamo [--seconds 3] [--replicas 8]

moto serves one request at a time and knows no capacity, so its milliseconds only show queueing; what counts are calls and units for a
request, the share of the busiest partition, and how many transactions met another one. Conflicts are modelled as DynamoDB has them:
two transactions at one item at once, and the later is called off.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from shared.ledger import request_id
from shared.store import GLOBAL, Cost, Hold, Preferences, Settlement, Tokens, UsageQuery, UsageRow
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_table import create_table

CALLERS = (1, 8, 32, 128)
_WRITE_UNIT, _READ_UNIT = 1024, 4096
_INDEX_OF = ("by_caller", "by_owner", "ob")
_MONTH = "2026-11"


@contextmanager
def moto() -> Iterator[str]:
    """A server in a thread, a request at a time. Its transactions keep no copy of the whole table for the case that they fail: that
    would be all that is measured here."""
    from copy import deepcopy
    from types import SimpleNamespace

    from moto.dynamodb import models
    from moto.dynamodb.models.table import Table as MotoTable
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    def copied(thing: Any) -> Any:
        return thing if isinstance(thing, MotoTable) else deepcopy(thing)

    vars(models)["copy"] = SimpleNamespace(deepcopy=copied)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_by_one(environ: Any, start_response: Any) -> Any:
        with lock:
            return list(app(environ, start_response))

    server = make_server("127.0.0.1", 0, one_by_one, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@dataclass
class Meter:
    """What all replicas together asked for."""

    calls: Counter[str] = field(default_factory=Counter)
    read_units: float = 0
    write_units: float = 0
    partitions: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    flying: set[tuple[str, str]] = field(default_factory=set)


class Metered:
    """A client whose calls are counted, and whose transactions can conflict."""

    def __init__(self, client: Any, meter: Meter) -> None:
        self._client, self._meter = client, meter

    def close(self) -> None:
        self._client.close()

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self._client, operation)

        def call(**request: Any) -> Any:
            with self._meter.lock:
                self._meter.calls[operation] += 1
            if operation == "transact_write_items":
                return self._transaction(real, request)
            answer = real(**request)
            self._count(operation, request, answer)
            return answer

        return call

    def _transaction(self, real: Any, request: dict[str, Any]) -> Any:
        works = [work for one in request["TransactItems"] for work in one.values()]
        keys = {_key(work) for work in works}
        meter = self._meter
        with meter.lock:
            if keys & meter.flying:
                meter.conflicts += 1
                reasons = [{"Code": "TransactionConflict" if _key(work) in meter.flying else "None"} for work in works]
                response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
                raise ClientError(response, "TransactWriteItems")
            meter.flying |= keys
        try:
            return real(**request)
        finally:
            with meter.lock:
                meter.flying -= keys
                for work in works:
                    self._written(_key(work)[0], work.get("Item"), twice=2)

    def _count(self, operation: str, request: dict[str, Any], answer: Any) -> None:
        meter = self._meter
        with meter.lock:
            if operation == "batch_get_item":
                [(name, wanted)] = request["RequestItems"].items()
                found = [_size(item) for item in answer["Responses"].get(name, ())]
                meter.read_units += sum(-(-size // _READ_UNIT) for size in found) + len(wanted["Keys"]) - len(found)
            elif operation == "query":
                read = sum(map(_size, answer["Items"]))
                meter.read_units += max(-(-read // _READ_UNIT), 1) * (1 if request.get("ConsistentRead") else 0.5)
            elif operation == "get_item":
                meter.read_units += 1
            elif operation in ("put_item", "update_item", "delete_item"):
                self._written(_key(request)[0], request.get("Item"), twice=1)

    def _written(self, partition: str, item: dict[str, Any] | None, twice: int) -> None:
        """Counters and totals are smaller than a unit; a row costs once more in each index that lists it."""
        units = -(-_size(item or {}) // _WRITE_UNIT) or 1
        indexes = sum(name in (item or {}) for name in _INDEX_OF)
        self._meter.write_units += twice * units + indexes * units
        self._meter.partitions[partition] += twice * units


def _key(work: dict[str, Any]) -> tuple[str, str]:
    key = work.get("Key") or work["Item"]
    return key["pk"]["S"], key["sk"]["S"]


def _size(item: dict[str, Any]) -> int:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html, numbers rounded up."""
    sizes = 0
    for name, value in item.items():
        [(kind, inner)] = value.items()
        text = sum(_size({"": one}) for one in inner) if kind == "L" else len(str(inner))
        sizes += len(name) + (text // 2 + 1 if kind == "N" else text)
    return sizes


@dataclass
class Times:
    """Milliseconds of each step of a request."""

    session: list[float] = field(default_factory=list)
    hold: list[float] = field(default_factory=list)
    record: list[float] = field(default_factory=list)


def replica(url: str, table: str, meter: Meter, callers: list[int], stop: float, capped: bool, times: Times) -> None:
    """One process's part, in a thread: its callers ask one after the other, each for itself."""
    store = DynamoStore(table, Metered(client(url), meter))

    async def caller(number: int) -> None:
        address = f"0x{number:040x}"
        token = sha256(address.encode()).digest()
        while time.time() < stop:
            begun = time.perf_counter()
            session = await store.session(token, int(time.time()), address)
            assert session is not None
            times.session.append(time.perf_counter() - begun)
            now = int(time.time() * 1000)
            made = request_id(now)
            row = UsageRow(
                made, now, "messages", "complete", 200, address, address, "anthropic", "claude-sonnet-5-5", "sonnet",
                True, Tokens(1_200, 30_000, 500, 0, 800), Cost(3_600, 9_000, 1_875, 12_000), None, False, 5_000, 700, 1,
            )  # fmt: skip
            if capped:
                begun = time.perf_counter()
                await store.hold(made, [Hold(GLOBAL, _MONTH, 30_000, 10**18)], now // 1000 + 720, now // 1000)
                times.hold.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            await store.record(row, Settlement(((GLOBAL, _MONTH),)))
            times.record.append(time.perf_counter() - begun)

    async def all_of_them() -> None:
        await asyncio.gather(*map(caller, callers))
        await store.close()

    asyncio.run(all_of_them())


def client(url: str) -> Any:
    return boto3.client(
        "dynamodb", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="bench", aws_secret_access_key="bench",
        config=Config(max_pool_connections=48),
    )  # fmt: skip


async def prepare(store: DynamoStore, callers: int) -> None:
    """Tokens and preferences of so many callers, and a month that has begun: somebody has looked at what was spent in it."""
    for number in range(callers):
        address = f"0x{number:040x}"
        await store.add_token(sha256(address.encode()).digest(), address, int(time.time()) + 3_600)
        await store.put_preferences(Preferences(address, None, ("claude-sonnet-5-5", "gpt-5.5"), 1))
    now = int(time.time())
    await store.budget()
    await store.hold("first", [Hold(GLOBAL, _MONTH, 1, 10**18)], now + 720, now)
    await store.close()


def run(url: str, callers: int, replicas: int, seconds: float, capped: bool) -> tuple[list[str], bool]:
    """One line of the table, and whether the books are right."""
    name = f"bench-{callers}-{capped:d}"
    create_table(client(url), name)
    asyncio.run(prepare(DynamoStore(name, client(url)), callers))
    meter, times, stop = Meter(), Times(), time.time() + seconds
    threads = [
        threading.Thread(
            target=replica, args=(url, name, meter, list(range(callers))[place::replicas], stop, capped, times)
        )
        for place in range(min(replicas, callers))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = len(times.record)
    right = asyncio.run(_books(DynamoStore(name, client(url)), done))
    busiest, units = meter.partitions.most_common(1)[0]
    line = [
        f"{callers}", "yes" if capped else "", f"{done / seconds:,.0f}", _milliseconds(times.session), _milliseconds(times.hold),
        _milliseconds(times.record), f"{sum(meter.calls.values()) / done:.2f}", f"{meter.read_units / done:.1f}",
        f"{meter.write_units / done:.1f}", f"{100 * meter.conflicts / done:.0f} %",
        f"{busiest.split('#')[0]} {100 * units / sum(meter.partitions.values()):.0f} %",
    ]  # fmt: skip
    return line, right


async def _books(store: DynamoStore, done: int) -> bool:
    """Whether every request is there once, and all of the money."""
    totals, _ = await store.usage(UsageQuery(0, 2 * int(time.time() * 1000), limit=1))
    spent = await store.spent(GLOBAL, _MONTH)
    await store.close()
    return totals.requests == done and totals.cost == spent == done * 26_475


def _milliseconds(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return ""
    cuts = statistics.quantiles(seconds, n=20)
    return f"{cuts[9] * 1000:.0f} / {cuts[18] * 1000:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--replicas", type=int, default=8)
    options = parser.parse_args()
    names = (
        "callers",
        "cap",
        "req/s",
        "session ms",
        "hold ms",
        "record ms",
        "calls",
        "RRU",
        "WRU",
        "conflicts",
        "busiest",
    )
    table = Table(*names, title=f"{options.replicas} replicas; p50 / p95; calls and units for a request")
    console = Console(width=130)
    right = True
    with moto() as url:
        for capped in (False, True):
            for callers in CALLERS:
                line, holds = run(url, callers, options.replicas, options.seconds, capped)
                table.add_row(*line)
                right = right and holds
    console.print(table)
    console.print("Every request has one row, and the money adds up." if right else "THE BOOKS ARE WRONG.")
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()

"""The wire to one DynamoDB table: boto3 in threads, time limits, retries, and errors that are the gateway's own.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import Code, GatewayError
from shared.store.dynamo_items import Item, Key, read_item, write_item, write_key, write_values

THREADS = 48
TRIES = 10
"""Of a call that met another one's transaction; with the pauses between them about 3 seconds at most."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
_GET_AT_ONCE, _WRITE_AT_ONCE = 100, 25  # the API's limits

_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_BUSY = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError"}
)
_PASSING_REASONS = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "TransactionInProgress"}
)


class ConditionFailedError(Exception):
    """The item isn't as the write demanded."""


class CanceledError(Exception):
    """A transaction that was called off, because of the works at `failed` (their places)."""

    def __init__(self, failed: frozenset[int]) -> None:
        super().__init__(f"conditions failed at {sorted(failed)}")
        self.failed = failed


class ConflictError(Exception):
    """A transaction that met another one at the same items, or too much traffic: it may be tried again."""


def connect(*, tries: int = 4) -> Any:
    """A client for the usual AWS variables (AWS_REGION, AWS_ENDPOINT_URL, credentials). Touches no network."""
    config = Config(
        connect_timeout=2,
        read_timeout=5,
        max_pool_connections=THREADS,
        tcp_keepalive=True,
        retries={"mode": "standard", "total_max_attempts": tries},
    )
    return boto3.client("dynamodb", config=config)


def pause(attempt: int) -> float:
    """Seconds before the next try: exponential, with full jitter
    (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""
    longest = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
    return random.uniform(0, longest)  # noqa: S311 (no secret)


class Table:
    """One table, for as long as the process lives. Reads are consistent, except those of an index."""

    def __init__(self, name: str, client: Any = None) -> None:
        self.name = name
        self.client = client if client is not None else connect()
        self._pool = ThreadPoolExecutor(THREADS, "dynamodb")

    def close(self) -> None:
        """Waits for what is under way."""
        self._pool.shutdown()
        self.client.close()

    async def get(self, pk: str, sk: str) -> Item | None:
        """The item, None where there is none."""
        answer = await self._call("get_item", Key=write_key((pk, sk)), ConsistentRead=True)
        return read_item(answer["Item"]) if "Item" in answer else None

    async def get_all(self, keys: Sequence[Key]) -> dict[Key, Item]:
        """Those of the items that are there; one round trip for a hundred."""
        found: dict[Key, Item] = {}
        parts = [keys[first : first + _GET_AT_ONCE] for first in range(0, len(keys), _GET_AT_ONCE)]
        for part in await asyncio.gather(*map(self._get_part, parts)):
            found |= part
        return found

    async def _get_part(self, keys: Sequence[Key]) -> dict[Key, Item]:
        found: dict[Key, Item] = {}
        wanted: dict[str, Any] = {self.name: {"Keys": [write_key(key) for key in keys], "ConsistentRead": True}}
        for attempt in range(TRIES):
            answer = await self._run("batch_get_item", RequestItems=wanted)
            for item in map(read_item, answer["Responses"].get(self.name, ())):
                found[str(item["pk"]), str(item["sk"])] = item
            wanted = answer.get("UnprocessedKeys") or {}
            if not wanted:
                return found
            await asyncio.sleep(pause(attempt))
        raise _overloaded()

    async def pages(
        self,
        pk: str,
        sk: tuple[str, str] | None = None,
        *,
        index: tuple[str, str, str] | None = None,
        newest_first: bool = False,
        size: int | None = None,
        only: str = "",
    ) -> AsyncIterator[list[Item]]:
        """A partition's items in pages, those between the two sort keys (inclusive) where they are given.

        `index`: its name and its two key attributes. `only` names the attributes that are wanted, with commas.
        """
        name, partition, sort = index or ("", "pk", "sk")
        request: dict[str, Any] = {
            "KeyConditionExpression": "#p = :p" + (" AND #s BETWEEN :a AND :b" if sk else ""),
            "ExpressionAttributeNames": {"#p": partition, **({"#s": sort} if sk else {})},
            "ExpressionAttributeValues": write_values({":p": pk, **({":a": sk[0], ":b": sk[1]} if sk else {})}),
            "ScanIndexForward": not newest_first,
            **({"IndexName": name} if index else {"ConsistentRead": True}),
            **({"Limit": size} if size else {}),
            **({"ProjectionExpression": only} if only else {}),
        }
        while True:
            answer = await self._call("query", **request)
            yield [read_item(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def items(self, pk: str, sk: tuple[str, str] | None = None, **more: Any) -> list[Item]:
        """All that `pages` gives."""
        return [item async for page in self.pages(pk, sk, **more) for item in page]

    async def count(self, pk: str, index: tuple[str, str]) -> int:
        """How many items an index (its name, its partition's attribute) has under `pk`."""
        request: dict[str, Any] = {
            "IndexName": index[0], "Select": "COUNT", "KeyConditionExpression": "#p = :p",
            "ExpressionAttributeNames": {"#p": index[1]}, "ExpressionAttributeValues": write_values({":p": pk}),
        }  # fmt: skip
        total = 0
        while True:
            answer = await self._call("query", **request)
            total += int(answer["Count"])
            if "LastEvaluatedKey" not in answer:
                return total
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def put(self, item: Item, condition: str = "") -> None:
        """Writes an item whole. Raises ConditionFailedError."""
        demand = {"ConditionExpression": condition} if condition else {}
        await self._call("put_item", Item=write_item(item), **demand)

    async def delete(self, pk: str, sk: str, condition: str = "", **values: Any) -> None:
        """Deletes an item, if it is there. Raises ConditionFailedError."""
        demand: dict[str, Any] = {"ConditionExpression": condition} if condition else {}
        if values:
            demand["ExpressionAttributeValues"] = write_values({f":{name}": value for name, value in values.items()})
        await self._call("delete_item", Key=write_key((pk, sk)), **demand)

    async def delete_all(self, keys: Sequence[Key]) -> None:
        """Deletes many."""
        for first in range(0, len(keys), _WRITE_AT_ONCE):
            part = keys[first : first + _WRITE_AT_ONCE]
            wanted: dict[str, Any] = {self.name: [{"DeleteRequest": {"Key": write_key(key)}} for key in part]}
            for attempt in range(TRIES):
                answer = await self._run("batch_write_item", RequestItems=wanted)
                wanted = answer.get("UnprocessedItems") or {}
                if not wanted:
                    break
                await asyncio.sleep(pause(attempt))
            else:
                raise _overloaded()

    async def update(self, change: Mapping[str, Any]) -> Item:
        """Makes a change (see `dynamo_items.change`) and returns the item as it is then. Raises ConditionFailedError."""
        answer = await self._call("update_item", **change, ReturnValues="ALL_NEW")
        return read_item(answer["Attributes"])

    async def transact(self, works: Sequence[Mapping[str, Any]]) -> None:
        """All or none of `{"Put" | "Update" | "ConditionCheck": {...}}`. Raises CanceledError and ConflictError."""
        named = [{kind: {"TableName": self.name, **work} for kind, work in one.items()} for one in works]
        await self._run("transact_write_items", TransactItems=named)

    async def scan(self, after: Mapping[str, Any] | None) -> tuple[list[Item], Mapping[str, Any] | None]:
        """A page of everything, and where the next one begins."""
        start = {"ExclusiveStartKey": after} if after else {}
        answer = await self._call("scan", ConsistentRead=True, **start)
        return [read_item(item) for item in answer["Items"]], answer.get("LastEvaluatedKey")

    async def _call(self, operation: str, **request: Any) -> Any:
        """One of the operations on single items; another one's transaction on them is waited for."""
        for attempt in range(TRIES):
            try:
                return await self._run(operation, TableName=self.name, **request)
            except ConflictError:
                await asyncio.sleep(pause(attempt))
        raise _overloaded()

    async def _run(self, operation: str, **request: Any) -> Any:
        work = partial(getattr(self.client, operation), **request)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except ClientError as error:
            raise _told(error, self.name) from error
        except BotoCoreError as error:  # no connection, a time-out, no credentials
            raise _overloaded(type(error).__name__) from error


def _told(error: Any, table: str) -> Exception:
    """What a refusal means here."""
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code == "ConditionalCheckFailedException":
        return ConditionFailedError()
    if code == "TransactionCanceledException":
        return _canceled(error)
    if code in _CONFLICTS:
        return ConflictError()
    if code in _BUSY:
        return _overloaded(code)
    if code == "ValidationException" and "size" in message.lower():
        return GatewayError(
            Code.REQUEST_TOO_LARGE, "That is more than the gateway's store keeps in one piece (400 KB)."
        )
    if code == "ResourceNotFoundException":
        return LookupError(f"there is no DynamoDB table {table}: `ekai store create dynamodb:{table}` makes it")
    return _unexpected(error)


def _canceled(error: Any) -> Exception:
    reasons = error.response.get("CancellationReasons", ())
    codes = {reason.get("Code", "None") for reason in reasons}
    failed = frozenset(place for place, reason in enumerate(reasons) if reason.get("Code") == "ConditionalCheckFailed")
    if failed:
        return CanceledError(failed)
    if codes & _PASSING_REASONS:
        return ConflictError()
    if any("size" in reason.get("Message", "").lower() for reason in reasons if reason.get("Message")):
        return GatewayError(
            Code.REQUEST_TOO_LARGE, "That is more than the gateway's store keeps in one piece (400 KB)."
        )
    return _unexpected(error)


def _unexpected(error: Exception) -> Exception:
    """An error that nothing here knows; it goes up as it is."""
    return error


def _overloaded(why: str = "") -> GatewayError:
    told = f" ({why})" if why else ""
    return GatewayError(Code.OVERLOADED, f"The gateway's store does not answer{told}; try again.")

"""Which logs a query asks for: https://ethereum.org/developers/docs/apis/json-rpc/#eth_getlogs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator.devchain.records import Log
from emulator.devchain.wire import RpcError, invalid, read_bytes


@dataclass(frozen=True, slots=True)
class Filter:
    """A range of blocks (both ends included), addresses (none: any), and alternatives for each topic (none: any)."""

    first: int
    last: int
    addresses: frozenset[bytes]
    topics: tuple[frozenset[bytes], ...]

    def takes(self, log: Log) -> bool:
        """Whether the log is asked for."""
        if not self.first <= log.block_number <= self.last:
            return False
        if self.addresses and log.address not in self.addresses:
            return False
        if len(self.topics) > len(log.topics):
            return False
        return all(not wanted or topic in wanted for wanted, topic in zip(self.topics, log.topics, strict=False))


def read_filter(
    query: dict[str, Any], number_of: Callable[[object], int], number_by_hash: Callable[[bytes], int]
) -> Filter:
    """A filter from its JSON. `number_of` resolves a block's tag, `number_by_hash` a block's hash."""
    if "blockHash" in query:
        if "fromBlock" in query or "toBlock" in query:
            raise invalid("cannot specify both blockHash and fromBlock/toBlock, choose one or the other")
        first = last = number_by_hash(read_bytes(query["blockHash"], 32))
    else:
        first, last = number_of(query.get("fromBlock", "latest")), number_of(query.get("toBlock", "latest"))
    if first > last:
        raise RpcError(-32000, "invalid request: end round greater than start round")
    return Filter(first, last, _alternatives(query.get("address"), 20), _topics(query.get("topics")))


def _topics(value: object) -> tuple[frozenset[bytes], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > 4:
        raise invalid("topics are a list of at most four")
    return tuple(_alternatives(topic, 32) for topic in value)


def _alternatives(value: object, length: int) -> frozenset[bytes]:
    match value:
        case None:
            return frozenset()
        case list():
            return frozenset(read_bytes(one, length) for one in value)
        case _:
            return frozenset({read_bytes(value, length)})

"""A DynamoDB client that counts what it is asked, and fails where a test wants it to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Fault = Callable[[str, dict[str, Any], Callable[[], Any]], Any]
"""(operation, its parameters, the real call) -> the answer, or it raises."""


def refusal(code: str, operation: str = "TransactWriteItems", **more: Any) -> ClientError:
    """An error as the API words it."""
    return ClientError({"Error": {"Code": code, "Message": code}, **more}, operation)  # type: ignore[typeddict-item, misc]  # botocore's type lists fewer


def canceled(*codes: str) -> ClientError:
    """A transaction that was called off, with a reason for each of its works."""
    return refusal("TransactionCanceledException", CancellationReasons=[{"Code": code} for code in codes])


class Faulty:
    """Passes every call on, unless `fault` is set."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.asked: Counter[str] = Counter()
        self.fault: Fault | None = None
        self._lock = threading.Lock()

    def __getattr__(self, operation: str) -> Any:
        real = getattr(self.client, operation)
        if not callable(real) or operation == "close":
            return real

        def call(**request: Any) -> Any:
            with self._lock:
                self.asked[operation] += 1
            if self.fault is None:
                return real(**request)
            return self.fault(operation, request, lambda: real(**request))

        return call


class First:
    """A fault that strikes the first `times` calls of one operation."""

    def __init__(self, operation: str, times: int, error: Exception, *, after: bool = False) -> None:
        self.operation = operation
        self.left = times
        self.error = error
        self.after = after

    def __call__(self, operation: str, request: dict[str, Any], real: Callable[[], Any]) -> Any:
        if operation != self.operation or self.left == 0:
            return real()
        self.left -= 1
        if self.after:
            real()
        raise self.error

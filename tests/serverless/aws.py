"""What is asked of DynamoDB, as IAM sees it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.client import BaseClient

from shared.store.dynamo_table import create_table

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}
_ITEMS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


class Calls:
    """What was asked of DynamoDB, as IAM names it, with the indexes that were asked."""

    def __init__(self) -> None:
        self.actions: set[str] = set()
        self.indexes: set[str] = set()

    def see(self, operation: str, asked: dict[str, Any]) -> None:
        if "IndexName" in asked:
            self.indexes.add(asked["IndexName"])
        if operation in ("TransactWriteItems", "TransactGetItems"):
            kinds = {kind for item in asked["TransactItems"] for kind in item}
            self.actions |= {"GetItem" if kind == "Get" else _ITEMS[kind] for kind in kinds}
        else:
            self.actions.add(operation)


@contextmanager
def watched(calls: Callable[[], Calls]) -> Iterator[None]:
    """Every call of every client goes by whoever `calls` names at that moment."""
    original = BaseClient._make_api_call

    def see(client: Any, operation: str, asked: dict[str, Any]) -> Any:
        calls().see(operation, asked)
        return original(client, operation, asked)

    BaseClient._make_api_call = see
    try:
        yield
    finally:
        BaseClient._make_api_call = original


def create(url: str, name: str) -> None:
    """The gateway's table."""
    named = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = boto3.client("dynamodb", endpoint_url=url, **named)
    create_table(client, name)
    client.close()

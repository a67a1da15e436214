"""The DynamoDB table's shape: one definition for `create_table`, for tests and for the deployment's template.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
"""

from __future__ import annotations

import time
from typing import Any

TTL_ATTRIBUTE = "ttl"
_TRIES, _PAUSE = 20, 3.0

CALLERS, OWNERS, OUTBOX = "callers", "owners", "outbox"


def _index(name: str, partition: str, sort: str, projection: str) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [
            {"AttributeName": partition, "KeyType": "HASH"},
            {"AttributeName": sort, "KeyType": "RANGE"},
        ],
        "Projection": {"ProjectionType": projection},
    }


TABLE: dict[str, Any] = {
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "by_caller", "by_owner", "ob", "ob_id")
    ],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "GlobalSecondaryIndexes": [
        _index(CALLERS, "by_caller", "sk", "ALL"),
        _index(OWNERS, "by_owner", "sk", "ALL"),
        _index(OUTBOX, "ob", "ob_id", "KEYS_ONLY"),
    ],
}
"""Properties that `create_table` and CloudFormation's `AWS::DynamoDB::Table` spell alike. Both indexes on usage rows are sparse: a row
of an unknown caller is in neither, one whose caller pays it is in the first alone."""

TIME_TO_LIVE: dict[str, Any] = {"AttributeName": TTL_ATTRIBUTE, "Enabled": True}
"""`TimeToLiveSpecification`, which is a call of its own in the API and a property in CloudFormation."""


def create_table(client: Any, name: str) -> None:
    """Makes the table and waits until it is there; one that exists is left as it is."""
    try:
        client.create_table(TableName=name, **TABLE)
    except client.exceptions.ResourceInUseException:
        return
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=TIME_TO_LIVE)
    _recover(client, name)


def _recover(client: Any, name: str) -> None:
    """Turns point-in-time recovery on; a table that has just been made is not ready for that yet."""
    wanted = {"PointInTimeRecoveryEnabled": True}
    for attempt in range(_TRIES):
        try:
            client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)
        except client.exceptions.ContinuousBackupsUnavailableException:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE)
        else:
            return

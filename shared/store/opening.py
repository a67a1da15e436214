"""The store that the settings name; the other one's library isn't imported."""

from __future__ import annotations

import asyncio

from shared.errors import GatewayError
from shared.settings import Settings
from shared.store import Store


class StoreError(Exception):
    """The store can't be used as things are; the message says in one line what is missing."""


def open_store(settings: Settings) -> Store:
    """The store, as this process uses it. Raises StoreError; DynamoDB isn't asked for anything yet."""
    if settings.store == "dynamodb":
        return _dynamo(settings.dynamodb_table)
    from shared.store.sqlite import SqliteStore

    return SqliteStore(settings.database_path)


def _dynamo(table: str) -> Store:
    try:
        from shared.store.dynamo import DynamoStore
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("boto3", "botocore"):
            raise
        raise StoreError("STORE=dynamodb needs boto3: pip install 'ekai-gateway[aws]'") from None
    from botocore.exceptions import BotoCoreError

    try:
        return DynamoStore(table)
    except (BotoCoreError, ValueError) as error:  # no region, an address that is none
        raise StoreError(f"DynamoDB can't be used: {error}") from None


def prepare_store(settings: Settings) -> None:
    """Makes or migrates the SQLite file; asks whether the table is there. Raises StoreError."""
    if settings.store == "sqlite":
        from shared.store.sqlite_file import prepare

        prepare(settings.database_path)
    else:
        asyncio.run(_try(open_store(settings), settings.dynamodb_table))


async def _try(store: Store, table: str) -> None:
    try:
        await store.ready()
    except LookupError as error:
        raise StoreError(str(error)) from None
    except GatewayError as error:
        raise StoreError(f"the DynamoDB table {table} can't be used: {error.message}") from None
    finally:
        await store.close()

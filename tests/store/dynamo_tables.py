"""Tables in moto's server: real HTTP, one server for a whole run, a table of its own for each test."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

import boto3
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from shared.store import Store
from shared.store.dynamo import DynamoStore
from shared.store.dynamo_table import create_table

REGION = "eu-central-1"

_numbers = count()


class _OneByOne:
    """moto, a request at a time: its own threads would lose each other's writes, which DynamoDB never does."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        with self._lock:
            return list(self._app(environ, start_response))


@cache
def endpoint() -> str:
    """The server's address; it runs in a thread until the process ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request drowns what failed
    server = make_server("127.0.0.1", 0, _OneByOne(), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def variables() -> dict[str, str]:
    """The environment of a gateway that uses this server."""
    return {
        "AWS_ENDPOINT_URL": endpoint(),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client(**more: Any) -> Any:
    """A client of the server."""
    given = {
        "endpoint_url": endpoint(), "region_name": REGION, "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
        "config": Config(max_pool_connections=48, retries={"mode": "standard", "total_max_attempts": 4}),
    }  # fmt: skip
    return boto3.client("dynamodb", **{**given, **more})


def new_table() -> str:
    """A fresh table's name."""
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    name = f"test-{next(_numbers)}"
    create_table(client(), name)
    return name


def opener() -> Callable[[], Store]:
    """Another process's view of the same table, as often as it is called."""
    name = new_table()
    return lambda: DynamoStore(name, client())

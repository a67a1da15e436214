"""One JSON-RPC call over HTTP, for setting the dev chain up."""

from __future__ import annotations

from typing import Any

import httpx

from emulator.devchain.wire import RpcError


def ask(url: str, method: str, *params: Any) -> Any:
    """The result of a method.

    Raises: RpcError when the node says no, httpx.HTTPError when it can't be reached.
    """
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    # trust_env: a proxy in the environment is never meant for loopback.
    answer = httpx.post(url, json=call, timeout=30, trust_env=False).json()
    if (error := answer.get("error")) is not None:
        raise RpcError(error["code"], error["message"], error.get("data"))
    return answer["result"]

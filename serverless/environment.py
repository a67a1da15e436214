"""Secrets of AWS Secrets Manager as the environment variables that the settings read.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

import orjson

SUFFIX = "_SECRET_ARN"
"""`X_SECRET_ARN` names the secret whose value becomes the variable `X`."""
SEVERAL = "PROVIDER_KEYS"
"""The one secret that holds many: a JSON object of `<PROVIDER>_API_KEY` and their values."""

Fetch = Callable[[str], str]


class SecretError(Exception):
    """A secret whose form isn't the one agreed on. Its value is never in the message."""


def prepare(variables: MutableMapping[str, str], fetch: Fetch | None = None) -> None:
    """Sets the variables whose secrets are named. One that is there already stays."""
    named = {name: arn for name, arn in variables.items() if name.endswith(SUFFIX) and arn.strip()}
    if not named:
        return
    fetch = fetch or _manager()
    for name, arn in named.items():
        variable, value = name.removesuffix(SUFFIX), fetch(arn)
        for key, secret in _several(value).items() if variable == SEVERAL else ((variable, value),):
            variables.setdefault(key, secret)


def _several(value: str) -> dict[str, str]:
    try:
        keys = orjson.loads(value)
    except orjson.JSONDecodeError:
        keys = None
    if not isinstance(keys, dict) or not all(
        name.endswith("_API_KEY") and isinstance(key, str) for name, key in keys.items()
    ):
        raise SecretError(
            f"The secret that {SEVERAL}{SUFFIX} names must be a JSON object of <PROVIDER>_API_KEY to strings."
        )
    return keys


def _manager() -> Fetch:
    import boto3  # only where a secret is named

    client = boto3.client("secretsmanager")

    def fetch(arn: str) -> str:
        return str(client.get_secret_value(SecretId=arn)["SecretString"])

    return fetch

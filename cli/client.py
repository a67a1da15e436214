"""The command's way to a gateway: one request, one answer, errors in one clear line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from cli.config import saved_token


class CommandError(Exception):
    """What went wrong, in one line for a person."""


@dataclass(frozen=True, slots=True)
class Client:
    """Talks to the gateway at `url` with the token that is kept for it."""

    url: str

    def token(self) -> str:
        """The kept token. Raises CommandError where there is none."""
        token = saved_token(self.url)
        if token is None:
            raise CommandError(f"You are not logged in at {self.url}: run `ekai login` first.")
        if not (token.isascii() and token.isprintable()):
            raise CommandError("EKAI_TOKEN holds no token: `ekai login` gets one.")
        return token

    def call(self, method: str, path: str, *, login: bool = True, **options: Any) -> dict[str, Any]:
        """The JSON object that the gateway answers; an empty one where it has nothing to say. Raises CommandError."""
        headers = {"authorization": f"Bearer {self.token()}"} if login else {}
        headers |= options.pop("headers", {})
        try:
            reply = httpx.request(method, self.url.rstrip("/") + path, headers=headers, timeout=60, **options)
        except httpx.InvalidURL as error:
            raise CommandError(f"{self.url} is not a URL: {error}") from None
        except httpx.HTTPError as error:
            raise CommandError(f"No gateway answers at {self.url} ({error}). Is `ekai serve` running there?") from None
        if reply.is_error:
            raise CommandError(_told(reply))
        return _object(reply, self.url) if reply.content else {}


def _object(reply: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = reply.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CommandError(f"Something answers at {url}, but it is no Ekai Gateway.")
    return found


def _told(reply: httpx.Response) -> str:
    try:
        body = reply.json()
    except ValueError:
        body = None
    match body:
        case {"error": {"message": str(message), **error}}:
            return f"{message} ({error.get('code') or reply.status_code})"
        case {"error": str(message)}:  # GET /rofl/public-key where there is none
            return f"{message} ({reply.status_code})"
        case _:
            return f"The gateway answered {reply.status_code}."

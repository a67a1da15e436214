"""All harnesses by their names."""

from __future__ import annotations

from collections.abc import Callable

from fuzz import own, wire
from fuzz.recordings import CLIENTS, FOLDERS

Harness = Callable[[bytes], None]

HARNESSES: dict[str, Harness] = {
    **{f"request-{api}": wire.requests(api) for api in CLIENTS},
    **{f"reply-{api}": wire.replies(api) for api in FOLDERS},
    **{f"stream-{api}": wire.events_of(api) for api in FOLDERS},
    "sse": own.sse,
    "seals": own.seals,
    "envelopes": own.envelopes,
    "chain": own.chain,
    "logins": own.logins,
    "preferences": own.preferences,
    "limits": own.limits,
    "queries": own.queries,
    "headers": own.headers,
    "catalog": own.catalogs,
}

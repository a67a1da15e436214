"""What the chain is told of a request: the receipt that belongs to a usage row, and the hash by which it is found."""

from __future__ import annotations

from shared.chain import model_ids, provider_id
from shared.control_plane import request_hash
from shared.store import Tokens, UsageRow
from shared.store.outbox import Receipt


def hash_of(request_id: str, owner: str, caller: str, provider: str, model: str, at: int) -> bytes:
    """The 32 bytes that name a receipt on chain. `request_id` is 32 hex digits, `at` milliseconds since 1970."""
    return request_hash(bytes.fromhex(request_id), owner, caller, provider_id(provider), model_ids(model)[2], at)


def receipt_of(row: UsageRow) -> Receipt:
    """The receipt of a row that has a `request_hash`."""
    return Receipt(
        request_id=row.id,
        request_hash=bytes.fromhex(row.request_hash.removeprefix("0x")),
        owner=row.owner,
        delegate=row.caller,
        provider_id=provider_id(row.provider),
        model_id=model_ids(row.model)[2],
        prompt_tokens=_prompt(row.tokens),
        completion_tokens=row.tokens.output,
    )


def _prompt(tokens: Tokens) -> int:
    return tokens.input + tokens.cache_read + tokens.cache_write

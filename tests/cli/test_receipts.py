"""`ekai receipts`: the chain against the gateway's rows, and an exit code that a script can trust."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.chain import model_ids, provider_id
from shared.receipts import hash_of
from tests.cli.world import ACCOUNT, ADMIN, FRIEND, OWNER, World

AT = 1_795_000_000_123


def _record(world: World, number: int, **changed: Any) -> dict[str, Any]:
    """A row as `GET /usage?scope=me` shows it."""
    request_id = f"{number:032x}"
    owner, caller = world.addresses[OWNER], world.addresses[FRIEND]
    moment = datetime.fromtimestamp(AT // 1000, UTC).replace(microsecond=AT % 1000 * 1000)
    return {
        "request_id": request_id, "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "provider": "openai", "model": "gpt-4o", "owner": owner, "caller": caller,
        "input_tokens": 100, "cache_read_input_tokens": 20, "cache_write_input_tokens": 3, "output_tokens": 7,
        "request_hash": "0x" + hash_of(request_id, owner, caller, "openai", "gpt-4o", AT).hex(),
        "receipt": "logged", "receipt_tx": None, "receipt_error": None, **changed,
    }  # fmt: skip


def _log(world: World, record: dict[str, Any], prompt: int = 123, completion: int = 7, model: str = "gpt-4o") -> None:
    """The receipt, as the gateway's account logs it."""
    hash_, who = bytes.fromhex(record["request_hash"][2:]), (world.addresses[OWNER], world.addresses[FRIEND])
    ids = provider_id("openai"), model_ids(model)[2]
    world.do(ACCOUNT, "logReceipt", hash_, *who, *ids, prompt, completion)


def _compare(world: World, *records: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    world.told.answers["/usage"] = (200, {"records": list(records), "totalRequests": len(records)})
    result = world.run("receipts", "--json", who=None)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.output)


def _counts(compared: dict[str, Any]) -> tuple[int, ...]:
    return tuple(compared[name] for name in ("matched", "pending", "missing", "differing"))


@pytest.fixture
def world(world: World) -> World:
    world.do(ADMIN, "setGateway", world.addresses[ACCOUNT])
    world.do(OWNER, "addDelegate", world.addresses[FRIEND])
    return world


def test_receipts_that_match(world: World) -> None:
    records = [_record(world, number) for number in range(5)]
    for record in records:
        _log(world, record)
    code, compared = _compare(world, *records, _record(world, 9, request_hash=None, receipt="none"))
    assert (code, _counts(compared)) == (0, (5, 0, 0, 0))
    assert len({one["block"] for one in compared["receipts"]}) == 5
    [first, *_] = compared["receipts"]
    assert first["request_hash"] == records[0]["request_hash"]
    assert (first["prompt_tokens"], first["completion_tokens"], first["differences"]) == (123, 7, [])
    assert first["transaction"].startswith("0x")


def test_what_is_on_its_way_is_no_fault_and_what_is_lost_is(world: World) -> None:
    there = _record(world, 1, receipt="sent")
    _log(world, there)
    waiting = [_record(world, 2, receipt="pending"), _record(world, 3, receipt="sent")]
    code, compared = _compare(world, there, *waiting)
    assert (code, _counts(compared)) == (0, (1, 2, 0, 0))
    lost = [
        _record(world, 4),
        _record(world, 5, receipt="dead", receipt_error="NotAuthorized"),
        _record(world, 6, receipt="none"),
    ]
    code, compared = _compare(world, there, *waiting, *lost)
    assert (code, _counts(compared)) == (1, (1, 2, 3, 0))
    assert compared["receipts"][4]["error"] == "NotAuthorized"
    table = world.run("receipts", who=None)
    assert table.exit_code == 1
    assert "NotAuthorized" in table.output
    assert "1 matched, 2 pending, 3 missing, 0 differing" in table.output


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"output_tokens": 8}, "completionTokens: 7 on chain, 8 here"),
        ({"cache_read_input_tokens": 21}, "promptTokens: 123 on chain, 124 here"),
        ({"model": "gpt-5.5"}, "modelId: 0x6770742d346f"),
        ({"provider": "openrouter"}, "providerId: "),
        ({"caller": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"}, "delegate: "),
        ({"owner": "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"}, "owner: "),
        ({"timestamp": "2026-11-18T11:46:40.124Z"}, "requestHash: "),
        ({"request_id": "ff" * 16}, "requestHash: "),
    ],
)
def test_a_row_that_says_something_else_than_the_receipt(world: World, changed: dict[str, Any], told: str) -> None:
    record = _record(world, 1)
    _log(world, record)
    code, compared = _compare(world, {**record, **changed})
    assert (code, _counts(compared)) == (1, (0, 0, 0, 1))
    assert any(difference.startswith(told) for difference in compared["receipts"][0]["differences"])


def test_a_receipt_of_another_call_is_not_taken_for_ones_own(world: World) -> None:
    record, other = _record(world, 1), _record(world, 2)
    _log(world, other)
    assert _counts(_compare(world, record)[1]) == (0, 0, 1, 0)


def test_counts_beyond_32_bits_are_logged_at_their_most(world: World) -> None:
    record = _record(world, 1, input_tokens=1 << 33)
    _log(world, record, prompt=(1 << 32) - 1)
    assert _compare(world, record)[0] == 0


def test_nothing_to_compare(world: World) -> None:
    code, compared = _compare(world)
    assert (code, compared) == (0, {"matched": 0, "pending": 0, "missing": 0, "differing": 0, "receipts": []})


def test_a_part_is_called_a_part(world: World) -> None:
    record = _record(world, 1)
    _log(world, record)
    world.told.answers["/usage"] = (200, {"records": [record], "totalRequests": 1001})
    assert "newest 1 of 1,001" in world.ok("receipts", who=None)


def test_a_contract_that_tells_no_blocks_is_asked_for_the_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contracts before ours have no `receiptBlock`."""
    from cli.onchain import ControlPlane, RefusedError

    record = _record(world, 1)
    _log(world, record)
    transaction = _compare(world, record)[1]["receipts"][0]["transaction"]
    true = ControlPlane.read

    def read(plane: ControlPlane, function: str, *arguments: Any) -> Any:
        if function == "receiptBlock":
            raise RefusedError("no such function")
        return true(plane, function, *arguments)

    monkeypatch.setattr(ControlPlane, "read", read)
    assert _counts(_compare(world, {**record, "receipt_tx": transaction})[1]) == (1, 0, 0, 0)
    assert _counts(_compare(world, {**record, "receipt_tx": "0x" + "12" * 32})[1]) == (0, 0, 1, 0)
    assert _counts(_compare(world, record)[1]) == (0, 0, 1, 0)


def test_a_node_that_contradicts_itself_is_no_proof_of_a_loss(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind one address there may be several nodes, one of which lags."""
    from cli.onchain import ControlPlane

    record = _record(world, 1)
    _log(world, record)
    monkeypatch.setattr(ControlPlane, "receipts_in", lambda plane, block: [])
    world.told.answers["/usage"] = (200, {"records": [record], "totalRequests": 1})
    assert "Try again" in world.refused("receipts", who=None)

"""The gateway's key in its four states, and appd over a real UNIX socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import cbor2
import httpx
import orjson
import pytest

from emulator.appd import APP_ID, Call, FakeAppd, RevertedError, derive_key
from shared.chain import keccak256
from shared.errors import Code, GatewayError
from shared.keys.appd import Appd, AppdError, Executed, Failed
from shared.keys.rofl import GatewayKey, KeySource, KeyState, banner, describe, read_private_key

# The development KMS, as its maintainers' tests and the mock of the CLI give it.
PRIVATE = "c03d5be0af20d8a326ed22b34757b0c7eee79854236ba13b382bf50997a6c04b"
PUBLIC = "ab99861d5847e01151798b269f56413d6e79e435272487a3b3e010c73f594a13"
CONTRACT = "0x1647A17be7Ad7A01C6657aC05FA10349E7f32268"


@pytest.fixture
def socket_path(tmp_path: Path) -> str:
    return str(tmp_path / "appd.sock")


async def _stated(source: KeySource) -> tuple[KeyState, int, dict[str, Any]]:
    try:
        state = await source.state()
    finally:
        await source.close()
    return state, *describe(state)


def test_known_answers_of_the_kms() -> None:
    assert derive_key("ekai-gateway-encryption-key", "raw-256").hex() == PRIVATE
    assert len(derive_key("x", "raw-384")) == 48
    assert len({derive_key("x", kind)[:32] for kind in ("raw-256", "raw-384", "ed25519", "secp256k1")}) == 4


def test_inside_with_a_key(socket_path: str) -> None:
    async def run() -> tuple[KeyState, int, dict[str, Any]]:
        async with FakeAppd().serve(socket_path):
            return await _stated(KeySource(socket_path, "11" * 32))

    state, status, body = asyncio.run(run())
    assert state.key is not None
    assert (state.key.private.hex(), state.key.source, state.key.app_id) == (PRIVATE, "rofl", APP_ID)
    assert status == 200
    assert body["publicKey"] == f"0x{PUBLIC}"
    assert body["publicKeyBytes"] == PUBLIC
    assert (body["isInsideRofl"], body["isAvailable"]) == (True, True)
    assert "setRoflKey" in body["usage"]


def test_inside_it_waits_for_the_boot(socket_path: str) -> None:
    async def run() -> tuple[KeyState, float]:
        loop = asyncio.get_running_loop()
        async with FakeAppd(boot_seconds=2.5).serve(socket_path):
            began = loop.time()
            source = KeySource(socket_path, None)
            early = await source.state(patience=1.2)
            assert describe(early)[0] == 503
            assert "not initialized yet" in early.error
            return (await _stated(source))[0], loop.time() - began

    state, seconds = asyncio.run(run())
    assert state.key is not None
    assert 2.0 < seconds < 20


def test_inside_without_a_key(socket_path: str) -> None:
    async def run() -> tuple[KeyState, int, dict[str, Any]]:
        async with FakeAppd(boot_seconds=60).serve(socket_path):
            return await _stated(KeySource(socket_path, "11" * 32, boot_seconds=0.4))

    state, status, body = asyncio.run(run())
    assert state.key is None, "the variable must not stand in for the app's own key"
    assert status == 503
    assert body["isInsideRofl"] is True
    assert "not initialized yet" in body["lastError"]
    assert body.keys() == {"error", "isInsideRofl", "lastError", "hint"}


def test_inside_with_a_socket_that_nobody_serves(socket_path: str) -> None:
    Path(socket_path).touch()
    state, status, _ = asyncio.run(_stated(KeySource(socket_path, None, boot_seconds=0.4)))
    assert (state.inside_rofl, status) == (True, 503)


@pytest.mark.parametrize("variable", ["11" * 32, "0x" + "11" * 32, f" {'11' * 32}\n"])
def test_outside_with_the_variable(socket_path: str, variable: str) -> None:
    state, status, body = asyncio.run(_stated(KeySource(socket_path, variable)))
    assert state.key is not None
    assert state.key.source == "variable"
    assert (status, body["isInsideRofl"], body["isAvailable"]) == (200, False, True)


@pytest.mark.parametrize("variable", [None, "", "11" * 31, "zz" * 32, "0x"])
def test_outside_without_a_key(socket_path: str, variable: str | None) -> None:
    state, status, body = asyncio.run(_stated(KeySource(socket_path, variable)))
    assert (status, body["isInsideRofl"]) == (503, False)
    assert "ROFL_PRIVATE_KEY" in state.error
    assert "ROFL_PRIVATE_KEY" in body["hint"]
    assert not variable or variable not in str(body)


def test_no_key_is_503_on_use(socket_path: str) -> None:
    with pytest.raises(GatewayError) as caught:
        asyncio.run(KeySource(socket_path, None).key())
    assert (caught.value.code, caught.value.status) == (Code.SAPPHIRE_UNAVAILABLE, 503)


def test_all_who_ask_share_one_answer(socket_path: str) -> None:
    async def run() -> int:
        appd = FakeAppd(boot_seconds=0.3)
        async with appd.serve(socket_path):
            source = KeySource(socket_path, None)
            first = asyncio.create_task(source.key())
            await asyncio.sleep(0.01)
            first.cancel()  # one who hangs up takes nothing from the others
            keys = await asyncio.gather(*(source.key() for _ in range(50)))
            await source.close()
            return len({id(key) for key in keys})

    assert asyncio.run(run()) == 1


def test_a_key_that_comes_late_is_found(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.keys.rofl._REST_SECONDS", 0.0)

    async def run() -> None:
        source = KeySource(socket_path, None)
        assert (await source.state()).key is None
        async with FakeAppd().serve(socket_path):
            assert (await source.key()).public.hex() == PUBLIC

    asyncio.run(run())


def test_the_private_half_is_in_no_repr_or_log(socket_path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> KeyState:
        async with FakeAppd().serve(socket_path):
            return (await _stated(KeySource(socket_path, None)))[0]

    state = asyncio.run(run())
    assert caplog.records
    for shown in (repr(state), repr(state.key), str(state), caplog.text, str(describe(state))):
        assert PRIVATE not in shown
        assert repr(bytes.fromhex(PRIVATE))[2:-1] not in shown


def test_banner_has_three_lines() -> None:
    key = GatewayKey(bytes.fromhex(PRIVATE), bytes.fromhex(PUBLIC), "rofl")
    lines = banner(key).split("\n")
    assert len(lines) == 3
    assert lines[1] == f"ROFL PUBLIC KEY (for contract registration): 0x{PUBLIC}"


def test_read_private_key_does_not_repeat_what_it_got() -> None:
    with pytest.raises(ValueError) as caught:
        read_private_key("secret-word")
    assert "secret-word" not in f"{caught.value!r}"


# ── sign-submit ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def _appd(fake: FakeAppd, socket_path: str) -> AsyncIterator[Appd]:
    async with fake.serve(socket_path):
        appd = Appd.at(socket_path)
        try:
            yield appd
        finally:
            await appd.close()


def _refusing(data: bytes) -> Callable[[Call], Awaitable[bytes]]:
    async def execute(call: Call) -> bytes:
        raise RevertedError(data)

    return execute


def test_sign_submit_executes(socket_path: str) -> None:
    fake = FakeAppd()

    async def run() -> object:
        async with _appd(fake, socket_path) as appd:
            return await appd.sign_submit(CONTRACT, b"\x01\x02", 500_000, "7")

    assert asyncio.run(run()) == Executed(b"")
    assert fake.calls == [Call(bytes.fromhex(CONTRACT[2:]), b"\x01\x02", 500_000, 7)]


@pytest.mark.parametrize(
    ("revert", "cause"),
    [
        (bytes.fromhex("6890282f"), "RoflOriginNotAuthorizedForApp"),
        (bytes.fromhex("ea8e4eb5"), "NotAuthorized"),
        (keccak256(b"Error(string)")[:4] + (32).to_bytes(32) + (4).to_bytes(32) + b"nope".ljust(32, b"\0"), "nope"),
    ],
)
def test_a_revert_is_not_a_success(socket_path: str, revert: bytes, cause: str) -> None:
    async def run() -> object:
        async with _appd(FakeAppd(_refusing(revert)), socket_path) as appd:
            return await appd.sign_submit(CONTRACT, b"", 1)

    result = asyncio.run(run())
    assert isinstance(result, Failed)
    assert (result.module, result.code, result.revert, result.cause) == ("evm", 8, revert, cause)


def test_sign_submit_is_serial(socket_path: str) -> None:
    async def run() -> float:
        loop = asyncio.get_running_loop()
        async with _appd(FakeAppd(block_seconds=0.1), socket_path) as appd:
            began = loop.time()
            await asyncio.gather(*(appd.sign_submit(CONTRACT, bytes([n]), 1) for n in range(4)))
            return loop.time() - began

    assert asyncio.run(run()) >= 0.4


def test_the_queue_counts_against_the_limit(socket_path: str) -> None:
    async def run() -> list[object]:
        async with _appd(FakeAppd(block_seconds=0.2, queue_seconds=0.3), socket_path) as appd:
            calls = (appd.sign_submit(CONTRACT, bytes([n]), 1) for n in range(3))
            return list(await asyncio.gather(*calls, return_exceptions=True))

    results = asyncio.run(run())
    lost = [result for result in results if isinstance(result, AppdError)]
    assert lost
    assert {error.failure for error in lost} == {"unknown"}, "it may have been sent: look before sending again"


@pytest.mark.parametrize(
    ("to", "value", "status", "failure"),
    [
        ("0x1234", "0", 400, "refused"),
        (CONTRACT, "-1", 422, "refused"),
        (CONTRACT, "much", 422, "refused"),
    ],
)
def test_what_is_malformed_was_never_sent(socket_path: str, to: str, value: str, status: int, failure: str) -> None:
    async def run() -> None:
        async with _appd(FakeAppd(), socket_path) as appd:
            await appd.sign_submit(to, b"", 1, value)

    with pytest.raises(AppdError) as caught:
        asyncio.run(run())
    assert (caught.value.status, caught.value.failure) == (status, failure)


def test_an_appd_that_falls_silent_leaves_it_unknown(socket_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.keys.appd.SUBMIT_SECONDS", 0.2)

    async def run() -> None:
        async with _appd(FakeAppd(block_seconds=2), socket_path) as appd:
            await appd.sign_submit(CONTRACT, b"", 1)

    with pytest.raises(AppdError) as caught:
        asyncio.run(run())
    assert caught.value.failure == "unknown"


def _answering(data: str) -> Appd:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json={"data": data}))
    return Appd(httpx.AsyncClient(transport=transport, base_url="http://appd"))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"ok": b"\x01"}, Executed(b"\x01")),
        ({"ok": None}, Executed(b"")),
        ({"fail": {"module": "core", "code": 12}}, Failed("core", 12, "")),
        ({"fail": {"module": "evm", "code": 8, "message": "reverted: !"}}, Failed("evm", 8, "reverted: !")),
    ],
)
def test_results(result: dict[str, Any], expected: object) -> None:
    assert asyncio.run(_answering(cbor2.dumps(result).hex()).sign_submit(CONTRACT, b"", 1)) == expected


@pytest.mark.parametrize("odd", ["", "ff", "zz", cbor2.dumps({"unknown": {}}).hex(), cbor2.dumps([1]).hex(), "a1"])
def test_a_result_that_nobody_can_read_is_unknown(odd: str) -> None:
    with pytest.raises(AppdError) as caught:
        asyncio.run(_answering(odd).sign_submit(CONTRACT, b"", 1))
    assert caught.value.failure == "unknown"


def test_no_socket_is_unreachable(socket_path: str) -> None:
    async def run() -> None:
        appd = Appd.at(socket_path)
        try:
            await appd.sign_submit(CONTRACT, b"", 1)
        finally:
            await appd.close()

    with pytest.raises(AppdError) as caught:
        asyncio.run(run())
    assert caught.value.failure == "unreachable"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"x" * ((1 << 20) + 1), 413),
        (b"{}", 422),
        (b'{"key_id": "x"}', 422),
        (b'{"key_id": "x", "kind": "raw-512"}', 422),
    ],
)
def test_the_fakes_refusals(socket_path: str, body: bytes, status: int) -> None:
    async def run() -> httpx.Response:
        async with FakeAppd().serve(socket_path):
            transport = httpx.AsyncHTTPTransport(uds=socket_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://appd") as http:
                return await http.post("/rofl/v1/keys/generate", content=body)

    assert asyncio.run(run()).status_code == status


@pytest.mark.parametrize(("to", "accepted"), [("", True), ("0x", False), (CONTRACT, True), (CONTRACT[2:], True)])
def test_addresses_as_the_fake_takes_them(socket_path: str, to: str, accepted: bool) -> None:
    tx = {"kind": "eth", "data": {"gas_limit": 1, "to": to, "value": "0", "data": ""}}

    async def run() -> httpx.Response:
        async with FakeAppd().serve(socket_path):
            transport = httpx.AsyncHTTPTransport(uds=socket_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://appd") as http:
                return await http.post("/rofl/v1/tx/sign-submit", content=orjson.dumps({"tx": tx}))

    reply = asyncio.run(run())
    assert (reply.status_code == 200) is accepted
    if accepted:
        assert reply.json() == {"data": "a1626f6b40"}


def test_metadata_there_and_back(socket_path: str) -> None:
    async def run() -> Any:
        async with FakeAppd().serve(socket_path):
            transport = httpx.AsyncHTTPTransport(uds=socket_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://appd") as http:
                await http.post("/rofl/v1/metadata", json={"a": "b"})
                return (await http.get("/rofl/v1/metadata")).json()

    assert asyncio.run(run()) == {"a": "b"}

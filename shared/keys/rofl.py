"""The gateway's own X25519 key, to which owners seal their provider keys: derived inside ROFL, or from a variable.

https://github.com/oasisprotocol/oasis-sdk/blob/main/docs/rofl/features/appd.md#key-generation
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.errors import Code, GatewayError
from shared.keys.envelope import KEY_BYTES, public_key

KEY_ID = "ekai-gateway-encryption-key"

_BOOT_SECONDS = 30.0
_POLL_SECONDS = 0.25
_REST_SECONDS = 5.0  # after a failure: requests in between share its answer
_RULE = "=" * 40
_SILENT = "appd didn't answer"
NOT_INITIALIZED = "not initialized yet"
"""What appd answers while it boots."""
_USAGE = (
    "Register this key with setRoflKey(bytes pubkey, bool active) on EkaiControlPlane; owners seal provider keys to it."
)


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """The key pair, and whence it comes. The private half is in no repr.

    `retired` are private keys that still open what was sealed to them, while owners move to the present one.
    """

    private: bytes = field(repr=False)
    public: bytes
    source: Literal["rofl", "variable"]
    app_id: str = ""
    retired: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def private_keys(self) -> tuple[bytes, ...]:
        """All keys that may open an envelope, the present one first."""
        return (self.private, *self.retired)

    @property
    def public_hex(self) -> str:
        """The public key as wallets and the contract want it."""
        return f"0x{self.public.hex()}"


@dataclass(frozen=True, slots=True)
class KeyState:
    """Whether there is a key. `error` says why not, in words that may be shown."""

    key: GatewayKey | None
    inside_rofl: bool
    error: str = ""


class KeySource:
    """Gets the gateway's key when it is first asked for, and keeps it. All who ask meanwhile wait for the same answer.

    Inside ROFL (appd's socket is there) the variable is never looked at: another key would leave every secret unreadable.
    Outside it holds 32 bytes of hex, or several with commas between them: the present key, then retired ones.
    """

    def __init__(self, socket_path: str, variable: str | None, *, boot_seconds: float = _BOOT_SECONDS) -> None:
        self._socket_path = socket_path
        self._variable = variable
        self._boot_seconds = boot_seconds
        self._state: KeyState | None = None
        self._ask_again = 0.0
        self._asking: asyncio.Task[KeyState] | None = None
        self._last = _SILENT

    async def key(self) -> GatewayKey:
        """The key. Raises SAPPHIRE_UNAVAILABLE where there is none."""
        state = await self.state()
        if state.key is None:
            raise GatewayError(
                Code.SAPPHIRE_UNAVAILABLE, f"The gateway has no key to open secrets with: {state.error}."
            )
        return state.key

    async def state(self, patience: float | None = None) -> KeyState:
        """What is known after at most `patience` seconds (None: as long as appd may take to boot)."""
        if self._state is not None and (self._state.key is not None or time.monotonic() < self._ask_again):
            return self._state
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=patience)
        return done.pop().result() if done else KeyState(None, True, self._last)

    async def close(self) -> None:
        """Ends a question that is still open."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> KeyState:
        try:
            if _is_there(self._socket_path):
                self._state = await self._derived()
            else:
                self._state = _given(self._variable)
            self._ask_again = time.monotonic() + _REST_SECONDS
            return self._state
        finally:
            self._asking = None

    async def _derived(self) -> KeyState:
        from shared.keys.appd import Appd, AppdError  # with its HTTP client: only where a socket is there

        appd = Appd.at(self._socket_path)
        self._last = _SILENT
        try:
            async with asyncio.timeout(self._boot_seconds):
                while True:
                    try:
                        return _of(await appd.derive_key(KEY_ID), await appd.app_id())
                    except AppdError as error:
                        self._last = str(error)
                        if error.status and NOT_INITIALIZED not in error.text:  # a reply that waiting won't change
                            return KeyState(None, True, self._last)
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            return KeyState(None, True, f"{self._last} (for {self._boot_seconds:g} s)")
        finally:
            await appd.close()


def describe(state: KeyState) -> tuple[int, dict[str, Any]]:
    """Status and body of `GET /rofl/public-key`: inside or outside ROFL, with or without a key."""
    if state.key is not None:
        return 200, {
            "publicKey": state.key.public_hex,
            "publicKeyBytes": state.key.public.hex(),
            "isInsideRofl": state.inside_rofl,
            "isAvailable": True,
            "usage": _USAGE,
        }
    inside = "Look at appd's log with `oasis rofl machine logs`, and restart the machine if it goes on."
    outside = "Set ROFL_PRIVATE_KEY to 32 bytes of hex, or run inside ROFL with appd's socket at ROFL_SOCKET_PATH."
    return 503, {
        "error": "The gateway has no key.",
        "isInsideRofl": state.inside_rofl,
        "lastError": state.error,
        "hint": inside if state.inside_rofl else outside,
    }


def banner(key: GatewayKey) -> str:
    """What stands in the log at start, for whoever registers the key."""
    return f"{_RULE}\nROFL PUBLIC KEY (for contract registration): {key.public_hex}\n{_RULE}"


def read_private_key(text: str) -> bytes:
    """32 bytes from hex, with or without 0x. The ValueError doesn't repeat what was given."""
    try:
        raw = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("ROFL_PRIVATE_KEY is not 32 bytes of hex")
    return raw


def _is_there(socket_path: str) -> bool:
    return os.path.exists(socket_path)


def _given(variable: str | None) -> KeyState:
    if variable is None:
        return KeyState(None, False, "ROFL_PRIVATE_KEY is not set")
    try:
        private, *retired = (read_private_key(part) for part in variable.split(","))
    except ValueError as error:
        return KeyState(None, False, str(error))
    return KeyState(GatewayKey(private, public_key(private), "variable", retired=tuple(retired)), False)


def _of(private: bytes, app_id: str) -> KeyState:
    if len(private) != KEY_BYTES:
        return KeyState(None, True, "appd gave a key of another length")
    return KeyState(GatewayKey(private, public_key(private), "rofl", app_id), True)

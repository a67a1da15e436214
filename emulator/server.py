"""Runs the gateway: binds its address, says what mode it is in, and starts the workers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from resource import RLIMIT_CORE, setrlimit
from types import FrameType

import uvicorn
from uvicorn.supervisors import Multiprocess

from catalog.load import load
from catalog.serving import DEMO, served
from catalog.types import Catalog
from emulator.heads import BoundedHeads
from emulator.local import Place
from shared.keys.env import EnvKeys
from shared.keys.rofl import KeySource, banner
from shared.settings import Settings, environment
from shared.store.opening import prepare_store

_KEEP_ALIVE = 75
_DEMO_URL = "DEMO_UPSTREAM_URL"


class AddressError(Exception):
    """The address can't be listened on; the message says which and why."""


def run(settings: Settings, announce: Callable[[Place], None]) -> None:
    """Serves until it is told to stop; `announce` is called once the address is ours. Raises AddressError and StoreError."""
    setrlimit(RLIMIT_CORE, (0, 0))  # what crashes leaves no file with keys and prompts in it; workers inherit that
    prepare_store(settings)
    listener = bind(settings.host, settings.port)
    port = listener.getsockname()[1]
    os.environ["PORT"] = str(port)
    variables = environment()
    everything = load()
    if wants_demo(settings, everything, variables):
        variables[_DEMO_URL] = os.environ[_DEMO_URL] = f"http://127.0.0.1:{port}/{DEMO}"
    announce(Place(settings, port, served(everything, variables), variables))
    threading.Thread(target=_show_key, args=(settings,), daemon=True).start()
    config = uvicorn.Config(
        "emulator.app:create_for_good",
        factory=True,
        host=settings.host,
        port=port,
        workers=settings.workers,
        loop="uvloop",
        http=BoundedHeads,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=int(settings.shutdown_grace),
    )
    server = uvicorn.Server(config)
    if settings.workers == 1:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _already_obeyed)
        server.run([listener])
    else:
        Multiprocess(config, [listener]).run()


def _already_obeyed(number: int, frame: FrameType | None) -> None:
    """uvicorn raises the signal again once it has shut down in order; the process then ends with exit code 0."""


def _show_key(settings: Settings) -> None:
    """Prints the key that owners encrypt to, as soon as there is one (inside ROFL that may take a while)."""
    variable = settings.rofl_private_key
    source = KeySource(settings.rofl_socket_path, variable.get_secret_value() if variable else None)
    state = asyncio.run(source.state())
    if state.key is not None:
        print(banner(state.key), flush=True)  # noqa: T201 (for people)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises AddressError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise AddressError(
            f"{host}:{port} can't be listened on: {error.strerror or error}. PORT chooses another."
        ) from None
    listener.set_inheritable(True)
    return listener


def wants_demo(settings: Settings, catalog: Catalog, variables: Mapping[str, str]) -> bool:
    """Whether the demo provider is needed: local, and no key of a real one is there."""
    if settings.key_source != "env" or not settings.loopback:
        return False
    return not EnvKeys(served(catalog, variables).providers, variables).providers

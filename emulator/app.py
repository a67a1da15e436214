"""All functions as one Starlette app: found by their folders, mounted by what they export."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

import functions
from catalog.load import CatalogError, load
from catalog.serving import DEMO, served
from shared.context import Gateway, build, close
from shared.logs import configure
from shared.settings import Settings, environment
from shared.web import serve

if TYPE_CHECKING:
    from shared.receipts.worker import Worker

log = logging.getLogger("ekai.emulator")

_HOUR = 3600.0
_COLLECT_AFTER = 10_000, 20, 50
"""New objects before a young collection, and collections before the next older one. Requests make hardly a cycle, and the collector
took a tenth of their time."""


def found() -> list[BaseRoute]:
    """The routes of every folder in `functions/`, in the order of their names."""
    names = sorted(module.name for module in iter_modules(functions.__path__) if module.ispkg)
    return [route for name in names for route in import_module(f"functions.{name}.app").routes]


def create() -> Starlette:
    """The whole gateway, for `uvicorn --factory`."""
    settings = Settings()
    configure(settings)
    gateway = build(settings)
    routes = found()
    if DEMO in gateway.catalog.providers:
        from emulator.demo import routes as demo_routes

        routes.append(Mount(f"/{DEMO}", routes=demo_routes))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.gateway = gateway
        _reload_on_hangup(app)
        housekeeping = asyncio.create_task(_keep_house(gateway))
        receipts = _deliverer(gateway)
        if receipts is not None:
            receipts.start()
        try:
            yield
        finally:
            if receipts is not None:
                await receipts.stop(settings.shutdown_grace)
            housekeeping.cancel()
            with suppress(asyncio.CancelledError):
                await housekeeping
            await close(gateway)

    return serve(routes, lifespan)


def create_for_good() -> Starlette:
    """The gateway of a process that serves nothing else: the collector needn't look again and again at what stays as long as it."""
    app = create()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    return app


def _reload_on_hangup(app: Starlette) -> None:
    """SIGHUP reads the catalog anew, whole or not at all. (With several workers their parent replaces them one by one instead,
    and keeps an old one when its successor doesn't start.)"""

    def reload() -> None:
        try:
            catalog = served(load(check=True), environment())
        except CatalogError as error:
            log.error("the catalog is kept as it was: %s", error)
            return
        app.state.gateway = replace(app.state.gateway, catalog=catalog)
        log.info("the catalog was read anew: %d models", len(catalog.models))

    if threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


def _deliverer(gateway: Gateway) -> Worker | None:
    """Who brings receipts onto the chain, where there are any."""
    if not gateway.receipts_on:
        return None
    from shared.receipts.worker import worker_for  # with an HTTP client that nothing else here needs

    return worker_for(gateway.settings, gateway.store, gateway.clock)


async def _keep_house(gateway: Gateway) -> None:
    """Every hour: what has expired goes, and rows beyond USAGE_RETENTION_DAYS become totals."""
    while True:
        now = gateway.clock()
        try:
            await gateway.store.expire(int(now))
            if (days := gateway.settings.usage_retention_days) is not None:
                await gateway.store.prune(int((now - days * 86_400) * 1000))
        except Exception:  # the next hour is another chance; the gateway serves on
            log.exception("housekeeping failed")
        await asyncio.sleep(_HOUR)

"""Logs as JSON lines: no bodies, no keys, no tokens."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler
from pathlib import Path
from time import gmtime, strftime

import orjson

from shared.settings import Settings

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "color_message", "taskName"}


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class _NoProbes(logging.Filter):
    """Codex asks for a WebSocket first and is answered 426: uvicorn's two warnings about each such probe tell nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(("Unsupported upgrade request", "No supported WebSocket library"))


def configure(settings: Settings) -> None:
    """Sends our logs to standard error (or LOG_FILE) at LOG_LEVEL, those of libraries from `warning` on."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if settings.log_file:
        Path(settings.log_file).parent.mkdir(parents=True, exist_ok=True)
        handler = WatchedFileHandler(settings.log_file)
    handler.setFormatter(_Lines())
    handler.addFilter(_NoProbes())
    # What no line of ours shows needn't be found out (https://docs.python.org/3/howto/logging.html#optimization).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ekai").setLevel(settings.log_level.upper())

"""One thread that writes to SQLite for a whole process: what waits is committed together."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from shared.store.sqlite_file import connect

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

BATCH = 512
BUSY_MS = 10_000
KEPT = 10_000
"""Works that must not be lost and couldn't be written (a full disk, a lock), kept in memory for the next try."""

log = logging.getLogger("ekai.store")


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    keep: bool


_Answer = tuple[_Job, Any, BaseException | None]


class Writer:
    """Runs works in the order they came, many in one transaction, each in a savepoint of its own.

    A work may raise: only it is rolled back, and its caller gets the exception. When the database itself fails, every caller
    of the batch is told, and works with `keep` are tried again with the next batch.
    """

    def __init__(self, path: str) -> None:
        self._connection = connect(path, BUSY_MS)
        self._jobs: deque[_Job] = deque()
        self._signals: SimpleQueue[bool] = SimpleQueue()  # whether to look for jobs again after these
        self._called: asyncio.AbstractEventLoop | None = None  # who is about to wake the thread
        self._kept: list[Work[Any]] = []
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T], *, keep: bool = False) -> T:
        """The work's result, once it is committed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.append(_Job(work, loop, future, keep))
        if self._called is not loop:
            self._called = loop
            loop.call_soon(self._call)
        return await future

    def _call(self) -> None:
        """Wakes the thread, once for all that this round of the event loop has for it: waking costs more than writing a row."""
        self._called = None
        self._signals.put(True)

    def close(self) -> int:
        """Ends the thread after what is queued. Returns how many kept works could not be written."""
        self._signals.put(False)
        self._thread.join()
        if self._kept:
            self._commit([])
        self._connection.close()
        return len(self._kept)

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            open_for_more = self._signals.get()
            while self._jobs:
                self._commit([self._jobs.popleft() for _ in range(min(len(self._jobs), BATCH))])

    def _commit(self, batch: list[_Job]) -> None:
        answers: list[_Answer] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for work in self._kept:
                self._one(work)
            answers = [(job, *self._one(job.work)) for job in batch]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(batch, error)
            return
        self._kept.clear()
        _tell(answers)

    def _one(self, work: Work[Any]) -> tuple[Any, BaseException | None]:
        """The work in a savepoint. Raises when the database is at fault and not the work."""
        self._connection.execute("SAVEPOINT work")
        try:
            result = work(self._connection)
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            self._connection.execute("ROLLBACK TO work")
            self._connection.execute("RELEASE work")
            return None, error
        self._connection.execute("RELEASE work")
        return result, None

    def _give_up(self, batch: list[_Job], error: sqlite3.Error) -> None:
        log.error("the database can't be written: %s", error)
        if self._connection.in_transaction:
            self._connection.rollback()
        for job in batch:
            if job.keep and len(self._kept) < KEPT:
                self._kept.append(job.work)
        _tell([(job, None, error) for job in batch])


def _tell(answers: Sequence[_Answer]) -> None:
    """Wakes each event loop once, however many of its jobs are done."""
    for loop in {job.loop for job, _, _ in answers}:
        loop.call_soon_threadsafe(_settle, [answer for answer in answers if answer[0].loop is loop])


def _settle(answers: Sequence[_Answer]) -> None:
    for job, result, error in answers:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)

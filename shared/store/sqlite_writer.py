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
Kind = Callable[[sqlite3.Connection, Sequence[Any]], Sequence[Any]]
"""Does many works of one kind at once, on a connection in a transaction. Answers for each its result, or the exception that its caller
gets, who then has changed nothing."""

BATCH = 512
BUSY_MS = 10_000
KEPT = 10_000
"""Works that must not be lost and couldn't be written (a full disk, a lock), kept in memory for the next try."""

log = logging.getLogger("ekai.store")


@dataclass(slots=True)
class _Job:
    kind: Kind
    item: Any
    keep: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


_Answer = tuple[_Job, Any]


def _each(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Any]:
    return [work(connection) for work in works]


class Writer:
    """Runs works, many in one transaction, those of one kind together: `kinds` in this order, what has no kind before them.

    A work may raise: only it is undone, and its caller gets the exception. When the database itself fails, every caller
    of the batch is told, and works with `keep` are tried again with the next batch.
    """

    def __init__(self, path: str, *kinds: Kind) -> None:
        self._connection = connect(path, BUSY_MS)
        self._kinds = (_each, *kinds)
        self._jobs: deque[_Job] = deque()
        self._signals: SimpleQueue[bool] = SimpleQueue()  # whether to look for jobs again after these
        self._called: asyncio.AbstractEventLoop | None = None  # who is about to wake the thread
        self._kept: list[_Job] = []
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """The work's result, once it is committed."""
        result: T = await self.add(_each, work)
        return result

    async def add(self, kind: Kind, item: Any, *, keep: bool = False) -> Any:
        """The result of a work of one of the kinds, once it is committed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.append(_Job(kind, item, keep, loop, future))
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
        jobs = [*self._kept, *batch]
        try:
            try:
                answers = self._done(jobs, self._together)
            except sqlite3.OperationalError:
                raise
            except Exception:  # one of them is to blame: each for itself
                self._connection.rollback()
                answers = self._done(jobs, self._apart)
        except sqlite3.Error as error:
            self._give_up(batch, error)
            return
        self._kept.clear()
        _tell(answers)

    def _done(self, jobs: Sequence[_Job], how: Callable[[Kind, Sequence[_Job]], Sequence[Any]]) -> list[_Answer]:
        self._connection.execute("BEGIN IMMEDIATE")
        answers: list[_Answer] = []
        for kind in self._kinds:
            these = [job for job in jobs if job.kind is kind]
            if these:
                answers += zip(these, how(kind, these), strict=True)
        self._connection.execute("COMMIT")
        return answers

    def _together(self, kind: Kind, jobs: Sequence[_Job]) -> Sequence[Any]:
        return kind(self._connection, [job.item for job in jobs])

    def _apart(self, kind: Kind, jobs: Sequence[_Job]) -> Sequence[Any]:
        return [self._one(kind, job.item) for job in jobs]

    def _one(self, kind: Kind, item: Any) -> Any:
        """The work in a savepoint. Raises when the database is at fault and not the work."""
        self._connection.execute("SAVEPOINT work")
        try:
            [result] = kind(self._connection, [item])
        except sqlite3.OperationalError:
            raise
        except Exception as error:
            self._connection.execute("ROLLBACK TO work")
            result = error
        self._connection.execute("RELEASE work")
        return result

    def _give_up(self, batch: list[_Job], error: sqlite3.Error) -> None:
        log.error("the database can't be written: %s", error)
        if self._connection.in_transaction:
            self._connection.rollback()
        self._kept += [job for job in batch if job.keep][: KEPT - len(self._kept)]
        _tell([(job, error) for job in batch])


def _tell(answers: Sequence[_Answer]) -> None:
    """Wakes each event loop once, however many of its jobs are done. (Those that were kept were answered when that failed.)"""
    waiting = [answer for answer in answers if not answer[0].future.done()]
    for loop in {job.loop for job, _ in waiting}:
        loop.call_soon_threadsafe(_settle, [answer for answer in waiting if answer[0].loop is loop])


def _settle(answers: Sequence[_Answer]) -> None:
    for job, result in answers:
        if job.future.done():
            continue
        if isinstance(result, BaseException):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)

"""Group commit: the writes of many requests in one transaction, durable when their askers hear of it.

Writes are gathered on the event loop; one thread commits a group while the next one gathers, and wakes the loop once
for all of it. Thread and loop share one interpreter: many small groups would cost each request more than the database
does, so that under load a group begins at most every few milliseconds. Who is alone never waits.

A group that fails is tried once more on a new connection. Whatever was asked for may be there already, so that a
handler's statements must be idempotent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from sightline import metrics
from sightline.errors import StoreUnavailable
from sightline.log import get_logger
from sightline.store.database import Database

log = get_logger(__name__)

WAIT_S = 0.8
"""How long a write waits to be begun before its asker is refused: an answer is due within a second."""
MAX_GROUP = 512
GROUP_INTERVAL_S = 0.004
"""The least time from one group's begin to the next one's, where the last had more than one write."""
RETRY_WITHIN_S = 0.15
"""A group that failed within this is tried again: a broken connection is noticed at once. What waited longer, for a
lock or a disk, would keep its askers longer than they wait."""


class Write(msgspec.Struct, kw_only=True, eq=False):
    """One thing to be written. The handler sets `error` where it is refused; it must then have no effect.

    One that `can_wait` is never refused for being late.
    """

    done: asyncio.Future[None] | None = None
    asked_s: float = 0.0
    error: Exception | None = None
    can_wait: bool = False


class BatchHandler(Protocol):
    """What the writes of a `GroupCommitter` mean."""

    def apply(self, connection: Connection, writes: Sequence[Any]) -> None:
        """Write a group within a transaction. Called by the committer's thread.

        It is idempotent: a group may be applied again after it was committed.
        """
        ...


class GroupCommitter:
    """Writes to one database from one thread. Every method is called on the event loop `start` was called on."""

    def __init__(self, database: Database, handler: BatchHandler) -> None:
        self._database = database
        self._handler = handler
        self._waiting: list[Write] = []
        self._groups: SimpleQueue[list[Write] | None] = SimpleQueue()
        self._running: asyncio.Future[None] | None = None
        self._begun_s = 0.0
        self._was_alone = True
        self._next: asyncio.Handle | None = None
        self._late: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self.is_stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def stop(self) -> None:
        """Finish what was asked for, take nothing more, and end the thread."""
        self.is_stopping = True
        while self._waiting or self._running is not None:
            if self._running is None:
                self._begin()
            assert self._running is not None
            await asyncio.shield(self._running)
        self._groups.put(None)
        await asyncio.to_thread(self._thread.join)

    def write(self, write: Write) -> asyncio.Future[None]:
        """Ask for `write`; the future is done when it is durable.

        It raises:
            StoreUnavailable: it was not carried out, or that cannot be known for now.
            Exception: what the handler set.
        """
        assert self._loop is not None
        write.done = self._loop.create_future()
        if self.is_stopping:
            _end(write, StoreUnavailable())
            return write.done
        write.asked_s = time.monotonic()
        self._waiting.append(write)
        if self._running is None:
            self._plan()
        else:
            self._watch_the_late()
        return write.done

    def _plan(self) -> None:
        """Begin the next group: as soon as this turn of the loop is over, or when it is time again."""
        if self._next is not None:
            return
        assert self._loop is not None
        pause_s = 0.0 if self._was_alone else self._begun_s + GROUP_INTERVAL_S - time.monotonic()
        if pause_s > 0:
            self._next = self._loop.call_later(pause_s, self._begin)
        else:
            self._next = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        assert self._loop is not None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._running is not None or not self._waiting:
            return
        group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        self._was_alone = len(group) == 1
        self._begun_s = time.monotonic()
        self._running = self._loop.create_future()
        self._groups.put(group)
        self._watch_the_late()

    def _watch_the_late(self) -> None:
        """Wake when the first of those who wait behind a group has waited too long."""
        if self._late is None and self._waiting:
            assert self._loop is not None
            first_s = min((write.asked_s for write in self._waiting if not write.can_wait), default=None)
            if first_s is not None:
                pause_s = max(first_s + WAIT_S - time.monotonic(), 0.001)
                self._late = self._loop.call_later(pause_s, self._refuse_the_late)

    def _refuse_the_late(self) -> None:
        """Refuse who has waited too long behind a group that still runs."""
        self._late = None
        now_s = time.monotonic()
        late = [write for write in self._waiting if not write.can_wait and now_s - write.asked_s >= WAIT_S]
        if late:
            self._waiting = [write for write in self._waiting if write not in late]
            for write in late:
                metrics.ledger_written(now_s - write.asked_s)
                _end(write, StoreUnavailable())
        self._watch_the_late()

    def _run(self) -> None:
        assert self._loop is not None
        for group in iter(self._groups.get, None):
            failed_slowly = self._commit(group)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._finish, group, failed_slowly)

    def _commit(self, group: list[Write]) -> StoreUnavailable | None:
        """Write a group, if need be again; returns why it failed if it took so long that others need not try."""
        began_s = time.monotonic()
        for _ in range(2):
            _set_error(group, None)
            try:
                self._database.transaction(lambda connection: self._handler.apply(connection, group))
                return None
            except StoreUnavailable as error:
                _set_error(group, error)
                if time.monotonic() - began_s > RETRY_WITHIN_S:
                    return error
            except Exception as error:  # a bug of ours must not end the thread that every answer waits for
                log.exception("ledger_writer_failed")
                _set_error(group, error)
                return None
        return None

    def _finish(self, group: list[Write], failed_slowly: StoreUnavailable | None) -> None:
        if failed_slowly is not None:  # those who wait would meet it too, long after their time
            _set_error(self._waiting, failed_slowly)
            group += self._waiting
            self._waiting = []
        if self._late is not None:
            self._late.cancel()
            self._late = None
        now_s = time.monotonic()
        for write in group:
            metrics.ledger_written(now_s - write.asked_s)
            _end(write, write.error)
        running, self._running = self._running, None
        assert running is not None
        running.set_result(None)
        if self._waiting:
            self._plan()


def _set_error(group: Sequence[Write], error: Exception | None) -> None:
    for write in group:
        write.error = error


def _end(write: Write, error: Exception | None) -> None:
    done = write.done
    assert done is not None
    if done.done():  # its asker was cancelled
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # nobody may be left to hear of it; asyncio would complain in the log

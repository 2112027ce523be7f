"""Grouped commits: the writes of many requests in one transaction, durable when their asker hears of it.

What comes in is gathered on the event loop; one thread carries a group out while the next one gathers, and wakes the
loop once for all of it. Thread and loop share one interpreter: many small groups would cost each request more than
the database does, so that under load a group is begun at most every few milliseconds. Who is alone never waits.

A group that fails is tried once more on a new connection, carefully: whatever was asked for may be there already.
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
MOST_AT_ONCE = 512
APART_S = 0.004
"""The least time from one group's begin to the next one's, where the last had more than one write."""
AGAIN_WITHIN_S = 0.15
"""A group that failed within this is tried again: a broken connection is noticed at once. What waited longer, for a
lock or a disk, would keep its askers longer than they wait."""


class Write(msgspec.Struct, kw_only=True, eq=False):
    """One thing to be written. Who carries it out sets `error` where it is refused; it must then have no effect.

    One that `can_wait` has nobody left who waits for it, and is never refused for being late.
    """

    done: asyncio.Future[None] | None = None
    asked_s: float = 0.0
    error: Exception | None = None
    can_wait: bool = False


class Unsure(Exception):
    """Not all was as a quick writing takes it to be: roll back, and write carefully."""


class Carrier(Protocol):
    """What the writes of a `Writer` mean."""

    def carry_out(self, connection: Connection, writes: Sequence[Any], careful: bool) -> Any:
        """Write a group within a transaction; what is returned `done` is told. Called by the writer's thread.

        `careful` is to take nothing for granted, and to find out what an earlier try has done.

        Raises:
            Unsure: it must be careful, and is not.
        """
        ...

    def look_after(self) -> None:
        """Something was not as it should be: take back what may have been lost. Called by the writer's thread.

        Raises:
            StoreUnavailable: the database failed.
        """
        ...

    def done(self, writes: Sequence[Any], carried_out: Any | None) -> None:
        """A group is over: what `carry_out` returned is durable; None where it failed or that is not known.

        Called on the event loop, before those hear of it who asked and before the next group begins.
        """
        ...


class Writer:
    """Writes to one database from one thread. Every method is called on the event loop `start` was called on.

    What they mean is the `carrier`'s.
    """

    def __init__(self, database: Database, carrier: Carrier) -> None:
        self._database = database
        self._carrier = carrier
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
            Exception: what `carry_out` set.
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
        pause_s = 0.0 if self._was_alone else self._begun_s + APART_S - time.monotonic()
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
        group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
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
        with self._database.one_connection():
            for group in iter(self._groups.get, None):
                began_s = time.monotonic()
                carried_out, failure = self._try(group, began_s)
                # Those who wait would meet it too, long after their time.
                failed_slowly = failure if time.monotonic() - began_s > AGAIN_WITHIN_S else None
                if not self._loop.is_closed():
                    self._loop.call_soon_threadsafe(self._finish, group, carried_out, failed_slowly)

    def _try(self, group: list[Write], began_s: float) -> tuple[Any | None, StoreUnavailable | None]:
        """Write a group, if need be again; what came of it, and why it failed."""
        careful = has_failed = False
        try:
            while True:
                try:
                    return self._transact(group, careful), None
                except Unsure:
                    if careful:
                        raise
                except StoreUnavailable:
                    if has_failed or time.monotonic() - began_s > AGAIN_WITHIN_S:
                        raise
                    has_failed = True
                self._carrier.look_after()
                careful = True
        except StoreUnavailable as error:
            _fail(group, error)
            return None, error
        except Exception as error:  # a bug of ours must not end the thread that every answer waits for
            log.exception("ledger_writer_failed")
            _fail(group, error)
        return None, None

    def _transact(self, group: list[Write], careful: bool) -> Any:
        for write in group:
            write.error = None
        return self._database.transaction(lambda connection: self._carrier.carry_out(connection, group, careful))

    def _finish(self, group: list[Write], carried_out: Any | None, failed_slowly: StoreUnavailable | None) -> None:
        self._carrier.done(group, carried_out)
        if failed_slowly is not None:
            _fail(self._waiting, failed_slowly)
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


def _fail(group: Sequence[Write], error: Exception) -> None:
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

"""Grouped commits: the writes of many requests in one transaction, durable when their asker hears of it.

A thread takes whatever has come in while it was committing the last group. Rows of the same statement go to the
database together, so that a hundred answers cost little more than one. A group that fails is tried once more on a new
connection; every write may be carried out twice.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.base import Executable

from sightline import metrics
from sightline.errors import StoreUnavailable
from sightline.log import get_logger
from sightline.store.database import Database

log = get_logger(__name__)

WAIT_S = 1.0
"""How long a write waits to be begun before its asker is refused."""
MOST_AT_ONCE = 512
AGAIN_WITHIN_S = 0.15
"""A group that failed within this is tried again: a broken connection is noticed at once. What waited longer, for a
lock or a disk, would keep its askers longer than they wait."""


class Undone(Exception):
    """A row that was to be changed is not there any more in that state."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One row for `statement`. Those of a lower `order` come first in a transaction.

    Where `must_match`, a statement that changes no row undoes everything its asker wanted with it, unless `is_done`
    finds that an earlier try had done it.
    """

    statement: Executable
    row: dict[str, Any]
    order: int
    must_match: bool = False
    is_done: Callable[[Connection], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Work:
    """Anything that takes more than one statement. What it raises reaches its asker, and it must not have written."""

    run: Callable[[Connection], None]
    order: int


Write = Rows | Work


@dataclass(eq=False, slots=True)
class _Group:
    """What one asker wants done together, or not at all."""

    writes: Sequence[Write]
    done: asyncio.Future[None]
    asked_s: float = field(default_factory=time.monotonic)
    begun: bool = False
    given_up: bool = False
    error: Exception | None = field(default=None)


class Writer:
    """Writes to one database from one thread. `write` is called on the event loop `start` was called on."""

    def __init__(self, database: Database, on_lost: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._on_lost = on_lost
        self._lock = threading.Condition()
        self._waiting: list[_Group] = []
        self._stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def is_stopping(self) -> bool:
        """Whether it takes nothing more."""
        return self._stopping

    async def stop(self) -> None:
        """Finish what was asked for and end the thread."""
        with self._lock:
            self._stopping = True
            self._lock.notify()
        await asyncio.to_thread(self._thread.join)

    async def write(self, *writes: Write) -> None:
        """Carry out `writes` in one transaction, all or none; returns when they are durable.

        Raises:
            StoreUnavailable: they were not carried out, or that cannot be known for now.
            Exception: what a `Work` raised.
        """
        group = self._submit(writes)
        try:
            await asyncio.wait_for(asyncio.shield(group.done), WAIT_S)
        except TimeoutError:
            with self._lock:
                group.given_up = not group.begun
            if group.given_up:
                raise StoreUnavailable() from None
            await group.done

    def submit(self, *writes: Write) -> asyncio.Future[None]:
        """Ask for `writes` without waiting; for what has nobody left to hear of it."""
        return self._submit(writes).done

    def _submit(self, writes: Sequence[Write]) -> _Group:
        assert self._loop is not None
        group = _Group(writes, self._loop.create_future())
        group.done.add_done_callback(_retrieve)
        with self._lock:
            if self._stopping:
                group.done.set_exception(StoreUnavailable())
                return group
            self._waiting.append(group)
            self._lock.notify()
        return group

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._stopping:
                    self._lock.wait()
                if not self._waiting:
                    return
                groups = [group for group in self._waiting[:MOST_AT_ONCE] if not group.given_up]
                del self._waiting[:MOST_AT_ONCE]
                for group in groups:
                    group.begun = True
            if groups:
                self._carry_out(groups)
                self._tell(groups)

    def _carry_out(self, groups: list[_Group]) -> None:
        began = time.monotonic()
        try:
            try:
                self._try(groups)
            except StoreUnavailable:
                if time.monotonic() - began > AGAIN_WITHIN_S:
                    raise
                self._on_lost()
                self._try(groups)
        except StoreUnavailable as error:
            groups += self._give_up_waiting(began)
            _fail(groups, error)
        except Exception as error:  # a bug of ours must not end the thread that every answer waits for
            log.exception("ledger_writer_failed")
            _fail(groups, error)

    def _give_up_waiting(self, began: float) -> list[_Group]:
        """Take those that have waited behind a slow failure: they would meet it too, long after their time."""
        if time.monotonic() - began <= AGAIN_WITHIN_S:
            return []
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _try(self, groups: list[_Group]) -> None:
        """Write all together; should a row not match, again with each group by itself within the transaction."""
        for group in groups:
            group.error = None
        try:
            self._database.transaction(lambda connection: _together(connection, groups))
        except Undone:
            self._database.transaction(lambda connection: _one_by_one(connection, groups))

    def _tell(self, groups: list[_Group]) -> None:
        now_s = time.monotonic()
        for group in groups:
            metrics.ledger_written(now_s - group.asked_s)
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_settle, groups)


def _together(connection: Connection, groups: Sequence[_Group]) -> None:
    rows = [write for group in groups for write in group.writes if isinstance(write, Rows)]
    works = [(write, group) for group in groups for write in group.writes if isinstance(write, Work)]
    orders = sorted({write.order for group in groups for write in group.writes})
    for order in orders:
        for work, group in works:
            if work.order == order and group.error is None:
                _run(work, connection, group)
        these = sorted((row for row in rows if row.order == order), key=lambda row: id(row.statement))
        for _, same in groupby(these, key=lambda row: id(row.statement)):
            many = list(same)
            result = connection.execute(many[0].statement, [row.row for row in many])
            if many[0].must_match and result.rowcount != len(many):
                raise Undone
    if any(group.error is not None and len(group.writes) > 1 for group in groups):
        raise Undone  # what a refused asker wanted beside must not stay


def _one_by_one(connection: Connection, groups: Sequence[_Group]) -> None:
    for group in groups:
        group.error = None
        savepoint = connection.begin_nested()
        for write in sorted(group.writes, key=lambda write: write.order):
            if isinstance(write, Work):
                _run(write, connection, group)
            elif not connection.execute(write.statement, write.row).rowcount and write.must_match:
                group.error = None if write.is_done(connection) else StoreUnavailable()
                break
            if group.error is not None:
                break
        if group.error is None:
            savepoint.commit()
        else:
            savepoint.rollback()


def _run(work: Work, connection: Connection, group: _Group) -> None:
    try:
        work.run(connection)
    except OSError:
        raise
    except Exception as error:
        if hasattr(error, "orig"):  # of the database: the whole transaction is lost
            raise
        group.error = error


def _fail(groups: Sequence[_Group], error: Exception) -> None:
    for group in groups:
        group.error = error


def _settle(groups: Sequence[_Group]) -> None:
    for group in groups:
        if group.done.done():
            continue
        if group.error is None:
            group.done.set_result(None)
        else:
            group.done.set_exception(group.error)


def _retrieve(future: asyncio.Future[None]) -> None:
    """Nobody may be left to hear of a failure; asyncio would complain in the log."""
    if not future.cancelled():
        future.exception()

"""The ledger: one row a request, reserved before work begins, settled once, never changed after that.

No row, no answer: `reserve` and `settle` return when the row is durable, and whoever sends the answer waits for that
before the last byte. A process that dies leaves rows reserved; they are marked interrupted and cost nothing.

Source: contract.md section 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, case, delete, literal, select, update

from sightline.core import SpendingLimit, Usage
from sightline.errors import IdempotencyConflict, QuotaExceeded, StoreUnavailable
from sightline.metering.prices import Cost
from sightline.metering.quota import period_of
from sightline.store.database import Database
from sightline.store.group_commit import WAIT_S, GroupCommitter, Write
from sightline.store.liveness import Liveness
from sightline.store.tables import idempotency, key_spend, ledger

OutcomeName = Literal["completed", "failed", "cancelled", "interrupted"]
Account = tuple[str, str]
"""A key's id and the period of its spending limit."""
RETRY_S = 1.0
"""How long to wait before what a database did not take is offered again."""
MAX_RETRY_QUEUE = 1_000
"""Outcomes that are tried again and again; each is a kilobyte, and a timer of `RETRY_S`."""
KEPT = timedelta(hours=24)
"""How long a first answer is kept for its Idempotency-Key."""
MAX_FORGOTTEN, MAX_ROUNDS = 2_000, 50
"""Rows at a time, as many as a statement has time for, and times at every clearing."""
_UNUSED, _FREE = Usage(0, 0), Cost(0, 0)
_RESERVED = ledger.c.outcome == "reserved"


class IdempotencyKey(msgspec.Struct, frozen=True):
    """An Idempotency-Key and the SHA-256 of the body that came with it."""

    key: str
    body_sha256: bytes


class Entry(msgspec.Struct, frozen=True):
    """A request to be reserved: whose it is and what it may take."""

    id: str
    request_id: str
    key_id: str
    model: str
    created_at: datetime
    estimated_tokens: int
    estimated_nanos: int
    limit: SpendingLimit | None = None
    idempotency_key: IdempotencyKey | None = None

    @property
    def account(self) -> Account | None:
        """That which it counts towards, if its key has a spending limit."""
        return None if self.limit is None else (self.key_id, period_of(self.limit.period, self.created_at))

    @property
    def may_be_refused(self) -> bool:
        """Whether its reservation is more than a note: by its spending limit, or for its Idempotency-Key."""
        return self.idempotency_key is not None or (self.limit is not None and self.estimated_nanos > 0)


class Outcome(msgspec.Struct, frozen=True):
    """How a request ended and what is charged.

    `images` are their digests and sizes, never pixels; `answer` is kept if the request had an Idempotency-Key.
    """

    name: OutcomeName
    status: int
    usage: Usage = _UNUSED
    cost: Cost = _FREE
    error: str | None = None
    images: Sequence[Mapping[str, Any]] = ()
    timings_ms: dict[str, float] | None = None
    answer: bytes | None = None
    media_type: str | None = None


class ReserveWrite(Write):
    """A row to be made."""

    entry: Entry


class SettleWrite(Write):
    """A row to be ended. One that can wait is done as well where somebody else has ended the row."""

    entry: Entry
    outcome: Outcome
    at: datetime


class Replay(Exception):
    """The request was answered before; this is the answer, byte for byte."""

    def __init__(self, media_type: str, answer: bytes) -> None:
        super().__init__("answered before")
        self.media_type = media_type
        self.answer = answer


REFUSALS = (QuotaExceeded, IdempotencyConflict, Replay)
"""What a reservation may be answered with instead of a row."""


class Ledger:
    """The rows of one database, written by this process as the server that `liveness` has a number for.

    `running` are the ids of rows that this process has reserved, or may have, and has not ended.
    """

    def __init__(self, database: Database, liveness: Liveness, committer: GroupCommitter, running: set[str]) -> None:
        """`committer` writes by a `LedgerWriter` of the same liveness and the same `running`."""
        self._database = database
        self._liveness = liveness
        self._committer = committer
        self._running = running
        self._retry_queue: dict[str, Callable[[], asyncio.Future[None]]] = {}
        """Outcomes that the database has not taken, by row: what offers each again."""

    async def close(self) -> None:
        """Write down what waits in the retry queue; after the last request has ended."""
        offers = [offer() for offer in tuple(self._retry_queue.values())]
        await asyncio.gather(*offers, return_exceptions=True)

    @property
    def is_behind(self) -> bool:
        """Whether so many outcomes wait for a database that takes none that no more requests may begin."""
        return len(self._retry_queue) >= MAX_RETRY_QUEUE

    def reserve(self, entry: Entry, *, can_wait: bool = False) -> asyncio.Future[None]:
        """Write a request down before work on it begins; the row is durable when the future is done.

        One that `can_wait` is not refused for waiting long.

        It raises:
            QuotaExceeded: its key's spending limit does not cover the estimate.
            IdempotencyConflict: its Idempotency-Key is taken by another body or by a request that still runs.
            Replay: its Idempotency-Key has an answer already.
            StoreUnavailable: the row could not be written.
        """
        self._running.add(entry.id)
        done = self._committer.write(ReserveWrite(entry=entry, can_wait=can_wait))
        done.add_done_callback(lambda done: self._reserved(entry.id, done))
        return done

    def _reserved(self, row_id: str, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and isinstance(done.exception(), REFUSALS):
            self._running.discard(row_id)

    async def replay(self, key_id: str, idempotency_key: IdempotencyKey) -> None:
        """Find the answer to a request that was made before, whatever would keep it from being made now.

        Raises:
            Replay: it was answered. Whether it still runs, or was another request, is `reserve`'s to say.
            StoreUnavailable: the database failed.
        """
        table = idempotency.c
        mine = (table.key_id == key_id) & (table.idempotency_key == idempotency_key.key)
        same = mine & (table.body_sha256 == idempotency_key.body_sha256)
        kept = table.answer.is_not(None) & (table.created_at >= datetime.now(UTC) - KEPT)
        wanted = select(table.media_type, table.answer).where(same & kept)
        try:
            async with asyncio.timeout(WAIT_S):
                first = await self._database.run_read(lambda connection: connection.execute(wanted).one_or_none())
        except TimeoutError as error:
            raise StoreUnavailable from error
        if first is not None:
            raise Replay(first.media_type, first.answer)

    def settle(self, entry: Entry, outcome: Outcome, *, can_wait: bool = False) -> asyncio.Future[None]:
        """Write down how a request ended; that is durable when the future is done.

        It raises:
            StoreUnavailable: the row could not be written, or was marked interrupted: nothing is charged.
        """
        # Never a time before the request began: clocks are set back at times.
        at = max(datetime.now(UTC), entry.created_at)
        done = self._committer.write(SettleWrite(entry=entry, outcome=outcome, at=at, can_wait=can_wait))
        done.add_done_callback(lambda done: self._settled(entry.id, done))
        return done

    def _settled(self, row_id: str, done: asyncio.Future[None]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._running.discard(row_id)

    def settle_later(self, entry: Entry, outcome: Outcome) -> None:
        """As `settle`, for a request with nobody left to tell: tried until the database takes it."""

        def offer() -> asyncio.Future[None]:
            return self.settle(entry, outcome, can_wait=True)

        def try_it() -> None:
            offer().add_done_callback(look)

        def look(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is not None and not self._committer.is_stopping:
                asyncio.get_running_loop().call_later(RETRY_S, try_it)
                self._retry_queue[entry.id] = offer
            else:
                self._retry_queue.pop(entry.id, None)

        try_it()

    def clear(self) -> int:
        """Mark what dead servers left as interrupted, drop answers kept long enough; returns the rows marked.

        So is a row of this process that nobody runs: its reservation was given up, and came about after all.

        Raises:
            StoreUnavailable: the database failed.
        """
        reserved = select(ledger.c.id, ledger.c.server).where(_RESERVED)
        running = self._running.copy()
        rows = self._database.read(lambda connection: connection.execute(reserved).all())
        mine = {row.id for row in rows if row.server == self._liveness.number}
        lost = mine - running - self._running
        dead = self._liveness.dead({row.server for row in rows})
        marked = 0
        if lost or dead:

            def mark(connection: Connection) -> int:
                theirs = ledger.c.server.in_(self._liveness.claim(connection, dead))
                return interrupt(connection, theirs | ledger.c.id.in_(lost))

            marked = self._database.transaction(mark)
        with suppress(StoreUnavailable):  # logged where it failed; they do no harm until the next time
            for _ in range(MAX_ROUNDS):
                if self._database.transaction(_forget) < MAX_FORGOTTEN:
                    break
        return marked


def interrupt(connection: Connection, condition: ColumnElement[bool]) -> int:
    """Mark reserved rows as interrupted and give back what is reserved for them; returns how many."""
    now = literal(datetime.now(UTC), ledger.c.created_at.type)
    # Another machine's clock may be ahead.
    ended_at = case((ledger.c.created_at > now, ledger.c.created_at), else_=now)
    ended = {"outcome": "interrupted", "status": 500, "error": "interrupted", "ended_at": ended_at}
    columns = (ledger.c.id, ledger.c.key_id, ledger.c.spend_period, ledger.c.estimated_nanos)
    marking = update(ledger).where(_RESERVED, condition).values(ended).returning(*columns)
    rows = connection.execute(marking).all()
    if rows:
        connection.execute(delete(idempotency).where(idempotency.c.ledger_id.in_([row.id for row in rows])))
    for row in sorted(rows, key=lambda row: (row.key_id, row.spend_period or "")):
        account = (key_spend.c.key_id == row.key_id) & (key_spend.c.period == row.spend_period)
        given_back = key_spend.c.reserved_nanos - row.estimated_nanos
        connection.execute(update(key_spend).where(account).values(reserved_nanos=given_back))
    return len(rows)


def _forget(connection: Connection) -> int:
    """Drop first answers that were kept long enough, `MAX_FORGOTTEN` at most; returns how many."""
    answered = idempotency.c.answer.is_not(None)
    old = select(idempotency.c.ledger_id).where(idempotency.c.created_at < datetime.now(UTC) - KEPT, answered)
    dropped = connection.execute(delete(idempotency).where(idempotency.c.ledger_id.in_(old.limit(MAX_FORGOTTEN))))
    return dropped.rowcount

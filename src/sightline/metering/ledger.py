"""The ledger: one row a request, reserved before work begins, settled once, never changed after that.

No row, no answer: `reserve` and `settle` return when the row is durable, and whoever sends the answer waits for that
before the last byte. A process that dies leaves rows reserved; they are marked interrupted and cost nothing.

Source: contract.md section 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, case, delete, func, literal, select, union, update

from sightline.core import Period, SpendingLimit, Usage
from sightline.errors import StoreUnavailable
from sightline.metering.leases import Grant, Lease, Leases
from sightline.metering.prices import Cost
from sightline.store.database import Database
from sightline.store.presence import Presence
from sightline.store.tables import idempotency, key_leases, key_spend, ledger
from sightline.store.writer import WAIT_S, Write, Writer
from sightline.timers import Later

Outcome = Literal["completed", "failed", "cancelled", "interrupted"]
SOON_S = 0.02
"""How long a plain answer may take to have its row written in one go."""
AGAIN_S = 1.0
"""How long to wait before what a database did not take is offered again."""
MOST_OWED = 1_000
"""Endings that are tried again and again; each is a kilobyte, and a timer of `AGAIN_S`."""
KEPT = timedelta(hours=24)
"""How long a first answer is kept for its Idempotency-Key."""
MOST_FORGOTTEN, MOST_TIMES = 2_000, 50
"""Rows at a time, as many as a statement has time for, and times at every clearing."""
_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m", "total": "total"}
_UNUSED, _FREE = Usage(0, 0), Cost(0, 0)


class Once(msgspec.Struct, frozen=True):
    """An Idempotency-Key and the SHA-256 of the body that came with it."""

    key: str
    body_sha256: bytes


class Entry(msgspec.Struct, frozen=True):
    """A request to be reserved: whose it is, what it may take, and the promises made for it."""

    id: str
    request_id: str
    key_id: str
    model: str
    created_at: datetime
    estimated_tokens: int
    estimated_nanos: int
    limit: SpendingLimit | None = None
    once: Once | None = None
    grant: Grant = msgspec.field(default_factory=Grant)


class Ending(msgspec.Struct, frozen=True):
    """How a request ended and what is charged.

    `images` are their digests and sizes, never pixels; `answer` is kept if the request had an Idempotency-Key.
    """

    outcome: Outcome
    status: int
    usage: Usage = _UNUSED
    cost: Cost = _FREE
    error: str | None = None
    images: Sequence[Mapping[str, Any]] = ()
    timings_ms: dict[str, float] | None = None
    answer: bytes | None = None
    media_type: str | None = None


class RowWrite(Write):
    """Something that happens to a row."""

    entry: Entry

    @property
    def lease(self) -> Lease | None:
        """That of the account which the request is counted towards."""
        return self.entry.grant.lease


class Reservation(RowWrite):
    """A row to be made."""


class Ended(RowWrite):
    """A row's end, and whose it is."""

    ending: Ending
    at: datetime


class Settlement(Ended):
    """A row to be ended. One that can wait is done as well where somebody else has ended the row."""


class Whole(Ended):
    """A row to be made and ended at once: its request has come to its end before it was reserved.

    One that can wait is written even where its account does not have what it costs.
    """


class Replay(Exception):
    """The request was answered before; this is the answer, byte for byte."""

    def __init__(self, media_type: str, answer: bytes) -> None:
        super().__init__("answered before")
        self.media_type = media_type
        self.answer = answer


class Ledger:
    """The rows of one database, written by this process under its `presence`."""

    def __init__(self, database: Database, presence: Presence, writer: Writer) -> None:
        """`writer` carries out by a `Posting` of the same database and presence."""
        self._database = database
        self._presence = presence
        self._writer = writer
        self._leases = Leases(writer.write)
        self._owed: dict[str, Callable[[], asyncio.Future[None]]] = {}
        """Endings that the database has not taken, by row: what offers each again."""
        self.soon: Later[Callable[[], None]] = Later(SOON_S, lambda call: call())

    async def close(self) -> None:
        """Write down what is owed, and give back what is set aside; after the last request has ended."""
        await asyncio.gather(*(offer() for offer in tuple(self._owed.values())), return_exceptions=True)
        await self._leases.close()

    @property
    def is_behind(self) -> bool:
        """Whether so many endings wait for a database that takes none that no more requests may begin."""
        return len(self._owed) >= MOST_OWED

    def grant(self, entry: Entry) -> bool:
        """Whether work may begin before the row is durable: nothing could refuse it.

        The key's lease, if it has a spending limit, then covers the request until it has ended.
        """
        if entry.limit is None or not entry.estimated_nanos:
            return entry.once is None
        lease = self._leased(entry, entry.limit)
        if self._leases.is_closed:
            return False
        lease.asked(entry.estimated_nanos)
        return entry.once is None and lease.promise(entry.grant, entry.estimated_nanos, entry.limit)

    def _leased(self, entry: Entry, limit: SpendingLimit) -> Lease:
        grant = entry.grant
        if grant.lease is None:
            grant.lease = self._leases.of((entry.key_id, period_of(limit.period, entry.created_at)), limit)
        return grant.lease

    def reserve(self, entry: Entry) -> asyncio.Future[None]:
        """Write a request down before work on it begins; the row is durable when the future is done.

        It raises:
            QuotaExceeded: its key's spending limit does not cover the estimate.
            IdempotencyConflict: its Idempotency-Key is taken by another body or by a request that still runs.
            Replay: its Idempotency-Key has an answer already.
            StoreUnavailable: the row could not be written.
        """
        if entry.limit is not None:
            self._leased(entry, entry.limit)
        return self._writer.write(Reservation(entry=entry))

    async def replay(self, key_id: str, once: Once) -> None:
        """Find the answer to a request that was made before, whatever would keep it from being made now.

        Raises:
            Replay: it was answered. Whether it still runs, or was another request, is `reserve`'s to say.
            StoreUnavailable: the database failed.
        """
        table = idempotency.c
        mine = (table.key_id == key_id) & (table.idempotency_key == once.key) & (table.body_sha256 == once.body_sha256)
        kept = table.answer.is_not(None) & (table.created_at >= datetime.now(UTC) - KEPT)
        wanted = select(table.media_type, table.answer).where(mine & kept)
        try:
            async with asyncio.timeout(WAIT_S):
                first = await self._database.run_read(lambda connection: connection.execute(wanted).one_or_none())
        except TimeoutError as error:
            raise StoreUnavailable from error
        if first is not None:
            raise Replay(first.media_type, first.answer)

    def settle(self, entry: Entry, ending: Ending) -> asyncio.Future[None]:
        """Write down how a request ended; that is durable when the future is done.

        It raises:
            StoreUnavailable: the row could not be written, or somebody took this process for dead: nothing is charged.
        """
        return self._writer.write(Settlement(entry=entry, ending=ending, at=_now(entry)))

    def write(self, entry: Entry, ending: Ending) -> asyncio.Future[None]:
        """Write down at once a request that was granted and not reserved, and how it ended.

        It raises:
            StoreUnavailable: the row could not be written, or that cannot be known for now.
        """
        if entry.limit is not None and entry.grant.lease is None:
            self._leased(entry, entry.limit)
        return self._writer.write(Whole(entry=entry, ending=ending, at=_now(entry)))

    def settle_later(self, entry: Entry, ending: Ending, *, is_whole: bool = False) -> None:
        """As `settle`, or `write`, for a request with nobody left to tell: tried until the database takes it."""

        kind = Whole if is_whole else Settlement

        def offer() -> asyncio.Future[None]:
            return self._writer.write(kind(entry=entry, ending=ending, at=_now(entry), can_wait=True))

        def try_it() -> None:
            offer().add_done_callback(look)

        def look(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is not None and not self._writer.is_stopping:
                asyncio.get_running_loop().call_later(AGAIN_S, try_it)
                self._owed[entry.id] = offer
            else:
                self._owed.pop(entry.id, None)

        if entry.limit is not None:
            self._leased(entry, entry.limit)
        try_it()

    def clear(self) -> int:
        """Mark what dead processes left as interrupted, drop answers kept long enough; returns the rows marked.

        Raises:
            StoreUnavailable: the database failed.
        """
        held = union(select(ledger.c.server).where(ledger.c.outcome == "reserved"), select(key_leases.c.server))
        servers = self._database.read(lambda connection: connection.execute(held).scalars().all())
        dead = self._presence.dead(servers)
        marked = self._database.transaction(lambda connection: _clear(connection, dead))
        with suppress(StoreUnavailable):  # logged where it failed; they do no harm until the next time
            for _ in range(MOST_TIMES):
                if self._database.transaction(_forget) < MOST_FORGOTTEN:
                    break
        return marked


def period_of(period: Period, time: datetime) -> str:
    """Return the name of the period that `time` falls in: a day or month of UTC, or `total`."""
    return _period_of(period, (time if time.tzinfo is UTC else time.astimezone(UTC)).date())


@lru_cache(maxsize=64)
def _period_of(period: Period, day: date) -> str:
    return day.strftime(_FORMATS[period])


def _now(entry: Entry) -> datetime:
    """The time, and never one before the request began: clocks are set back at times."""
    return max(datetime.now(UTC), entry.created_at)


def _clear(connection: Connection, dead: set[int]) -> int:
    left = (ledger.c.outcome == "reserved") & ledger.c.server.in_(dead)
    now = literal(datetime.now(UTC), ledger.c.created_at.type)
    # Another machine's clock may be ahead.
    ended_at = case((ledger.c.created_at > now, ledger.c.created_at), else_=now)
    ended = {"outcome": "interrupted", "status": 500, "error": "interrupted", "ended_at": ended_at}
    # One statement: between two, one of the dead that lives after all may make another row.
    marking = update(ledger).where(left).values(ended).returning(ledger.c.id, ledger.c.key_id)
    rows = connection.execute(marking).all()
    if rows:
        connection.execute(delete(idempotency).where(idempotency.c.ledger_id.in_([row.id for row in rows])))
    leased = connection.execute(select(key_leases.c.key_id).where(key_leases.c.server.in_(dead))).scalars()
    key_ids = {*leased, *(row.key_id for row in rows)}
    if key_ids:
        _return(connection, key_ids, dead)
    return len(rows)


def _forget(connection: Connection) -> int:
    """Drop first answers that were kept long enough, `MOST_FORGOTTEN` at most; returns how many."""
    answered = idempotency.c.answer.is_not(None)
    old = select(idempotency.c.ledger_id).where(idempotency.c.created_at < datetime.now(UTC) - KEPT, answered)
    dropped = connection.execute(delete(idempotency).where(idempotency.c.ledger_id.in_(old.limit(MOST_FORGOTTEN))))
    return dropped.rowcount


def _return(connection: Connection, key_ids: set[str], dead: set[int]) -> None:
    """End the leases of the dead; set what these keys have set aside to what their running rows and leases have.

    Their accounts are locked first, by a statement of its own: Postgres would hold an `UPDATE` that had to wait for
    another's settlement to the rows as they were before that settlement.
    """
    spend, lease = key_spend.c, key_leases.c
    theirs = spend.key_id.in_(key_ids)
    accounts = select(spend.key_id).where(theirs).order_by(spend.key_id, spend.period)
    connection.execute(accounts.with_for_update()).all()
    connection.execute(delete(key_leases).where(lease.server.in_(dead)))
    in_rows = select(func.coalesce(func.sum(ledger.c.estimated_nanos), 0)).where(
        ledger.c.key_id == spend.key_id,
        ledger.c.spend_period == spend.period,
        ledger.c.outcome == "reserved",
    )
    in_leases = select(func.coalesce(func.sum(lease.nanos), 0)).where(
        lease.key_id == spend.key_id, lease.period == spend.period
    )
    held = in_rows.scalar_subquery() + in_leases.scalar_subquery()
    connection.execute(update(key_spend).where(theirs).values(reserved_nanos=held))

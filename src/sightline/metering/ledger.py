"""The ledger: one row a request, reserved before work begins, settled once, never changed after that.

No row, no answer: `reserve` and `settle` return when the row is durable, and whoever sends the answer waits for that
before the last byte. A process that dies leaves rows reserved; they are marked interrupted and cost nothing.

Source: contract.md section 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from sightline.core import Period, SpendingLimit, Usage
from sightline.errors import IdempotencyConflict, QuotaExceeded
from sightline.metering.prices import Cost, dollars
from sightline.store.database import Database
from sightline.store.presence import Presence
from sightline.store.tables import idempotency, key_spend, ledger
from sightline.store.writer import Rows, Work, Write, Writer

Outcome = Literal["completed", "failed", "cancelled", "interrupted"]
AGAIN_S = 1.0
"""How long to wait before what a database did not take is offered again."""
KEPT = timedelta(hours=24)
"""How long a first answer is kept for its Idempotency-Key."""
_FORMATS = {"day": "%Y-%m-%d", "month": "%Y-%m", "total": "total"}
_RESERVE, _ENTER, _SETTLE, _SPEND, _ANSWER = range(5)


@dataclass(frozen=True, slots=True)
class Once:
    """An Idempotency-Key and the SHA-256 of the body that came with it."""

    key: str
    body_sha256: bytes


@dataclass(frozen=True, slots=True)
class Entry:
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

    @property
    def must_be_asked(self) -> bool:
        """Whether `reserve` may refuse it, so that no work may begin before."""
        return self.limit is not None or self.once is not None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a request ended and what is charged.

    `images` are their digests and sizes, never pixels; `answer` is kept if the request had an Idempotency-Key.
    """

    outcome: Outcome
    status: int
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    cost: Cost = field(default_factory=lambda: Cost(0, 0))
    error: str | None = None
    images: Sequence[Mapping[str, Any]] = ()
    timings_ms: dict[str, float] | None = None
    answer: bytes | None = None
    media_type: str | None = None


class Replay(Exception):
    """The request was answered before; this is the answer, byte for byte."""

    def __init__(self, media_type: str, answer: bytes) -> None:
        super().__init__("answered before")
        self.media_type = media_type
        self.answer = answer


class Ledger:
    """The rows of one database, written by this process under its `presence`."""

    def __init__(self, database: Database, presence: Presence, writer: Writer) -> None:
        self._database = database
        self._presence = presence
        self._writer = writer
        insert = sqlite.insert if database.is_sqlite else postgresql.insert
        self._insert = insert(ledger).on_conflict_do_nothing()
        self._open_period = insert(key_spend).on_conflict_do_nothing()
        self._enter_once = insert(idempotency)

    async def reserve(self, entry: Entry) -> None:
        """Write a request down before work on it begins.

        Raises:
            QuotaExceeded: its key's spending limit does not cover the estimate.
            IdempotencyConflict: its Idempotency-Key is taken by another body or by a request that still runs.
            Replay: its Idempotency-Key has an answer already.
            StoreUnavailable: the row could not be written.
        """
        row = _reserved_row(entry, self._presence.number)
        if not entry.must_be_asked:
            await self._writer.write(Rows(self._insert, row, _RESERVE))
            return
        await self._writer.write(Work(lambda connection: self._ask(connection, entry, row), _ENTER))

    async def settle(self, entry: Entry, ending: Ending) -> None:
        """Write down how a request ended.

        Raises:
            StoreUnavailable: the row could not be written, or somebody took this process for dead: nothing is charged.
        """
        await self._writer.write(*_settling(entry, ending))

    def settle_later(self, entry: Entry, ending: Ending) -> None:
        """As `settle`, for a request with nobody left to tell: tried again until the database takes it."""

        def look(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is not None and not self._writer.is_stopping:
                asyncio.get_running_loop().call_later(AGAIN_S, self.settle_later, entry, ending)

        self._writer.submit(*_settling(entry, ending, must_be_reserved=False)).add_done_callback(look)

    def clear(self) -> int:
        """Mark what dead processes left as interrupted, drop answers kept long enough; returns the rows marked.

        Raises:
            StoreUnavailable: the database failed.
        """
        held = select(ledger.c.server).where(ledger.c.outcome == "reserved").distinct()
        servers = self._database.read(lambda connection: connection.execute(held).scalars().all())
        dead = self._presence.dead(servers)
        return self._database.transaction(lambda connection: _clear(connection, dead))

    def _ask(self, connection: Connection, entry: Entry, row: dict[str, Any]) -> None:
        """Reserve what may be refused; nothing is written before everything was granted."""
        if connection.execute(select(ledger.c.id).where(ledger.c.id == entry.id)).first():
            return  # an earlier try was committed after all
        if entry.once is not None:
            self._look_up(connection, entry, entry.once)
        if entry.limit is not None:
            self._set_aside(connection, entry, entry.limit)
        if entry.once is not None:
            connection.execute(self._enter_once, _once_row(entry, entry.once, self._presence.number))
        connection.execute(self._insert, row)

    def _look_up(self, connection: Connection, entry: Entry, once: Once) -> None:
        table = idempotency.c
        mine = (table.key_id == entry.key_id) & (table.idempotency_key == once.key)
        first = connection.execute(select(idempotency).where(mine)).one_or_none()
        if first is None:
            return
        is_over = first.created_at < entry.created_at - KEPT
        if not is_over and first.body_sha256 != once.body_sha256:
            raise IdempotencyConflict(
                "This Idempotency-Key was used for another body; send a new key with a new request."
            )
        if not is_over and first.answer is not None:
            raise Replay(first.media_type, first.answer)
        if not is_over and first.server not in self._presence.dead([first.server]):
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is still running; send it again when it has ended.",
                retry_after_s=1,
            )
        connection.execute(delete(idempotency).where(mine))

    def _set_aside(self, connection: Connection, entry: Entry, limit: SpendingLimit) -> None:
        period = period_of(limit.period, entry.created_at)
        connection.execute(
            self._open_period,
            {"key_id": entry.key_id, "period": period, "reserved_nanos": 0, "settled_nanos": 0},
        )
        spend = key_spend.c
        mine = (spend.key_id == entry.key_id) & (spend.period == period)
        covered = spend.settled_nanos + spend.reserved_nanos + entry.estimated_nanos <= limit.nanos
        more = {"reserved_nanos": spend.reserved_nanos + entry.estimated_nanos}
        if not connection.execute(update(key_spend).where(mine, covered).values(more)).rowcount:
            spent = connection.execute(select(spend.settled_nanos + spend.reserved_nanos).where(mine)).scalar_one()
            raise QuotaExceeded(
                f"The key's spending limit is ${dollars(limit.nanos)} ({limit.period}), ${dollars(spent)} of it is "
                f"spent or set aside, and this request may cost ${dollars(entry.estimated_nanos)}. Ask for fewer "
                "tokens (max_completion_tokens) or for a higher limit."
            )


def period_of(period: Period, time: datetime) -> str:
    """Return the name of the period that `time` falls in: a day or month of UTC, or `total`."""
    return time.astimezone(UTC).strftime(_FORMATS[period])


_settle = update(ledger).where(ledger.c.id == bindparam("row_id"), ledger.c.outcome == "reserved")
_spend = (
    update(key_spend)
    .where(key_spend.c.key_id == bindparam("of_key"), key_spend.c.period == bindparam("in_period"))
    .values(
        reserved_nanos=key_spend.c.reserved_nanos - bindparam("estimated"),
        settled_nanos=key_spend.c.settled_nanos + bindparam("charged"),
    )
)
_answer = update(idempotency).where(idempotency.c.ledger_id == bindparam("of_row"))
_forget = delete(idempotency).where(idempotency.c.ledger_id == bindparam("of_row"))


def _settling(entry: Entry, ending: Ending, *, must_be_reserved: bool = True) -> list[Write]:
    row = {
        "row_id": entry.id,
        "outcome": ending.outcome,
        "status": ending.status,
        "error": ending.error,
        "ended_at": datetime.now(UTC),
        "prompt_tokens": ending.usage.prompt_tokens,
        "completion_tokens": ending.usage.completion_tokens,
        "image_tokens": ending.usage.image_tokens,
        "cached_tokens": ending.usage.cached_tokens,
        "prompt_nanos": ending.cost.prompt_nanos,
        "completion_nanos": ending.cost.completion_nanos,
        "images": list(ending.images),
        "timings": ending.timings_ms,
    }
    outcome = select(ledger.c.outcome).where(ledger.c.id == entry.id)
    writes: list[Write] = [
        Rows(
            _settle,
            row,
            _SETTLE,
            must_match=True,
            is_done=lambda connection: not must_be_reserved or connection.execute(outcome).scalar() == ending.outcome,
        )
    ]
    if entry.limit is not None:
        spent = {
            "of_key": entry.key_id,
            "in_period": period_of(entry.limit.period, entry.created_at),
            "estimated": entry.estimated_nanos,
            "charged": ending.cost.total_nanos,
        }
        writes.append(Rows(_spend, spent, _SPEND))
    if entry.once is not None and ending.answer is not None:
        kept = {"of_row": entry.id, "answer": ending.answer, "media_type": ending.media_type}
        writes.append(Rows(_answer, kept, _ANSWER))
    elif entry.once is not None:
        writes.append(Rows(_forget, {"of_row": entry.id}, _ANSWER))
    return writes


def _reserved_row(entry: Entry, server: int) -> dict[str, Any]:
    return {
        "id": entry.id,
        "request_id": entry.request_id,
        "server": server,
        "key_id": entry.key_id,
        "model": entry.model,
        "outcome": "reserved",
        "created_at": entry.created_at,
        "estimated_tokens": entry.estimated_tokens,
        "estimated_nanos": entry.estimated_nanos,
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens"), 0),
        **dict.fromkeys(("prompt_nanos", "completion_nanos"), 0),
        "spend_period": period_of(entry.limit.period, entry.created_at) if entry.limit else None,
        "images": [],
    }


def _once_row(entry: Entry, once: Once, server: int) -> dict[str, Any]:
    return {
        "key_id": entry.key_id,
        "idempotency_key": once.key,
        "body_sha256": once.body_sha256,
        "ledger_id": entry.id,
        "server": server,
        "created_at": entry.created_at,
    }


def _clear(connection: Connection, dead: set[int]) -> int:
    left = (ledger.c.outcome == "reserved") & ledger.c.server.in_(dead)
    rows = connection.execute(select(ledger.c.id, ledger.c.key_id, ledger.c.estimated_nanos).where(left)).all()
    if rows:
        ended = {"outcome": "interrupted", "status": 500, "error": "interrupted", "ended_at": datetime.now(UTC)}
        connection.execute(update(ledger).where(left).values(ended))
        connection.execute(delete(idempotency).where(idempotency.c.ledger_id.in_([row.id for row in rows])))
        _return(connection, {row.key_id for row in rows})
    too_old = datetime.now(UTC) - KEPT
    connection.execute(delete(idempotency).where(idempotency.c.created_at < too_old, idempotency.c.answer.is_not(None)))
    return len(rows)


def _return(connection: Connection, key_ids: set[str]) -> None:
    """Set what these keys have set aside to what their rows that still run have.

    Their accounts are locked first, by a statement of its own: Postgres would hold an `UPDATE` that had to wait for
    another's settlement to the rows as they were before that settlement.
    """
    theirs = key_spend.c.key_id.in_(key_ids)
    accounts = select(key_spend.c.key_id).where(theirs).order_by(key_spend.c.key_id, key_spend.c.period)
    connection.execute(accounts.with_for_update()).all()
    held = select(func.coalesce(func.sum(ledger.c.estimated_nanos), 0)).where(
        ledger.c.key_id == key_spend.c.key_id,
        ledger.c.spend_period == key_spend.c.period,
        ledger.c.outcome == "reserved",
    )
    connection.execute(update(key_spend).where(theirs).values(reserved_nanos=held.scalar_subquery()))

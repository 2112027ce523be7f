"""Writes what many requests ask of the ledger into one transaction, with a handful of statements for all of them.

The rows of a group are made together, and ended together; what that moves between leases and spending accounts is
summed up on the way (`moves`) and written at the end.

Comes in: `Reservation`s and `Settlement`s, first come first. Goes out: their rows, and an `error` on each refused one.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, bindparam, delete, insert, literal_column, select, update
from sqlalchemy.sql.base import Executable

from sightline.errors import IdempotencyConflict, QuotaExceeded, StoreUnavailable
from sightline.metering.leases import GiveBack
from sightline.metering.ledger import KEPT, Ended, Entry, Once, Replay, Reservation, RowWrite, Settlement, Whole
from sightline.metering.moves import Funds, Moves
from sightline.store.database import Database
from sightline.store.prepared import Prepared, given, inserting, moment_of
from sightline.store.presence import Presence
from sightline.store.tables import idempotency, ledger
from sightline.store.writer import Unsure, Write

_REFUSALS = (QuotaExceeded, IdempotencyConflict, Replay, StoreUnavailable)
_RESERVED: ColumnElement[str] = literal_column("'reserved'")
_NONE_YET: ColumnElement[int] = literal_column("0")
_BEGINS = (
    *("id", "request_id", "key_id", "model", "created_at", "estimated_tokens", "estimated_nanos"),
    "spend_period",
)
_ZERO = ("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens", "prompt_nanos", "completion_nanos")
_ENDS = ("outcome", "status", "error", "ended_at", *_ZERO, "images", "timings")
_BEGUN = {name: ledger.c[name].type for name in _BEGINS}
_ENDED = {name: ledger.c[name].type for name in _ENDS}
_SETTLED = {"of_row": ledger.c.id.type, **_ENDED}
_answer = (
    update(idempotency)
    .where(idempotency.c.ledger_id == bindparam("of_row"))
    .values(answer=bindparam("answer"), media_type=bindparam("media_type"))
)
_forget = delete(idempotency).where(idempotency.c.ledger_id == bindparam("of_row"))


class Posting:
    """Carries out the writes of the process that lives under `presence`."""

    def __init__(self, database: Database, presence: Presence) -> None:
        """Prepare the statements."""
        self._moment = moment_of(database)
        self._presence = presence
        self._running_once: set[str] = set()
        """Rows of this process that run under an Idempotency-Key. A reservation that was given up may be carried out
        by the database after all; nobody would ever end that one."""
        self._reserve = Prepared(database, _reserving(database, presence.number), _BEGUN)
        self._settle = Prepared(database, _settling(database), _SETTLED)
        self._write = Prepared(database, _writing(database, presence.number), _BEGUN | _ENDED)
        self._funds = Funds(database, presence.number)

    def carry_out(self, connection: Connection, writes: Sequence[Write], careful: bool) -> Moves:
        """Write a group; see `store.writer.Carrier`."""
        reservations = [write for write in writes if isinstance(write, Reservation)]
        wholes = [write for write in writes if isinstance(write, Whole)]
        settlements = [write for write in writes if isinstance(write, Settlement)]
        beside = {write.entry.id for write in reservations}
        moves = Moves(self._funds, connection, careful)
        moves.begin(writes)
        if careful:
            there = _outcomes(
                connection, [*(write.entry.id for write in reservations), *(write.entry.id for write in wholes)]
            )
            # Else an earlier try was committed after all.
            reservations = [write for write in reservations if write.entry.id not in there]
            firsts = {write.entry.id: write for write in reversed(wholes)}  # who was answered may have left since
            wholes = [write for write in firsts.values() if write.entry.id not in there]
        if reservations:
            self._reserve_all(connection, reservations, moves, beside)
        if wholes:
            self._write_all(connection, wholes, moves)
        if settlements:
            self._settle_all(connection, settlements, moves, careful)
        moves.carry_out()
        return moves

    def look_after(self) -> None:
        """See `store.writer.Carrier`."""
        self._presence.renew()

    def done(self, writes: Sequence[Write], carried_out: Moves | None) -> None:
        """See `store.writer.Carrier`: leases hold what was written, or nobody knows what."""
        if carried_out is not None:
            carried_out.done()
            for write in writes:
                if isinstance(write, RowWrite) and write.entry.once is not None and write.error is None:
                    self._running_once.discard(write.entry.id)
                    if isinstance(write, Reservation):
                        self._running_once.add(write.entry.id)
            return
        for write in writes:
            if isinstance(write, GiveBack | RowWrite) and write.lease is not None:
                write.lease.lost()

    def _reserve_all(
        self, connection: Connection, asked: Sequence[Reservation], moves: Moves, beside: Set[str]
    ) -> None:
        """Make the rows of those who are not refused; nothing of one is written before all of it was granted.

        `beside` are all rows of the group: what an earlier try has made of it counts as running.
        """
        rows = []
        for write in asked:
            entry = write.entry
            try:
                if entry.once is not None:
                    self._look_up(connection, entry, entry.once, beside)
                moves.cover(entry)
            except _REFUSALS as error:
                write.error = error
                continue
            if entry.once is not None:
                connection.execute(insert(idempotency).values(self._once_row(entry, entry.once)))
            rows.append(self._row(entry))
            moves.reserve(entry)
        if rows and self._reserve.each(connection, rows) != len(rows):
            raise Unsure

    def _write_all(self, connection: Connection, asked: Sequence[Whole], moves: Moves) -> None:
        rows = []
        for write in asked:
            try:
                moves.cover(write.entry)
            except (QuotaExceeded, StoreUnavailable):
                if not write.can_wait:
                    write.error = StoreUnavailable()  # the work is done: it is no refusal, and for nobody else
                    continue
                # Nobody is left to be refused, and the account would refuse it every time: it is owed all the same.
                moves.overdraw(write.entry, write.ending.cost.total_nanos)
            rows.append(self._row(write.entry) + self._ended(write))
            moves.settle(write.entry, write.ending.cost.total_nanos, was_reserved=False)
        if rows and self._write.each(connection, rows) != len(rows):
            raise Unsure

    def _settle_all(self, connection: Connection, asked: Sequence[Settlement], moves: Moves, careful: bool) -> None:
        if careful:
            asked = _still_reserved(connection, asked)
        if asked and self._settle.each(connection, [(write.entry.id, *self._ended(write)) for write in asked]) != len(
            asked
        ):
            raise Unsure
        kept = []
        forgotten = []
        for write in asked:
            entry, ending = write.entry, write.ending
            moves.settle(entry, ending.cost.total_nanos)
            if entry.once is not None and ending.answer is not None:
                kept.append({"of_row": entry.id, "answer": ending.answer, "media_type": ending.media_type})
            elif entry.once is not None:
                forgotten.append({"of_row": entry.id})
        if kept:
            connection.execute(_answer, kept)
        if forgotten:
            connection.execute(_forget, forgotten)

    def _look_up(self, connection: Connection, entry: Entry, once: Once, beside: Set[str]) -> None:
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
        if first.server == self._presence.number:
            runs = first.ledger_id in self._running_once | beside
        else:
            runs = first.server not in self._presence.dead([first.server])
        if not is_over and runs:
            raise IdempotencyConflict(
                "The first request with this Idempotency-Key is still running; send it again when it has ended.",
                retry_after_s=1,
            )
        connection.execute(delete(idempotency).where(mine))

    def _row(self, entry: Entry) -> tuple[Any, ...]:
        lease = entry.grant.lease
        return (  # as _BEGINS
            entry.id,
            entry.request_id,
            entry.key_id,
            entry.model,
            self._moment(entry.created_at),
            entry.estimated_tokens,
            entry.estimated_nanos,
            None if lease is None else lease.account[1],
        )

    def _once_row(self, entry: Entry, once: Once) -> dict[str, Any]:
        return {
            "key_id": entry.key_id,
            "idempotency_key": once.key,
            "body_sha256": once.body_sha256,
            "ledger_id": entry.id,
            "server": self._presence.number,
            "created_at": entry.created_at,
        }

    def _ended(self, write: Ended) -> tuple[Any, ...]:
        ending, usage, cost = write.ending, write.ending.usage, write.ending.cost
        return (  # as _ENDS
            ending.outcome,
            ending.status,
            ending.error,
            self._moment(write.at),
            usage.prompt_tokens,
            usage.completion_tokens,
            usage.image_tokens,
            usage.cached_tokens,
            cost.prompt_nanos,
            cost.completion_nanos,
            ending.images,
            ending.timings_ms,
        )


def _reserving(database: Database, server: int) -> Executable:
    ours = {"server": literal_column(str(server)), "outcome": _RESERVED, "images": literal_column("'[]'", JSON)}
    zeros = dict.fromkeys(_ZERO, _NONE_YET)
    return inserting(database, ledger, {**given(database, _BEGUN), **ours, **zeros})


def _writing(database: Database, server: int) -> Executable:
    row = {**given(database, _BEGUN | _ENDED), "server": literal_column(str(server))}
    return inserting(database, ledger, row)


def _settling(database: Database) -> Executable:
    of = given(database, _SETTLED)
    # Not as a plain column: SQLite would go through all that is reserved by its index, once for each row.
    is_reserved = ledger.c.outcome.concat(literal_column("''")) == _RESERVED
    return update(ledger).where(ledger.c.id == of["of_row"], is_reserved).values({name: of[name] for name in _ENDS})


def _outcomes(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """What the ledger says of those rows that it has; they stay as they are until the transaction ends."""
    query = select(ledger.c.id, ledger.c.outcome).where(ledger.c.id.in_(ids)).order_by(ledger.c.id).with_for_update()
    return {row.id: row.outcome for row in connection.execute(query)}


def _still_reserved(connection: Connection, asked: Sequence[Settlement]) -> list[Settlement]:
    """Those whose row can be ended; the others are done, by an earlier try of ours, or refused."""
    outcomes = _outcomes(connection, [write.entry.id for write in asked])
    still = []
    for write in asked:
        outcome = outcomes.pop(write.entry.id, None)  # the first to ask is the one to end it
        if outcome == "reserved":
            still.append(write)
        elif outcome != write.ending.outcome and not write.can_wait:
            write.error = StoreUnavailable()
    return still

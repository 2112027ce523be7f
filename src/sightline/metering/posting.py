"""Writes what many requests ask of the ledger into one transaction, with a handful of statements for all of them.

The rows of a group are made together, and ended together; each spending account is read once, granted in the order of
asking, and changed once by what all requests of the group set aside, give back and spend. The account's row is locked
from the reading to the commit (SQLite: the whole database is), so that processes cannot overspend together.

Comes in: `Reservation`s and `Settlement`s, first come first. Goes out: their rows, and an `error` on each refused one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, Table, bindparam, delete, insert, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable
from sqlalchemy.types import TypeEngine

from sightline.core import SpendingLimit
from sightline.errors import IdempotencyConflict, QuotaExceeded, StoreUnavailable
from sightline.metering.ledger import KEPT, Ended, Entry, Once, Replay, Reservation, Settlement, Whole, period_of
from sightline.metering.prices import dollars
from sightline.store.database import Database
from sightline.store.prepared import Prepared, given, moment_of
from sightline.store.presence import Presence
from sightline.store.tables import idempotency, key_spend, ledger
from sightline.store.writer import Unsure, Write

Account = tuple[str, str]
"""A key's id and the period of its spending limit."""

_REFUSALS = (QuotaExceeded, IdempotencyConflict, Replay, StoreUnavailable)
_RESERVED: ColumnElement[str] = literal_column("'reserved'")
_NONE_YET: ColumnElement[int] = literal_column("0")
_BEGINS = (
    *("id", "request_id", "key_id", "model", "created_at", "estimated_tokens", "estimated_nanos"),
    "spend_period",
)
_ZERO = ("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens", "prompt_nanos", "completion_nanos")
_ENDS = ("outcome", "status", "error", "ended_at", *_ZERO, "images", "timings")
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
        self._reserve = Prepared(database, _reserving(database, presence.number))
        self._settle = Prepared(database, _settling(database))
        self._write = Prepared(database, _writing(database, presence.number))
        spend = key_spend.c
        account = (spend.key_id == bindparam("of_key"), spend.period == bindparam("in_period"))
        balance = select(spend.settled_nanos + spend.reserved_nanos).where(*account)
        self._balance = Prepared(database, balance.with_for_update())
        self._open = Prepared(database, _opening(database))
        self._move = Prepared(database, _moving(database))

    def carry_out(self, connection: Connection, writes: Sequence[Write], careful: bool) -> None:
        """Write a group; see `store.writer.Writer`.

        Raises:
            Unsure: a row to be ended is not there as it should be; not if `careful`.
        """
        reservations = [write for write in writes if isinstance(write, Reservation)]
        wholes = [write for write in writes if isinstance(write, Whole)]
        settlements = [write for write in writes if isinstance(write, Settlement)]
        moves: dict[Account, list[int]] = {}
        if reservations:
            self._reserve_all(connection, reservations, moves, careful)
        if wholes:
            self._write.each(connection, [self._row(write.entry, None) | self._ended(write) for write in wholes])
        if settlements:
            self._settle_all(connection, settlements, moves, careful)
        if moves:
            self._move.each(connection, [_move(account, moves[account]) for account in sorted(moves)])

    def _reserve_all(
        self, connection: Connection, asked: Sequence[Reservation], moves: dict[Account, list[int]], careful: bool
    ) -> None:
        """Make the rows of those who are not refused; nothing of one is written before all of it was granted."""
        there = _outcomes(connection, [write.entry.id for write in asked]) if careful else {}
        asked = [write for write in asked if write.entry.id not in there]  # else an earlier try was committed after all
        accounts = [_account_of(write.entry) for write in asked]
        balances = {
            account: self._balance_of(connection, account)
            for account in sorted({account for account in accounts if account is not None})
        }
        rows = []
        for write, account in zip(asked, accounts, strict=True):
            entry = write.entry
            try:
                if entry.once is not None:
                    self._look_up(connection, entry, entry.once)
                if entry.limit is not None and account is not None:
                    _check_quota(entry, entry.limit, balances[account])
                    balances[account] += entry.estimated_nanos
                    moves.setdefault(account, [0, 0])[0] += entry.estimated_nanos
            except _REFUSALS as error:
                write.error = error
                continue
            if entry.once is not None:
                connection.execute(insert(idempotency).values(self._once_row(entry, entry.once)))
            rows.append(self._row(entry, account))
        if rows:
            self._reserve.each(connection, rows)

    def _settle_all(
        self, connection: Connection, asked: Sequence[Settlement], moves: dict[Account, list[int]], careful: bool
    ) -> None:
        if careful:
            asked = _still_reserved(connection, asked)
        if asked and self._settle.each(connection, [self._ended(write) for write in asked]) != len(asked):
            raise Unsure
        kept = []
        forgotten = []
        for write in asked:
            entry, ending = write.entry, write.ending
            account = _account_of(entry)
            if account is not None:
                move = moves.setdefault(account, [0, 0])
                move[0] -= entry.estimated_nanos
                move[1] += ending.cost.total_nanos
            if entry.once is not None and ending.answer is not None:
                kept.append({"of_row": entry.id, "answer": ending.answer, "media_type": ending.media_type})
            elif entry.once is not None:
                forgotten.append({"of_row": entry.id})
        if kept:
            connection.execute(_answer, kept)
        if forgotten:
            connection.execute(_forget, forgotten)

    def _balance_of(self, connection: Connection, account: Account) -> int:
        """What is spent or set aside; nobody else can change it before this transaction ends."""
        row = {"of_key": account[0], "in_period": account[1]}
        balance = self._balance.scalar(connection, row)
        if balance is None:
            self._open.each(connection, [{"key_id": account[0], "period": account[1]}])
            balance = self._balance.scalar(connection, row)
        return int(balance)

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

    def _row(self, entry: Entry, account: Account | None) -> dict[str, Any]:
        return {
            "id": entry.id,
            "request_id": entry.request_id,
            "key_id": entry.key_id,
            "model": entry.model,
            "created_at": self._moment(entry.created_at),
            "estimated_tokens": entry.estimated_tokens,
            "estimated_nanos": entry.estimated_nanos,
            "spend_period": None if account is None else account[1],
        }

    def _once_row(self, entry: Entry, once: Once) -> dict[str, Any]:
        return {
            "key_id": entry.key_id,
            "idempotency_key": once.key,
            "body_sha256": once.body_sha256,
            "ledger_id": entry.id,
            "server": self._presence.number,
            "created_at": entry.created_at,
        }

    def _ended(self, write: Ended) -> dict[str, Any]:
        ending = write.ending
        return {
            "of_row": write.entry.id,
            "outcome": ending.outcome,
            "status": ending.status,
            "error": ending.error,
            "ended_at": self._moment(write.at),
            "prompt_tokens": ending.usage.prompt_tokens,
            "completion_tokens": ending.usage.completion_tokens,
            "image_tokens": ending.usage.image_tokens,
            "cached_tokens": ending.usage.cached_tokens,
            "prompt_nanos": ending.cost.prompt_nanos,
            "completion_nanos": ending.cost.completion_nanos,
            "images": ending.images,
            "timings": ending.timings_ms,
        }


def _insert(database: Database, table: Table, row: Mapping[str, ColumnElement[Any]]) -> Executable:
    """Insert a row for each that is given, leaving alone what is there."""
    insert = sqlite.insert if database.is_sqlite else postgresql.insert
    # SQLite takes ON CONFLICT for part of a join unless there is a condition.
    rows = select(*row.values()).where(literal_column("1") == literal_column("1"))
    return insert(table).from_select(list(row), rows).on_conflict_do_nothing()


def _reserving(database: Database, server: int) -> Executable:
    ours = {"server": literal_column(str(server)), "outcome": _RESERVED, "images": literal_column("'[]'", JSON)}
    zeros = dict.fromkeys(_ZERO, _NONE_YET)
    return _insert(database, ledger, {**given(database, _types(ledger, _BEGINS)), **ours, **zeros})


def _writing(database: Database, server: int) -> Executable:
    return _insert(
        database,
        ledger,
        {**given(database, _types(ledger, (*_BEGINS, *_ENDS))), "server": literal_column(str(server))},
    )


def _settling(database: Database) -> Executable:
    of = given(database, {"of_row": ledger.c.id.type, **_types(ledger, _ENDS)})
    # Not as a plain column: SQLite would go through all that is reserved by its index, once for each row.
    is_reserved = ledger.c.outcome.concat(literal_column("''")) == _RESERVED
    return update(ledger).where(ledger.c.id == of["of_row"], is_reserved).values({name: of[name] for name in _ENDS})


def _opening(database: Database) -> Executable:
    account = given(database, _types(key_spend, ("key_id", "period")))
    return _insert(database, key_spend, {**account, "reserved_nanos": _NONE_YET, "settled_nanos": _NONE_YET})


def _moving(database: Database) -> Executable:
    spend, number = key_spend.c, key_spend.c.reserved_nanos.type
    names = {"of_key": spend.key_id.type, "in_period": spend.period.type, "reserved": number, "settled": number}
    by = given(database, names)
    return (
        update(key_spend)
        .where(spend.key_id == by["of_key"], spend.period == by["in_period"])
        .values(reserved_nanos=spend.reserved_nanos + by["reserved"], settled_nanos=spend.settled_nanos + by["settled"])
    )


def _types(table: Table, names: Iterable[str]) -> dict[str, TypeEngine[Any]]:
    return {name: table.c[name].type for name in names}


def _account_of(entry: Entry) -> Account | None:
    return None if entry.limit is None else (entry.key_id, period_of(entry.limit.period, entry.created_at))


def _move(account: Account, change: Sequence[int]) -> dict[str, Any]:
    return {"of_key": account[0], "in_period": account[1], "reserved": change[0], "settled": change[1]}


def _check_quota(entry: Entry, limit: SpendingLimit, spent_nanos: int) -> None:
    if spent_nanos + entry.estimated_nanos > limit.nanos:
        raise QuotaExceeded(
            f"The key's spending limit is ${dollars(limit.nanos)} ({limit.period}), ${dollars(spent_nanos)} of it is "
            f"spent or set aside, and this request may cost ${dollars(entry.estimated_nanos)}. Ask for fewer "
            "tokens (max_completion_tokens) or for a higher limit."
        )


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

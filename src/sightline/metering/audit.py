"""Proves that the ledger adds up: every row is possible, sums are those of their rows, ended rows cannot be changed.

Reads one snapshot, so that a running service makes no false alarm; changes nothing (the attempt to change an ended row
is rolled back).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from sightline.ids import new_id
from sightline.metering.prices import dollars
from sightline.metering.reports import ROW
from sightline.store.database import Database
from sightline.store.liveness import LOOKS, LOOKS_APART_S, Liveness
from sightline.store.tables import idempotency, key_spend, ledger
from sightline.store.timeouts import set_statement_timeout

_TIMEOUT_S = 600.0
_cost = ledger.c.prompt_nanos + ledger.c.completion_nanos
_row = ledger.c
_ENDINGS = ("completed", "failed", "cancelled", "interrupted")
_COUNTS = ("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens", "prompt_nanos", "completion_nanos")

# What no row may be, and the words for it.
IMPOSSIBLE: tuple[tuple[ColumnElement[bool], str], ...] = (
    (_row.outcome.not_in(("reserved", *_ENDINGS)), "has an outcome that there is not"),
    (func.substr(_row.id, 1, len(ROW)) != ROW, f"has an id that does not begin with {ROW}"),
    (and_(_row.outcome == "failed", _cost != 0), "failed and costs something"),
    (and_(_row.outcome == "interrupted", _cost != 0), "was interrupted and costs something"),
    (and_(_row.outcome == "completed", _row.prompt_tokens <= 0), "is completed without prompt tokens"),
    (
        and_(_row.outcome == "completed", func.coalesce(_row.status, 0) != 200),
        "is completed with a status that is not 200",
    ),
    (and_(_row.outcome.in_(_ENDINGS), _row.status.is_(None)), "has ended without a status"),
    (and_(_row.outcome.in_(_ENDINGS), _row.ended_at.is_(None)), "has ended at no time"),
    (_row.ended_at < _row.created_at, "ended before it began"),
    (and_(_row.outcome == "reserved", or_(_row.ended_at.is_not(None), _cost != 0)), "is reserved and has an end"),
    (_row.image_tokens > _row.prompt_tokens, "has more image tokens than prompt tokens"),
    (_row.cached_tokens > _row.prompt_tokens, "has more cached tokens than prompt tokens"),
    (or_(*(_row[name] < 0 for name in _COUNTS)), "has a count or a cost below zero"),
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and every discrepancy in a sentence; none means that the ledger adds up."""

    rows: int
    by_outcome: dict[str, int]
    tokens: int
    nanos: int
    discrepancies: tuple[str, ...]


class _RollBack(Exception):
    """Ends a transaction that must not stay."""


def check(database: Database, liveness: Liveness, *, sleep: Callable[[float], None] = time.sleep) -> Audit:
    """Look at every row and every sum. Takes a moment's write lock for the attempt to change an ended row.

    `sleep` is called between looks at servers of other machines that seem to be gone.

    Raises:
        StoreUnavailable: the database failed.
    """
    audit, servers = database.read(_look)
    found = [*audit.discrepancies]
    dead = _dead(liveness, servers, sleep)
    # Looked up only now: a process that stopped meanwhile has settled its rows.
    found += database.read(lambda connection: list(_left_by(connection, dead)))
    found += _try_to_change(database)
    return Audit(audit.rows, audit.by_outcome, audit.tokens, audit.nanos, tuple(found))


def _dead(liveness: Liveness, servers: set[int], sleep: Callable[[float], None]) -> set[int]:
    for _ in range(LOOKS - 1):
        dead = liveness.dead(servers)
        if not liveness.suspects:
            return dead
        sleep(LOOKS_APART_S)
    return liveness.dead(servers)


def _look(connection: Connection) -> tuple[Audit, set[int]]:
    _as_one_snapshot(connection)
    sums = select(
        _row.outcome,
        func.count().label("rows"),
        func.sum(_row.prompt_tokens + _row.completion_tokens).label("tokens"),
        func.sum(_cost).label("nanos"),
    ).group_by(_row.outcome)
    outcomes = connection.execute(sums.order_by(_row.outcome)).all()
    found = (*_impossible(connection), *_sums(connection), *_orphans(connection))
    audit = Audit(
        sum(row.rows for row in outcomes),
        {row.outcome: row.rows for row in outcomes},
        sum(int(row.tokens) for row in outcomes),
        sum(int(row.nanos) for row in outcomes),
        found,
    )
    running = select(_row.server).where(_row.outcome == "reserved").distinct()
    return audit, set(connection.execute(running).scalars())


def _as_one_snapshot(connection: Connection) -> None:
    """SQLite's reading is one anyway; of Postgres it must be asked for, and so must the time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    set_statement_timeout(connection, _TIMEOUT_S)


def _impossible(connection: Connection) -> Iterator[str]:
    """One reading of the table for all conditions."""
    flags = [case((condition, 1), else_=0).label(f"flag_{at}") for at, (condition, _) in enumerate(IMPOSSIBLE)]
    query = select(_row.id, *flags).where(or_(*(condition for condition, _ in IMPOSSIBLE)))
    for row in connection.execute(query.order_by(_row.id)):
        for flag, (_, words) in zip(row[1:], IMPOSSIBLE, strict=True):
            if flag:
                yield f"Row {row.id} {words}."


def _sums(connection: Connection) -> Iterator[str]:
    """Hold what each key has spent and reserved in each period against its rows, in both directions."""
    is_reserved = _row.outcome == "reserved"
    rows = (
        select(
            _row.key_id,
            _row.spend_period.label("period"),
            _whole(case((is_reserved, 0), else_=_cost)).label("settled"),
            _whole(case((is_reserved, _row.estimated_nanos), else_=0)).label("reserved"),
        )
        .where(_row.spend_period.is_not(None))
        .group_by(_row.key_id, _row.spend_period)
    )
    spent = select(key_spend.c.key_id, key_spend.c.period, key_spend.c.settled_nanos, key_spend.c.reserved_nanos)
    by_rows, by_spend = _by_key(connection, rows), _by_key(connection, spent)
    for key in sorted(by_rows.keys() | by_spend.keys()):
        of_rows, of_spend = by_rows.get(key, (0, 0)), by_spend.get(key, (0, 0))
        for what, rows_say, spend_says in zip(("settled", "reserved"), of_rows, of_spend, strict=True):
            if rows_say != spend_says:
                yield (
                    f"Key {key[0]} has {what} ${dollars(spend_says)} in {key[1]} by its account, "
                    f"${dollars(rows_say)} by its rows."
                )


def _whole(value: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.sum(value), BigInteger)


def _by_key(connection: Connection, query: Select[Any]) -> dict[tuple[str, str], tuple[int, int]]:
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def _orphans(connection: Connection) -> Iterator[str]:
    kept = idempotency.c
    query = select(kept.key_id, kept.ledger_id).outerjoin(ledger, _row.id == kept.ledger_id).where(_row.id.is_(None))
    for row in connection.execute(query.order_by(kept.ledger_id)):
        yield f"An Idempotency-Key of key {row.key_id} belongs to row {row.ledger_id}, which is not there."


def _left_by(connection: Connection, dead: set[int]) -> Iterator[str]:
    query = select(_row.id).where(_row.outcome == "reserved", _row.server.in_(dead))
    for row in connection.execute(query.order_by(_row.id)):
        yield f"Row {row.id} is reserved by a process that is gone; a running service marks it interrupted."


def _try_to_change(database: Database) -> list[str]:
    """Write an ended row, try to change and to delete it, and take all of it back."""
    found: list[str] = []

    def attempt(connection: Connection) -> None:
        probe = new_id(ROW)
        connection.execute(insert(ledger).values(_ended_row(probe)))
        for words, statement in (
            ("changed", update(ledger).where(_row.id == probe).values(prompt_nanos=1)),
            ("deleted", delete(ledger).where(_row.id == probe)),
        ):
            savepoint = connection.begin_nested()
            try:
                connection.execute(statement)
            except DBAPIError:
                savepoint.rollback()
            else:
                savepoint.rollback()
                found.append(f"A row that has ended can be {words}: the database's trigger against it is gone.")
        raise _RollBack

    try:
        database.transaction(attempt)
    except _RollBack:
        return found
    raise AssertionError("the attempt was committed")  # pragma: no cover - it raises


def _ended_row(row_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    texts = {"request_id": "audit", "key_id": "audit", "model": "audit", "outcome": "failed", "status": 500}
    counts = dict.fromkeys((*_COUNTS, "estimated_tokens", "estimated_nanos", "server"), 0)
    return {"id": row_id, **texts, **counts, "created_at": now, "ended_at": now, "images": []}

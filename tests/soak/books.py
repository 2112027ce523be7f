"""Compares what clients received with what the ledger says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from sightline.store.database import Database
from sightline.store.tables import idempotency, key_spend, ledger
from soak.clients import Asked

Rows = dict[str, list[Any]]


def rows_by_request(database: Database) -> Rows:
    """Every row, by the id of its request."""
    rows: Rows = defaultdict(list)
    for row in database.read(lambda connection: connection.execute(select(ledger)).all()):
        rows[row.request_id].append(row)
    return rows


def problems(database: Database, asked: Iterable[Asked]) -> list[str]:
    """Whatever is wrong: nothing may stay reserved, every answer has one row, failures are free, sums add up."""
    rows = rows_by_request(database)
    return [*_of_answers(rows, asked), *_of_rows(rows), *_of_sums(database, rows)]


def outcomes(database: Database) -> Counter[str]:
    """How many rows ended how."""
    return Counter(row.outcome for rows in rows_by_request(database).values() for row in rows)


def _of_answers(rows: Rows, asked: Iterable[Asked]) -> Iterable[str]:
    for one in asked:
        yield from (f"{one.request_ids}: {problem}" for problem in one.problems)
        mine = [row for request_id in one.request_ids for row in rows.get(request_id, ())]
        completed = [row for row in mine if row.outcome == "completed"]
        if one.answers and len(completed) != 1:
            yield f"{one.request_ids}: an answer was received, and {len(completed)} rows say so"
        elif one.once and len(completed) > 1:
            yield f"{one.request_ids}: one Idempotency-Key was charged {len(completed)} times"
        if one.answers and len(completed) == 1:
            yield from _of_parts(one, completed[0].request_id)
        for row in completed:
            if one.usage and (row.prompt_tokens, row.completion_tokens) != one.usage:
                yield f"{row.request_id}: the row says {row.prompt_tokens}, {row.completion_tokens}, not {one.usage}"


def _of_parts(asked: Asked, completed: str) -> Iterable[str]:
    """What was sent of an answer that was charged, then and each time again, must be how that answer begins.

    Attempts before it came to nothing: what was sent of them is of no answer.
    """
    for request_id in asked.request_ids[asked.request_ids.index(completed) :]:
        if not asked.answers[0].startswith(asked.parts.get(request_id, b"")):
            yield f"{request_id}: an answer that does not go on from its part"


def _of_rows(rows: Rows) -> Iterable[str]:
    for request_id, its in rows.items():
        if len([row for row in its if row.outcome == "completed"]) > 1:
            yield f"{request_id}: completed twice"
        for row in its:
            if row.outcome == "reserved":
                yield f"{request_id}: still reserved"
            if row.outcome in ("interrupted", "failed") and row.prompt_nanos + row.completion_nanos:
                yield f"{request_id}: {row.outcome} and charged"


def _of_sums(database: Database, rows: Rows) -> Iterable[str]:
    costs: Counter[str] = Counter()
    for its in rows.values():
        for row in its:
            costs[row.key_id] += row.prompt_nanos + row.completion_nanos
    for spend in database.read(lambda connection: connection.execute(select(key_spend)).all()):
        if spend.reserved_nanos or spend.settled_nanos != costs[spend.key_id]:
            yield (
                f"{spend.key_id}: {spend.settled_nanos} spent and {spend.reserved_nanos} reserved, "
                f"its rows add up to {costs[spend.key_id]}"
            )
    open_ends = select(idempotency.c.ledger_id).where(idempotency.c.answer.is_(None))
    for row_id in database.read(lambda connection: connection.execute(open_ends).scalars().all()):
        yield f"{row_id}: its Idempotency-Key is still taken"

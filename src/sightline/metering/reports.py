"""Questions to the ledger: totals by key, model and day, and single requests; a page at a time.

Requests that still run are left out: a row is counted once it cannot change any more. Days are of UTC. A span of time
is sought by ledger ids, which begin with the time they were made at, so that a large ledger is read in its range only.
A cursor names the last row of its page: rows that come in meanwhile neither repeat nor skip one.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import ColumnElement, Connection, String, case, func, literal, literal_column, select, tuple_

from sightline.errors import InvalidRequest
from sightline.ids import first_id
from sightline.store.database import Database
from sightline.store.tables import api_keys, ledger
from sightline.store.timeouts import set_statement_timeout

T = TypeVar("T")
Group = Literal["day", "key", "model"]
ROW = "row_"
MOST_ROWS = 1000
"""The longest page."""
_APART = timedelta(minutes=1)
"""The most by which the time in a row's id and its `created_at` may differ."""
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which requests: admitted from `since` (inclusive) to `until` (exclusive), of these keys, of this model."""

    since: datetime | None = None
    until: datetime | None = None
    key_ids: tuple[str, ...] | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What the requests of one group used. `day` (2026-11-21), key and model are None where not grouped by.

    `failed` are those among `requests` that failed or were interrupted; they cost nothing.
    """

    day: str | None
    key_id: str | None
    key_name: str | None
    model: str | None
    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    image_tokens: int
    nanos: int


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request that has ended."""

    id: str
    request_id: str
    created_at: datetime
    ended_at: datetime
    key_id: str
    key_name: str | None
    model: str
    outcome: str
    status: int
    error: str | None
    prompt_tokens: int
    completion_tokens: int
    image_tokens: int
    cached_tokens: int
    nanos: int
    images: list[dict[str, Any]]
    timings: dict[str, float] | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and the cursor of the next page if there is one."""

    rows: list[T]
    next: str | None


_DAY = {
    "sqlite": literal_column("substr(ledger.created_at, 1, 10)", String),
    "postgresql": literal_column("to_char(ledger.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", String),
}
"""The day of UTC that a row was made on, as 2026-11-21, by dialect."""
_LINE = (
    *(ledger.c[name] for name in ("id", "request_id", "created_at", "ended_at", "key_id")),
    api_keys.c.name.label("key_name"),
    *(ledger.c[name] for name in ("model", "outcome", "status", "error")),
    *(ledger.c[name] for name in ("prompt_tokens", "completion_tokens", "image_tokens", "cached_tokens")),
    (ledger.c.prompt_nanos + ledger.c.completion_nanos).label("nanos"),
    *(ledger.c.images, ledger.c.timings),
)


def totals(
    connection: Connection, by: Sequence[Group], selection: Selection, *, limit: int = MOST_ROWS, after: str = ""
) -> Page[Total]:
    """Add up what `selection` used, grouped by `by` and ordered by it; `after` is the cursor of the page before.

    Raises:
        InvalidRequest: `after` is no cursor of such totals.
    """
    set_statement_timeout(connection, _TIMEOUT_S)
    columns = {"day": _DAY[connection.dialect.name], "key": ledger.c.key_id, "model": ledger.c.model}
    groups = [columns[name] for name in by]
    sums = (ledger.c.prompt_tokens, ledger.c.completion_tokens, ledger.c.image_tokens)
    failed = case((ledger.c.outcome.in_(("failed", "interrupted")), 1), else_=0)
    query = select(
        *(group.label(name) for name, group in zip(by, groups, strict=True)),
        func.count().label("requests"),
        func.sum(failed).label("failed"),
        *(func.sum(column).label(column.name) for column in sums),
        func.sum(ledger.c.prompt_nanos + ledger.c.completion_nanos).label("nanos"),
    ).where(*_chosen(selection))
    if after:
        query = query.where(tuple_(*groups) > tuple_(*(literal(value) for value in _decode(after, len(by)))))
    if groups:
        query = query.group_by(*groups).order_by(*groups)
    found = connection.execute(query.limit(limit + 1)).mappings().all()
    rows = [row for row in found if row["requests"]]  # without groups there is a row even of nothing
    names = _names(connection, {row["key"] for row in rows if "key" in by})
    last = [rows[limit - 1][name] for name in by] if len(rows) > limit else None
    return Page([_total(row, names) for row in rows[:limit]], _encode(last) if last else None)


def requests(
    connection: Connection, selection: Selection, *, limit: int = MOST_ROWS, after: str = ""
) -> Page[RequestRecord]:
    """List single requests, the newest first; `after` is the id of the last row of the page before."""
    set_statement_timeout(connection, _TIMEOUT_S)
    query = select(*_LINE).outerjoin(api_keys, api_keys.c.id == ledger.c.key_id).where(*_chosen(selection))
    if after:
        query = query.where(ledger.c.id < after)
    found = connection.execute(query.order_by(ledger.c.id.desc()).limit(limit + 1))
    rows = [RequestRecord(*row) for row in found]
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def every(database: Database, page: Callable[[Connection, str], Page[T]]) -> Iterator[T]:
    """Go through all pages, one short reading each; `page` is given the cursor."""
    after = ""
    while True:
        got = database.read(lambda connection, after=after: page(connection, after))  # type: ignore[misc]
        yield from got.rows
        if got.next is None:
            return
        after = got.next


def key_ids(connection: Connection, name_or_id: str) -> tuple[str, ...]:
    """Return the ids of the keys that have this id or this name."""
    query = select(api_keys.c.id).where((api_keys.c.id == name_or_id) | (api_keys.c.name == name_or_id))
    return tuple(connection.execute(query.order_by(api_keys.c.id)).scalars())


def models_beside(connection: Connection, name: str) -> tuple[str, ...]:
    """Return every model of the ledger where `name` is none of them, else nothing."""
    set_statement_timeout(connection, _TIMEOUT_S)
    if connection.execute(select(ledger.c.id).where(ledger.c.model == name).limit(1)).first() is not None:
        return ()
    return tuple(connection.execute(select(ledger.c.model).distinct().order_by(ledger.c.model)).scalars())


def _chosen(selection: Selection) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = [ledger.c.outcome != "reserved"]
    if selection.since is not None:
        chosen += [ledger.c.id >= first_id(ROW, selection.since - _APART), ledger.c.created_at >= selection.since]
    if selection.until is not None:
        chosen += [ledger.c.id < first_id(ROW, selection.until + _APART), ledger.c.created_at < selection.until]
    if selection.key_ids is not None:
        chosen.append(ledger.c.key_id.in_(selection.key_ids))
    if selection.model is not None:
        chosen.append(ledger.c.model == selection.model)
    return chosen


def _names(connection: Connection, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    rows = connection.execute(select(api_keys.c.id, api_keys.c.name).where(api_keys.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def _total(row: Any, names: dict[str, str]) -> Total:
    counts = ("requests", "failed", "prompt_tokens", "completion_tokens", "image_tokens", "nanos")
    key_id = row.get("key")
    return Total(row.get("day"), key_id, names.get(key_id), row.get("model"), *(int(row[name]) for name in counts))


def _encode(values: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _decode(cursor: str, count: int) -> list[str]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        is_one = isinstance(values, list) and len(values) == count > 0
        is_one = is_one and all(isinstance(value, str) and value.isprintable() for value in values)
    except (ValueError, RecursionError):
        is_one = False
    if not is_one:
        raise InvalidRequest(
            "after is no cursor of these totals; send the next_page of the answer before, with the same group_by.",
            param="after",
            code="invalid_value",
        )
    return list(values)

"""`GET /v1/usage` and `GET /v1/usage/requests`: the ledger, as totals and as single requests.

A key sees its own requests; one that may `admin` sees those of all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from sightline.api.auth import authenticate
from sightline.api.runtime import runtime_of
from sightline.auth.keys import ApiKey
from sightline.engines.catalogue import Catalogue
from sightline.errors import InvalidRequest, PermissionDenied, Problem
from sightline.metering.report_format import (
    as_csv,
    as_json,
    line_body,
    line_columns,
    parse_time,
    total_body,
    total_columns,
)
from sightline.metering.reports import MOST_ROWS, Group, Selection, requests, totals
from sightline.wire.render import encode

T = TypeVar("T")
GROUPS = ("day", "key", "model")
COMMON = ("start", "end", "key_id", "model", "limit", "after", "format")
_DEFAULT_ROWS = 100
_TEXT = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}


@dataclass(frozen=True, slots=True)
class Query:
    """What a caller asks for."""

    by: tuple[Group, ...]
    selection: Selection
    limit: int
    after: str
    format: str


async def usage(request: Request) -> Response:
    """Totals, grouped by day unless `group_by` says otherwise."""
    key = await authenticate(request, "usage")
    runtime = runtime_of(request)
    query = read_query(request.query_params, key, ("group_by", *COMMON), ("json", "csv"), runtime.pipeline.catalogue)

    def report(connection: Connection) -> Response:
        page = totals(connection, query.by, query.selection, limit=query.limit, after=query.after)
        bodies = [total_body(row, query.by) for row in page.rows]
        return _answer(bodies, total_columns(query.by), page.next, query.format)

    return await runtime.database.run_report(report)


async def usage_requests(request: Request) -> Response:
    """Single requests, the newest first."""
    key = await authenticate(request, "usage")
    runtime = runtime_of(request)
    query = read_query(request.query_params, key, COMMON, ("json", "csv", "jsonl"), runtime.pipeline.catalogue)

    def report(connection: Connection) -> Response:
        page = requests(connection, query.selection, limit=query.limit, after=query.after)
        return _answer([line_body(row) for row in page.rows], line_columns(), page.next, query.format)

    return await runtime.database.run_report(report)


def read_query(
    params: QueryParams, key: ApiKey, names: Sequence[str], formats: Sequence[str], catalogue: Catalogue
) -> Query:
    """Read the query parameters of a route that takes `names`; a model may be named by an alias.

    Raises:
        InvalidRequest: every parameter that is unknown or has a value that is not taken.
        PermissionDenied: another key's usage, asked for by one that may not see it.
    """
    reader = _Reader(params, names)
    by = reader.all("group_by", _group) or ["day"]
    limit = reader.one("limit", _limit)
    since, until = reader.one("start", _time), reader.one("end", _time)
    key_id, model, after = (reader.one(name, _text) for name in ("key_id", "model", "after"))
    form = reader.one("format", lambda value: _one_of(formats, value))
    if reader.problems:
        raise InvalidRequest.of(reader.problems)
    if "admin" not in key.permissions:
        if key_id not in (None, key.id):
            raise PermissionDenied("This key sees its own usage only; leave key_id out, or use a key that may admin.")
        key_id = key.id
    return Query(
        tuple(dict.fromkeys(by)),
        Selection(since, until, None if key_id is None else (key_id,), model and catalogue.resolve(model)),
        _DEFAULT_ROWS if limit is None else limit,
        after or "",
        form or "json",
    )


class _Reader:
    """Reads parameters and collects what is wrong with them."""

    def __init__(self, params: QueryParams, names: Sequence[str]) -> None:
        self._params = params
        self.problems = [
            Problem(f"{_show(name)} is not a parameter here; it takes {', '.join(names)}.", name, "unknown_parameter")
            for name in dict.fromkeys(params)
            if name not in names
        ]

    def all(self, name: str, read: Callable[[str], T]) -> list[T]:
        values: list[T] = []
        for value in self._params.getlist(name):
            try:
                values.append(read(value))
            except ValueError as error:
                self.problems.append(Problem(f"{name} {error}, and is {_show(value)}.", name, "invalid_value"))
        return values

    def one(self, name: str, read: Callable[[str], T]) -> T | None:
        values = self.all(name, read)
        if len(self._params.getlist(name)) > 1:
            self.problems.append(Problem(f"{name} may be given once.", name, "invalid_value"))
        return values[0] if values else None


def _group(value: str) -> Group:
    return cast(Group, _one_of(GROUPS, value))


def _one_of(taken: Sequence[str], value: str) -> str:
    if value not in taken:
        raise ValueError(f"must be one of {', '.join(taken)}")
    return value


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= MOST_ROWS):
        raise ValueError(f"must be a number from 1 to {MOST_ROWS}")
    return int(value)


def _time(value: str) -> datetime:
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError(
            "must be unix seconds (nine digits or more), a day (2026-11-21) or RFC 3339 with its zone "
            "(2026-11-21T08:00:00Z)"
        ) from None


def _text(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("must be printable text")
    return value


def _show(value: str) -> str:
    shown = value if value and value.isprintable() and value == value.strip() else repr(value)
    return shown if len(shown) <= 80 else shown[:80] + "…"


def _answer(bodies: list[dict[str, Any]], columns: Sequence[str], next_page: str | None, form: str) -> Response:
    """A page as JSON, or as text with its cursor in a header."""
    if form == "json":
        body = {"object": "list", "data": bodies, "has_more": next_page is not None, "next_page": next_page}
        return Response(encode(body), media_type="application/json")
    lines = as_csv(bodies, columns) if form == "csv" else (as_json(body) + "\n" for body in bodies)
    headers = {} if next_page is None else {"x-next-page": next_page}
    return Response("".join(lines), 200, headers, _TEXT[form])

"""Usage as text: JSON objects, CSV and lines; the service and the command line write the same.

Money is a decimal string of US dollars beside its currency, times are RFC 3339 in UTC.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sightline.metering.prices import dollars
from sightline.metering.reports import Group, RequestRecord, Total

CURRENCY = "USD"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_DIGITS = 9
"""Of unix seconds, from 1973 on; a shorter number is meant otherwise: 20261121 as a day, and would be one of 1970."""


def total_body(total: Total, by: Sequence[Group]) -> dict[str, Any]:
    """One group of totals; only what it was grouped by is named."""
    body: dict[str, Any] = {"object": "usage.total"}
    for name in by:
        body |= {"key_id": total.key_id, "key_name": total.key_name} if name == "key" else {name: getattr(total, name)}
    return body | {
        "requests": total.requests,
        "failed": total.failed,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "image_tokens": total.image_tokens,
        "cost": dollars(total.nanos),
        "currency": CURRENCY,
    }


def line_body(line: RequestRecord) -> dict[str, Any]:
    """One request."""
    return {
        "object": "usage.request",
        "id": line.id,
        "request_id": line.request_id,
        "time": rfc3339(line.created_at),
        "ended": rfc3339(line.ended_at),
        "key_id": line.key_id,
        "key_name": line.key_name,
        "model": line.model,
        "outcome": line.outcome,
        "status": line.status,
        "error": line.error,
        "prompt_tokens": line.prompt_tokens,
        "completion_tokens": line.completion_tokens,
        "image_tokens": line.image_tokens,
        "cached_tokens": line.cached_tokens,
        "cost": dollars(line.nanos),
        "currency": CURRENCY,
        "images": line.images,
        "timings": line.timings,
    }


def as_json(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_csv(bodies: Iterable[dict[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """Write a heading and a line for each body; `object` is left out."""
    yield _csv_line(columns)
    for body in bodies:
        yield _csv_line([_cell(body[name]) for name in columns])


def total_columns(by: Sequence[Group]) -> list[str]:
    """The columns of totals."""
    nothing = Total(None, None, None, None, 0, 0, 0, 0, 0, 0)
    return [name for name in total_body(nothing, by) if name != "object"]


def line_columns() -> list[str]:
    """The columns of single requests."""
    nothing = RequestRecord("", "", _FIRST, _FIRST, "", None, "", "", 0, None, 0, 0, 0, 0, 0, [], None)
    return [name for name in line_body(nothing) if name != "object"]


def rfc3339(time: datetime) -> str:
    """A time of UTC to the millisecond: `2026-11-21T11:42:52.123Z`."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read unix seconds of nine digits or more, a day (its beginning in UTC) or RFC 3339 with its zone.

    Raises:
        ValueError: it is none of these, or not of the years 1970 to 9998.
    """
    try:
        time = _read_time(text)
        is_good = time.tzinfo is not None and _FIRST <= time < _LAST
    except OverflowError:
        is_good = False
    if not is_good:
        raise ValueError(text)
    return time.astimezone(UTC)


def _read_time(text: str) -> datetime:
    if text.isascii() and text.isdigit():
        if len(text) < _SECONDS_DIGITS:
            raise ValueError(text)
        return _FIRST + timedelta(seconds=int(text[:13]))
    if len(text) > 6 and text[-6] == " " and "T" in text:  # the + of an address that was not escaped
        text = f"{text[:-6]}+{text[-5:]}"
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if len(text) == 10 else time


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return as_json(value)
    # A spreadsheet would run a name that begins like a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
